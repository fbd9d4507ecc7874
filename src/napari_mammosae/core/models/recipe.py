"""The arguments of `load_model` as plain values by which another process can load the same model. Knows no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILES = ("backbone", "classifier", "sae")


def settle_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe that holds wherever a program goes: the paths of its files are absolute.

    >>> settle_recipe({"name": "demo", "device": "cpu"})
    {'name': 'demo', 'device': 'cpu'}
    """
    found = dict(recipe)
    for key in ("name", *_FILES):
        value = found.get(key)
        if value is not None and (key in _FILES or Path(value).suffix == ".toml"):
            found[key] = Path(value).absolute()
    return found
