"""The one place that imports timm.

timm imports torchvision, and torchvision fails to import beside a torch from another build (CPU torch next to a
torchvision compiled for CUDA is common): its compiled extension does not load, so `torchvision::nms`, which its Python
part annotates, does not exist. Nothing here uses torchvision's compiled operators. When the import has failed for that
reason, and only then, the missing operators are declared, which is all that the Python part needs.
"""

import importlib
import sys
import threading
from types import ModuleType

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
    with _lock:
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


def _forget_half_imported(*packages: str) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            del sys.modules[name]
