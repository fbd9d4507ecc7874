"""The one place that imports timm.

timm imports torchvision, and torchvision fails to import beside a torch from another build (CPU torch next to a
torchvision compiled for CUDA is common): its compiled extension does not load, so `torchvision::nms`, which its Python
part annotates, does not exist. Nothing here uses torchvision's compiled operators. When the import has failed for that
reason, and only then, the missing operators are declared, which is all that the Python part needs.
"""

import ctypes
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ..base.errors import ModelError

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_MISSING = "operator torchvision::"
_lock = threading.Lock()
_declared: list[torch.library.Library] = []  # a Library takes its operators with it when it is collected


def import_timm() -> ModuleType:
    """Return the timm module; works beside a torchvision whose compiled operators cannot load.

    Raises
    ------
    ModelError
        If timm is not installed, or its import fails for another reason.
    """
    with _lock, _without_compiler():
        load_triton_apart()
        try:
            return importlib.import_module("timm")
        except ImportError as error:
            raise ModelError(f"timm cannot be imported ({error}); install it with: pip install timm") from error
        except RuntimeError as error:
            if _MISSING not in str(error) or _declared:
                raise
        _forget_half_imported("timm", "torchvision")
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(operator + _SCHEMA)  # type: ignore[no-untyped-call]
        _declared.append(library)
        return importlib.import_module("timm")


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Put off the import of PyTorch's compiler, which takes longer than all else that timm brings.

    torchvision asks it for one function, which is called on regions of interest alone. Whoever asks for more meanwhile,
    in another thread, gets the compiler itself.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return

    def forget() -> None:
        for name, module in instead.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]

    def real(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        forget()
        return getattr(importlib.import_module("torch._dynamo"), name)

    def disable(fn: Any = None, recursive: bool = True, **_: object) -> Any:
        return torch._disable_dynamo(fn, recursive)  # type: ignore[attr-defined]

    def is_compile_supported(device_type: str) -> bool:
        return bool(importlib.import_module("torch._dynamo.utils").is_compile_supported(device_type))

    instead = {name: ModuleType(name) for name in ("torch._dynamo", "torch._dynamo.utils")}
    package, utils = instead.values()
    vars(package).update(__path__=[str(Path(*torch.__path__, "_dynamo"))], __getattr__=real, disable=disable)
    vars(utils).update(is_compile_supported=is_compile_supported)
    sys.modules.update(instead)
    try:
        yield
    finally:
        forget()


def load_triton_apart() -> None:
    """Load triton's library so that its LLVM does not bind to one that is there already.

    Mesa's OpenGL brings an LLVM into the scope that all libraries share, triton exports its own, and where the names of
    the one are bound to the other the process ends by a segmentation fault. What torch and timm import brings triton
    in, on Linux with the default wheel. Loaded before with `RTLD_DEEPBIND`, its own names come first.
    """
    if sys.platform != "linux" or "triton" in sys.modules or (found := importlib.util.find_spec("triton")) is None:
        return
    for folder in found.submodule_search_locations or ():
        if (library := Path(folder, "_C", "libtriton.so")).exists():
            with suppress(OSError):  # then importing triton says what is wrong with it
                ctypes.CDLL(str(library), os.RTLD_NOW | os.RTLD_DEEPBIND)


def _forget_half_imported(*packages: str) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            del sys.modules[name]
