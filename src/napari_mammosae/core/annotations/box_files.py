"""Boxes on disk: plain CSV and COCO JSON, written whole, with where they came from, never over a file unasked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..base.errors import FindingsError
from ..base.files import write_atomic
from ..base.provenance import NOTICE, plain, write_json, write_table
from ..base.tables.cells import write_csv
from ..images.geometry import BOX
from .coco import EXTRA


def write_findings(
    path: Path | str,
    boxes: pd.DataFrame,
    *,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write boxes as a plain CSV (`.csv`) or COCO JSON (`.json`).

    Parameters
    ----------
    path
        The suffix chooses the format.
    boxes
        Columns `image_id`, `finding`, `row_min`, `col_min`, `row_max`, `col_max` (source edges); `score`, `latent`,
        `birads` and `note` are written along where there.
    shapes
        Rows and columns of the images by `image_id`: needed for COCO. Images without boxes are listed too.
    provenance
        Goes into COCO's `info`, or into a JSON beside the CSV.
    overwrite
        Whether a file that exists may be replaced.

    Raises
    ------
    FindingsError
        The file exists, the suffix is neither, or COCO lacks the size of an image.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".json"):
        raise FindingsError(f"{path.name}: boxes are written as .csv (plain) or .json (COCO)")
    if path.exists() and not overwrite:
        raise FindingsError(f"{path.name}: exists already; choose another name or allow it to be replaced")
    if path.suffix.lower() == ".json":
        write_json(path, _coco(path, boxes, dict(shapes or {}), provenance))
        return
    table = _plain(boxes, dict(shapes or {}))
    if provenance is not None:
        write_table(path, table, provenance)
        return
    with write_atomic(path) as temporary:
        write_csv(temporary, table)


def _plain(boxes: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> pd.DataFrame:
    table = pd.DataFrame({"image": boxes["image_id"], "finding": boxes["finding"]})
    for name, source in (("xmin", "col_min"), ("ymin", "row_min"), ("xmax", "col_max"), ("ymax", "row_max")):
        table[name] = boxes[source].astype("float64")
    for name in EXTRA:
        if name in boxes:
            table[name] = boxes[name]
    without = [image_id for image_id in shapes if image_id not in set(boxes["image_id"])]
    empty = pd.DataFrame({"image": without}).reindex(columns=table.columns)
    return pd.concat([table, empty], ignore_index=True) if without else table


def _coco(
    path: Path, boxes: pd.DataFrame, shapes: dict[str, tuple[int, int]], provenance: Mapping[str, Any] | None
) -> dict[str, Any]:
    unknown = [image_id for image_id in boxes["image_id"].unique() if image_id not in shapes]
    if unknown:
        raise FindingsError(f"{path.name}: COCO needs the size of every image; that of {unknown[0]} is not given")
    image_numbers = {image_id: number for number, image_id in enumerate(shapes, start=1)}
    names = sorted(boxes["finding"].unique())
    annotations = []
    for number, box in enumerate(boxes.to_dict("records"), start=1):
        top, left, bottom, right = (float(box[name]) for name in BOX)
        extra = {name: box[name] for name in EXTRA if name in box and not pd.isna(box[name])}
        annotations.append(
            {
                "id": number,
                "image_id": image_numbers[box["image_id"]],
                "category_id": names.index(box["finding"]) + 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                **extra,
            }
        )
    return {
        "info": {"description": f"boxes on mammograms; {NOTICE}", **plain(provenance or {})},
        "images": [
            {"id": image_numbers[image_id], "file_name": image_id, "height": int(rows), "width": int(cols)}
            for image_id, (rows, cols) in shapes.items()
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": annotations,
    }
