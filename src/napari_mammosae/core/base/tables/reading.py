"""CSV files as people really save them, read into text cells with the line they stand in."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..errors import FindingsError
from ..limits import check_limit, limit_cells
from ..names import slug, table_names
from ..reading import reads, short_reason
from .cells import unguard
from .text import SEPARATORS, find_separator, read_text, with_points

UNKNOWN = frozenset({"", "nan", "na", "n/a", "null", "unknown"})
"""Cells, in lower case, that hold no value."""


@reads(FindingsError, "a CSV")
def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV into text: columns named by slug, cells stripped, the index (`line`) the line in the file.

    Commas, semicolons, tabs and bars may separate the cells, as Excel's first line ``sep=;`` may say; decimal commas
    become points. UTF-8, UTF-16 and Windows-1252 are read. ``attrs["notes"]`` has a sentence for everything that was
    decided.

    Raises
    ------
    FindingsError
        The file is missing, empty, not text, ragged, or names a column twice.
    """
    whole, notes = read_text(path)
    lines_there = whole.count("\n")
    check_limit("rows", lines_there, f"{path.name}: {lines_there:,} lines", FindingsError)
    first = next((line for line in whole.splitlines() if line.strip()), "")
    count = max(map(first.count, SEPARATORS))
    check_limit("columns", count, f"{path.name}: a header of {count:,} columns", FindingsError)
    limit_cells()
    separator, text = find_separator(whole)
    before = lines_there - text.count("\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([unguard(cell.strip()) for cell in row])
                lines.append(before + reader.line_num)
    except csv.Error as error:
        raise FindingsError(
            f"{path.name}, line {before + reader.line_num}: not a readable CSV ({short_reason(error)})"
        ) from error
    return table_of(path, rows, lines, separator, notes)


def table_of(path: Path, rows: list[list[str]], lines: list[int], separator: str, notes: list[str]) -> pd.DataFrame:
    """Return rows of text, the header first, as `read_table` does; `lines` are those in the file."""
    if not rows:
        raise FindingsError(f"{path.name}: the file is empty; expected a CSV with a header")
    header, body = rows[0], rows[1:]
    for row, line in zip(body, lines[1:], strict=True):
        while len(row) > len(header) and not row[-1]:
            row.pop()  # a separator at the end of the line
        if len(row) != len(header):
            raise FindingsError(
                f"{path.name}, line {line}: {len(row)} cells where the header has {len(header)} "
                f"(separator {separator!r}); the file may be cut off, or a text with the separator lacks quotes"
            )
    index = pd.Index(lines[1:], name="line", dtype="int64")
    names = _column_names(path, header)
    columns = {name: [row[at] for row in body] for at, name in names.items()}
    table = pd.DataFrame(columns, index=index, dtype=object)
    pointed = []
    for name in columns:
        if (column := with_points(table[name], separator)) is not None:
            table[name] = column
            pointed.append(name)
    if pointed:
        notes.append(f"{path.name}: decimal commas are read as points in {', '.join(pointed)}")
    table.attrs = {"notes": notes}
    return table


def numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as float64, blank cells as NaN; anything else but a finite number is an error with its line."""
    values = {text: _number(text) for text in table[column].unique()}
    wrong = [text for text, value in values.items() if value is None]
    if wrong:
        line = table.index[table[column] == wrong[0]][0]
        raise FindingsError(
            f"{path.name}, line {line}: {column} is {wrong[0]!r}; expected a number with a decimal point"
        )
    return table[column].map(values).astype("float64")


def require(path: Path, table: pd.DataFrame, columns: Iterable[str], kind: str) -> None:
    """Raise unless the table has all the columns, naming those it lacks and those it has."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise FindingsError(
            f"{path.name}: {kind} needs the columns {', '.join(missing)}, which are missing; "
            f"found {', '.join(map(str, table.columns)) or 'none'}. Rename its columns, or give another table"
        )


def read_image_ids(path: Path, table: pd.DataFrame, columns: Iterable[str], kind: str) -> list[str]:
    """Return an identifier for the image of each row, from the first of `columns` that the table has.

    Raises
    ------
    FindingsError
        The table has none of them, or a row names no image.
    """
    column = next((name for name in columns if name in table), None)
    if column is None:
        require(path, table, ["image"], kind)
    blank = table.index[table[column] == ""]
    if len(blank):
        raise FindingsError(f"{path.name}, line {blank[0]}: no image is named")
    return table_names(table[column])


def _number(text: str) -> float | None:
    if text.lower() in UNKNOWN:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None  # Python reads 1_0 as ten


def _column_names(path: Path, header: list[str]) -> dict[int, str]:
    """Position -> name; columns without a header (an index that was written along) are left out."""
    names: dict[int, str] = {}
    for at, title in enumerate(header):
        if not title:
            continue
        name = slug(title.removeprefix("label.")) or title
        if name in names.values():
            raise FindingsError(f"{path.name}: two columns are named {name!r}; rename or remove one")
        names[at] = name
    return names
