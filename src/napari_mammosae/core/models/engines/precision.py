"""Number formats, and what the libraries that compute on a GPU may do with them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..choices import Precision

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@contextmanager
def arithmetic(precision: Precision, device: str) -> Iterator[None]:
    """Compute as a precision says, whatever the process has set: TF32 only where asked for, sums in float32.

    A CPU has no TF32; there it is float32. The settings are the whole process's, so they are left alone for the CPU,
    where several threads may compute.
    """
    if device == "cpu":
        yield
        return
    matmul, tf32 = torch.backends.cuda.matmul, precision == "tf32"
    wanted = {
        "allow_tf32": tf32,
        "allow_fp16_reduced_precision_reduction": False,
        "allow_bf16_reduced_precision_reduction": False,
    }
    before = {name: getattr(matmul, name) for name in wanted}
    try:
        for name, value in wanted.items():
            setattr(matmul, name, value)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
            yield
    finally:
        for name, value in before.items():
            setattr(matmul, name, value)


def widest(device: str | torch.device) -> torch.dtype:
    """Return the format for sums on a device: double precision wherever there is one."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64
