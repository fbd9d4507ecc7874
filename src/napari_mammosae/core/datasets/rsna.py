"""RSNA Screening Mammography (2023): `train.csv` and `train_images/<patient>/<image>.dcm`."""

from pathlib import Path

import numpy as np

from ..base.errors import FindingsError
from ..base.tables.reading import UNKNOWN, read_table
from .dataset import DataSet, Folder, Record, by_stem, copies_note, density_of, make_data_set, side_of

TITLE = "RSNA Screening Mammography"
_LABELS = ("cancer", "biopsy", "invasive", "implant", "difficult_negative_case")


def find(folder: Folder) -> DataSet | None:
    """Return the data set in a folder; None where it is not there."""
    tables = folder.named(r"train\.csv|test\.csv")
    tables = [path for path in tables if {"site_id", "patient_id", "image_id", "laterality", "view"} <= _columns(path)]
    if not tables:
        return None
    files, copies = by_stem(folder.images)
    records: list[Record] = []
    missing = 0
    for table in tables:
        cells = read_table(table)
        split = "training" if table.stem.lower() == "train" else "test"
        for row in cells.to_dict("records"):
            path = files.get(row["image_id"]) or files.get(f"{row['patient_id']}_{row['image_id']}")
            if path is None:
                missing += 1
                continue
            record: Record = {"path": path, "patient": row["patient_id"], "laterality": side_of(row["laterality"])}
            record |= {
                "view": row["view"].upper() or None,
                "split": split,
                "label.density": density_of(row.get("density")),
            }
            for name in (*_LABELS, "birads"):
                record[f"label.{name}"] = _number(row.get(name, ""))
            records.append(record)
    if not records:
        return None
    notes = copies_note(TITLE, copies)
    if missing:
        notes.append(f"{TITLE}: images of the tables that are not here, left out: {missing}")
    return make_data_set(
        TITLE, folder, records, tables=tables, boxes=lambda: ([], [f"{TITLE}: it has no boxes"]),
        categories={"density": ["a", "b", "c", "d"]}, notes=notes,
    )  # fmt: skip


def _columns(path: Path) -> set[str]:
    try:
        return set(map(str, read_table(path)))
    except FindingsError:  # another program's
        return set()


def _number(text: str) -> float:
    plain = text.strip().lower()
    return np.nan if plain in UNKNOWN else {"true": 1.0, "false": 0.0}.get(plain, _float(plain))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
