"""What the cells of a label's column mean: numbers, yes and no, categories, uncertain ones."""

import re
from pathlib import Path

import pandas as pd

from ..base.errors import FindingsError
from ..base.names import LACKS_SLUG, slug
from ..base.tables.reading import UNKNOWN, numbers
from ..base.text import counted
from .positives import (
    DENSITIES,
    Positive,
    Uncertain,
    bound_of,
    from_bound,
    normal_text,
    ordered,
    positive_of,
    told,
    value_for,
)

_WORDS = {"no": 0, "yes": 1, "n": 0, "y": 1, "false": 0, "true": 1, "negative": 0, "positive": 1, "neg": 0, "pos": 1}
_WORDS |= {"absent": 0, "present": 1}
_UNSURE = {"uncertain", "unsure", "not sure", "indeterminate", "undetermined", "equivocal", "unclear", "?"}
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?"
_LETTER = r"((breast )?density|acr|bi-?rads|type|category)?[ :_-]*[abcd]"
_ASSESSMENT = r"(bi-?rads)?[ :_-]*([0-6]) ?([abc]?)"
_INDEX = {"index", "idx", "level_0", "row", "row_id", "row_number", "id", "x", "no", "nr", "number"}
_MOST_CATEGORIES = 50

Values = tuple[pd.Series | None, list[str]]


def read_values(
    path: Path, cells: pd.DataFrame, name: str, label: str, notes: list[str], positive: Positive | None, how: Uncertain
) -> Values:
    """Read one column as a label.

    Parameters
    ----------
    path, cells, name
        The file, its cells, and the column.
    label
        What the label is called.
    notes
        Gets a sentence for everything that was decided or left out.
    positive, how
        What the user said about positive texts, and about uncertain cells.

    Returns
    -------
    values
        float64, NaN where unknown; None for a column that is not a label.
    names
        The names behind the numbers; empty for numbers and for 0 and 1.
    """
    texts = normal_texts(cells[name])
    known = texts[~texts.isin(UNKNOWN)]
    if not len(known):
        notes.append(f"{path.name}: column {name} is blank and was left out")
        return None, []
    if is_index(name, known):
        notes.append(f"{path.name}: column {name} numbers the rows and was left out")
        return None, []
    if not slug(name):
        raise FindingsError(f"{path.name}: the label {name!r} {LACKS_SLUG}")
    unsure = _unsure(known, label)
    sure = known[~unsure]
    wanted = value_for(positive, label)
    if (bound := bound_of(wanted)) is not None:
        found, names = _numbered(path, cells.loc[sure.index], name, label, sure, notes)
        if found is None:
            return None, []
        numbers = from_bound(bound, found.dropna().unique(), names)
        if numbers is None:
            raise FindingsError(f"{path.name}: the values of {label} have no order in which {wanted!r} makes sense")
        notes.append(f"{path.name}: {label} counts {wanted!r} as positive, all else as negative")
        values = found.isin(numbers).astype("float64").where(found.notna())
        return values.reindex(cells.index), told([], str(wanted))
    value = same_text(wanted, sure)
    if value is None and not isinstance(positive, str):
        value = wanted  # another table has it
    if value is not None:
        values, names = (sure == value).astype("float64"), told(sure.unique(), value)
        notes.append(f"{path.name}: {label} counts {value!r} as positive, all else as negative")
        if _WORDS.get(value) == 1 or (value == "1" and sure.isin(["0", "1"]).all()):
            names = []
    elif not len(sure):
        notes.append(f"{path.name}: column {name} is uncertain throughout and was left out")
        return None, []
    else:
        found, names = _numbered(path, cells.loc[sure.index], name, label, sure, notes)
        if found is None:
            return None, []
        values = found
    values = values.reindex(cells.index)
    if unsure.any():
        two = positive_of(names) == 1 or (not names and values.dropna().isin((0.0, 1.0)).all())
        if how != "unknown" and two:
            values[known.index[unsure]] = float(how == "positive")
        taken = how if two else "unknown"
        ask = "; --uncertain positive or negative counts them otherwise" if two and how == "unknown" else ""
        rows = int(unsure.sum())
        which = f"{counted(rows, 'row')}, which count{'s' * (rows == 1)} as {taken}"
        notes.append(f"{path.name}: {label} is uncertain in {which}{ask}")
    return values, names


def normal_texts(column: pd.Series) -> pd.Series:
    """Return the cells of a column as they are compared."""
    return column.map({text: normal_text(text) for text in column.unique()})


def is_index(name: str, known: pd.Series) -> bool:
    """Whether a column only numbers the rows, as programs write it along."""
    if re.fullmatch(r"unnamed(_\d+)*", name):
        return True
    return name in _INDEX and len(known) > 1 and known.is_unique and bool(known.str.fullmatch(r"\d+").all())


def has_letters(column: pd.Series) -> bool:
    """Whether a column of densities names them by letters."""
    texts = normal_texts(column)
    known = texts[~texts.isin(UNKNOWN)]
    return bool(len(known) and known.str.fullmatch(_LETTER).all())


def _numbered(path: Path, cells: pd.DataFrame, name: str, label: str, known: pd.Series, notes: list[str]) -> Values:
    if label == "density" and known.str.fullmatch(_LETTER).all():
        return known.str[-1].map(DENSITIES.index).astype("float64"), list(DENSITIES)
    if label.replace("_", "").endswith("birads") or label == "assessment":
        parts = known.str.extract(rf"^{_ASSESSMENT}$")
        if parts[1].notna().all():
            if not parts[2].any():
                return parts[1].astype("float64"), []
            codes = parts[1] + parts[2]
            return _categories(codes)
    if known.isin(list(_WORDS)).all():
        words = [[text for text in known.unique() if _WORDS[text] == number] for number in (1, 0)]
        said = [f"{' and '.join(map(repr, sorted(texts)))} as {kind}"
                for texts, kind in zip(words, ("positive", "negative"), strict=True) if texts]  # fmt: skip
        notes.append(f"{path.name}: {label} counts {', '.join(said)}")
        return known.map(_WORDS).astype("float64"), []
    if known.str.fullmatch(_NUMBER).any():  # a text among numbers is a slip: let the reader of numbers name its line
        values = numbers(path, cells, name)
        return _density(path, values, notes) if label == "density" else (values, [])
    if known.nunique() > _MOST_CATEGORIES:
        notes.append(
            f"{path.name}: column {name} has {known.nunique()} different texts, is taken for a remark and left out"
        )
        return None, []
    values, names = _categories(known)
    if positive_of(names) == 1:
        notes.append(_pair_note(path, label, names))
    return values, names


def _pair_note(path: Path, label: str, names: list[str]) -> str:
    return f"{path.name}: {label} counts {names[1]!r} as positive, {names[0]!r} as negative"


def _categories(known: pd.Series) -> tuple[pd.Series, list[str]]:
    names = ordered(known)
    return known.map({text: number for number, text in enumerate(names)}).astype("float64"), names


def _density(path: Path, values: pd.Series, notes: list[str]) -> Values:
    """Densities given as numbers: 1 to 4 are a to d, as BI-RADS numbers them; 0 to 3 where a 0 occurs."""
    found = set(values.dropna())
    for first in (1, 0):
        if found <= {float(first + place) for place in range(len(DENSITIES))}:
            notes.append(f"{path.name}: density {first} to {first + 3} is taken as a to d")
            return values - first, list(DENSITIES)
    return values, []


def _unsure(known: pd.Series, label: str) -> pd.Series:
    """Which cells say that the label is uncertain; -1 does among 0, 1 and texts, but not among other numbers."""
    named = known.isin(_UNSURE)
    minus = known == "-1"
    others = known[~named & ~minus]
    numeric = others[others.str.fullmatch(_NUMBER).astype(bool)]
    return named | minus if bool(numeric.isin(["0", "1"]).all()) else named


def same_text(wanted: str | None, known: pd.Series) -> str | None:
    """Return the text of a column that a given value means; None where none does."""
    for text in known.unique() if wanted is not None else ():
        if text == wanted or (slug(text) and slug(text) == slug(str(wanted)) and not text.startswith("-")):
            return str(text)
    return None


def number_alike(path: Path, first: pd.DataFrame, other: pd.DataFrame) -> None:
    """Number the categories of two tables of labels alike, in place.

    Raises
    ------
    FindingsError
        A label is text in one of them and numbers in the other.
    """
    a, b = first.attrs["categories"], other.attrs["categories"]
    for label in {*a, *b}:
        column = f"label.{label}"
        if column not in first or column not in other or a.get(label) == b.get(label):
            continue
        named = [(table, found[label]) for table, found in ((first, a), (other, b)) if label in found]
        if len(named) == 2:
            names = ordered([*a[label], *b[label]])
            if positive_of(names) == 1:
                other.attrs["notes"].append(_pair_note(path, label, names))
            for table, own in named:
                places = {float(number): float(names.index(text)) for number, text in enumerate(own)}
                table[column] = table[column].map(places).astype("float64")
        else:
            (table, names), bare = named[0], other if label in a else first
            if positive_of(names) != 1 or not bare[column].dropna().isin((0.0, 1.0)).all():
                raise FindingsError(
                    f"{path.name}: {label} is text in one table and numbers in another; make them alike"
                )
        a, b = a | {label: names}, b | {label: names}
    first.attrs["categories"], other.attrs["categories"] = a, b
