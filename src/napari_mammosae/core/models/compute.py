"""Computing the latents of images: through the backbone and the autoencoder, within the memory there is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.arguments import expect
from ..base.errors import ModelError
from ..images.geometry import Frame
from ..images.mammogram import Mammogram, input_tensor
from ..images.preprocessing import ModelInput
from .latents import LatentMaps
from .memory import within_memory
from .model import MammoSAE


def compute_latents(model: MammoSAE, image: Mammogram) -> LatentMaps:
    """Features, all latents and the prediction of one mammogram.

    Where the model's GPU runs out of memory, the model moves to the CPU for good, and a `UserWarning` says so.

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
    x, frame = input_tensor(prepared, model.preprocessing, name), prepared.frame

    def compute(frames: Sequence[Frame]) -> tuple[Tensor, LatentMaps]:
        features = model.features(x)
        return features, latents_of_features(model, features, list(frames))[0]

    return within_memory(model, [frame], compute)[0]


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
    """
    results = []
    with torch.inference_mode():
        for index in range(features.shape[0]):
            one = features[index : index + 1]
            z = model.encode(one)[0].permute(1, 2, 0).flatten(0, 1)  # (cells, h): the memory order the encoder writes
            peak = z.amax(0).float()
            if not torch.isfinite(peak).all():
                raise ModelError(
                    "the latents of this image are not finite; the weights and the SAE do not fit each other, "
                    "or the precision overflows: try precision float32"
                )
            live = torch.nonzero(peak > 0).squeeze(1)
            columns = z[:, live]
            reconstruction = model.decode(columns.T.reshape(1, -1, *one.shape[2:]), live, one)
            cells = model.cells_of(one).float()
            missed = (cells - model.cells_of(reconstruction).float()).square().sum(1).double().mean().item()
            spread = cells.var((2, 3), correction=0).double().sum().item()
            live_ids = live.cpu().numpy().astype(np.int32)
            values = columns.T.float().contiguous().cpu().numpy()
            last = model.last_features(one)
            sized_mean, silent = _sized(model, one, columns, live_ids)
            results.append(
                LatentMaps(
                    shape=(z.shape[1], *one.shape[2:]),
                    latents=live_ids,
                    values=values.reshape(len(live_ids), *one.shape[2:]),
                    pooled_mean=_spread(values.mean(1, dtype=np.float64), live_ids, z.shape[1], np.float32),
                    pooled_max=_spread(peak[live].cpu().numpy(), live_ids, z.shape[1], np.float32),
                    active_cells=_spread((values > 0).sum(1), live_ids, z.shape[1], np.int32),
                    logits=_numbers(model, last),
                    logits_sae=_numbers(model, model.last_features(reconstruction)),
                    error_norm=missed**0.5,
                    frame=frames[index] if frames else None,
                    fvu=missed / spread if spread else float("nan"),
                    sized_mean=sized_mean,
                    silent=silent,
                    features=_features(model, last, one),
                )
            )
    return results


def _sized(
    model: MammoSAE, features: Tensor, codes: Tensor, latents: NDArray[np.int32]
) -> tuple[NDArray[np.float32] | None, NDArray[np.float64] | None]:
    """Return `sized_mean` and `silent` of one image; None and None unless the SAE normalises each cell."""
    sae = model.autoencoder
    if sae.norm is None:
        return None, None
    mean, size = sae.norm.moments(features[0].flatten(1).T.to(sae.tied_bias.dtype))
    sized = (codes.double() * size).mean(0).cpu().numpy()
    silent = (sae.tied_bias.double() * size + mean).mean(0).cpu().numpy()
    return _spread(sized, latents, model.n_latents, np.float32), silent


def _spread(values: NDArray[Any], ids: NDArray[np.int32], length: int, dtype: type[Any]) -> NDArray[Any]:
    full = np.zeros(length, dtype)
    full[ids] = values
    return full


def _features(model: MammoSAE, last: Tensor, layer: Tensor) -> dict[str, NDArray[np.float32]]:
    """What heads read of one map of the last layer, its maxima over the cells, and the same of the SAE's own layer."""
    found = {
        "mean": model.pooled(last)[0],
        "max": last[0, : model.backbone.out_channels].flatten(1).amax(1),
    }
    if model.block is not None:
        cells = model.cells_of(layer)[0].flatten(1)
        found |= {"layer_mean": cells.to("cpu").double().mean(1), "layer_max": cells.amax(1)}
    return {name: value.float().cpu().numpy() for name, value in found.items()}


def _numbers(model: MammoSAE, last: Tensor) -> NDArray[np.float64]:
    return model.logits_of_last(last)[0].numpy() if model.heads else np.zeros(0)
