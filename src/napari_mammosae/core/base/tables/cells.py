"""Text in the cells of CSV files: kept from being a formula in a spreadsheet, and taken back as it was."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

GUARD = "'"
"""Put before a text that a spreadsheet would run; spreadsheets take it for "this is text"."""

_FORMULA = re.compile(rf"{GUARD}*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")  # the last four: their full-width forms

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def guard(value: Any) -> Any:
    """Return a cell as it is written: a text that begins like a formula gets a guard, numbers stay numbers.

    >>> guard("=1+1"), guard("-0.5"), guard("mass")
    ("'=1+1", '-0.5', 'mass')
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return GUARD + value


def unguard(text: str) -> str:
    """Return a cell as it was before `guard`.

    >>> unguard("'=1+1"), unguard("'t Hooft")
    ('=1+1', "'t Hooft")
    """
    return text[1:] if text.startswith(GUARD) and _FORMULA.match(text) else text


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index as CSV, texts guarded, names of columns too."""
    from pandas.api.types import is_numeric_dtype

    guarded = table.copy(deep=False)
    guarded.columns = [guard(name) for name in table.columns]
    for at, kind in enumerate(table.dtypes):
        if not is_numeric_dtype(kind):
            guarded.isetitem(at, table.iloc[:, at].astype(object).map(guard).array)
    guarded.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows, the header among them, as CSV, texts guarded."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([guard(cell) for cell in row] for row in rows)
