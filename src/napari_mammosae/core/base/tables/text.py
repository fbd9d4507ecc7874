"""The text of a table as programs save it: its encoding, what separates its cells, its decimal mark."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from ..errors import FindingsError
from ..files import explain_unreadable
from ..limits import check_limit
from ..text import size_text

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
"""What may stand between cells; the first one where a header has none of them."""

_NO_SEPARATOR = "\x1f"
"""For tables of one column, whose cells may hold any mark."""

_DECLARED = re.compile(r'"?sep=(.|\\t)"?\s*(?:\n|\Z)', re.IGNORECASE)
_WORKBOOKS = {b"PK\x03\x04": "a zip file or an Excel workbook", b"\xd0\xcf\x11\xe0": "an Excel workbook"}
_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32"}
_MARKS |= {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BINARY = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_COMMA = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+)?,\d+(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"[-+]?\d+")


def read_text(path: Path) -> tuple[str, list[str]]:
    """Return the text of a table, lines ending in a line feed, and what a person should know of its encoding.

    Raises
    ------
    FindingsError
        The file cannot be read, or is not text.
    """
    text, notes = decode_text(path)
    text = text.rstrip("\x1a").replace("\r\n", "\n")
    if _BINARY.search(text):
        raise FindingsError(f"{path.name}: a binary file; expected a CSV, save it as CSV in UTF-8")
    return text, notes


def decode_text(path: Path) -> tuple[str, list[str]]:
    """Return the text of a table, character by character, and what a person should know of its encoding.

    UTF-8, and UTF-16 or UTF-32 where the file is marked so or every other byte is zero; else Windows-1252.

    Raises
    ------
    FindingsError
        The file cannot be read, or is not text.
    """
    if path.is_dir():
        raise FindingsError(f"{path.name}: a folder; expected a CSV file, choose one in it")
    try:
        size = path.stat().st_size
        check_limit("text_bytes", size, f"{path.name}: a table of {size_text(size)}", FindingsError)
        data = path.read_bytes()
    except OSError as error:
        raise FindingsError(explain_unreadable(path, error)) from error
    for start, kind in _WORKBOOKS.items():
        if data.startswith(start):
            raise FindingsError(f"{path.name}: {kind}; save the sheet as CSV")
    encoding = _encoding(data)
    notes: list[str] = []
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise FindingsError(f"{path.name}: damaged {encoding.upper()} text; save it as CSV in UTF-8") from error
        text = data.decode("cp1252", "replace")
        notes.append(f"{path.name}: not UTF-8; read as Windows-1252, so check names with accents")
    return text.removeprefix("\ufeff"), notes


def find_separator(text: str) -> tuple[str, str]:
    r"""Return what separates the cells of a table, and the text from its header on.

    Excel's first line ``sep=;`` counts; else the mark that makes most columns of the header.

    >>> find_separator("sep=|\na|b;c\n"), find_separator("a;b\n1,5;2\n")[0]
    (('|', 'a|b;c\n'), ';')
    """
    if declared := _DECLARED.match(text):
        return declared[1].replace("\\t", "\t"), text[declared.end() :]
    first = next((line for line in text.splitlines() if line.strip()), "")
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in SEPARATORS}
    mark = max(SEPARATORS, key=lambda mark: counts[mark])
    return mark if counts[mark] > 1 else _NO_SEPARATOR, text


def with_points(cells: pd.Series, separator: str) -> pd.Series | None:
    """Return a column of numbers with decimal commas with points instead; None where it is another column.

    Between commas, a comma and three digits may as well be thousands: there one cell must be certain.
    """
    texts = [text for text in cells.unique() if text]
    commas = [text for text in texts if _COMMA.fullmatch(text)]
    if not commas or not all(_WHOLE.fullmatch(text) for text in texts if not _COMMA.fullmatch(text)):
        return None
    if separator == "," and all(len(text.rpartition(",")[2]) == 3 for text in commas):
        return None
    known = {text: text.replace(".", "").replace(",", ".") for text in commas}
    return cells.map(lambda text: known.get(text, text))


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    start = data[:1000]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = start[first::2], start[1 - first :: 2]
        if len(zeros) > 3 and zeros.count(0) > 0.9 * len(zeros) and others.count(0) == 0:
            return encoding
    return "utf-8"
