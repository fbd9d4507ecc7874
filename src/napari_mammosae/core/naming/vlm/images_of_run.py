"""The images of a run as pictures for a server, read again from their files."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...base.errors import RunError
from ...base.files import sha256_file
from ...images.mammogram import read_mammogram
from ...images.preprocessing import Preprocessing
from ...runs.ready import files_of_run
from .pictures import enlarged_part, outlined_view, whole_view
from .regions import breast_cells

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ...runs.run import Run
    from ...stats.measures import BoolArray, FloatArray
    from .pictures import Picture

_KEPT = 48  # model inputs, 1.4 MB each


class RunImages:
    """Pictures of a run's images.

    Parameters
    ----------
    run
        Made with maps, which say where a latent fires.
    folder
        Where its images lie; by default where they were last.

    Raises
    ------
    RunError
        The run keeps no maps, or its images are not found.
    """

    def __init__(self, run: Run, folder: Path | None = None) -> None:
        if not run.has_maps:
            raise RunError(f"{run.path.name} has no maps, which say where a latent fires; make a run with `--maps`.")
        self._run, self._files = run, files_of_run(run)
        if folder is not None:
            self._files.root = folder
        if self._files.root is None:
            raise RunError(f"the images of {run.path.name} are not where they were; name their folder with --images.")
        rows, columns = run.info["preprocessing"]["size"]
        self._preprocessing = Preprocessing((rows, columns), crop=bool(run.info["preprocessing"].get("crop", True)))
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def maps_of(self, latent: int) -> dict[int, FloatArray]:
        """Return the map (H', W') of a latent on every image on which it fires, by the image's row."""
        numbers, cells, values = self._run.maps(latent)
        found: dict[int, FloatArray] = {}
        rows = np.searchsorted(self._run.numbers, numbers)
        edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
        for start, stop in pairwise(edges):
            whole = np.zeros(self._run.grid)
            whole.reshape(-1)[cells[start:stop]] = values[start:stop]
            found[int(rows[start])] = whole
        return found

    def whole(self, row: int) -> Picture:
        """Return the whole view."""
        return whole_view(self._pixels(row))

    def pair(self, row: int, values: FloatArray) -> tuple[Picture, Picture]:
        """Return the whole view, and the part around the peak of a map enlarged."""
        peak = np.unravel_index(int(values.argmax()), values.shape)
        pixels = self._pixels(row)
        return whole_view(pixels), enlarged_part(pixels, (int(peak[0]), int(peak[1])), self._run.grid)

    def outlined(self, row: int, region: BoolArray) -> Picture:
        """Return the whole view with a line around a region of cells."""
        return outlined_view(self._pixels(row), region)

    def breast(self, row: int) -> BoolArray:
        """Return the cells in the breast."""
        return breast_cells(self._pixels(row), self._run.grid)

    def _pixels(self, row: int) -> NDArray[np.uint8]:
        if row in self._kept:
            self._kept.move_to_end(row)
            return self._kept[row]
        path = self._files.fetch(row)
        name = str(self._run.images["image_id"].iloc[row])
        if path is None:
            raise RunError(f"the file of {name} is not found; name the folder of the images with --images.")
        if sha256_file(path) != self._run.images["sha256"].iloc[row]:
            raise RunError(f"{path.name} is not the file that {self._run.path.name} was made with; make a new run.")
        self._kept[row] = read_mammogram(path, crop=self._preprocessing.crop).prepared(self._preprocessing).pixels
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[row]
