"""Texts in CSV files: no spreadsheet runs them, and they come back as they were."""

import csv

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.base.tables.cells import guard, unguard, write_csv, write_rows
from napari_mammosae.core.base.tables.reading import read_table

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "'=1+1", "-", "+", "=")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_text_and_read_as_it_was(text: str):
    assert guard(text)[0] == "'"
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("value", ["", "mass", "a=1", "-0.5", "+1e-3", "'t Hooft", "''", -0.5, 3, None, True])
def test_other_cells_are_written_as_they_are(value: object):
    assert guard(value) == value
    if isinstance(value, str):
        assert unguard(value) == value


@given(st.text() | st.builds("".join, st.lists(st.sampled_from("'=+-@\t\r1a"), max_size=6)))
def test_any_text_comes_back(text: str):
    written = guard(text)
    assert unguard(written) == text
    assert written[:1] not in tuple("=@\t\r")
    if written[:1] in ("+", "-"):
        float(written)


def test_a_table_has_guards_in_texts_and_names_only(tmp_path):
    table = pd.DataFrame({"=name": ["=1+1", "plain"], "value": [-0.5, 1e-300], "count": [-1, 2], "-5": ["-5", None]})
    write_csv(tmp_path / "a.csv", table)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["'=name", "value", "count", "-5"],
            ["'=1+1", "-0.5", "-1", "-5"],
            ["plain", "1e-300", "2", ""],
        ]
    assert list(table.columns) == ["=name", "value", "count", "-5"]
    assert table["=name"][0] == "=1+1"


def test_our_tables_take_the_guards_away(tmp_path):
    write_rows(tmp_path / "a.csv", [("image", "finding", "value"), ("=cmd.png", "@mass", -1)])
    table = read_table(tmp_path / "a.csv")
    assert table.iloc[0].to_list() == ["=cmd.png", "@mass", "-1"]
