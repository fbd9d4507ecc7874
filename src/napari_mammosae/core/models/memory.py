"""What is done when memory runs out, here and nowhere else: fewer images at a time, then the CPU, then an error."""

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ..base.errors import ModelError

Item = TypeVar("Item")
Result = TypeVar("Result")


class OnDevice(Protocol):
    """What can be moved to the CPU: a `MammoSAE`."""

    device: str

    def move_to_cpu(self) -> None:
        """Move all of it where it stands."""
        ...


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or the CPU."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error)  # MPS and the CPU allocator raise plain RuntimeErrors
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def warn(text: str) -> None:
    """Issue a `UserWarning`: how it is said that memory ran out where nobody asked to hear it another way."""
    warnings.warn(text, stacklevel=4)


class MemoryLadder:
    """Works on images with a model, as many at a time as fit into the memory; what it learns holds for later calls.

    Parts are halved down to one image; then the model moves to the CPU, for good.

    Parameters
    ----------
    model
        What computes; it may be moved.
    batch
        Images at a time to begin with; all that are given if left out.
    notice
        Called with a sentence each time; a `UserWarning` if left out.

    Attributes
    ----------
    batch
        Images at a time that fit so far; None while all did.
    """

    def __init__(self, model: OnDevice, batch: int | None = None, notice: Callable[[str], None] = warn) -> None:
        self.model = model
        self.batch = batch
        self._notice = notice

    def run(self, images: Sequence[Item], work: Callable[[Sequence[Item]], Result]) -> list[Result]:
        """Return what `work` makes of the images, part by part and in order.

        Raises
        ------
        ModelError
            Not even one image fits into the CPU's memory.
        """
        results: list[Result] = []
        done = 0
        while done < len(images):
            part = images[done : done + (self.batch or len(images))]
            reason = ""
            try:
                results.append(work(part))
                done += len(part)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                reason = first_line(error)
            if reason:  # outside the handler: the error held on to the tensors of the failed attempt
                self._step_down(len(part), reason)
        return results

    def _step_down(self, tried: int, reason: str) -> None:
        """Halve the batch; at one image leave the GPU; on the CPU give up."""
        from .engines.devices import give_back

        device = self.model.device
        self.batch = max(tried // 2, 1)
        if tried > 1:
            self._notice(f"Out of memory on {device} with {tried} images at a time; continuing with {self.batch}.")
        elif device != "cpu":
            self.model.move_to_cpu()
            self._notice(f"Out of memory on {device}; using the CPU instead, which is slower.")
        else:
            raise ModelError(f"one image alone does not fit in memory ({reason}); close other programs and try again")
        if device.startswith("cuda"):
            give_back(device)


def within_memory(model: OnDevice, images: Sequence[Item], work: Callable[[Sequence[Item]], Result]) -> list[Result]:
    """Return what `work` makes of the images with the model: of all at once, or part by part where memory is short.

    A `UserWarning` says each time that it was. See `MemoryLadder`, which remembers what fits.

    Raises
    ------
    ModelError
        Not even one image fits into the CPU's memory.
    """
    return MemoryLadder(model).run(images, work)


def loaded_within_memory(name: str, device: str, load: Callable[[str], Result]) -> Result:
    """Return what `load` puts on a device: on the one named, or with a `UserWarning` on the CPU where it does not fit.

    Raises
    ------
    ModelError
        The CPU's memory does not suffice either.
    """
    try:
        return load(device)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = first_line(error)
    if device == "cpu":
        raise ModelError(f"{name} does not fit in memory ({reason}); close other programs and try again")
    warnings.warn(f"{name} does not fit in GPU memory; using the CPU instead", stacklevel=3)
    return loaded_within_memory(name, "cpu", load)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or what it is."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
