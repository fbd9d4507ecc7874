"""Annotations changed by hand: the boxes of one image replaced, everything else as it was."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..base.errors import FindingsError
from ..base.names import LACKS_SLUG, image_id_of, slug, tidy_name
from ..images.geometry import BOX, clip_boxes
from .boxes import Findings

SMALLEST = 2.0
"""Source pixels a new box must have in height and width: a click without a drag makes none."""

_SAME = 0.01
"""Source pixels by which the screen may round a box."""

DRAWN = "drawn boxes"
"""What messages call annotations that no file holds yet."""

_COLUMNS = ("image_id", "finding", *BOX)
_FACTS = ("patient", "laterality", "view", "split", "height", "width")


def with_boxes(
    findings: Findings | None, image: str, shape: tuple[int, int], boxes: pd.DataFrame
) -> tuple[Findings, tuple[str, ...]]:
    """Return annotations in which an image has exactly these boxes, and what was changed about them.

    Parameters
    ----------
    findings
        Annotations so far; None where there are none.
    image, shape
        The image, named with as many of its folders as are known, and its rows and columns.
    boxes
        Columns `finding` and `row_min`, `col_min`, `row_max`, `col_max` (source edges of this image), and any of
        `note`, `birads`. Boxes are clipped to the image; new ones without area, or under two pixels, are left out.

    Raises
    ------
    FindingsError
        A box has no finding that can be written.
    """
    before, image_id = _with_image(findings if findings is not None else nothing_annotated(), image)
    edges, changed, outside = clip_boxes(boxes[list(BOX)].to_numpy(np.float64), shape)
    sizes = edges[:, 2:] - edges[:, :2]
    small = ~outside & (sizes < SMALLEST).any(axis=1) & ~_any_close(sizes, before.boxes(image_id, shape=shape))
    kept = ~outside & ~small
    rows = boxes.assign(**dict(zip(BOX, edges.T, strict=True)))[kept].reset_index(drop=True)
    rows["finding"] = [slug(str(name)) for name in rows["finding"]]
    if (rows["finding"] == "").any():
        raise FindingsError(f"the finding of a box {LACKS_SLUG}")
    rows["image_id"] = image_id
    rows = rows.drop(columns=[name for name in rows if str(name).startswith("resized_")])  # those of the boxes before
    images = before.images.copy()
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
            (f"boxes under {SMALLEST:.0f} pixels, left out", int((small & (sizes > 0).all(axis=1)).sum())),
        )
        if count
    ]
    return replace(before, table=table.reindex(columns=columns), images=images), tuple(notes)


def _any_close(sizes: NDArray[np.float64], boxes: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each box is as large as one there was: that one stays, moved or not, however small it is."""
    edges = boxes[list(BOX)].to_numpy(np.float64)
    there = edges[:, 2:] - edges[:, :2]
    return np.asarray((np.abs(sizes[:, None] - there) < _SAME).all(axis=2).any(axis=1))


def _with_image(findings: Findings, image: str) -> tuple[Findings, str]:
    """Annotations that name an image, and what they call it: images of one name are told apart by their folders."""
    if (known := findings.name_of(image)) is not None:
        return findings, known
    stem = image_id_of(image)
    images = findings.images.assign(full_name=findings.images.get("full_name"))
    longer = {}  # images that were drawn on before and called by their bare name
    for name, full_name in images["full_name"].dropna().items():
        if name == stem:
            longer[name] = _with_folder(full_name)
    clash = any(image_id_of(str(name)) == stem for name in images.index)
    image_id = _with_folder(image) if clash else stem
    images = images.rename(index=longer)
    if image_id in images.index:
        raise FindingsError(f"{findings.name}: {image_id} could be several of its images; give it longer names")
    images.loc[image_id] = pd.Series({"full_name": image}, dtype=object)
    table = findings.table.assign(image_id=findings.table["image_id"].replace(longer))
    return replace(findings, table=table, images=images), image_id


def _with_folder(image: str) -> str:
    folder, slash, file = "/".join(tidy_name(image).split("/")[-2:]).rpartition("/")
    return f"{folder}{slash}{image_id_of(file)}"


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
        chosen = [name for image in edited if (name := findings.name_of(image)) is not None]
        left = len(images) - len(chosen)
        table, images = table[table["image_id"].isin(chosen)], images.loc[chosen]
        if left:
            remark = f"only the images drawn on are written; {findings.name} keeps the other {left:,}"
    sizes = images[["height", "width"]].fillna(0).to_numpy(np.float64)
    return table, {str(name): (int(h), int(w)) for name, (h, w) in zip(images.index, sizes, strict=True)}, remark
