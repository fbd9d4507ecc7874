"""Labels of images: from VinDr-Mammo's tables, or from any CSV with one column a label."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import FindingsError
from ..base.names import slug
from ..base.reading import reads
from ..base.tables.reading import UNKNOWN, numbers, read_image_ids, read_table
from ..base.text import counted
from .label_values import has_letters, normal_texts, read_values, same_text
from .positives import Positive, Uncertain, bound_of, positive_of, value_for
from .vindr import categories

_IMAGE = ("image_id", "image", "path")
_FACTS = {
    "patient": ("patient", "patient_id", "study_id"),
    "laterality": ("laterality", "image_laterality"),
    "view": ("view", "view_position"),
    "split": ("split",),
}
_NOT_LABELS = frozenset(
    {*_IMAGE, *(name for names in _FACTS.values() for name in names), "series_id", "height", "width", "fold", "sha256"}
    | {"xmin", "ymin", "xmax", "ymax", "resized_xmin", "resized_ymin", "resized_xmax", "resized_ymax", "note"}
    | {"finding", "finding_categories", "finding_birads"}
)
_RENAMED = {"breast_density": "density", "breast_birads": "birads"}


@reads(FindingsError, "a table of labels")
def read_labels(path: Path | str, positive: Positive | None = None, uncertain: Uncertain = "unknown") -> pd.DataFrame:
    """Read labels at the level of the image: a finding counts when any row of the image has it.

    Parameters
    ----------
    path
        A VinDr-Mammo table; a plain CSV of boxes; or a wide CSV with `image`, `image_id` or `path` and one column a
        label: a number or a category, blank = unknown.
    positive
        The text that counts as 1, of every label that has it or by label.
    uncertain
        What -1 among 0 and 1, and texts such as "uncertain", count as.

    Returns
    -------
    DataFrame
        Indexed by `image_id`, in the order of the file: `patient`, `laterality`, `view`, `split` (None when unknown),
        `height`, `width`, and float64 `label.<slug>` columns, NaN when unknown. Density A to D is 0 to 3; categories
        are numbered in alphabetical order, of a known pair such as malignant and normal the positive one as 1, and
        listed in ``attrs["categories"][slug]``; ``attrs["notes"]`` says what was decided and left out.

    Raises
    ------
    FindingsError
        The file cannot be read, names no images, has no label, or mixes numbers and text in one.
    """
    path = Path(path)
    rows, facts = _rows(path, positive, uncertain)
    labels = [str(name) for name in rows if str(name).startswith("label.")]
    grouped = rows.groupby("image_id", sort=False)[labels]
    highest, lowest = grouped.max(), grouped.min()
    notes: list[str] = list(rows.attrs["notes"])
    for name in labels:
        names = rows.attrs["categories"].get(name.removeprefix("label."))
        if rows[name].dropna().isin((0.0, 1.0)).all() and (not names or positive_of(names) == 1):
            continue
        differ = (highest[name] != lowest[name]) & highest[name].notna()
        if differ.any():
            notes.append(
                f"{path.name}: {name} differs between the rows of {counted(int(differ.sum()), 'image')} and counts as "
                f"unknown there (first: {differ.index[differ][0]})"
            )
            highest.loc[differ, name] = np.nan
    table = facts.join(highest)
    table.attrs = {"categories": rows.attrs["categories"], "notes": notes, "told": rows.attrs["told"]}
    return table


@reads(FindingsError, "a table of labels")
def read_label_rows(
    path: Path | str, positive: Positive | None = None, uncertain: Uncertain = "unknown", *, needed: bool = True
) -> pd.DataFrame:
    """Read labels row by row, as the published evaluation counts: an image with two findings stands there twice.

    Parameters
    ----------
    path, positive, uncertain
        As `read_labels` takes them.
    needed
        Whether a table without labels is an error.

    Returns
    -------
    DataFrame
        `row` (position in the file), `image_id`, `split`, and `label.<slug>` of that row alone.
    """
    rows, _ = _rows(Path(path), positive, uncertain, needed)
    return rows


def image_facts(path: Path, cells: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
    """What a table says about its images as such, one row an image; see `read_labels` for the columns."""
    facts = pd.DataFrame({"image_id": image_ids}, index=cells.index)
    for name, sources in _FACTS.items():
        texts = _first_known(cells, sources)
        if name == "laterality":
            texts = [text[0].upper() if text and text[0].upper() in "LR" else None for text in texts]
        elif name == "view":
            texts = [text.upper() if text else None for text in texts]
        facts[name] = pd.Series(texts, index=cells.index, dtype=object)
    for name in ("height", "width"):
        facts[name] = numbers(path, cells, name) if name in cells else np.nan
    return facts.groupby("image_id", sort=False).first()


def _first_known(cells: pd.DataFrame, sources: tuple[str, ...]) -> list[str | None]:
    source = next((name for name in sources if name in cells), None)
    if source is None:
        return [None] * len(cells)
    return [text if text.lower() not in UNKNOWN else None for text in cells[source]]


def _rows(
    path: Path, positive: Positive | None, uncertain: Uncertain, needed: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels of each row, and facts of each image."""
    cells = read_table(path)
    image_ids = read_image_ids(path, cells, _IMAGE, "a table of labels")
    facts = image_facts(path, cells, image_ids)
    rows = pd.DataFrame({"row": np.arange(len(cells)), "image_id": image_ids}, index=cells.index)
    rows["split"] = pd.Series(_first_known(cells, _FACTS["split"]), index=cells.index, dtype=object)
    unused = ""
    if {"density", "breast_density"} <= set(cells):  # letters say what they mean, numbers may count from 0 or 1
        unused = "density" if has_letters(cells["breast_density"]) else "breast_density"
    found: dict[str, list[str]] = {}
    notes: list[str] = list(cells.attrs["notes"])
    told: list[str] = []
    for name in cells:
        if name in _NOT_LABELS or name == unused:
            continue
        label = _RENAMED.get(str(name), str(name))
        wanted = value_for(positive, label)
        if bound_of(wanted) is not None or same_text(wanted, normal_texts(cells[name])) is not None:
            told.append(label)
        values, names = read_values(path, cells, str(name), label, notes, positive, uncertain)
        if values is None:
            continue
        rows[f"label.{label}"] = values
        if names:
            found[label] = names
    for finding, values in _finding_columns(path, cells).items():
        if f"label.{finding}" not in rows:
            rows[f"label.{finding}"] = values
    if needed and not any(str(name).startswith("label.") for name in rows):
        raise FindingsError(f"{path.name}: has no column with labels; found {', '.join(map(str, cells.columns))}")
    rows = rows.reset_index(drop=True)
    rows.attrs = {"categories": found, "notes": notes, "told": told}
    return rows, facts


def _finding_columns(path: Path, cells: pd.DataFrame) -> dict[str, pd.Series]:
    """0/1 columns for the findings of tables that list them by name, one row a finding."""
    if "finding_categories" in cells:
        lists = [{slug(text) for text in found} for found in categories(path, cells)]
    elif "finding" in cells:
        lists = [{slug(text) for text in found} - {""} for found in categories(path, cells, "finding")]
    else:
        return {}
    names = sorted(set().union(*lists))
    return {name: pd.Series([float(name in found) for found in lists], index=cells.index) for name in names}
