"""Annotated boxes of one image, in its own pixels and in those the model saw."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..images.geometry import BOX, Frame, clip_boxes
from ..images.mammogram import Mammogram

if TYPE_CHECKING:
    import pandas as pd

    from .boxes import Findings

ALL_FINDINGS = ""
"""In place of a finding's name: boxes of every finding."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Annotated boxes of one image.

    Attributes
    ----------
    annotated
        Whether anybody looked at the image, boxes or not.
    finding, note
        Of each box.
    source, input
        (b, 4) edges in source pixels, and in the model's input, clipped to it.
    row
        (b,) which row of the image's boxes each is; those beyond the model's crop are left out.
    notes
        What was left out, one sentence each.
    hidden
        Whether there may be boxes that are not to be seen.
    """

    annotated: bool
    finding: tuple[str, ...]
    note: tuple[str, ...]
    source: NDArray[np.float64]
    input: NDArray[np.float64]
    row: NDArray[np.intp]
    notes: tuple[str, ...] = ()
    hidden: bool = False


def truth_of(findings: "Findings | None", image: Mammogram, frame: Frame, finding: str = ALL_FINDINGS) -> Truth:
    """Annotated boxes of an image, of one finding or all.

    Raises
    ------
    FindingsError
        The boxes are for an image of another size.
    """
    name = findings.name_of(image.full_name) if findings is not None else None
    if findings is None or name is None:
        none = np.zeros((0, 4))
        return Truth(False, (), (), none, none, np.zeros(0, np.intp))
    mine = findings.table[findings.table["image_id"] == name]
    fitted = replace(findings, table=mine, images=findings.images.loc[[name]], notes=())
    fitted = fitted.for_images({image.full_name: image.shape})
    table = fitted.table
    source = table[list(BOX)].to_numpy(np.float64)
    given = frame.boxes_to_input(source)
    clipped, _, outside = clip_boxes(given, frame.input_shape)
    wanted = ~outside
    if finding != ALL_FINDINGS:
        wanted &= (table["finding"] == finding).to_numpy(bool)
    beyond = int(outside.sum())
    notes = fitted.notes
    if beyond:
        notes = (*notes, f"boxes beyond the part of the image that the model saw, left out: {beyond}")
    names, remarks = table["finding"].astype(str).tolist(), texts(table, "note")
    at = np.flatnonzero(wanted)
    known = len(table) > 0 or not (len(mine) or name in findings.left_out)
    return Truth(
        known, tuple(names[i] for i in at), tuple(remarks[i] for i in at), source[at], clipped[at], at, notes
    )  # fmt: skip


def texts(table: "pd.DataFrame", column: str) -> list[str]:
    """A column of remarks, empty where there is none."""
    if column not in table:
        return [""] * len(table)
    return ["" if value is None or value != value else str(value) for value in table[column]]
