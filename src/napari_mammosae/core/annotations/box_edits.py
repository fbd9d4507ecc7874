"""Annotations changed by hand: the boxes of one image replaced, everything else as it was."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from ..base.errors import FindingsError
from ..base.names import LACKS_SLUG, slug
from ..images.geometry import BOX, clip_boxes
from .boxes import Findings

SMALLEST = 2.0
"""Source pixels a box must have in height and width: a click without a drag makes none."""

DRAWN = "drawn boxes"
"""What messages call annotations that no file holds yet."""

_COLUMNS = ("image_id", "finding", *BOX)
_FACTS = ("patient", "laterality", "view", "split", "height", "width")


def with_boxes(
    findings: Findings | None, image_id: str, shape: tuple[int, int], boxes: pd.DataFrame
) -> tuple[Findings, tuple[str, ...]]:
    """Return annotations in which an image has exactly these boxes, and what was changed about them.

    Parameters
    ----------
    findings
        Annotations so far; None where there are none.
    image_id, shape
        The image, and its rows and columns.
    boxes
        Columns `finding` and `row_min`, `col_min`, `row_max`, `col_max` (source edges of this image), and any of
        `note`, `birads`. Boxes are clipped to the image; those without area are left out.

    Raises
    ------
    FindingsError
        A box has no finding that can be written.
    """
    before = findings if findings is not None else nothing_annotated()
    edges, changed, outside = clip_boxes(boxes[list(BOX)].to_numpy(np.float64), shape)
    small = ~outside & ((edges[:, 2:] - edges[:, :2]) < SMALLEST).any(axis=1)
    kept = ~outside & ~small
    rows = boxes.assign(**dict(zip(BOX, edges.T, strict=True)))[kept].reset_index(drop=True)
    rows["finding"] = [slug(str(name)) for name in rows["finding"]]
    if (rows["finding"] == "").any():
        raise FindingsError(f"the finding of a box {LACKS_SLUG}")
    rows["image_id"] = image_id
    rows = rows.drop(columns=[name for name in rows if str(name).startswith("resized_")])  # those of the boxes before
    images = before.images.copy()
    if image_id not in images.index:
        images.loc[image_id] = pd.Series(dtype=object)
    images.loc[image_id, ["height", "width"]] = [float(shape[0]), float(shape[1])]
    for name in ("laterality", "view", "split"):
        if name in before.table:
            rows[name] = [images[name][image_id]] * len(rows)
    others = before.table[before.table["image_id"] != image_id]
    table = pd.concat([others, rows], ignore_index=True) if len(others) else rows
    columns = [*before.table.columns, *(name for name in table.columns if name not in before.table)]
    notes = [
        f"{what}: {count}"
        for what, count in (
            ("boxes that reached beyond the image, clipped to it", int((changed & kept).sum())),
            ("boxes outside the image, left out", int(outside.sum())),
        )
        if count
    ]
    return replace(before, table=table.reindex(columns=columns), images=images), tuple(notes)


def nothing_annotated() -> Findings:
    """Annotations of no image, to draw the first box into."""
    table = pd.DataFrame({name: pd.Series(dtype="float64" if name in BOX else object) for name in _COLUMNS})
    images = pd.DataFrame(
        {name: pd.Series(dtype="float64" if name in ("height", "width") else object) for name in _FACTS},
        index=pd.Index([], name="image_id", dtype=object),
    )
    return Findings(table, images, DRAWN)


def to_write(findings: Findings, edited: Iterable[str]) -> tuple[pd.DataFrame, dict[str, tuple[int, int]], str]:
    """Return what of annotations can be written: boxes, the sizes of images (0 x 0 where unknown), and a remark.

    Tables that hold boxes for two sizes of each image are written for the `edited` images only, since one table of
    plain boxes cannot keep both.
    """
    table, images, remark = findings.table, findings.images, ""
    if any(name.startswith("resized_") for name in table.columns):
        chosen = [name for name in edited if name in images.index]
        left = len(images) - len(chosen)
        table, images = table[table["image_id"].isin(chosen)], images.loc[chosen]
        if left:
            remark = f"only the images drawn on are written; {findings.name} keeps the other {left:,}"
    sizes = images[["height", "width"]].fillna(0).to_numpy(np.float64)
    return table, {str(name): (int(h), int(w)) for name, (h, w) in zip(images.index, sizes, strict=True)}, remark
