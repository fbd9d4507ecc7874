"""Feature vectors of many images in one memory-mapped file, for training on more than fits into the memory."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..base.errors import Cancelled, ImageError, RunError, SettingsError
from ..base.files import write_error
from ..base.text import size_text
from ..models.memory import within_memory
from ..runs.making.decode import Decoded, Decoder, Failed
from ..runs.making.decode_pool import DecodePool
from ..runs.sources import Entry
from ..stats.measures import BoolArray, FloatArray

if TYPE_CHECKING:
    from ..models.model import MammoSAE

STOPPED = "The training was stopped. Give the same command again to resume it."


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStore:
    """Features of images, one image after the other.

    Attributes
    ----------
    vectors
        (cells, d) float16, a memory-mapped file.
    starts
        (n + 1,) int64: the vectors of image i are rows ``starts[i]`` to ``starts[i + 1]``.
    inside
        (cells,) bool: which do not lie wholly in the background.
    entries
        The n images.
    logits
        (n, C) float64, as the model predicts without an SAE; of all cells, whichever were kept.
    failed
        Images that could not be used.
    """

    vectors: NDArray[np.float16]
    starts: NDArray[np.int64]
    inside: BoolArray
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
    skip_background: bool = False,
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
        Where the vectors go; what an earlier start has left there is taken up.
    share
        Of each image's cells, drawn at random without order; at least one cell is kept.
    skip_background
        Whether cells that lie wholly in the background are left out before the draw.
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
    RunError, WriteError
        The disk lacks the room.
    ImageError
        A feature is not finite, or too large for half precision.
    Cancelled
        `cancelled` said so.
    """
    check_share(share)
    rows, cols = model.grid
    kept = max(round(share * rows * cols), 1)
    found = _Stored(file, model.width * 2)
    needed = len(entries) * kept * model.width * 2 - found.bytes
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise RunError(
            f"The features of {len(entries)} images take {size_text(needed)}, {size_text(free)} are free. "
            "Free some space, or keep a smaller share of the cells."
        )
    preprocessing = replace(model.preprocessing, crop=crop and model.preprocessing.crop)
    entries, log = tuple(entries), found.log
    stream = pool.decode(entries[found.done :], Decoder(preprocessing, model.grid), ahead=2 * batch + 2)
    if counted is not None and found.done:
        counted(found.done)
    with _writing(file), file.open("ab") as out:
        left = len(entries) - found.done
        while left:
            if cancelled is not None and cancelled():
                raise Cancelled(STOPPED)
            size = min(batch, left)
            decoded = [next(stream) for _ in range(size)]
            images = [image for image in decoded if isinstance(image, Decoded)]
            line = _Batch(size, failed=[(i.entry.image, i.reason) for i in decoded if isinstance(i, Failed)])
            if images:
                parts = within_memory(model, images, partial(_compute, model))
                predicted = np.concatenate([part for _, part in parts])
                for image, cells in zip(images, (cells for vectors, _ in parts for cells in vectors), strict=True):
                    drawn = _draw(image, share, seed, skip_background=skip_background)
                    out.write(np.ascontiguousarray(cells[drawn]).tobytes())
                    line.cells.append(len(drawn))
                    line.inside.append(np.packbits(_inside(image)[drawn]).tobytes().hex())
                line.used, line.logits = [image.entry.image for image in images], predicted.tolist()
            out.flush()
            os.fsync(out.fileno())
            found.add(line)
            left -= size
            if counted is not None:
                counted(size)
    by_number = {entry.image: entry for entry in entries}
    used = [by_number[number] for line in log for number in line.used]
    failed = [Failed(by_number[number], reason) for line in log for number, reason in line.failed]
    if not used:
        reason = failed[0].reason if failed else "there is none"
        raise SettingsError(f"no image could be used ({reason}).")
    counts = [count for line in log for count in line.cells]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if not starts[-1]:
        raise SettingsError("all cells of all images lie in the background.")
    stored: NDArray[np.float16] = np.memmap(file, np.float16, mode="r", shape=(int(starts[-1]), model.width))
    told = [np.frombuffer(bytes.fromhex(text), np.uint8) for line in log for text in line.inside]
    inside = np.concatenate([np.unpackbits(bits, count=n) for bits, n in zip(told, counts, strict=True)]) > 0
    logits = np.array([row for line in log for row in line.logits], np.float64).reshape(len(used), -1)
    return FeatureStore(stored, starts, inside, tuple(used), logits, tuple(failed))


def check_share(share: float) -> None:
    """Raise SettingsError unless a share of the cells is above 0 and at most 1."""
    if not 0 < share <= 1:
        raise SettingsError(f"a share of {share:g} of the cells was asked for; expected above 0 and at most 1.")


@dataclass(slots=True)
class _Batch:
    """One line of the log: images of the list that were taken, and what came of them."""

    size: int
    used: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    logits: list[list[float]] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)


class _Stored:
    """What an earlier start has left: vectors, and a log of the batches whose vectors are whole."""

    def __init__(self, file: Path, bytes_a_cell: int) -> None:
        self._path = file.with_name(f"{file.name}.log")
        self.log: list[_Batch] = []
        self.bytes = 0
        size = file.stat().st_size if file.exists() else 0
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        length = 0
        for line in lines:
            try:
                batch = _Batch(**json.loads(line)) if line.endswith(b"\n") else None
            except (ValueError, TypeError):
                batch = None
            if batch is None or self.bytes + sum(batch.cells) * bytes_a_cell > size:
                break  # cut off by a kill: computed again
            self.log.append(batch)
            self.bytes += sum(batch.cells) * bytes_a_cell
            length += len(line)
        for path, end in ((file, self.bytes), (self._path, length)):
            if path.exists():
                os.truncate(path, end)

    @property
    def done(self) -> int:
        """How many images of the list were taken."""
        return sum(batch.size for batch in self.log)

    def add(self, batch: _Batch) -> None:
        """Log a batch whose vectors are on the disk."""
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(batch)) + "\n")
        self.log.append(batch)


def _inside(image: Decoded) -> BoolArray:
    """Cells of an image, (H' W',), that do not lie wholly in the background."""
    return np.asarray(image.regions[0].ravel() > 0)


def _draw(image: Decoded, share: float, seed: int, *, skip_background: bool) -> NDArray[np.int64]:
    """Draw a share of an image's cells, in order."""
    inside = _inside(image)
    drawn = np.random.default_rng((seed, image.entry.image)).permutation(len(inside))
    if skip_background:
        drawn = drawn[inside[drawn]]
    return np.sort(drawn[: max(round(share * len(drawn)), 1)])


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(file.name, error) from error


def _compute(model: "MammoSAE", images: Sequence[Decoded]) -> tuple[NDArray[np.float16], FloatArray]:
    """Return vectors (n, cells, d) and logits (n, C)."""
    from ..models.compute import features_of_planes

    features = features_of_planes(model, [image.pixels for image in images])
    vectors = model.cells_of(features).flatten(2).transpose(1, 2).float().cpu().numpy()
    with np.errstate(over="ignore"):
        half = vectors.astype(np.float16)
    if not np.isfinite(half).all():
        raise ImageError(
            f"the features of {images[0].entry.path.name} are not finite or above 65504, more than half precision "
            "holds; is this the right model?"
        )
    logits = model.logits(features).numpy() if model.classes else np.zeros((len(images), 0))
    return half, logits
