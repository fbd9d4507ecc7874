"""VinDr-Mammo: the DICOM files of PhysioNet, and the PNG copies published with Mammo-CLIP."""

from pathlib import Path

import pandas as pd

from ..annotations.boxes import Findings, read_findings
from ..annotations.labels import read_label_rows, read_labels
from ..base.errors import FindingsError
from ..base.names import ImageNames
from ..base.tables.reading import read_table
from ..images.listing import ImageList, image_ids
from .dataset import DataSet, Folder, by_stem, copies_note

TITLE = "VinDr-Mammo"
_FINDINGS, _FOLDS, _BREASTS = r"finding_annotations\.csv", r"vindr_detection.*\.csv", r"breast-level_annotations\.csv"


def find(folder: Folder) -> DataSet | None:
    """Return the data set whose tables and images lie in a folder; None where they do not."""
    tables = [path for name in (_FINDINGS, _FOLDS, _BREASTS) for path in folder.named(name)[:1]]
    return _made(folder, tables, ordered=False) if tables else None


def find_listed(table: Path) -> DataSet | None:
    """Return the images that one of the data set's own tables names, in its order; None for another table."""
    try:
        columns = set(read_table(table))
    except FindingsError:  # said where it is read as a list of images
        return None
    if "path" in columns or "image_id" not in columns or not {"finding_categories", "breast_birads"} & columns:
        return None
    for root in (table.absolute().parent, table.absolute().parent.parent):
        folder = Folder(root)
        if folder.images:
            return _made(folder, [table], ordered=True)
    return None


def _made(folder: Folder, tables: list[Path], *, ordered: bool) -> DataSet | None:
    files, copies = by_stem(folder.images)
    read = [read_labels(table) for table in tables]
    labels = read[0]
    for other in read[1:]:
        columns = [*labels.columns, *(name for name in other if name not in labels)]
        categories = other.attrs["categories"] | labels.attrs["categories"]
        labels = labels.combine_first(other)[columns]
        labels.attrs = {"categories": categories}
    known = list(labels.index)
    paths = list(files.values())
    places = ImageNames(known).match([path.as_posix() for path in paths]).places
    chosen = [(place if ordered else path, path, known[place])
              for path, place in zip(paths, places, strict=True) if place is not None]  # fmt: skip
    if not chosen:
        return None
    chosen.sort(key=lambda item: item[0])
    found = [path for _, path, _ in chosen]
    ids = image_ids(folder.root, found)
    calls = dict(zip((name for _, _, name in chosen), ids, strict=True))
    notes = [note for table in read for note in table.attrs.get("notes", ())] + copies_note(TITLE, copies)
    if missing := [name for name in known if name not in calls]:
        notes.append(f"{TITLE}: images of the tables that are not here, left out: {len(missing)} (first: {missing[0]})")
    if extra := len(paths) - len(found):
        notes.append(f"{TITLE}: images here that the tables do not name, left out: {extra}")
    facts = labels.loc[list(calls)].rename(index=calls)
    facts.attrs = {"categories": labels.attrs["categories"], "notes": notes, "told": []}
    return DataSet(
        TITLE, ImageList(folder.root, tuple(found), ids, None, tuple(folder.notes)), facts, _rows(tables, calls),
        tuple(tables), lambda: _boxes(tables, found),
    )  # fmt: skip


def _rows(tables: list[Path], calls: dict[str, str]) -> pd.DataFrame | None:
    rows = read_label_rows(tables[0])
    rows = rows[rows["image_id"].isin(list(calls))]
    return rows.assign(image_id=rows["image_id"].map(calls)).reset_index(drop=True)


def _boxes(tables: list[Path], images: list[Path]) -> Findings:
    """Boxes of the first table that has any; PNG copies need that with resized boxes."""
    read = [read_findings(table) for table in tables]
    copied = any(path.suffix.lower() == ".png" for path in images)
    resized = [findings for findings in read if "resized_row_min" in findings.table]
    return next((findings for findings in (*(resized if copied else ()), *read) if len(findings.table)), read[0])
