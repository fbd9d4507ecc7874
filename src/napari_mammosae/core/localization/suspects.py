"""Latents worth a sceptical look, because of where they fire: help with the order of work, never a verdict."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..anatomy.cell_parts import BREAST_PARTS
from ..base.progress import Report
from ..runs.run import Run
from ..stats.measures import ratios
from .detections import SparseMaps
from .focus import focus, places

if TYPE_CHECKING:
    import pandas as pd

    from ..annotations.boxes import Findings

PLACES = ("outside", "skin", "pectoral", "border", "marker")
_ABOUT_AS_MUCH = 0.5  # of the largest share: a place with less is not where the latent fires
_COLUMNS = ("total", *PLACES, "images_active", "breast_cells_on", "lift_sum", "lift_images")


class SuspectTally:
    """Sums over a run from which suspects are ranked, block of images by block, so that memory does not grow.

    Parameters
    ----------
    n_latents
        h.
    input_shape, grid
        (H, W) and (H', W').
    """

    def __init__(self, n_latents: int, input_shape: tuple[int, int], grid: tuple[int, int]) -> None:
        self._shape, self._grid = input_shape, grid
        self._sums = {name: np.zeros(n_latents) for name in _COLUMNS}
        self._images = 0
        self._area = dict.fromkeys(PLACES, 0.0)

    def add(
        self,
        maps: SparseMaps,
        images: npt.ArrayLike,
        regions: Mapping[str, npt.ArrayLike],
        box_image: npt.ArrayLike = (),
        boxes: npt.ArrayLike = (),
    ) -> None:
        """Add a block of images.

        Parameters
        ----------
        maps
            The kept maps of these images.
        images
            (n,) all images of the block, also those on which nothing fires.
        regions
            (n, H' x W') shares by region name: breast, skin, pectoral, border, marker; `breast_parts` where known.
        box_image, boxes
            (b,) and (b, 4) annotated boxes in input edges, where there are any: for the lift.
        """
        numbers = np.asarray(images, np.int64)
        given = {name: np.asarray(value).reshape(numbers.size, -1) for name, value in regions.items()}
        parts = {name: given.pop(name) for name in (BREAST_PARTS,) if name in given}
        shares = {name: value.astype(np.float64) for name, value in given.items()}
        shares["marker"] = _around(shares["marker"], self._grid) * (1.0 - shares["breast"])
        where = places(numbers, box_image, boxes, self._shape, self._grid, shares | parts)
        measured = focus(maps, where)

        def spread(name: str, values: npt.NDArray[np.generic]) -> None:
            np.add.at(self._sums[name], measured.latent, values)

        spread("total", measured.total)
        spread("images_active", np.ones(len(maps)))
        for name in PLACES:
            spread(name, measured.shares[name] * measured.total)
            part = 1.0 - shares["breast"] if name == "outside" else shares[name]
            self._area[name] += float(part.mean(axis=1).sum())
        breast = np.asarray(where.breast)[where.row(maps.image)[maps.owner], maps.cell]
        on = np.add.reduceat(breast, maps.start[:-1]) if len(maps) else np.zeros(0)
        spread(
            "breast_cells_on", ratios(on, np.asarray(where.breast).sum(axis=1)[where.row(maps.image)], undefined=0.0)
        )
        defined = np.isfinite(measured.lift)
        spread("lift_sum", np.where(defined, measured.lift, 0.0))
        spread("lift_images", defined)
        self._images += numbers.size

    def table(self) -> "pd.DataFrame":
        """Live latents, the most suspicious first.

        Returns
        -------
        DataFrame
            `latent`; `suspicion` from 0 to 1, the largest of the following shares; `reason`, the place it comes from;
            shares of all activation over the run that lie `outside` the breast, on `skin`, `pectoral`, `border` and
            `marker`; `avoids_boxes`, one minus the box lift times the share of the breast's cells it is on in: high for
            latents that are on everywhere but in the lesion; `lift`, the mean over images with boxes (NaN where it
            fires on none of them); `images_active`.

            `marker` counts the cells outside the breast that a burned-in object touches and those around them: a letter
            covers a small part of its cell, and is seen from the next one as well. Places lie in one another, so the
            reason is the one with the largest lift (its share of the activation over its share of the area) of those
            whose share is at least half of `suspicion`: a marker rather than the air around it.
        """
        sums = self._sums
        live = np.flatnonzero(sums["total"] > 0)
        out: dict[str, npt.NDArray[np.float64]] = {name: ratios(sums[name], sums["total"])[live] for name in PLACES}
        lift = ratios(sums["lift_sum"], sums["lift_images"])[live]
        on = ratios(sums["breast_cells_on"], sums["images_active"])[live]
        out["avoids_boxes"] = np.clip(1.0 - np.nan_to_num(lift, nan=1.0), 0.0, 1.0) * on
        shares = np.stack(list(out.values()), axis=1)
        suspicion = shares.max(axis=1, initial=0.0)
        area = np.array([self._area[name] / max(self._images, 1) for name in PLACES] + [1.0])
        lifts = np.where(shares >= _ABOUT_AS_MUCH * suspicion[:, None], ratios(shares, area, undefined=0.0), -1.0)
        reason = np.array(list(out))[lifts.argmax(axis=1)]
        import pandas as pd

        table = pd.DataFrame(
            {"latent": live, "suspicion": suspicion, "reason": reason, **out, "lift": lift,
             "images_active": sums["images_active"][live].astype(int)}
        )  # fmt: skip
        return table.sort_values(["suspicion", "latent"], ascending=[False, True], ignore_index=True)


def _around(shares: npt.NDArray[np.float64], grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """1 for cells (n, H' x W') that something touches, and for the eight around each of those; 0 elsewhere."""
    there = np.pad((shares > 0).reshape(-1, *grid), ((0, 0), (1, 1), (1, 1)))
    rows, cols = grid
    near = [there[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
    return np.asarray(np.logical_or.reduce(near), np.float64).reshape(shares.shape)


def find_suspects(run: Run, findings: "Findings | None", report: Report) -> tuple["pd.DataFrame", str]:
    """Rank a run's live latents by how suspicious the places are where they fire; see `SuspectTally.table`.

    Parameters
    ----------
    run
        A run with maps.
    findings
        Annotated boxes, for the share of what fires outside them; without any, that part is left out.

    Returns
    -------
    table, note
        And a sentence about the boxes.

    Raises
    ------
    RunError
        The run keeps no maps.
    """
    from ..base.errors import FindingsError
    from .detections import sparse_maps
    from .run_boxes import boxes_of_run

    image, edges, note = (
        np.zeros(0, np.int64),
        np.zeros((0, 4)),
        "No annotated boxes: the columns about boxes are left out.",
    )
    if findings is not None:
        try:
            boxes = boxes_of_run(run, findings)
        except FindingsError as error:
            note = str(error)
        else:
            image = boxes.table["image"].to_numpy(np.int64)
            edges = boxes.table[["row_min", "col_min", "row_max", "col_max"]].to_numpy(np.float64)
            note = f"With {len(edges):,} annotated boxes."
    height, width = run.info["preprocessing"]["size"]
    tally = SuspectTally(run.n_latents, (height, width), run.grid)
    done = 0
    for part, regions in zip(run.map_parts(), run.regions(), strict=True):
        report("Finding where latents fire", done, len(run))
        here = np.isin(image, regions.image)
        maps = sparse_maps(part.latent, part.image, part.cell, part.value, run.grid)
        tally.add(maps, regions.image, regions.everything, image[here], edges[here])
        done += len(regions.image)
    report("Finding where latents fire", done, len(run))
    return tally.table(), note
