"""The findings a row of a table names: one, several with marks between them, or a Python list, saved as text."""

import re
from pathlib import Path

import pandas as pd

from ..base.errors import FindingsError
from ..base.names import slug
from ..base.tables.reading import UNKNOWN

SEPARATOR = re.compile(r"[;|,]")
"""What stands between the names of findings."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def categories(path: Path, cells: pd.DataFrame, column: str = "finding_categories") -> list[list[str]]:
    """Read which findings each row names.

    A list may have lost its commas, as NumPy prints them: ``['Mass' 'Skin Thickening']`` are two findings.

    Raises
    ------
    FindingsError
        A text begins as a list and is none; the message says in which line.
    """
    blank = UNKNOWN if column == "finding_categories" else {""}
    known: dict[str, list[str]] = {}
    for line, text in cells[column].items():
        if text not in known:
            known[text] = [] if text.lower() in blank else _findings(path, int(str(line)), column, text)
    return [known[text] for text in cells[column]]


def _findings(path: Path, line: int, column: str, text: str) -> list[str]:
    is_list = text.startswith("[") or re.match(r"\(\s*['\")]", text)
    quoted = _QUOTED.findall(text) if is_list else [text]
    names = [name.strip() for part in quoted for name in SEPARATOR.split(part.strip("'\"") if is_list else part)]
    found = [name for name in names if name]
    if is_list:
        between = SEPARATOR.sub("", _QUOTED.sub("", text))
        if "".join(between.split()) not in ("[]", "()") or not all(map(slug, names)):
            raise FindingsError(
                f"{path.name}, line {line}: {column} is {text[:60]!r}; "
                "expected a list such as ['Mass', 'Skin Thickening']"
            )
    return found
