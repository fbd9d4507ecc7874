"""How a model is run: names of devices, number formats and engines, and what `load_model` is given. Knows no torch."""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from ..base.errors import ModelError

Precision = Literal["float32", "tf32", "float16", "bfloat16"]
"""Number format of weights and features.

"float32" is exact. "tf32" is float32 whose products a GPU rounds to 11 bits; on a CPU it is float32. "float16" changes
features by about 0.3 %, and images whose values overflow are computed in float32; "bfloat16" changes them by about 3 %.
"""

Engine = Literal["torch", "compiled", "openvino"]
"""What computes the features: PyTorch as it is, or through `torch.compile`, or OpenVINO on the CPU."""

AnyEngine = Literal["auto", "torch", "compiled", "openvino"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENGINES: tuple[AnyEngine, ...] = get_args(AnyEngine)
ENGINE_VARIABLE = "NAPARI_MAMMOSAE_ENGINE"
"""Environment variable that says which engine "auto" is."""
DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_WORDS = "auto, cpu, cuda, cuda:N or mps"

NO_SAE = "none"
"""What `load_model` takes in place of an SAE to leave the one of a named model out."""
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
        raise ModelError(f"precision {name!r} is not known; choose {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")
    return name


def check_engine(name: str) -> AnyEngine:
    """Return the name of an engine, or "auto".

    Raises
    ------
    ModelError
        If it is not known.

    Examples
    --------
    >>> check_engine("auto")
    'auto'
    """
    if name not in ENGINES:
        raise ModelError(f"engine {name!r} is not known; choose {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
    return name


def choose_engine(name: str, device: str) -> Engine:
    """Return the engine that a name means on a device (not "auto").

    "auto" is OpenVINO on a CPU where it is installed, and PyTorch elsewhere, unless `ENGINE_VARIABLE` names another.

    Raises
    ------
    ModelError
        If it is not known, or does not compute on this device.

    Examples
    --------
    >>> choose_engine("auto", "cuda")
    'torch'
    """
    on_cpu = device == "cpu"
    if check_engine(name) == "auto":
        fastest = "openvino" if find_spec("openvino") else "torch"
        name = (os.environ.get(ENGINE_VARIABLE) or fastest) if on_cpu else "torch"
    engine = check_engine(name)
    if engine == "auto":
        return "torch"
    if engine == "openvino" and not on_cpu:
        raise ModelError(f"engine 'openvino' computes on the CPU, not on {device}; choose device cpu or engine torch")
    return engine


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


StandIn = Literal["untrained", "random", "channels"]
"""What can stand in the place of a model's SAE to compare with; see `sae.stand_ins`."""


def stand_in(sae: Path | str | None) -> StandIn | None:
    """Return what is asked for in place of a file, where no file is called so."""
    return next((one for one in get_args(StandIn) if str(sae) == one and not Path(one).exists()), None)


def settle_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe that holds wherever a program goes: the paths of its files are absolute.

    >>> settle_recipe({"name": "demo", "device": "cpu"})
    {'name': 'demo', 'device': 'cpu'}
    """
    found = dict(recipe)
    for key in ("name", *_FILES):
        value = found.get(key)
        if value is None or value == NO_SAE or (key == "sae" and stand_in(value)):
            continue
        if key in _FILES or Path(value).suffix == ".toml":
            found[key] = Path(value).absolute()
    return found
