"""CSV files as people really save them, read into text cells with the line they stand in."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from .cells import unguard
from .errors import FindingsError
from .files import explain_unreadable
from .limits import check_limit, limit_cells
from .names import slug, table_names
from .reading import reads, short_reason
from .text import size_text

UNKNOWN = frozenset({"", "nan", "na", "n/a", "null", "unknown"})
"""Cells, in lower case, that hold no value."""

SEPARATORS = (",", ";", "\t")


@reads(FindingsError, "a CSV")
def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV into text: columns named by slug, cells stripped, the index (`line`) the line in the file.

    Commas, semicolons and tabs may separate the cells; the text is UTF-8, with or without a byte order mark.

    Raises
    ------
    FindingsError
        The file is missing, empty, not text, ragged, or names a column twice.
    """
    text = _text(path)
    lines_there = text.count("\n")
    check_limit("rows", lines_there, f"{path.name}: {lines_there:,} lines", FindingsError)
    first = next((line for line in text.splitlines() if line.strip()), "")
    count = max(map(first.count, SEPARATORS))
    check_limit("columns", count, f"{path.name}: a header of {count:,} columns", FindingsError)
    limit_cells()
    separator = max(SEPARATORS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([unguard(cell.strip()) for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise FindingsError(
            f"{path.name}, line {reader.line_num}: not a readable CSV ({short_reason(error)})"
        ) from error
    if not rows:
        raise FindingsError(f"{path.name}: the file is empty; expected a CSV with a header")
    header, body = rows[0], rows[1:]
    for row, line in zip(body, lines[1:], strict=True):
        if len(row) != len(header):
            raise FindingsError(
                f"{path.name}, line {line}: {len(row)} cells where the header has {len(header)} "
                f"(separator {separator!r}); the file may be cut off, or a text with the separator lacks quotes"
            )
    index = pd.Index(lines[1:], name="line", dtype="int64")
    names = _column_names(path, header)
    columns = {name: [row[at] for row in body] for at, name in names.items()}
    return pd.DataFrame(columns, index=index, dtype=object)


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


def _text(path: Path) -> str:
    if path.is_dir():
        raise FindingsError(f"{path.name}: a folder; expected a CSV file, choose one in it")
    try:
        size = path.stat().st_size
        check_limit("text_bytes", size, f"{path.name}: a table of {size_text(size)}", FindingsError)
        data = path.read_bytes()
    except OSError as error:
        raise FindingsError(explain_unreadable(path, error)) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FindingsError(f"{path.name}: UTF-16 text; save it as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FindingsError(f"{path.name}: not text in UTF-8 (byte {error.start}); save it as CSV in UTF-8") from error
    if "\0" in text:
        raise FindingsError(f"{path.name}: a binary file; expected a CSV, save it as CSV in UTF-8")
    return text


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
