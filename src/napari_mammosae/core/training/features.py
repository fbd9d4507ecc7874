"""Feature vectors of many images in one memory-mapped file, for training on more than fits into the memory."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..base.errors import Cancelled, ImageError, RunError, SettingsError
from ..base.text import size_text
from ..models.memory import within_memory
from ..runs.making.compute import stack_inputs
from ..runs.making.decode import Decoded, Decoder, Failed
from ..runs.making.decode_pool import DecodePool
from ..runs.sources import Entry
from ..stats.measures import FloatArray

if TYPE_CHECKING:
    from ..models.model import MammoSAE


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStore:
    """Features of images, one image after the other.

    Attributes
    ----------
    vectors
        (cells, d) float16, a memory-mapped file.
    starts
        (n + 1,) int64: the vectors of image i are rows ``starts[i]`` to ``starts[i + 1]``.
    entries
        The n images.
    logits
        (n, C) float64, as the model predicts without an SAE; of all cells, whichever were kept.
    failed
        Images that could not be used.
    """

    vectors: NDArray[np.float16]
    starts: NDArray[np.int64]
    entries: tuple[Entry, ...]
    logits: FloatArray
    failed: tuple[Failed, ...]


def store_features(
    entries: Sequence[Entry],
    model: "MammoSAE",
    file: Path,
    pool: DecodePool,
    *,
    share: float = 1.0,
    seed: int = 0,
    batch: int = 1,
    crop: bool = True,
    counted: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FeatureStore:
    """Compute the features of images at the layer that the model's SAE reads, and keep a share of the cells.

    Parameters
    ----------
    entries, pool
        The images, and what decodes them.
    model
        Needs no SAE.
    file
        Where the vectors go.
    share
        Of each image's cells, drawn at random without order; at least one cell is kept.
    seed
        Of the draw. Which cells of an image are kept depends on the seed and the image's number alone.
    batch, crop
        Images computed at a time; whether images of another size are cropped and resized.
    counted
        Told after every batch how many images were done since.
    cancelled
        Asked between batches.

    Raises
    ------
    SettingsError
        The share is not above 0 and at most 1, or no image could be used.
    RunError
        The disk lacks the room.
    ImageError
        A feature is not finite, or too large for half precision.
    Cancelled
        `cancelled` said so.
    """
    if not 0 < share <= 1:
        raise SettingsError(f"a share of {share:g} of the cells was asked for; expected above 0 and at most 1.")
    rows, cols = model.grid
    kept = max(round(share * rows * cols), 1)
    needed, free = len(entries) * kept * model.width * 2, shutil.disk_usage(file.parent).free
    if needed > free:
        raise RunError(
            f"The features of {len(entries)} images take {size_text(needed)}, {size_text(free)} are free. "
            "Free some space, or keep a smaller share of the cells."
        )
    preprocessing = replace(model.preprocessing, crop=crop and model.preprocessing.crop)
    stream = pool.decode(entries, Decoder(preprocessing, model.grid), ahead=2 * batch + 2)
    used: list[Entry] = []
    failed: list[Failed] = []
    logits: list[FloatArray] = []
    with file.open("wb") as out:
        left = len(entries)
        while left:
            if cancelled is not None and cancelled():
                raise Cancelled("stopped while computing features; nothing was written")
            size = min(batch, left)
            found = [next(stream) for _ in range(size)]
            failed += [image for image in found if isinstance(image, Failed)]
            images = [image for image in found if isinstance(image, Decoded)]
            if images:
                parts = within_memory(model, images, partial(_compute, model))
                predicted = np.concatenate([part for _, part in parts])
                for image, cells in zip(images, (cells for vectors, _ in parts for cells in vectors), strict=True):
                    drawn = np.random.default_rng((seed, image.entry.image)).permutation(len(cells))[:kept]
                    out.write(np.ascontiguousarray(cells[np.sort(drawn)]).tobytes())
                used += [image.entry for image in images]
                logits.append(predicted)
            left -= size
            if counted is not None:
                counted(size)
    if not used:
        reason = failed[0].reason if failed else "there is none"
        raise SettingsError(f"no image could be used ({reason}).")
    shape = (len(used) * kept, model.width)
    stored: NDArray[np.float16] = np.memmap(file, np.float16, mode="r", shape=shape)
    starts = np.arange(len(used) + 1, dtype=np.int64) * kept
    return FeatureStore(stored, starts, tuple(used), np.concatenate(logits), tuple(failed))


def _compute(model: "MammoSAE", images: Sequence[Decoded]) -> tuple[NDArray[np.float16], FloatArray]:
    """Return vectors (n, cells, d) and logits (n, C)."""
    features = model.features(stack_inputs(images, model.preprocessing))
    vectors = features.flatten(2).transpose(1, 2).float().cpu().numpy()
    with np.errstate(over="ignore"):
        half = vectors.astype(np.float16)
    if not np.isfinite(half).all():
        raise ImageError(
            f"the features of {images[0].entry.path.name} are not finite or above 65504, more than half precision "
            "holds; is this the right model?"
        )
    logits = model.logits(features).numpy() if model.classes else np.zeros((len(images), 0))
    return half, logits
