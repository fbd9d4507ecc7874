"""What is done when memory runs out: from the GPU to the CPU, and from the CPU to a sentence for the user."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..base.errors import ModelError

if TYPE_CHECKING:
    from .model import MammoSAE

Item = TypeVar("Item")
Result = TypeVar("Result")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or the CPU."""
    import torch

    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error)  # MPS and the CPU allocator raise plain RuntimeErrors
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def to_cpu(model: "MammoSAE") -> None:
    """Move a model to the CPU where it stands, so that everyone who holds it sees it there."""
    model.backbone.to("cpu")
    if model.sae is not None:
        model.sae.to("cpu")
    model.device = "cpu"


def within_memory(model: "MammoSAE", images: Sequence[Item], work: Callable[[Sequence[Item]], Result]) -> list[Result]:
    """Return what `work` makes of the images with the model: of all at once, or part by part where memory is short.

    Parts are halved down to one image; then the model moves to the CPU, for good. A `UserWarning` says each time.

    Raises
    ------
    ModelError
        Not even one image fits into the CPU's memory.
    """
    results: list[Result] = []
    done, batch = 0, len(images)
    while done < len(images):
        part = images[done : done + batch]
        reason = ""
        try:
            results.append(work(part))
            done += len(part)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0] or type(error).__name__
        if reason:  # outside the handler: the error held on to the tensors of the failed attempt
            batch = _make_do(model, len(part), reason)
    return results


def _make_do(model: "MammoSAE", tried: int, reason: str) -> int:
    """Say how many images to try at a time next, having left the GPU if it was one."""
    import torch

    device = model.device
    if tried > 1:
        warnings.warn(f"Out of memory on {device} with {tried} images at a time; going on with fewer.", stacklevel=3)
    elif device != "cpu":
        to_cpu(model)
        warnings.warn(f"Out of memory on {device}; going on, more slowly, on the CPU.", stacklevel=3)
    else:
        raise ModelError(f"not even one image fits into the memory ({reason}); close other programs and try again")
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    return max(tried // 2, 1)
