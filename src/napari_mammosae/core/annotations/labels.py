"""Labels of images: from VinDr-Mammo's tables, or from any CSV with one column a label."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import FindingsError
from ..base.names import LACKS_SLUG, slug
from ..base.reading import reads
from ..base.tables import UNKNOWN, numbers, read_image_ids, read_table
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
_WORDS = {"no": 0.0, "yes": 1.0, "false": 0.0, "true": 1.0, "negative": 0.0, "positive": 1.0}
_DENSITIES = ("a", "b", "c", "d")
_MOST_CATEGORIES = 50


@reads(FindingsError, "a table of labels")
def read_labels(path: Path | str) -> pd.DataFrame:
    """Read labels at the level of the image: a finding counts when any row of the image has it.

    Parameters
    ----------
    path
        A VinDr-Mammo table; a plain CSV of boxes; or a wide CSV with `image`, `image_id` or `path` and one column a
        label: a number or a category, blank = unknown.

    Returns
    -------
    DataFrame
        Indexed by `image_id`, in the order of the file: `patient`, `laterality`, `view`, `split` (None when unknown),
        `height`, `width`, and float64 `label.<slug>` columns, NaN when unknown. Density A to D is 0 to 3; categories
        are numbered in alphabetical order and listed in ``attrs["categories"][slug]``; ``attrs["notes"]`` says what
        was left out.

    Raises
    ------
    FindingsError
        The file cannot be read, names no images, has no label, or mixes numbers and text in one.
    """
    path = Path(path)
    rows, facts = _rows(path)
    labels = [str(name) for name in rows if str(name).startswith("label.")]
    grouped = rows.groupby("image_id", sort=False)[labels]
    highest, lowest = grouped.max(), grouped.min()
    notes: list[str] = list(rows.attrs["notes"])
    for name in labels:
        if rows[name].dropna().isin((0.0, 1.0)).all():
            continue
        differ = (highest[name] != lowest[name]) & highest[name].notna()
        if differ.any():
            notes.append(
                f"{path.name}: {name} differs between the rows of {differ.sum()} images and counts as unknown there "
                f"(first: {differ.index[differ][0]})"
            )
            highest.loc[differ, name] = np.nan
    table = facts.join(highest)
    table.attrs = {"categories": rows.attrs["categories"], "notes": notes}
    return table


@reads(FindingsError, "a table of labels")
def read_label_rows(path: Path | str) -> pd.DataFrame:
    """Read labels row by row, as the published evaluation counts: an image with two findings stands there twice.

    Returns
    -------
    DataFrame
        `row` (position in the file), `image_id`, `split`, and `label.<slug>` of that row alone.
    """
    rows, _ = _rows(Path(path))
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


def _rows(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels of each row, and facts of each image."""
    cells = read_table(path)
    image_ids = read_image_ids(path, cells, _IMAGE, "a table of labels")
    facts = image_facts(path, cells, image_ids)
    rows = pd.DataFrame({"row": np.arange(len(cells)), "image_id": image_ids}, index=cells.index)
    rows["split"] = pd.Series(_first_known(cells, _FACTS["split"]), index=cells.index, dtype=object)
    found: dict[str, list[str]] = {}
    notes: list[str] = []
    for name in cells:
        if name in _NOT_LABELS or (name == "breast_density" and "density" in cells):
            continue
        values, names = _values(path, cells, str(name), notes)
        if values is None:
            continue
        label = {"breast_density": "density", "breast_birads": "birads"}.get(str(name), str(name))
        rows[f"label.{label}"] = values
        if names:
            found[label] = names
    for finding, values in _finding_columns(path, cells).items():
        if f"label.{finding}" not in rows:
            rows[f"label.{finding}"] = values
    if not any(str(name).startswith("label.") for name in rows):
        raise FindingsError(f"{path.name}: has no column with labels; found {', '.join(map(str, cells.columns))}")
    rows = rows.reset_index(drop=True)
    rows.attrs = {"categories": found, "notes": notes}
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


def _values(path: Path, cells: pd.DataFrame, name: str, notes: list[str]) -> tuple[pd.Series | None, list[str]]:
    """Numbers of one label column, and the names behind them; None for a column that is no label."""
    texts = cells[name].str.lower()
    known = texts[~texts.isin(UNKNOWN)]
    if not len(known):
        notes.append(f"{path.name}: column {name} is blank and was left out")
        return None, []
    if not slug(name):
        raise FindingsError(f"{path.name}: the label {name!r} {LACKS_SLUG}")
    if name in ("density", "breast_density") and known.str.fullmatch(r"(density\s*)?[abcd]").all():
        return known.str[-1].map(_DENSITIES.index).astype("float64").reindex(cells.index), list(_DENSITIES)
    if name in ("birads", "breast_birads") and known.str.fullmatch(r"bi-?rads\s*\d").all():
        return known.str[-1].astype("float64").reindex(cells.index), []
    if known.isin(list(_WORDS)).all():
        return known.map(_WORDS).reindex(cells.index), []
    numeric = known.str.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?")
    if numeric.any():  # a text among numbers is a slip, not a category: let the reader of numbers name its line
        values = numbers(path, cells, name)
        letters = name == "density" and values.dropna().isin(range(len(_DENSITIES))).all()
        return values, list(_DENSITIES) if letters else []
    names = sorted({re.sub(r"\s+", " ", text) for text in known})
    if len(names) > _MOST_CATEGORIES:
        notes.append(f"{path.name}: column {name} has {len(names)} different texts, is taken for a remark and left out")
        return None, []
    return known.map({text: names.index(re.sub(r"\s+", " ", text)) for text in known.unique()}).astype(
        "float64"
    ).reindex(cells.index), names
