"""Boxes from COCO JSON, as many programs write it: boxes, polygons or masks, identifiers as numbers or text."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import FindingsError
from ..base.files import explain_unreadable
from ..base.limits import check_limit
from ..base.names import LACKS_SLUG, slug, table_names
from ..base.reading import reads, short_reason
from ..base.structured import read_json
from ..images.geometry import BOX
from .vindr import SEPARATOR

EXTRA = ("score", "latent", "birads", "note")
"""What annotations may say beside COCO's own keys."""

_Edges = tuple[float, float, float, float]


@reads(FindingsError, "COCO JSON")
def read_coco(path: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Read COCO JSON: the table of boxes and that of images, as in `Findings`, and notes on what was decided."""
    left_out: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    try:
        content = read_json(path, FindingsError)
        names = {str(entry["id"]): _category(str(entry["name"])) for entry in content["categories"]}
        images = {str(entry["id"]): entry for entry in content["images"]}
        if len(images) < len(content["images"]) or len(names) < len(content["categories"]):
            raise ValueError("two images or categories have the same id")
        ids = dict(zip(images, table_names(str(entry["file_name"]) for entry in images.values()), strict=True))
        records = []
        for entry in content["annotations"]:
            image, category = str(entry["image_id"]), str(entry["category_id"])
            if image not in ids or category not in names:
                left_out["of an image or category that the file does not list"] += 1
                continue
            edges = _edges(entry.get("bbox"))
            if edges is None and (edges := _outline(path, entry.get("segmentation"))) is not None:
                drawn["polygons or masks"] += 1
            if edges is None:
                left_out["without a box, polygon or mask"] += 1
                continue
            records.append(
                {
                    "image_id": ids[image],
                    "finding": names[category],
                    **dict(zip(BOX, edges, strict=True)),
                    **{key: entry[key] for key in EXTRA if key in entry},
                }
            )
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
    columns = ["image_id", "finding", *BOX, *(key for key in EXTRA if any(key in record for record in records))]
    notes = [f"{path.name}: boxes drawn around {what}: {count}" for what, count in drawn.items()]
    notes += [f"{path.name}: annotations {why}, left out: {count}" for why, count in left_out.items()]
    return pd.DataFrame(records, columns=columns), facts[~index.duplicated()], notes


def _category(name: str) -> str:
    if not slug(name):
        raise ValueError(f"the category {name!r} {LACKS_SLUG}")
    if SEPARATOR.search(name):
        raise ValueError(f"the category {name!r} names several findings; give each a category of its own")
    return slug(name)


def _edges(bbox: Any) -> _Edges | None:
    """Edges of a box; None for one that is not given: null, empty or all zero."""
    if bbox is None or not len(bbox):
        return None
    left, top, width, height = (float(value) for value in bbox)
    if not np.isfinite([left, top, width, height]).all():
        raise ValueError(f"bbox {bbox} is not finite")
    return (top, left, top + height, left + width) if any((left, top, width, height)) else None


def _outline(path: Path, segmentation: Any) -> _Edges | None:
    """Edges of the box around polygons, or around a mask given as run lengths; None where there is neither."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        return _mask_edges(path, segmentation)
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    points = np.array([float(value) for part in parts for value in part]).reshape(-1, 2)
    if len(points) < 3:
        return None
    if not np.isfinite(points).all():
        raise ValueError("a polygon is not finite")
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return top, left, bottom, right


def _mask_edges(path: Path, segmentation: dict[str, Any]) -> _Edges | None:
    """Edges of a mask: lengths of runs of 0 and 1 by turns, down the columns."""
    rows = int(segmentation["size"][0])
    counts = segmentation["counts"]
    ends = np.cumsum([int(count) for count in (_lengths(counts) if isinstance(counts, str) else counts)])
    if not ends.size or rows < 1 or (np.diff(ends, prepend=0) < 0).any():
        raise ValueError("a mask with impossible run lengths")
    check_limit("pixels", int(ends[-1]), f"{path.name}: a mask of {int(ends[-1]):,} pixels", FindingsError)
    starts, stops = ends[:-1:2], ends[1::2]
    inside = stops > starts
    starts, stops = starts[inside], stops[inside]
    if not starts.size:
        return None
    first, last = starts // rows, (stops - 1) // rows
    several = bool((first != last).any())  # a run that goes on in the next column touches bottom and top
    top = 0 if several else int((starts % rows).min())
    bottom = rows if several else int(((stops - 1) % rows).max()) + 1
    return float(top), float(first.min()), float(bottom), float(last.max() + 1)


def _lengths(text: str) -> list[int]:
    """Run lengths from COCO's compressed text: five bits a character, differences to the run before last."""
    found: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError("a mask that is not COCO's compressed text")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = shift = 0
    return found
