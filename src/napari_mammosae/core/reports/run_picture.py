"""The picture of one image of a run: its file found again, its latents as they were kept, in an order of the run's."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ..base.errors import SettingsError
from ..images.mammogram import Mammogram
from ..models.latents import LatentMaps
from ..ranking.files import PUBLISHED, check_order, published_ranking
from ..ranking.of_run import rank
from ..runs.ready import files_of_run
from ..runs.run import Run

if TYPE_CHECKING:
    from ..ranking.scores import Score

OWN = "mean"
"""The order by the image's own means, where no other is asked for."""


def picture_of_run(run: Run, image: str, root: Path | None = None) -> tuple[Mammogram, LatentMaps]:
    """Return an image of a run and the latents that the run keeps of it.

    Parameters
    ----------
    run, image
        A run made with maps, and one of its images: its id, or its file with as many folders as need be.
    root
        Folder to which the run's names of files are relative; by default looked for around the run.

    Raises
    ------
    RunError
        The image is not in the run, or the run was made without maps.
    ImageError
        The file is not found, cannot be read, or has another size than the image the run was made from.
    """
    files = files_of_run(run)
    if root is not None:
        files.root = root
    return files.read(run.row_of(image)), run.latents(image)


def order_for_picture(
    maps: LatentMaps,
    run: Run | None = None,
    *,
    order: str = OWN,
    label: str = "",
    category: int | str | None = None,
    split: str | None = None,
) -> tuple[Sequence[int], str]:
    """Return latents, best first, and what their order is called.

    Parameters
    ----------
    maps
        The image's latents: the order `mean` is that of their means here, and holds those that fire only.
    run, label, category, split
        What the order is taken from where it is a score; see `rank`.
    order
        `mean`, a score of `rank`, or `published:DIR`.

    Raises
    ------
    SettingsError
        The order is unknown, or is a score and no run or label is there to take it from.
    """
    if order == OWN and not label:
        return np.argsort(-maps.pooled_mean, kind="stable")[: len(maps.latents)].tolist(), "highest mean on this image"
    check_order(order)
    if order.startswith(PUBLISHED):
        number = 1 if category is None else int(category)
        latents = published_ranking(order, number).order
        if latents.size != maps.shape[0]:
            raise SettingsError(f"the published ranking is of {latents.size} latents, the SAE has {maps.shape[0]}.")
        return latents.tolist(), f"published ranking of class {number}"
    if run is None or not label:
        raise SettingsError(f"the order {order!r} needs a run and a label to rank by; for one image use {OWN!r}.")
    table = rank(run, label, score=cast("Score", order), category=category, split=split, intervals=0)
    number = table.attrs["provenance"]["settings"]["class"]
    return table["latent"].tolist(), f"{label.replace('_', ' ')}, class {number}, by {order}"
