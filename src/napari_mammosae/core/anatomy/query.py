"""Which latents look at a region of an image: the share of each cell in it, and what each latent has there."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..images.cells import box_shares, cell_shares
from ..images.geometry import Frame
from ..stats.measures import ratios

if TYPE_CHECKING:
    import pandas as pd

Doubles = NDArray[np.float64]
QueryOrder = Literal["activation", "energy", "lift", "contribution"]

_ELLIPSE_POINTS = 96


def cell_weights(region: NDArray[Any] | tuple[str, NDArray[Any]], frame: Frame, grid: tuple[int, int]) -> Doubles:
    """Share of each cell (H', W') inside a region: a painted mask, or a shape's type and its corners (n, 2).

    Corners are in source pixels, as napari draws them: pixel centres at whole numbers.
    """
    if not isinstance(region, tuple):
        return brush_weights(region, grid, frame)
    kind, corners = region
    if kind == "rectangle" and _is_upright(corners):
        edges = np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + 0.5
        return rectangle_weights(edges, frame.input_shape, grid, frame)
    if kind == "ellipse":
        angle = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)[:, None]
        centre = corners.mean(axis=0)
        corners = centre + np.cos(angle) * (corners[1] - corners[0]) / 2 + np.sin(angle) * (corners[3] - corners[0]) / 2
    return polygon_weights(corners, frame.input_shape, grid, frame)


def rectangle_weights(
    box: ArrayLike, input_shape: tuple[int, int], grid: tuple[int, int], frame: Frame | None = None
) -> Doubles:
    """Share of each cell's area in a rectangle, (H', W') float64.

    Parameters
    ----------
    box
        Edges (row_min, col_min, row_max, col_max) in source pixels with `frame`, else in input pixels.
    """
    edges = np.asarray(box, np.float64).reshape(1, 4)
    return box_shares(edges if frame is None else frame.boxes_to_input(edges), input_shape, grid)


def polygon_weights(
    vertices: ArrayLike, input_shape: tuple[int, int], grid: tuple[int, int], frame: Frame | None = None
) -> Doubles:
    """Share of each cell's area in a polygon, counted in input pixels, (H', W') float64.

    Parameters
    ----------
    vertices
        (n, 2) row and column of pixel centres, in source pixels with `frame`, else in input pixels.
    """
    from skimage.draw import polygon

    points = np.asarray(vertices, np.float64).reshape(-1, 2)
    if frame is not None:
        points = frame.to_input_points(points)
    mask = np.zeros(input_shape, bool)
    mask[polygon(points[:, 0], points[:, 1], input_shape)] = True  # type: ignore[no-untyped-call]
    return cell_shares(mask, grid)


def brush_weights(mask: ArrayLike, grid: tuple[int, int], frame: Frame | None = None) -> Doubles:
    """Share of each cell's area under a painted mask, (H', W') float64.

    Parameters
    ----------
    mask
        In source pixels with `frame` (what was cropped off is ignored), else in input pixels.
    """
    painted = np.asarray(mask) != 0
    if frame is not None:
        if painted.shape != frame.source_shape:
            raise ValueError(f"the mask has shape {painted.shape}, the source image {frame.source_shape}")
        painted = frame.cut(painted)
    return cell_shares(painted, grid)


def query_region(
    latents: ArrayLike,
    maps: ArrayLike,
    weights: ArrayLike,
    *,
    attribution: ArrayLike | None = None,
    by: QueryOrder = "activation",
) -> "pd.DataFrame":
    """Latents of one image, those that look most at a region first.

    Parameters
    ----------
    latents
        (L,) ids of the live latents.
    maps
        (L, H', W') their maps.
    weights
        (H', W') share of each cell in the region.
    attribution
        (h,) of one class: what a unit of a latent's mean adds to its logit. Without it `contribution` is NaN.
    by
        Column to sort by, falling; equal ones by latent.

    Returns
    -------
    DataFrame
        One row per latent with something inside: `latent`; `activation`, its sum over the region in cells; `energy`,
        that as a share of its whole map; `lift`, energy over the region's share of the area (NaN for an empty region);
        `contribution`, what it adds to the logit there (contributions of all cells add up to the latent's whole);
        `peak_inside`, whether the map's maximum lies in a cell of which at least half belongs to the region.
    """
    import pandas as pd  # here: docks that only weigh cells start without it

    ids = np.asarray(latents, np.int64)
    share = np.asarray(weights, np.float64).ravel()
    cells = np.asarray(maps)
    if cells.size != ids.size * share.size:
        raise ValueError(f"{ids.size} latents, maps of shape {cells.shape}, and a region of {share.size} cells")
    cells = cells.reshape(ids.size, share.size)
    covered = np.flatnonzero(share)
    inside = cells[:, covered].astype(np.float64) @ share[covered]
    energy = ratios(inside, cells.sum(axis=1, dtype=np.float64))
    logit = np.full(ids.size, np.nan)
    if attribution is not None:
        logit = np.asarray(attribution, np.float64)[ids] * inside / share.size
    table = pd.DataFrame(
        {
            "latent": ids,
            "activation": inside,
            "energy": energy,
            "lift": ratios(energy, share.mean()),
            "contribution": logit,
            "peak_inside": share[cells.argmax(axis=1)] >= 0.5 if ids.size else np.zeros(0, bool),
        }
    )
    table = table[table["activation"] > 0]
    return table.sort_values([by, "latent"], ascending=[False, True], ignore_index=True)


def _is_upright(corners: Doubles) -> bool:
    return all(np.unique(np.round(corners[:, axis], 6)).size == 2 for axis in (0, 1))
