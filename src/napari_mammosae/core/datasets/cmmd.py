"""CMMD, the Chinese Mammography Database of TCIA: one folder a woman, and a table of breasts."""

import re
from pathlib import Path

import numpy as np

from ..images.dicom.reading import read_facts
from .dataset import DataSet, Folder, Record, make_data_set, side_of
from .sheets import read_sheet

TITLE = "CMMD"
_WOMAN = re.compile(r"D[12]-\d{4}")


def find(folder: Folder) -> DataSet | None:
    """Return the data set in a folder; None where it is not there."""
    tables = folder.named(r"CMMD_clinicaldata.*\.(csv|xlsx)")
    women = {path: woman for path in folder.images if (woman := _woman(folder, path))}
    if not tables or not women:
        return None
    table = min(tables, key=lambda path: path.suffix.lower() != ".csv")
    breasts: dict[tuple[str, str | None], list[dict[str, str]]] = {}
    for row in read_sheet(table, ("id1", "leftright", "abnormality", "classification")).to_dict("records"):
        breasts.setdefault((row["id1"], side_of(row["leftright"])), []).append({str(k): v for k, v in row.items()})
    records: list[Record] = []
    without = 0
    for path, woman in women.items():
        laterality, view = read_facts(path)
        rows = breasts.get((woman, laterality), [])
        without += not rows
        records.append(
            {"path": path, "patient": woman, "laterality": laterality, "view": view}
            | {f"label.{name}": value for name, value in _labels(rows).items()}
        )
    notes = [f"{TITLE}: images of breasts that the table does not name, without labels: {without}"] if without else []
    return make_data_set(
        TITLE, folder, records, tables=[table], boxes=lambda: ([], [f"{TITLE}: it has no boxes"]), notes=notes
    )


def _woman(folder: Folder, path: Path) -> str | None:
    return next((part for part in reversed(path.relative_to(folder.root).parts) if _WOMAN.fullmatch(part)), None)


def _labels(rows: list[dict[str, str]]) -> dict[str, float]:
    kinds = {row["abnormality"].lower() for row in rows} - {""}
    classes = {row["classification"].lower() for row in rows} - {""}
    return {
        "malignant": float("malignant" in classes) if classes else np.nan,
        "mass": float(bool(kinds & {"mass", "both"})) if kinds else np.nan,
        "calcification": float(bool(kinds & {"calcification", "both"})) if kinds else np.nan,
    }
