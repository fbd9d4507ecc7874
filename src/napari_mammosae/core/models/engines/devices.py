"""Copies to and from a device, and the second stream of a GPU."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def on_cuda(device: str) -> bool:
    """Whether a device is a GPU with streams and pinned memory."""
    return device.startswith("cuda")


def send_planes(planes: Sequence[NDArray[np.uint8]], device: str) -> Tensor:
    """Stack planes of one size and copy them to a device, a byte a pixel, without waiting for the copy.

    Memory that is pinned for it is kept by PyTorch until the copy is done.
    """
    staged = torch.empty((len(planes), *planes[0].shape), dtype=torch.uint8, pin_memory=on_cuda(device))
    np.stack(planes, out=staged.numpy())
    return staged.to(device, non_blocking=True)


def fetch(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Copy tensors to the main memory side by side, wait for them once, and return them as arrays."""
    found = {name: _begin_copy(tensor) for name, tensor in tensors.items()}
    for device in {tensor.device for tensor in tensors.values() if tensor.is_cuda}:
        torch.cuda.current_stream(device).synchronize()
    return {name: tensor.numpy() for name, tensor in found.items()}


def _begin_copy(tensor: Tensor) -> Tensor:
    if not tensor.is_cuda:
        return tensor.cpu()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)


def give_back(device: str) -> None:
    """Give what this process holds of a GPU's memory, and no longer uses, back to the system."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return
    torch.cuda.synchronize(device)
    clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)  # 32 MB for each stream that had a product
    if clear is not None:
        clear()
    torch.cuda.empty_cache()


class Lane:
    """A second stream of a GPU, where one batch is measured while the network computes the next; elsewhere nothing.

    Its kernels go first where both have some to start. What is made of a tensor there must be fetched before the
    tensor is let go.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device, priority=-1) if on_cuda(device) else None  # type: ignore[no-untyped-call]

    def mark(self) -> torch.cuda.Event | None:
        """Return what stands for all work given to the device so far."""
        if self._stream is None:
            return None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    @contextmanager
    def after(self, mark: torch.cuda.Event | None) -> Iterator[None]:
        """Work on this lane once what `mark` stands for is done."""
        if self._stream is None or mark is None:
            yield
            return
        self._stream.wait_event(mark)
        with torch.cuda.stream(self._stream):
            yield
