"""Annotated boxes on their way to a file, and the findings they can have. Knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..canvas import layers
from ..localization.result import readable

if TYPE_CHECKING:
    from pathlib import Path

    from ...core.annotations.boxes import Findings
    from ...core.models.model import MammoSAE
    from ..app.jobs import Report


def save_boxes(
    path: Path, findings: Findings, edited: dict[str, tuple[int, int]], model: MammoSAE | None, report: Report
) -> str:
    """Write all boxes with their provenance, over a file that exists; return what to say."""
    from ...core.annotations.box_edits import to_write
    from ...core.annotations.boxes import write_findings
    from ...core.base.provenance import provenance

    report(f"Writing {path.name}")
    boxes, shapes, remark = to_write(findings, edited)
    if path.suffix.lower() == ".json":  # which needs sizes; an image without one and with boxes is refused by name
        shapes = {name: size for name, size in shapes.items() if all(size)}
    record = provenance("draw boxes", {"source": findings.name, "images_changed": len(edited)}, model)
    write_findings(path, boxes, shapes=shapes, provenance=record, overwrite=True)
    said = f"{len(boxes):,} boxes of {len(shapes):,} images saved in {path.name}"
    return f"{said}; {remark}." if remark else f"{said}."


def finding_titles(findings: Findings | None) -> dict[str, str]:
    """Findings to choose from when drawing: slug and words, those of the annotations first."""
    names = [*(findings.names if findings is not None else ()), *layers.FINDING_COLORS]
    return {name: readable(name) for name in dict.fromkeys(names)}
