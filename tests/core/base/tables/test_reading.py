from pathlib import Path

import pytest

from napari_mammosae.core.base.tables.reading import numbers, read_table


@pytest.mark.parametrize(
    ("text", "values", "noted"),
    [
        ("image;x\na;1,5\nb;-2\nc;\n", [1.5, -2, None], True),
        ("image\tx\na\t1.234,5\nb\t0,25\n", [1234.5, 0.25], True),
        ("image|x\na|,5\nb|1,5e3\n", [0.5, 1500], True),
        ('image,x\na,"1,5"\nb,"2,500"\n', [1.5, 2.5], True),
        ("image;x\na;1.5\nb;2\n", [1.5, 2], False),
        ("sep=\\t\nimage\tx\na\t3,25\n", [3.25], True),
    ],
)
def test_decimal_commas(tmp_path: Path, text: str, values: list[float | None], noted: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    table = read_table(path)
    found = numbers(path, table, "x")
    assert [None if value != value else value for value in found] == values
    assert table.attrs["notes"] == (["a.csv: decimal commas are read as points in x"] if noted else [])


@pytest.mark.parametrize("text", ["image;x\na;1,2 cm\nb;1,5\n", "image;x\na;1,2,3\n", 'image,x\na,"12,345"\n'])
def test_commas_that_are_not_decimal_stay(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    table = read_table(path)
    assert table["x"].iloc[0] in text
    assert table.attrs["notes"] == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\x1a"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"Image;Höhe;note;{end}ä;5;x|y, z;{end}".replace("\x1a", "", 1).encode(encoding))
    table = read_table(path)
    assert table.loc[2].tolist() == ["ä", "5", "x|y, z"]
    assert list(table.columns) == ["image", "hohe", "note"]
    assert len(table.attrs["notes"]) == (encoding == "cp1252")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sep=;\n\nimage;x\na;1\n\nb;2\n")
    assert read_table(path).index.tolist() == [4, 6]
