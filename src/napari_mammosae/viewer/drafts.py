"""Boxes drawn but not saved yet, kept in the user's data folder so that no crash and no closed window loses them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


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


def draft_path(image_id: str, shape: tuple[int, int]) -> Path:
    """File of an image's draft; its name says nothing about the image."""
    from platformdirs import user_data_path

    key = hashlib.sha256(f"{image_id} {shape[0]} {shape[1]}".encode()).hexdigest()[:24]
    return user_data_path("napari-mammosae", appauthor=False) / "drafts" / f"boxes-{key}.csv"


def keep_draft(image_id: str, shape: tuple[int, int], boxes: pd.DataFrame) -> None:
    """Write the boxes of an image; raises OSError where the folder cannot be written."""
    from ..core.annotations.boxes import write_findings

    path = draft_path(image_id, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_findings(path, boxes.assign(image_id=image_id), shapes={image_id: shape}, overwrite=True)


def read_draft(image_id: str, shape: tuple[int, int]) -> Draft | None:
    """Read the draft of an image; None where there is none, or a damaged one."""
    from ..core.annotations.boxes import read_findings
    from ..core.base.errors import FindingsError

    path = draft_path(image_id, shape)
    if not path.is_file():
        return None
    try:
        boxes = read_findings(path).boxes(image_id, shape=shape)
    except FindingsError:
        return None
    return Draft(boxes, datetime.fromtimestamp(path.stat().st_mtime))


def drop_draft(image_id: str, shape: tuple[int, int]) -> None:
    """Forget the draft of an image: its boxes were saved, or are not wanted."""
    draft_path(image_id, shape).unlink(missing_ok=True)
