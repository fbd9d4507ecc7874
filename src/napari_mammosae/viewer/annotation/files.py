"""Annotated boxes on their way to a file, and the findings they can have. Knows no Qt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ...core.annotations.finding_colors import FINDING_COLORS
from ...core.base.text import counted, readable

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ...core.annotations.boxes import Findings
    from ...core.base.progress import Report
    from ...core.models.facts import ModelFacts

_DRAFTED = "image"
"""What a draft calls its one image: the file says nothing about it."""


def save_boxes(
    path: Path, findings: Findings, edited: dict[str, tuple[int, int]], model: ModelFacts | None, report: Report
) -> str:
    """Write all boxes with their provenance, over a file that exists; return what to say."""
    from ...core.annotations.box_edits import to_write
    from ...core.annotations.box_files import write_findings
    from ...core.base.provenance import provenance

    report(f"Writing {path.name}")
    boxes, shapes, remark = to_write(findings, edited)
    if path.suffix.lower() == ".json":  # which needs sizes; an image without one and with boxes is refused by name
        shapes = {name: size for name, size in shapes.items() if all(size)}
    record = provenance("draw boxes", {"source": findings.name, "images_changed": len(edited)}, model)
    write_findings(path, boxes, shapes=shapes, provenance=record, overwrite=True)
    said = f"{counted(len(boxes), 'box', 'boxes')} of {counted(len(shapes), 'image')} saved in {path.name}"
    return f"{said}; {remark}." if remark else f"{said}."


def finding_titles(findings: Findings | None) -> dict[str, str]:
    """Findings to choose from when drawing: slug and words, those of the annotations first."""
    names = [*(findings.names if findings is not None else ()), *FINDING_COLORS]
    return {name: readable(name) for name in dict.fromkeys(names)}


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """The boxes of one image as they were left.

    Attributes
    ----------
    boxes
        Columns `finding`, row and column edges in source pixels, and `note` where there are any.
    saved
        When.
    """

    boxes: pd.DataFrame
    saved: datetime


def draft_path(image: str, shape: tuple[int, int]) -> Path:
    """File of an image's draft; its name says nothing about the image."""
    from platformdirs import user_data_path

    key = hashlib.sha256(f"{image} {shape[0]} {shape[1]}".encode()).hexdigest()[:24]
    return user_data_path("napari-mammosae", appauthor=False) / "drafts" / f"boxes-{key}.csv"


def keep_draft(image: str, shape: tuple[int, int], boxes: pd.DataFrame) -> None:
    """Write the boxes of an image; raises OSError where the folder cannot be written."""
    from ...core.annotations.box_files import write_findings

    path = draft_path(image, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_findings(path, boxes.assign(image_id=_DRAFTED), shapes={_DRAFTED: shape}, overwrite=True)


def read_draft(image: str, shape: tuple[int, int]) -> Draft | None:
    """Read the draft of an image; None where there is none, or a damaged one."""
    from ...core.annotations.boxes import read_findings
    from ...core.base.errors import FindingsError

    path = draft_path(image, shape)
    if not path.is_file():
        return None
    try:
        boxes = read_findings(path).boxes(_DRAFTED, shape=shape)
    except FindingsError:
        return None
    return Draft(boxes, datetime.fromtimestamp(path.stat().st_mtime))


def drop_draft(image: str, shape: tuple[int, int]) -> None:
    """Forget the draft of an image: its boxes were saved, or are not wanted."""
    draft_path(image, shape).unlink(missing_ok=True)
