"""What a latent says across the views of an exam: left against right, and CC against MLO."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images.geometry import cell_affine
from .hanging import SIDES, VIEWS

if TYPE_CHECKING:
    from ..images.scale import Scale
    from ..models.latents import LatentMaps

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ViewFigures:
    """A latent on one view.

    Attributes
    ----------
    laterality, view
        Side of the body and view; None where not known.
    maximum
        Largest activation.
    cells
        Cells of the grid in which it fires.
    area
        Their area in square pixels of the source image; in mm² in the breast where the size of a pixel is known.
    nipple_distance
        From the middle of the cell with the largest activation (the first of equal ones) to the nipple, in pixels or
        mm; None where the latent is silent or the nipple was not found.
    in_mm
        Whether area and distance are in mm² and mm.
    """

    laterality: str | None
    view: str | None
    maximum: float
    cells: int
    area: float
    nipple_distance: float | None
    in_mm: bool


@dataclass(frozen=True, slots=True)
class SideDifference:
    """Left minus right of one view: of the maximum, and as a share of both; the same of the area.

    A share is (left - right) / (left + right): 1 where only the left side fires, -1 where only the right one does, NaN
    where both are silent. That of the area is NaN too where only one of both images has a known pixel size.
    """

    view: str
    maximum: float
    maximum_share: float
    area_share: float


@dataclass(frozen=True, slots=True)
class ViewAgreement:
    """CC against MLO of one breast: how far from the nipple the latent is strongest in each.

    A structure lies about as far from the nipple in both views. `difference` is the absolute difference of both
    distances, in pixels, or in mm where the pixel size of both images is known.
    """

    laterality: str
    cc: float
    mlo: float
    difference: float
    in_mm: bool


def measure_view(
    maps: "LatentMaps",
    latent: int,
    *,
    laterality: str | None = None,
    view: str | None = None,
    scale: "Scale | None" = None,
    nipple: Point | None = None,
) -> ViewFigures:
    """Measure a latent on one view.

    Parameters
    ----------
    maps
        All latents of the image; they know where the model's input lies in it.
    latent
        Number of the latent.
    laterality, view
        What is known of the image.
    scale
        Size of its pixels, for millimetres.
    nipple
        Row and column in pixels of the source image; None where it was not found.
    """
    values, cells = maps[latent], int(maps.active_cells[latent])
    assert maps.frame is not None
    affine = cell_affine(maps.frame, values.shape)
    height, width = (1.0, 1.0) if scale is None else scale.per_pixel
    distance = None
    if cells and nipple is not None:
        row, column = divmod(int(np.argmax(values)), values.shape[1])
        peak = affine @ (row, column, 1.0)
        down, across = (peak[0] - nipple[0]) * height, (peak[1] - nipple[1]) * width
        distance = float(np.hypot(down, across))
    area = cells * float(affine[0, 0] * height * affine[1, 1] * width)
    return ViewFigures(laterality, view, float(maps.pooled_max[latent]), cells, area, distance, scale is not None)


def compare_sides(views: Sequence[ViewFigures]) -> list[SideDifference]:
    """Left against right of each view that both sides have; of repeated views the one with the larger maximum."""
    found = []
    for view in VIEWS:
        right, left = (_strongest(views, side, view) for side in SIDES)
        if left is not None and right is not None:
            areas = _share(left.area, right.area) if left.in_mm == right.in_mm else float("nan")
            difference = left.maximum - right.maximum
            found.append(SideDifference(view, difference, _share(left.maximum, right.maximum), areas))
    return found


def compare_views(views: Sequence[ViewFigures]) -> list[ViewAgreement]:
    """CC against MLO of each breast in which both have a distance from the nipple, in the same unit."""
    found = []
    for side in SIDES:
        mlo, cc = (_strongest(views, side, view) for view in VIEWS)
        if mlo is None or cc is None or mlo.in_mm != cc.in_mm:
            continue
        if mlo.nipple_distance is not None and cc.nipple_distance is not None:
            difference = abs(mlo.nipple_distance - cc.nipple_distance)
            found.append(ViewAgreement(side, cc.nipple_distance, mlo.nipple_distance, difference, cc.in_mm))
    return found


def _strongest(views: Sequence[ViewFigures], side: str, view: str) -> ViewFigures | None:
    own = [one for one in views if (one.laterality, one.view) == (side, view)]
    return max(own, key=lambda one: one.maximum, default=None)


def _share(left: float, right: float) -> float:
    return (left - right) / (left + right) if left + right > 0 else float("nan")
