"""The findings a row of VinDr-Mammo's tables names: a Python list, saved as text."""

import ast
from pathlib import Path
from typing import Any

import pandas as pd

from ..base.errors import FindingsError
from ..base.names import slug
from ..base.tables import UNKNOWN

_LONGEST = 4_000
"""Characters of a list of categories; Python's parser can end the process at very long texts."""


def categories(path: Path, cells: pd.DataFrame) -> list[list[str]]:
    """Read `finding_categories`, a Python list as text: the categories of each row."""
    known: dict[str, list[str]] = {}
    for line, text in cells["finding_categories"].items():
        if text not in known:
            known[text] = _category_list(path, int(str(line)), text)
    return [known[text] for text in cells["finding_categories"]]


def _category_list(path: Path, line: int, text: str) -> list[str]:
    if text.lower() in UNKNOWN:
        return []
    if not text.startswith(("[", "(")):
        return [text]
    try:
        value: Any = ast.literal_eval(text) if len(text) <= _LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and slug(item) for item in value):
        raise FindingsError(
            f"{path.name}, line {line}: finding_categories is {text[:60]!r}; "
            "expected a list such as ['Mass', 'Skin Thickening']"
        )
    return list(value)
