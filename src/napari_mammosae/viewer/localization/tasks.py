"""What localising needs that takes a while: done in the worker thread. Knows no Qt."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.annotations.image_boxes import Truth, truth_of
from ...core.base.errors import FindingsError
from ...core.base.progress import Report
from ...core.base.text import counted, readable
from ...core.images.mammogram import Mammogram
from ...core.images.scale import input_spacing
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ...core.runs.run import Run
from ..app.order import Order
from .latent_set import LatentSet
from .result import Anatomy, Choice, Localization, Scope, localize, scope_of

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings
    from ...core.localization.over_run import LatentOverRun
    from ...core.localization.run_boxes import RunBoxes


def look_at_anatomy(image: Mammogram, model: ModelFacts, report: Report) -> Anatomy:
    """Find the regions of an image, and its nipple."""
    import napari_mammosae.core.localization  # noqa: F401  (brings pandas: better here than in the GUI thread)

    from ...core.anatomy.cell_parts import BREAST_PARTS
    from ...core.anatomy.nipple import estimate_nipple
    from ...core.anatomy.regions import REGIONS, region_cells, region_masks, whole_image

    prepared = image.prepared(model.preprocessing)
    if not model.preprocessing.breast:
        shares, parts = whole_image(prepared.frame.input_shape, model.grid)
        return Anatomy({**dict(zip(REGIONS, shares, strict=True)), BREAST_PARTS: parts}, None)
    report("Outlining the breast")
    facts: Any = {
        "laterality": image.laterality,
        "view": image.view,
        "spacing": input_spacing(image.scale, prepared.frame),
    }
    shares, parts = region_cells(prepared.pixels, model.grid, **facts)
    nipple = estimate_nipple(region_masks(prepared.pixels, **facts)["breast"], laterality=image.laterality)
    at = prepared.frame.to_source_points([nipple])[0].tolist() if nipple is not None else None
    return Anatomy({**dict(zip(REGIONS, shares, strict=True)), BREAST_PARTS: parts}, at)


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
        progress=lambda _, done=0, total=0: report(title, done, total),
    )  # fmt: skip
    return scores


def localize_alone(
    maps: LatentMaps,
    latent: int,
    image: Mammogram,
    truth: Truth,
    anatomy: Anatomy | None,
    choice: Choice,
    report: Report,
) -> Localization:
    """Boxes of one latent, where there is much to compare them with."""
    report(f"Comparing with {counted(len(truth.finding), 'box', 'boxes')}")
    return localize(scope_of(maps, latent, image, truth, anatomy), choice)


def localize_together(
    scope: Scope | None,
    model: ModelFacts,
    maps: LatentMaps,
    several: LatentSet,
    image: Mammogram,
    truth: Truth,
    anatomy: Anatomy | None,
    choice: Choice,
    report: Report,
) -> Localization:
    """Boxes of several latents together; without a `scope` their heatmaps are put together first."""
    from .latent_set import weights_of
    from .result import localize, scope_together

    def progress(_: str, done: int = 0, total: int = 0) -> None:
        report(f"Putting {len(several.latents):,} heatmaps", done, total)

    if scope is None:
        scope = scope_together(maps, several, weights_of(several, model), image, truth, anatomy, progress)
    return localize(scope, choice, progress)


def draw_figure(
    path: Path,
    image: Mammogram,
    maps: LatentMaps,
    model: ModelFacts,
    order: Order,
    findings: "Findings | None",
    choice: Choice,
    count: int,
    called: dict[int, str],
    report: Report,
) -> str:
    """Write the image, and the first latents of an order with the boxes found in each; return what to say.

    The provenance goes into a JSON beside the figure.
    """
    from ...core.base.provenance import beside, provenance, write_results
    from ...core.models.domain import outside_domain
    from ...core.reports.latents_figure import figure_source, latents_figure, save_figure

    report(f"Drawing {path.name}")
    assert maps.frame is not None
    truth = truth_of(findings, image, maps.frame)
    latents = [int(latent) for latent in order.latents[:count]]
    found = {latent: localize(scope_of(maps, latent, image, truth, None), choice).found for latent in latents}
    boxes = findings.boxes(image.full_name, shape=image.shape) if findings is not None and truth.annotated else None
    caution = outside_domain(model, image)
    figure = latents_figure(
        image, maps, boxes=boxes, latents=latents, found=found, source=figure_source(model, caution),
        called=called,
        subtitle=f"{order.name}; solid: annotated, dashed: found at {choice.threshold}",
    )  # fmt: skip
    report(f"Writing {path.name}")
    settings = {
        "image": image.image_id, "order": order.name, "latents": latents, "threshold": str(choice.threshold),
        "min_area": choice.min_area, "boxes": findings.name if findings is not None else None,
        "outside_domain": caution,
    }  # fmt: skip
    with write_results(beside(path, ".json"), provenance("figure", settings, model), path) as (picture,):
        save_figure(figure, picture)
    return f"{path.name} written."


def measure_over_run(
    run: Run, findings: "Findings", boxes: "RunBoxes | None", latent: int, choice: Choice, report: Report
) -> tuple["RunBoxes", "LatentOverRun"]:
    """Measure a latent over a run; `boxes` as an earlier call gave them, None the first time.

    Raises
    ------
    FindingsError
        If no image of the run has a box of the finding.
    """
    from ...core.localization.over_run import measure_latent
    from ...core.localization.run_boxes import boxes_of_run

    title = f"Measuring latent {latent} over {counted(len(run), 'image')}"
    report(title)
    if boxes is None:
        boxes = boxes_of_run(run, findings)
    if choice.finding not in boxes.findings:
        raise FindingsError(
            f"{run.path.name}: none of its images has a box of {readable(choice.finding)} in {findings.name}; "
            f"boxes there are of {', '.join(map(readable, boxes.findings)) or 'nothing'}"
        )

    def measuring(_: str, done: int = 0, total: int = 0, /) -> None:
        report(title, done, total)

    found = measure_latent(run, boxes, latent, choice.finding, choice.settings, progress=measuring)
    return boxes, found
