"""Boxes on disk: plain CSV and COCO JSON, written whole, with where they came from, never over a file unasked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.cells import write_csv
from ..base.errors import FindingsError
from ..base.files import explain_unreadable, write_atomic
from ..base.names import LACKS_SLUG, slug, table_names
from ..base.provenance import NOTICE, plain, write_json, write_table
from ..base.reading import reads, short_reason
from ..base.structured import read_json
from ..images.geometry import BOX
from .vindr import SEPARATOR

_EXTRA = ("score", "latent", "birads", "note")


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


@reads(FindingsError, "COCO JSON")
def read_coco(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read COCO JSON: the table of boxes and that of images, as in `Findings`."""
    try:
        content = read_json(path, FindingsError)
        names = {entry["id"]: _category(str(entry["name"])) for entry in content["categories"]}
        images = {entry["id"]: entry for entry in content["images"]}
        ids = dict(zip(images, table_names(str(entry["file_name"]) for entry in images.values()), strict=True))
        records = [
            {
                "image_id": ids[entry["image_id"]],
                "finding": names[entry["category_id"]],
                **dict(zip(BOX, _edges(entry["bbox"]), strict=True)),
                **{key: entry[key] for key in _EXTRA if key in entry},
            }
            for entry in content["annotations"]
        ]
        sizes = [[float(entry.get(side) or np.nan) for side in ("height", "width")] for entry in images.values()]
    except OSError as error:
        raise FindingsError(explain_unreadable(path, error)) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise FindingsError(
            f"{path.name}: not COCO JSON ({type(error).__name__}: {short_reason(error)}); expected "
            "images (id, file_name), categories (id, name) and annotations (image_id, category_id, bbox)"
        ) from error
    index = pd.Index(list(ids.values()), name="image_id", dtype=object)
    facts = pd.DataFrame(np.array(sizes).reshape(-1, 2), index=index, columns=["height", "width"])
    for name in ("split", "view", "laterality", "patient"):
        facts.insert(0, name, pd.Series([None] * len(facts), index=index, dtype=object))
    columns = ["image_id", "finding", *BOX, *(key for key in _EXTRA if any(key in record for record in records))]
    return pd.DataFrame(records, columns=columns), facts[~index.duplicated()]


def _category(name: str) -> str:
    if not slug(name):
        raise ValueError(f"the category {name!r} {LACKS_SLUG}")
    if SEPARATOR.search(name):
        raise ValueError(f"the category {name!r} names several findings; give each a category of its own")
    return slug(name)


def _edges(bbox: Any) -> tuple[float, float, float, float]:
    left, top, width, height = (float(value) for value in bbox)
    if not np.isfinite([left, top, width, height]).all():
        raise ValueError(f"bbox {bbox} is not finite")
    return top, left, top + height, left + width


def _plain(boxes: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> pd.DataFrame:
    table = pd.DataFrame({"image": boxes["image_id"], "finding": boxes["finding"]})
    for name, source in (("xmin", "col_min"), ("ymin", "row_min"), ("xmax", "col_max"), ("ymax", "row_max")):
        table[name] = boxes[source].astype("float64")
    for name in _EXTRA:
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
        extra = {name: box[name] for name in _EXTRA if name in box and not pd.isna(box[name])}
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
