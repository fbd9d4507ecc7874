"""INbreast: `AllDICOMs`, a plist of outlines for each image in `AllXML`, and a table of images."""

import math
import plistlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..annotations.label_values import read_values
from ..base.errors import FindingsError
from ..base.limits import check_limit
from ..base.names import slug
from ..base.reading import reads
from ..base.text import size_text
from ..images.geometry import BOX
from .dataset import DataSet, Folder, Record, density_of, make_data_set, side_of
from .sheets import read_sheet

TITLE = "INbreast"
_FILE = re.compile(r"(\d{8})_([0-9a-f]{16})_MG_([LR])_(CC|ML|MLO|FB)_ANON", re.IGNORECASE)
"""Number of the image, woman, side and view."""

_POINT = re.compile(r"[({]\s*([-+.\deE]+)\s*,\s*([-+.\deE]+)\s*[)}]")


def find(folder: Folder) -> DataSet | None:
    """Return the data set in a folder; None where it is not there."""
    named = [(path, match) for path in folder.images if (match := _FILE.match(path.name))]
    if not named:
        return None
    outlines = {path.stem: path for path in folder.named(r"\d{8}\.xml")}
    tables = sorted(folder.named(r"INbreast\.(csv|xlsx?)"), key=lambda path: path.suffix.lower() != ".csv")[:1]
    facts, categories, notes = _facts(tables[0]) if tables else ({}, {}, [f"{TITLE}: its table is not here"])
    boxes: list[Record] = []
    records: list[Record] = []
    for path, match in named:
        view = match[4].upper()
        record: Record = {"path": path, "patient": match[2].lower(), "laterality": side_of(match[3])}
        record["view"] = "MLO" if view == "ML" else view  # the files say ML where the table says MLO
        records.append(record | facts.get(match[1], {}))
        if match[1] in outlines:
            boxes += [{"path": path, **box} for box in read_outlines(outlines[match[1]])]
    if outlines:
        drawn = {(box["path"], box["finding"]) for box in boxes}
        for finding in sorted({box["finding"] for box in boxes}):
            for record in records:
                record[f"label.{finding}"] = float((record["path"], finding) in drawn)
    used = [*tables, *(outlines[match[1]] for _, match in named if match[1] in outlines)]
    return make_data_set(
        TITLE, folder, records, tables=used, boxes=lambda: (boxes, []), categories=categories, notes=notes
    )


@reads(FindingsError, "INbreast's outlines in XML")
def read_outlines(path: Path) -> list[Record]:
    """Read the boxes around the outlines of one image: `finding` and edges; single points are boxes of one pixel."""
    size = path.stat().st_size
    check_limit("text_bytes", size, f"{path.name}: {size_text(size)}", FindingsError)
    content: Any = plistlib.loads(path.read_bytes(), fmt=plistlib.FMT_XML)
    images = content["Images"]
    if not isinstance(images, list):
        raise ValueError("it lists no images")
    found: list[Record] = []
    for image in images:
        for region in image["ROIs"]:
            finding = slug(str(region["Name"]))
            points = [_POINT.fullmatch(str(text).strip()) for text in region["Point_px"]]
            if not points or not all(points):
                continue
            cols, rows = ([float(match[part]) for match in points if match] for part in (1, 2))
            if not finding or not all(map(math.isfinite, (*rows, *cols))):
                continue
            top, left = math.floor(min(rows)), math.floor(min(cols))
            bottom, right = max(top + 1, math.ceil(max(rows))), max(left + 1, math.ceil(max(cols)))
            found.append({"finding": finding, **dict(zip(BOX, map(float, (top, left, bottom, right)), strict=True))})
    return found


def _facts(table: Path) -> tuple[dict[str, Record], dict[str, list[str]], list[str]]:
    """Density and BI-RADS by the image's number."""
    cells = read_sheet(table, ("file_name", "acr", "bi_rads"))
    cells = cells[cells["file_name"].str.fullmatch(r"\d{8}(\.0)?")]
    notes: list[str] = []
    values, names = read_values(table, cells, "bi_rads", "birads", notes, None, "unknown")
    birads = [np.nan] * len(cells) if values is None else values.tolist()
    categories = {"density": ["a", "b", "c", "d"]} | ({"birads": names} if names else {})
    facts = {
        name[:8]: {"label.density": density_of(density), "label.birads": number}
        for name, density, number in zip(cells["file_name"], cells["acr"], birads, strict=True)
    }
    return facts, categories, notes
