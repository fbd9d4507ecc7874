"""What localising needs that takes a while: done in the worker thread. Knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...core.images.mammogram import Mammogram
    from ...core.models.latents import LatentMaps
    from ...core.models.model import MammoSAE
    from ..app.jobs import Report
    from ..truth import Truth
    from .latent_set import LatentSet
    from .result import Choice, Localization, Scope


def look_at_regions(image: Mammogram, model: MammoSAE, report: Report) -> dict[str, NDArray[np.float32]]:
    """Shares of the cells that lie in the breast and other regions of an image."""
    import napari_mammosae.core.localization  # noqa: F401  (brings pandas: better here than in the GUI thread)

    from ...core.anatomy.regions import REGIONS, region_shares

    report("Outlining the breast")
    prepared = image.prepared(model.preprocessing)
    step = prepared.frame.scale
    spacing = None if image.spacing is None else (image.spacing[0] * step[0], image.spacing[1] * step[1])
    shares = region_shares(
        prepared.pixels, model.grid, laterality=image.laterality, view=image.view, spacing=spacing
    )  # fmt: skip
    return dict(zip(REGIONS, shares, strict=True))


def overlaps_with_box(
    maps: LatentMaps, box: NDArray[np.float64], choice: Choice, report: Report
) -> NDArray[np.float64]:
    """Highest IoU of each latent's found boxes with a box in input edges, (h,) float64; NaN for silent latents."""
    from ...core.localization.one_image import best_overlaps

    assert maps.frame is not None
    scores = np.full(maps.shape[0], np.nan)
    title = "Looking for latents that hit the box"
    scores[maps.latents] = best_overlaps(
        maps.values, maps.frame.input_shape, box, choice.threshold, min_area=choice.min_area,
        progress=lambda done, total: report(title, done, total),
    )  # fmt: skip
    return scores


def localize_together(
    scope: Scope | None,
    model: MammoSAE,
    maps: LatentMaps,
    several: LatentSet,
    image: Mammogram,
    truth: Truth,
    regions: dict[str, NDArray[np.float32]] | None,
    choice: Choice,
    report: Report,
) -> Localization:
    """Boxes of several latents together; without a `scope` their heatmaps are put together first."""
    from .latent_set import weights_of
    from .result import localize, scope_together

    def progress(done: int, total: int) -> None:
        report(f"Putting {len(several.latents):,} heatmaps together", done, total)

    if scope is None:
        scope = scope_together(maps, several, weights_of(several, model), image, truth, regions, progress)
    return localize(scope, choice, progress)
