"""Computing the latents of images: through the backbone and the autoencoder, within the memory there is."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.arguments import expect
from ..base.errors import ModelError
from ..images.geometry import Frame
from ..images.mammogram import Mammogram
from ..images.preprocessing import ModelInput, check_varies
from ..images.tensors import normalise
from .engines.devices import send_planes
from .engines.measure import measure
from .latents import LatentBatch, LatentMaps
from .memory import within_memory
from .model import MammoSAE

NOT_FINITE = (
    "the latents of this image are not finite; the weights and the SAE do not fit each other, or the precision "
    "overflows: try precision float32"
)


def compute_latents(model: MammoSAE, image: Mammogram) -> LatentMaps:
    """Features, all latents and the prediction of one mammogram.

    Where the model's GPU runs out of memory, the model moves to the CPU for good, and a `UserWarning` says so. An
    image whose values overflow float16 is computed in float32.

    Raises
    ------
    ModelError
        If the model has no SAE, a computed value is not finite, or the CPU's memory does not suffice.
    ImageError
        If the image cannot be made into the model's input.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> image = ms.read_mammogram("phantoms/phantom-000001.png")
    >>> ms.compute_latents(ms.load_model("demo"), image).shape
    (2048, 48, 29)
    """
    expect(model, "model")
    expect(image, "mammogram")
    return features_and_latents(model, image.prepared(model.preprocessing), image.name)[1]


def features_and_latents(model: MammoSAE, prepared: ModelInput, name: str) -> tuple[Tensor, LatentMaps]:
    """As `compute_latents`, of an image made ready for the model and what messages call it.

    The features (1, d, H', W') of the SAE's layer, on the model's device, come first.
    """
    check_varies(prepared.pixels, f"{name} as the model sees it")

    def compute(images: Sequence[ModelInput]) -> tuple[Tensor, LatentBatch]:
        features = features_of_planes(model, [image.pixels for image in images])
        return features, measure(model, features)

    features, found = within_memory(model, [prepared], compute)[0]
    if not found.finite.all() and model.exact is not model:
        return features_and_latents(model.exact, prepared, name)
    return features, _only(found, prepared.frame)


def features_of_planes(model: MammoSAE, planes: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Feature maps (n, D, H', W') of prepared images, which are copied as they are and normalised on the device.

    On the CPU they go through the network one by one: several at a time are no faster, and the last bits of sums would
    depend on how many.
    """
    if model.device == "cpu" and len(planes) > 1:
        return torch.cat([features_of_planes(model, [plane]) for plane in planes])
    return model.features(normalise(send_planes(planes, model.device), model.preprocessing))


def latents_of_features(model: MammoSAE, features: Tensor, frames: list[Frame] | None = None) -> list[LatentMaps]:
    """Latents of a batch of feature maps, image by image, so that memory does not grow with the batch.

    Parameters
    ----------
    model
        Gives the SAE and the heads.
    features
        (N, d, H', W') as `model.features` returns them.
    frames
        One an image, kept with the result.

    Raises
    ------
    ModelError
        If a computed value is not finite.
    """
    return [_only(measure(model, features[at : at + 1]), frames[at] if frames else None) for at in range(len(features))]


def _only(found: LatentBatch, frame: Frame | None) -> LatentMaps:
    if not found.finite.all():
        raise ModelError(NOT_FINITE)
    return found.maps(frame)


_WORTH = 16
"""Images at a time on a GPU above which more are hardly faster."""
_ELSEWHERE = 8
"""The same on a GPU that does not say how much memory is free."""
_VALUES_A_PIXEL = 128
"""Values that a network holds at its widest for each pixel of the input: EfficientNet widens by six, three times."""


def fitting_batch(model: MammoSAE) -> int:
    """Return how many images to compute at a time: one on the CPU, on a GPU as many as are worth it and fit.

    At most half of the memory that is free is reckoned with; `MemoryLadder` corrects what goes wrong.
    """
    if model.device == "cpu":
        return 1
    if not model.device.startswith("cuda"):
        return _ELSEWHERE
    (height, width), (rows, cols) = model.preprocessing.size, model.grid
    an_image = (_VALUES_A_PIXEL * height * width + 3 * rows * cols * model.n_latents) * model.dtype.itemsize
    free, _ = torch.cuda.mem_get_info(model.device)
    fit = min(free // (2 * an_image), _WORTH)
    return 1 << max(fit.bit_length() - 1, 0)
