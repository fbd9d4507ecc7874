"""What a data set says about its images, whatever its own layout is."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..annotations.boxes import Findings, checked_findings
from ..annotations.positives import DENSITIES
from ..base.names import IMAGE_SUFFIXES, table_names, valid_text
from ..images.geometry import BOX
from ..images.listing import ImageList, choose_images, image_ids, walk

FACTS = ("patient", "laterality", "view", "split")

Record = dict[str, Any]
"""One image: `path`, any of `FACTS`, and `label.<name>`."""


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """A published data set on this disk.

    Attributes
    ----------
    title
        What it is called.
    images
        Its mammograms, without masks, crops and copies.
    labels
        One row an image of `images`, as `read_labels` gives them.
    rows
        One row a finding, as `read_label_rows` gives them; None where the data set has labels of images only.
    tables
        The files that labels and facts come from.
    read_boxes
        Reads the boxes of its findings, which can take minutes where they come from masks.
    """

    title: str
    images: ImageList
    labels: pd.DataFrame
    rows: pd.DataFrame | None
    tables: tuple[Path, ...]
    read_boxes: Callable[[], Findings]


class Folder:
    """The files below a folder, found once.

    Attributes
    ----------
    root
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _found(self) -> tuple[list[Path], list[str]]:
        return walk(self.root)

    @property
    def notes(self) -> list[str]:
        """What the search has to say."""
        return [*self._found[1], *self._chosen[1]]

    @property
    def files(self) -> list[Path]:
        """All files, sorted."""
        return self._found[0]

    @property
    def images(self) -> list[Path]:
        """Files that look like images."""
        return self._chosen[0]

    @cached_property
    def _chosen(self) -> tuple[list[Path], list[str]]:
        return choose_images(self.files)

    def named(self, pattern: str) -> list[Path]:
        """Return the files whose whole name fits a pattern in any case, those near the root first."""
        fits = re.compile(pattern, re.IGNORECASE).fullmatch
        return sorted((path for path in self.files if fits(path.name)), key=lambda path: (len(path.parts), path))

    def name_of(self, path: Path) -> str:
        """Return the name of an image below the root, with its folders."""
        return valid_text(path.relative_to(self.root).as_posix())


def make_data_set(
    title: str,
    folder: Folder,
    records: Iterable[Record],
    *,
    tables: Sequence[Path],
    boxes: Callable[[], tuple[list[Record], list[str]]],
    categories: Mapping[str, list[str]] | None = None,
    notes: Sequence[str] = (),
) -> DataSet:
    """Put a data set together from what is known of each image.

    Parameters
    ----------
    title, folder, tables
        See `DataSet`.
    records
        The images; sorted by path.
    boxes
        Returns rows with `path`, `finding`, the edges `row_min` ... in source pixels, and perhaps `note`; and notes.
    categories
        Names behind the numbers of labels.
    notes
        Sentences for the user.
    """
    found = sorted(records, key=lambda record: record["path"])
    paths = [record["path"] for record in found]
    index = pd.Index(image_ids(folder.root, paths), name="image_id", dtype=object)
    table = pd.DataFrame(found, index=index)
    labels = pd.DataFrame(index=index)
    for name in FACTS:
        column = table[name] if name in table else pd.Series(None, index=index, dtype=object)
        labels[name] = column.astype(object).where(column.notna(), None)
    labels[["height", "width"]] = np.nan
    for name in map(str, table):
        if name.startswith("label.") and table[name].notna().any():
            labels[name] = table[name].astype("float64")
    labels.attrs = {"categories": dict(categories or {}), "notes": list(notes), "told": []}

    def read_boxes() -> Findings:
        rows, said = boxes()
        columns = ["image_id", "finding", *BOX, *(["note"] if any("note" in row for row in rows) else [])]
        names = dict(zip(paths, table_names(map(folder.name_of, paths)), strict=True))
        named = [{**row, "image_id": names[row["path"]]} for row in rows]
        images = labels[[*FACTS, "height", "width"]].set_axis(pd.Index(list(names.values()), name="image_id"))
        return checked_findings(title, pd.DataFrame(named, columns=columns), images, said)

    listed = ImageList(folder.root, tuple(paths), tuple(index), None, tuple(folder.notes))
    return DataSet(title, listed, labels, None, tuple(tables), read_boxes)


def by_stem(paths: Iterable[Path]) -> tuple[dict[str, Path], int]:
    """Return the file of each name without folders and suffix, DICOM before others; and how many copies that left."""
    found: dict[str, Path] = {}
    copies = 0
    for path in sorted(paths, key=lambda path: (path.suffix.lower() in IMAGE_SUFFIXES[3:], path)):
        stem = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
        copies += stem in found
        found.setdefault(stem, path)
    return found, copies


def copies_note(title: str, copies: int) -> list[str]:
    """Return the sentence about images that are there more than once."""
    return [f"{title}: further copies of images, left out (DICOM is preferred): {copies}"] if copies else []


def side_of(text: str | None) -> str | None:
    """Return L or R of `LEFT`, `left`, `R` ..."""
    letter = (text or "").strip()[:1].upper()
    return letter if letter in ("L", "R") else None


def density_of(text: str | None) -> float:
    """Return the number of a density, 0 to 3 for A to D or 1 to 4; NaN where it is neither."""
    plain = (text or "").strip().lower().removesuffix(".0")
    places = {**dict(zip(DENSITIES, range(4), strict=True)), **{str(place + 1): place for place in range(4)}}
    return float(places[plain]) if plain in places else np.nan


def agreed(values: Iterable[float]) -> float:
    """Return the one value that all known ones have; NaN where there is none, or they differ."""
    known = {value for value in values if value == value}
    return known.pop() if len(known) == 1 else np.nan
