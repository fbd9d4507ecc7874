"""Planes of 8 bits as a network takes them, on whatever device they lie."""

import torch
from torch import Tensor

from .preprocessing import Preprocessing


def normalise(planes: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalised images (N, C, H, W) float32 of planes (N, H, W) uint8, on their device.

    Each plane: minus its minimum, over its maximum, minus the mean, over the std. Images that are not stretched are
    divided by 255 instead. Where all channels are alike they share their memory. A constant plane gives NaN.
    """
    values = planes.to(torch.float32)[:, None]
    if preprocessing.stretch:
        low, high = planes.flatten(1).amin(1), planes.flatten(1).amax(1)
        values -= low.float()[:, None, None, None]
        values /= (high.float() - low.float())[:, None, None, None]
    else:
        values /= 255
    means, stds = (
        value if isinstance(value, tuple) else (value,) * preprocessing.channels
        for value in (preprocessing.mean, preprocessing.std)
    )
    pairs = list(zip(means, stds, strict=True))  # numbers, not tensors: to copy those to a GPU is to wait for it
    own = pairs[:1] if len(set(pairs)) == 1 else pairs
    channels = [(values - mean).div_(std) for mean, std in own]
    return (torch.cat(channels, 1) if len(own) > 1 else channels[0]).expand(-1, preprocessing.channels, -1, -1)
