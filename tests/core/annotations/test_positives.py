"""Which text of a label is the positive one, and what else the cells of a label mean."""

from pathlib import Path

import numpy as np
import pytest

from napari_mammosae.core.annotations.labels import read_label_rows, read_labels
from napari_mammosae.core.annotations.positives import parse_positive, positive_of
from napari_mammosae.core.base.errors import FindingsError, SettingsError

UNKNOWN = None


def written(tmp_path: Path, column: str, cells: list[str]) -> Path:
    path = tmp_path / "labels.csv"
    lines = [f"i{number},{cell}" for number, cell in enumerate(cells)]
    path.write_text("\n".join([f"image,{column}", *lines]) + "\n", encoding="utf-8")
    return path


def values(table, label: str) -> list[float | None]:
    return [None if np.isnan(value) else value for value in table[f"label.{label}"]]


PAIRS = [
    ("Malignant", "Normal"), ("MALIGNANT", "benign"), ("malignant", "Non-Malignant"), ("Abnormal", "Normal"),
    ("cancer", "no cancer"), ("Cancer", "healthy"), ("positive", "negative"), ("present", "absent"), ("Yes", "No"),
    ("TRUE", "FALSE"), ("Mass", "no mass"), ("malignant", "not malignant"), ("Y", "N"),
]  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("positive", "negative"), PAIRS)
def test_of_a_known_pair_the_positive_text_is_one(tmp_path, positive, negative, turned):
    cells = [negative, positive, "", negative] if turned else [positive, negative, "", positive]
    path = written(tmp_path, "pathology", cells)
    expected = [0, 1, UNKNOWN, 0] if turned else [1, 0, UNKNOWN, 1]
    labels = read_labels(path)
    assert values(labels, "pathology") == expected
    assert values(read_label_rows(path), "pathology") == expected
    notes = [note for note in labels.attrs["notes"] if "pathology counts" in note]
    assert len(notes) == 1
    assert f"{positive.lower()!r} as positive" in notes[0]
    assert f"{negative.lower()!r} as negative" in notes[0]


@pytest.mark.parametrize(
    "names", [("oval", "round"), ("left", "right"), ("benign", "normal"), ("mass", "normal"), ("a",), ("x", "y", "z")]
)
def test_of_other_texts_none_is_positive(tmp_path, names):
    assert positive_of(names) is None
    labels = read_labels(written(tmp_path, "kind", [*names, ""]))
    assert labels.attrs["categories"] == {"kind": sorted(names)}
    assert labels.attrs["notes"] == []


@pytest.mark.parametrize(
    ("cells", "positive", "expected"),
    [
        (["round", "oval", "", "round"], "oval", [0, 1, UNKNOWN, 0]),
        (["round", "oval", "", "Round"], {"kind": "ROUND"}, [1, 0, UNKNOWN, 1]),
        (["benign", "malignant", "normal"], "malignant", [0, 1, 0]),
        (["malignant", "normal"], "normal", [0, 1]),
        (["1", "2", "2", ""], "2", [0, 1, 1, UNKNOWN]),
        (["1.0", "0.0"], "0", [0, 1]),
        (["1", "0"], "1", [1, 0]),
        (["yes", "no"], "no", [0, 1]),
    ],
)
def test_the_text_that_is_named_is_positive(tmp_path, cells, positive, expected):
    labels = read_labels(written(tmp_path, "kind", cells), positive)
    assert values(labels, "kind") == expected
    assert any("as positive, all else as negative" in note for note in labels.attrs["notes"])


@pytest.mark.parametrize(
    ("how", "number"), [("unknown", UNKNOWN), ("positive", 1), ("negative", 0)], ids=["unknown", "positive", "negative"]
)
@pytest.mark.parametrize(
    ("cells", "rest"),
    [
        (["1.0", "0.0", "", "-1.0"], [1, 0, UNKNOWN]),
        (["1", "-1", "", "-1"], None),
        (["Malignant", "Normal", "", "uncertain"], [1, 0, UNKNOWN]),
        (["yes", "no", "n/a", "Uncertain"], [1, 0, UNKNOWN]),
        (["1", "0", "", "indeterminate"], [1, 0, UNKNOWN]),
    ],
)
def test_uncertain_cells_are_unknown_unless_told(tmp_path, cells, rest, how, number):
    labels = read_labels(written(tmp_path, "edema", cells), uncertain=how)
    expected = [1, number, UNKNOWN] if rest is None else rest
    assert values(labels, "edema") == [*expected, number]
    notes = [note for note in labels.attrs["notes"] if "uncertain in" in note]
    assert len(notes) == 1
    rows = "2 rows, which count" if rest is None else "1 row, which counts"
    assert f"in {rows} as {how}" in notes[0]


def test_minus_one_among_other_numbers_is_a_number(tmp_path):
    labels = read_labels(written(tmp_path, "change", ["-1", "2.5", "0"]))
    assert values(labels, "change") == [-1, 2.5, 0]
    assert labels.attrs["notes"] == []


@pytest.mark.parametrize("column", ["density", "breast density"])
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2", "3"], [0, 1, 2]),
        (["3.0", "1.0", ""], [2, 0, UNKNOWN]),
        (["1", "4"], [0, 3]),
        (["0", "3"], [0, 3]),
        (["ACR B", "d"], [1, 3]),
    ],
)
def test_densities_go_by_their_meaning(tmp_path, column, cells, expected):
    labels = read_labels(written(tmp_path, column, cells))
    assert values(labels, "density") == expected
    assert labels.attrs["categories"] == {"density": ["a", "b", "c", "d"]}
    assert bool(labels.attrs["notes"]) == cells[0].replace(".", "").isdigit()


def test_letters_beside_numbers_say_which_density_is_meant(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,density,breast_density\na,1,DENSITY B\nb,3,DENSITY D\n")
    assert values(read_labels(path), "density") == [1, 3]


@pytest.mark.parametrize("column", ["birads", "Bi-Rads", "breast_birads", "assessment"])
def test_birads_with_letters_are_categories(tmp_path, column):
    labels = read_labels(written(tmp_path, column, ["4a", "4B", "2", "5", "", "BI-RADS 4c", "6"]))
    (label,) = labels.attrs["categories"]
    names = labels.attrs["categories"][label]
    assert names == ["2", "4a", "4b", "4c", "5", "6"]
    assert values(labels, label) == [1, 2, 0, 4, UNKNOWN, 3, 5]


@pytest.mark.parametrize(
    ("column", "cells"),
    [("Unnamed: 0", ["0", "1", "2"]), ("Unnamed: 0.1", ["7", "7", "7"]), ("index", ["4", "9", "3"]),
     ("level_0", ["0", "1", "2"]), ("ID", ["11", "12", "13"])],
)  # fmt: skip
def test_columns_that_number_the_rows_are_no_labels(tmp_path, column, cells):
    path = tmp_path / "labels.csv"
    path.write_text(f"image,{column},mass\n" + "".join(f"i{n},{cell},{n % 2}\n" for n, cell in enumerate(cells)))
    labels = read_labels(path)
    assert [name for name in labels if name.startswith("label.")] == ["label.mass"]
    assert any("numbers the rows" in note for note in labels.attrs["notes"])
    path.write_text(f"image,{column}\n" + "".join(f"i{n},{cell}\n" for n, cell in enumerate(cells)))
    with pytest.raises(FindingsError, match="no column with labels"):
        read_labels(path)


def test_rows_that_contradict_each_other(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,pathology,kind\na,malignant,oval\na,normal,round\nb,normal,round\n")
    labels = read_labels(path)
    assert values(labels, "pathology") == [1, 0]  # a finding counts when any row has it
    assert values(labels, "kind") == [UNKNOWN, 1]


@pytest.mark.parametrize(
    ("given", "label", "expected"),
    [
        (None, "x", None),
        (["a"], "", "a"),
        (["a"], "x", {"x": "a"}),
        (["X=a", "y=b"], "", {"x": "a", "y": "b"}),
        (["a", "y=b"], "x", {"x": "a", "y": "b"}),
    ],
)
def test_positive_values_on_the_command_line(given, label, expected):
    assert parse_positive(given, label) == expected


@pytest.mark.parametrize(("given", "label"), [(["a", "b"], ""), (["a", "x=b"], "x"), (["x="], ""), (["=a"], "")])
def test_unclear_positive_values(given, label):
    with pytest.raises(SettingsError, match="one LABEL=VALUE for each label"):
        parse_positive(given, label)
