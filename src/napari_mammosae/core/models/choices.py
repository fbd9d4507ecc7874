"""How a model is run: names of devices, number formats and engines, and what `load_model` is given. Knows no torch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ..base.errors import ModelError

Precision = Literal["float32", "bfloat16"]
"""Number format of weights and features: "float32" is exact, "bfloat16" changes features by about 3 %."""

Engine = Literal["torch", "compiled"]
"""What computes the features: PyTorch as it is, or through `torch.compile`."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENGINES: tuple[Engine, ...] = get_args(Engine)
LATER = ("openvino",)
"""Engines that a later version will have."""
DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_WORDS = "auto, cpu, cuda, cuda:N or mps"

_FILES = ("backbone", "classifier", "sae", "text", "vocabulary")


def check_precision(name: str) -> Precision:
    """Return the name of a number format.

    Raises
    ------
    ModelError
        If it is not known.

    Examples
    --------
    >>> check_precision("bfloat16")
    'bfloat16'
    """
    if name not in PRECISIONS:
        raise ModelError(f"precision {name!r} is not known; choose {' or '.join(PRECISIONS)}")
    return name


def check_engine(name: str) -> Engine:
    """Return the engine that a name means; "auto" is PyTorch.

    Raises
    ------
    ModelError
        If it is not known.

    Examples
    --------
    >>> check_engine("auto")
    'torch'
    """
    if name == "auto":
        return "torch"
    if name not in ENGINES:
        why = "supported yet" if name in LATER else "known"
        raise ModelError(f"engine {name!r} is not {why}; choose auto, {' or '.join(ENGINES)}")
    return name


def check_device(name: str) -> str:
    """Return the name of a device, whether this machine has it or not.

    Raises
    ------
    ModelError
        If it is not known.

    Examples
    --------
    >>> check_device("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ModelError(f"device {name!r} is not known; choose {DEVICE_WORDS}")
    return name


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
