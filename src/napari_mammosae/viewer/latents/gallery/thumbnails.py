"""Small pictures of a run's images with a latent's heatmap and the annotated boxes. Knows no Qt; made in a worker."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....core.annotations.finding_colors import finding_color
from ....core.base.caches import register_cache
from ....core.images.geometry import Frame
from ....core.reports.latent_pictures import grey, heatmaps, paint, small_picture, strongest
from ....core.runs.files.images import ImageFiles
from ....core.runs.run import Run
from ...canvas.colors import heat_colormap

if TYPE_CHECKING:
    from ....core.annotations.boxes import Findings

_KEPT = 600  # grey thumbnails, about 30 kB each


class GreyCache:
    """The last few hundred small mammograms, since neighbouring latents show the same images again.

    They are kept in memory only: pictures of patients are not to stay behind on a disk.
    """

    name = "thumbnails"
    holds = "small pictures of the run's images, in memory only"

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, NDArray[np.uint8]] = OrderedDict()
        register_cache(self)

    def size(self) -> int:
        """Bytes of the pictures."""
        return sum(picture.nbytes for picture in list(self._kept.values()))

    def empty(self) -> None:
        """Forget all pictures."""
        self._kept.clear()

    def get(self, path: Path, frame: Frame, small: Path | None = None) -> NDArray[np.uint8]:
        """Return the picture of a file, read at the first call, or its `small` version where there is one.

        Raises
        ------
        ImageError
            If the file cannot be read.
        """
        picture = self._kept.pop(path, None)  # it can be emptied from another thread between two lines
        if picture is None:
            picture = grey(path, frame) if small is None else small_picture(small)
        self._kept[path] = picture
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return picture


def make_pictures(
    run: Run,
    latent: int,
    files: ImageFiles,
    findings: "Findings | None",
    cache: GreyCache,
    arrived: Callable[[int, Any], None],
    report: Callable[..., None],
    colormap: str = "ember",
) -> None:
    """Make the gallery of a latent; `arrived` gets (-1, cells) first, then (place, picture or why there is none)."""
    from ....core.base.errors import MammoSAEError

    colors = heat_colormap(colormap).map
    report(f"Finding images of latent {latent}")
    cells = strongest(run, latent)
    arrived(-1, cells)
    heats = heatmaps(run, latent, [cell.row for cell in cells]) if run.has_maps and cells else {}
    for place, cell in enumerate(cells):
        report(f"Drawing {cell.image_id}", place, len(cells))
        frame, small = run.frame(cell.row), files.thumbnail(cell.row)
        try:
            path = files.path(cell.row) if small is not None else files.fetch(cell.row)
            if path is None:
                arrived(place, "The image file was not found.")
                continue
            base = cache.get(path, frame, small)
            boxes = findings.boxes(cell.name, shape=frame.source_shape) if findings is not None else None
        except MammoSAEError as error:
            arrived(place, str(error))
            continue
        arrived(place, paint(base, frame, heats.get(cell.row), boxes, colors, finding_color))
