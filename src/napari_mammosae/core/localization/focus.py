"""Where activations lie, from the non-zero cells alone: energy in boxes, lift, pointing game, shares of regions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..anatomy.cell_parts import BREAST_PARTS, shares_in_both
from ..images.cells import box_shares, centres_inside
from ..stats.measures import ratios
from .detections import SparseMaps

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """What lies under each cell of some images; every array is (number of images, H' x W').

    Parameters
    ----------
    images : (n,) int64, sorted; the images the rows belong to
    box : share of the cell's area in the union of the annotated boxes
    centre : the cell's centre lies in one of them
    breast : share of the cell's area in the breast, or None where it is not known
    box_in_breast : share of the cell's area in both
    regions : share of the cell's area in further regions, by name
    """

    images: npt.NDArray[np.int64]
    box: Doubles
    centre: Bools
    breast: Doubles | None
    box_in_breast: Doubles | None
    regions: Mapping[str, Doubles]

    def row(self, image: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Row of each image; -1 for an image that is not here."""
        wanted = np.asarray(image)
        at = np.minimum(np.searchsorted(self.images, wanted), self.images.size - 1)
        return np.where(self.images[at] == wanted, at, -1) if self.images.size else np.full(wanted.shape, -1)


def places(
    images: npt.ArrayLike,
    truth_image: npt.ArrayLike,
    truth_boxes: npt.ArrayLike,
    shape: tuple[int, int],
    grid: tuple[int, int],
    regions: Mapping[str, npt.ArrayLike] | None = None,
) -> Places:
    """Lay boxes and regions over the cells of images.

    Parameters
    ----------
    images : (n,) the images wanted
    truth_image, truth_boxes : (b,) and (b, 4), annotated boxes in input edges
    shape, grid : (H, W) and (H', W')
    regions : shares (n, H' x W') by name, rows as in `images`. `breast` is needed for the breast lift. From shares the
        part of a cell in both box and breast is not known where both cut it: `breast_parts` make it known (see
        `shares_in_both`), without them the smaller share is taken, which is exact where one contains the other
    """
    given = np.asarray(images, np.int64)
    order = np.argsort(given)
    wanted = given[order]
    owner, boxes = np.asarray(truth_image, np.int64), np.asarray(truth_boxes, np.float64).reshape(-1, 4)
    box, centre = np.zeros((wanted.size, grid[0] * grid[1])), np.zeros((wanted.size, grid[0] * grid[1]), bool)
    for row, image in enumerate(wanted):
        mine = boxes[owner == image]
        if len(mine):
            box[row] = box_shares(mine, shape, grid).ravel()
            centre[row] = centres_inside(mine, shape, grid).ravel()
    known = dict(regions or {})
    parts = known.pop(BREAST_PARTS, None)
    shares = {name: np.asarray(values, np.float64)[order] for name, values in known.items()}
    breast = shares.pop("breast", None)
    if breast is None:
        return Places(wanted, box, centre, None, None, shares)
    both = np.zeros_like(box)
    for row in np.flatnonzero(box.any(axis=1)).tolist():
        mine = boxes[owner == wanted[row]]
        own = None if parts is None else np.asarray(parts)[order[row]]
        both[row] = shares_in_both(mine, shape, grid, breast[row], own).ravel()
    return Places(wanted, box, centre, breast, both, shares)


@dataclass(frozen=True, slots=True, eq=False)
class Focus:
    """Measures of many heatmaps, one value each; NaN where undefined, as said.

    Parameters
    ----------
    latent, image : (m,) int64
    total, peak : (m,) float64, sum and maximum over the cells
    pointing : share of the maximal cells whose centre lies in a box
    energy : share of the sum that lies in the boxes
    lift : energy in the boxes over the boxes' share of the area, both within the breast; NaN where the breast is not
        known, holds no activation, or meets no box
    lift_image : the same over the whole image; NaN where the image has no box
    lift_above_median : `lift` (`lift_image` where the breast is not known) of what exceeds the map's median, for
        latents that are on everywhere; NaN where nothing does
    shares : share of the sum in each region, by name, and `outside` the breast
    """

    latent: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    total: Doubles
    peak: Doubles
    pointing: Doubles
    energy: Doubles
    lift: Doubles
    lift_image: Doubles
    lift_above_median: Doubles
    shares: Mapping[str, Doubles]


def focus(maps: SparseMaps, where: Places) -> Focus:
    """Measure every heatmap in one pass over its non-zero cells; all images of `maps` must be in `where`.

    Raises
    ------
    KeyError
        If an image has no place.
    """
    row = where.row(maps.image)
    if (row < 0).any():
        raise KeyError(f"image {maps.image[row < 0][0]} has no boxes and regions to compare with")
    owner, begin = maps.owner, maps.start[:-1]
    entry = row[owner] * where.box.shape[1] + maps.cell
    value = maps.value.astype(np.float64)

    def inside(weights: npt.NDArray[np.generic]) -> Doubles:
        return _sums(value * weights.ravel()[entry], begin)

    total = _sums(value, begin)
    peak = np.maximum.reduceat(maps.value, begin) if len(maps) else np.zeros(0, np.float32)
    top = maps.value == peak[owner]
    pointing = _sums(top & where.centre.ravel()[entry], begin) / np.maximum(_sums(top, begin), 1)
    in_box = inside(where.box)
    shares = {name: ratios(inside(weights), total) for name, weights in where.regions.items()}
    area = where.box.mean(axis=1)[row]
    lift_image = ratios(ratios(in_box, total), area)
    lift = np.full(len(maps), np.nan)
    if where.breast is not None and where.box_in_breast is not None:
        in_breast = inside(where.breast)
        shares["outside"] = np.maximum(1.0 - ratios(in_breast, total), 0.0)  # a rounded 1 is not less than nothing
        area_breast = ratios(where.box_in_breast.sum(axis=1), where.breast.sum(axis=1))[row]
        lift = ratios(ratios(inside(where.box_in_breast), in_breast), area_breast)
    above = _lift_above_median(maps, where, row, lift_image if where.breast is None else lift)
    return Focus(
        maps.latent, maps.image, total, peak.astype(np.float64), pointing, ratios(in_box, total), lift, lift_image,
        above, shares,
    )  # fmt: skip


def _lift_above_median(maps: SparseMaps, where: Places, row: npt.NDArray[np.intp], lift: Doubles) -> Doubles:
    """Lift of what exceeds the median over all cells; the median is 0 unless half of the cells are on."""
    out = lift.copy()
    n_cells = where.box.shape[1]
    for k in np.flatnonzero(2 * np.diff(maps.start) >= n_cells).tolist():
        cells = maps.dense(k).ravel().astype(np.float64)
        cells = np.maximum(cells - np.median(cells), 0.0)
        at = row[k]
        field = np.ones(n_cells) if where.breast is None else where.breast[at]
        box = where.box[at] if where.box_in_breast is None else where.box_in_breast[at]
        out[k] = ratios(ratios(cells @ box, cells @ field), ratios(box.sum(), field.sum()))[()]
    return out


def _sums(values: npt.NDArray[np.generic], begin: npt.NDArray[np.int64]) -> Doubles:
    return np.asarray(np.add.reduceat(values, begin, dtype=np.float64)) if begin.size else np.zeros(0)
