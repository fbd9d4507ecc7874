"""How many images a run computes at a time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...models.model import MammoSAE

_WORTH = 16
"""Images at a time on a GPU above which more are hardly faster."""
_ELSEWHERE = 8
"""The same on a GPU that does not say how much memory is free."""
_VALUES_A_PIXEL = 128
"""Values that a network holds at its widest for each pixel of the input: EfficientNet widens by six, three times."""


def fitting_batch(model: "MammoSAE") -> int:
    """Return how many images to compute at a time: one on the CPU, on a GPU as many as are worth it and fit.

    At most half of the memory that is free is reckoned with; `MemoryLadder` corrects what goes wrong.
    """
    if model.device == "cpu":
        return 1
    if not model.device.startswith("cuda"):
        return _ELSEWHERE
    import torch

    (height, width), (rows, cols) = model.preprocessing.size, model.grid
    an_image = (_VALUES_A_PIXEL * height * width + 3 * rows * cols * model.n_latents) * model.dtype.itemsize
    free, _ = torch.cuda.mem_get_info(model.device)
    fit = min(free // (2 * an_image), _WORTH)
    return 1 << max(fit.bit_length() - 1, 0)
