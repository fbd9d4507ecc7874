"""CBIS-DDSM: a folder a view, masks of its abnormalities in folders beside it, and four tables."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from ..base.errors import MammoSAEError
from ..base.tables.reading import read_table, require
from ..images.dicom.facts import CBIS_CASE
from ..images.dicom.reading import read_shape
from ..images.geometry import BOX
from ..images.mammogram import read_mammogram
from .dataset import DataSet, Folder, Record, agreed, density_of, make_data_set, side_of

TITLE = "CBIS-DDSM"
_KINDS = {"Mass": "mass", "Calc": "calcification"}
_SPLITS = {"Training": "training", "Test": "test"}
_COLUMNS = ("patient_id", "left_or_right_breast", "image_view", "pathology", "assessment")

_View = tuple[str, str | None, str]
"""Woman, side and view."""


def find(folder: Folder) -> DataSet | None:
    """Return the data set in a folder; None where it is not there."""
    cases = _cases(folder)
    whole = {path: match for path, match in cases.items() if match["number"] is None}
    if not whole:
        return None
    tables = folder.named(r"(mass|calc)_case_description_(train|test)_set\.csv")
    known = _described(tables)
    kinds: dict[_View, set[str]] = defaultdict(set)
    for match in cases.values():
        kinds[_view(match)].add(match["kind"])
    records: list[Record] = []
    for path, match in whole.items():
        woman, side, view = key = _view(match)
        records.append(
            {"path": path, "patient": woman, "laterality": side, "view": view, "split": _SPLITS[match["split"]]}
            | {f"label.{name}": float(kind in kinds[key]) for kind, name in _KINDS.items()}
            | _labels(known.get(key, []))
        )
    masks = len(cases) - len(whole)
    notes = [f"{TITLE}: masks and crops of abnormalities, not taken as images: {masks}"] if masks else []
    if not tables:
        notes.append(
            f"{TITLE}: its tables (mass_case_description_train_set.csv ...) are not here; no pathology is known"
        )
    return make_data_set(
        TITLE, folder, records, tables=tables, boxes=lambda: _boxes(cases, whole),
        categories={"density": ["a", "b", "c", "d"]}, notes=notes,
    )  # fmt: skip


def _cases(folder: Folder) -> dict[Path, re.Match[str]]:
    """Images and the name of their case: a folder's, or as `dicom_info.csv` of the JPEG copy has it."""
    listed: dict[tuple[str, ...], str] = {}
    for table in folder.named(r"dicom_info\.csv")[:1]:
        cells = read_table(table)
        if {"image_path", "patientid"} <= set(cells):
            listed = {
                tuple(path.split("/")[-2:]): case
                for path, case in zip(cells["image_path"], cells["patientid"], strict=True)
            }
    found = {}
    for path in folder.images:
        parts = path.relative_to(folder.root).parts
        names = [*parts[:-1], listed.get(parts[-2:], "")]
        if match := next((match for name in reversed(names) if (match := CBIS_CASE.fullmatch(name))), None):
            found[path] = match
    return found


def _view(match: re.Match[str]) -> _View:
    return match["woman"], side_of(match["side"]), match["view"]


def _described(tables: list[Path]) -> dict[_View, list[dict[str, str]]]:
    found: dict[_View, list[dict[str, str]]] = defaultdict(list)
    for table in tables:
        cells = read_table(table)
        require(table, cells, _COLUMNS, "a table of CBIS-DDSM")
        for row in cells.to_dict("records"):
            texts = {str(name): text for name, text in row.items()}
            key = (texts["patient_id"], side_of(texts["left_or_right_breast"]), texts["image_view"].upper())
            found[key].append(texts)
    return found


def _labels(rows: list[dict[str, str]]) -> dict[str, float]:
    pathologies = {row["pathology"].upper() for row in rows} - {""}
    assessments = [float(row["assessment"]) for row in rows if row["assessment"] in set("0123456")]
    return {
        "label.malignant": float("MALIGNANT" in pathologies) if pathologies else np.nan,
        "label.density": agreed(density_of(row.get("breast_density")) for row in rows),
        "label.birads": max(assessments, default=np.nan),
    }


def _boxes(cases: dict[Path, re.Match[str]], whole: dict[Path, re.Match[str]]) -> tuple[list[Record], list[str]]:
    """Boxes around the masks: of the files of an abnormality the one that is as large as the mammogram."""
    images = {match[0]: path for path, match in whole.items()}
    beside: dict[str, list[Path]] = defaultdict(list)
    for path, match in cases.items():
        if match["number"] is not None:
            beside[match[0]].append(path)
    found: list[Record] = []
    lacking: list[str] = []
    for name, paths in sorted(beside.items()):
        image = images.get(name.rpartition("_")[0])
        if image is None:
            continue
        shape = _shape(image)
        mask = next((path for path in paths if shape is not None and _shape(path) == shape), None)
        edges = _edges(mask) if mask is not None else None
        if edges is None:
            lacking.append(name)
            continue
        found.append({"path": image, "finding": _KINDS[cases[paths[0]]["kind"]], **dict(zip(BOX, edges, strict=True))})
    what = f"{TITLE}: abnormalities without a mask of their image's size, left out: {len(lacking)}"
    return found, [f"{what} (first: {lacking[0]})"] if lacking else []


def _shape(path: Path) -> tuple[int, int] | None:
    if (shape := read_shape(path)) is not None:
        return shape
    try:
        return read_mammogram(path).shape
    except MammoSAEError:
        return None


def _edges(mask: Path) -> tuple[float, float, float, float] | None:
    try:
        pixels = read_mammogram(mask).pixels
    except MammoSAEError:  # empty or damaged
        return None
    inside = pixels > pixels.max() / 2  # JPEG copies are not quite black and white
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return float(rows[0]), float(cols[0]), float(rows[-1] + 1), float(cols[-1] + 1)
