"""JSON and TOML files, looked at before they are parsed: what is nested too deep or too long is refused."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from .errors import MammoSAEError
from .limits import check_limit
from .reading import check_ordinary
from .text import size_text

_MOST_TOML_BYTES = 1_000_000
"""A file that people write by hand."""

_JSON_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
_TOML_TEXTS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+(?:"|$)'
    r"|'[^'\n]*+(?:'|$)"
    r"|#[^\n]*+",
    re.DOTALL | re.MULTILINE,
)
_NOT_BRACKETS = re.compile(r"[^][{}]+")


def read_json(path: Path, error: type[MammoSAEError], name: str = "") -> Any:
    """Return the content of a JSON file in UTF-8; messages call it `name`, by default the last part of the path.

    Raises
    ------
    error
        It is too large, nested too deep, or has too many values.
    OSError, ValueError, RecursionError
        It cannot be read, or is not JSON; for `reading` to put into words.
    """
    return parse_json(_bytes(path, name or path.name, error), name or path.name, error)


def parse_json(data: bytes, name: str, error: type[MammoSAEError]) -> Any:
    """Return the content of JSON text; see `read_json`."""
    bare = _JSON_TEXTS.sub(b"", data).decode("latin-1")
    _check_shape(bare, name, error, bare.count(",") + bare.count(":"))
    return json.loads(data.decode("utf-8-sig"))


def read_toml(path: Path, error: type[MammoSAEError]) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises
    ------
    error
        It is larger than a megabyte, nested too deep, or has too many keys.
    OSError, ValueError, RecursionError
        It cannot be read, or is not TOML; for `reading` to put into words.
    """
    data = _bytes(path, path.name, error)
    if len(data) > _MOST_TOML_BYTES:
        raise error(f"{path.name}: {size_text(len(data))}, above the limit of {size_text(_MOST_TOML_BYTES)}.")
    text = data.decode("utf-8").replace("\r\n", "\n")
    bare = _TOML_TEXTS.sub("x", text)
    # the parser takes the square of the number of parts of a dotted key
    dots = max((line.count(".") for line in bare.splitlines()), default=0)
    check_limit("depth", dots, f"{path.name}: a line with {dots:,} dots", error)
    _check_shape(bare, path.name, error, bare.count("=") + bare.count(","))
    return tomllib.loads(text)


def _check_shape(bare: str, name: str, error: type[MammoSAEError], values: int) -> None:
    """Look at text without its quoted parts."""
    check_limit("keys", values, f"{name}: {values:,} values", error)
    depth = deepest = 0
    for bracket in _NOT_BRACKETS.sub("", bare):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    check_limit("depth", deepest, f"{name}: values nested {deepest:,} deep", error)


def _bytes(path: Path, name: str, error: type[MammoSAEError]) -> bytes:
    check_ordinary(path, name, error)
    size = path.stat().st_size
    check_limit("text_bytes", size, f"{name}: a file of {size_text(size)}", error)
    return path.read_bytes()
