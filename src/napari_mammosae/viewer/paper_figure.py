"""The paper's Figure 3 for one image, drawn in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .localization.result import Choice, localize, scope_of
from .truth import truth_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..core.annotations.boxes import Findings
    from ..core.images.mammogram import Mammogram
    from ..core.models.latents import LatentMaps
    from ..core.models.model import MammoSAE
    from .app.jobs import Report
    from .app.session import Order

PANELS = 10


def draw_figure(
    path: Path,
    image: Mammogram,
    maps: LatentMaps,
    model: MammoSAE,
    order: Order,
    findings: Findings | None,
    choice: Choice,
    report: Report,
) -> str:
    """Write the image, and the first latents of an order with the boxes found in each; return what to say.

    The provenance goes into a JSON beside the figure.
    """
    from ..core.base.provenance import provenance, write_provenance
    from ..core.reports.latents_figure import figure_source, latents_figure, save_figure

    report(f"Drawing {path.name}")
    assert maps.frame is not None
    truth = truth_of(findings, image, maps.frame)
    latents = [int(latent) for latent in order.latents[:PANELS]]
    found = {latent: localize(scope_of(maps, latent, image, truth, None), choice).found for latent in latents}
    boxes = findings.boxes(image.image_id, shape=image.shape) if findings is not None and truth.annotated else None
    figure = latents_figure(
        image, maps, boxes=boxes, latents=latents, found=found, source=figure_source(model),
        subtitle=f"{order.name}; solid: annotated, dashed: found at {choice.threshold}",
    )  # fmt: skip
    report(f"Writing {path.name}")
    save_figure(figure, path)
    settings = {
        "image": image.image_id, "order": order.name, "latents": latents, "threshold": str(choice.threshold),
        "min_area": choice.min_area, "boxes": findings.name if findings is not None else None,
    }  # fmt: skip
    write_provenance(path, provenance("figure", settings, model))
    return f"{path.name} written."
