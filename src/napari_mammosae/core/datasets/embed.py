"""EMBED, the open part of the Emory data set: tables of metadata and clinical data, and DICOM files."""

import re
from pathlib import Path

import numpy as np

from ..base.names import ImageNames
from ..base.tables.reading import read_table, require
from .dataset import DataSet, Folder, Record, agreed, by_stem, copies_note, density_of, make_data_set, side_of

TITLE = "EMBED"
_ASSESSMENTS = {"a": 0, "n": 1, "b": 2, "p": 3, "s": 4, "m": 5, "k": 6}
"""Letters of BI-RADS assessments; X means none."""

_ROI = re.compile(r"[(\[]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*[)\]]")


def find(folder: Folder) -> DataSet | None:
    """Return the data set in a folder; None where it is not there."""
    metadata = next(iter(folder.named(r"EMBED_OpenData_metadata.*\.csv")), None)
    if metadata is None:
        return None
    cells = read_table(metadata)
    require(metadata, cells, ("empi_anon", "anon_dicom_path", "imagelateralityfinal", "viewposition"), "EMBED's table")
    clinical = next(iter(folder.named(r"EMBED_OpenData_clinical.*\.csv")), None)
    exams = _exams(clinical) if clinical is not None else {}
    files, copies = by_stem(folder.images)
    paths = list(files.values())
    rows = cells.to_dict("records")
    places = ImageNames(cells["anon_dicom_path"]).match([path.as_posix() for path in paths]).places
    records: list[Record] = []
    boxes: list[Record] = []
    others = 0
    for path, place in zip(paths, places, strict=True):
        if place is None:
            continue
        row = {str(name): text for name, text in rows[place].items()}
        if row.get("finalimagetype", "2D").upper() not in ("2D", ""):
            others += 1
            continue
        side = side_of(row["imagelateralityfinal"])
        record: Record = {"path": path, "patient": row["empi_anon"], "laterality": side}
        record["view"] = row["viewposition"].upper() or None
        exam = exams.get(row.get("acc_anon", ""), [])
        records.append(record | _labels([one for one in exam if side is None or one["side"] in (side, "B", "")]))
        for found in _ROI.findall(row.get("roi_coords", "")):
            edges = dict(zip(("row_min", "col_min", "row_max", "col_max"), map(float, found), strict=True))
            boxes.append({"path": path, "finding": "finding", **edges})
    if not records:
        return None
    notes = copies_note(TITLE, copies)
    if missing := len(rows) - len(records) - others:
        notes.append(f"{TITLE}: images of the table that are not here, left out: {missing}")
    if others:
        notes.append(f"{TITLE}: images that are not 2-D mammograms, left out: {others}")
    tables = [metadata, *([clinical] if clinical is not None else [])]
    categories = {"density": ["a", "b", "c", "d"]}
    return make_data_set(
        TITLE, folder, records, tables=tables, boxes=lambda: (boxes, []), categories=categories, notes=notes
    )


def _exams(clinical: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_table(clinical).to_dict("records"):
        texts = {str(name): text.removesuffix(".0") for name, text in row.items()}
        side = texts.get("side", "").upper()
        found.setdefault(texts.get("acc_anon", ""), []).append(
            texts | {"side": side if side in ("L", "R", "B") else ""}
        )
    return found


def _labels(exam: list[dict[str, str]]) -> dict[str, float]:
    """Density, BI-RADS, and cancer: a pathology of severity 0 (invasive) or 1 (not invasive)."""
    severities = {row.get("path_severity", "") for row in exam} & set("0123456")
    return {
        "label.density": agreed(density_of(row.get("tissueden")) for row in exam),
        "label.birads": agreed(float(_ASSESSMENTS.get(row.get("asses", "").lower(), np.nan)) for row in exam),
        "label.cancer": float(bool(severities & {"0", "1"})) if severities else np.nan,
    }
