"""Which images a run is about, and what tables say about them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..annotations.positives import Positive, Uncertain
from ..base.errors import FindingsError, RunError
from ..base.files import sha256_file
from ..base.names import ImageNames, short_name, valid_text
from .listed_names import listed_name

if TYPE_CHECKING:
    import pandas as pd

    from ..datasets.dataset import DataSet

_Found = tuple[Sequence[str | None], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of the run's list: its position, where it lies, and the names it goes by."""

    image: int
    image_id: str
    path: Path
    name: str
    """Relative to the root of the images."""
    laterality: Literal["L", "R"] | None = None
    view: Literal["CC", "MLO"] | None = None
    """What tables say, for files that do not."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The frozen list of images, and their labels.

    Attributes
    ----------
    entries
        The images in order; `Entry.image` is the position.
    digest
        SHA-256 over identifiers and names: two runs with the same one number the same images alike.
    labels
        One row an image of `entries`, as `read_labels` gives them; None without labels.
    rows
        Rows of findings with `image` for those of `entries`; None where the labels come one row an image.
    categories
        Names behind the numbers of labels that are categories.
    labels_sha256
        Of the tables, empty without labels.
    notes
        What of the tables was left out, for the user to see.
    """

    entries: tuple[Entry, ...]
    digest: str
    labels: "pd.DataFrame | None"
    rows: "pd.DataFrame | None"
    categories: dict[str, list[str]]
    labels_sha256: str
    notes: tuple[str, ...]

    @property
    def root(self) -> Path | None:
        """The folder that the names of the images are relative to; None where they are not."""
        for entry in self.entries[:1]:
            if entry.path.as_posix().endswith(f"/{entry.name}"):
                return entry.path.parents[len(Path(entry.name).parts) - 1]
        return None


def read_sources(
    images: str | Path,
    labels: str | Path | Sequence[str | Path] | None = None,
    positive: Positive | None = None,
    uncertain: Uncertain = "unknown",
) -> Sources:
    """List the images, and look up what the label tables say about them.

    Parameters
    ----------
    images
        A folder, a glob, a CSV with a column `path`, whose other columns are labels; or the root of a published data
        set, or a VinDr CSV.
    labels
        Label tables (see `read_labels`); where two tables have a column, the first one's known values count.
    positive, uncertain
        Which texts of labels are positive, and what uncertain cells count as; see `read_labels`.

    Raises
    ------
    ImageError, FindingsError
        There is no image, a table cannot be read, or no label has the positive value.
    RunError
        No image is named in the tables.
    """
    from ..datasets.find import list_images  # pandas: not in the processes that decode, which know an `Entry`

    listed, data_set = list_images(images)
    entries = tuple(
        Entry(number, image_id, path.absolute(), _relative(path, listed.root))
        for number, (image_id, path) in enumerate(zip(listed.image_ids, listed.paths, strict=True))
    )
    digest = hashlib.sha256("\n".join(f"{e.image_id}\t{e.name}" for e in entries).encode()).hexdigest()
    given = [labels] if isinstance(labels, (str, Path)) else list(labels or ())
    tables = [Path(table) for table in given]
    read = _read_all(tables, listed.table, entries, positive, uncertain)
    named = [table for table, _ in read[: len(tables)]]
    found = [_look_up(path.name, table.index, entries) for path, table in zip(tables, named, strict=True)]
    if tables:
        _check_named(found, named, entries, tables)
    if listed.table is not None:
        tables.append(listed.table)
        found.append(([entry.image_id for entry in entries], ()))
    if data_set is not None:
        said, rows = data_set.labels, data_set.rows
        if tables:  # those that are given count
            said, rows = said.drop(columns=[name for name in said if str(name).startswith("label.")]), None
            said.attrs = {}
        read.append((said, rows))
        tables += data_set.tables
        found.append(([entry.image_id for entry in entries], _introduce(data_set)))
    if not tables and data_set is None:
        return Sources(entries, digest, None, None, {}, "", listed.notes)
    keys = [names for names, _ in found]
    joined = _join([table for table, _ in read], keys)
    rows_there = (_finding_rows(rows, names) for (_, rows), names in zip(read, keys, strict=True))
    rows = next((rows for rows in rows_there if rows is not None), None)
    return Sources(
        tuple(_with_facts(entry, joined.iloc[entry.image]) for entry in entries),
        digest,
        joined,
        rows,
        {name: names for table, _ in reversed(read) for name, names in table.attrs.get("categories", {}).items()},
        hashlib.sha256("".join([*map(sha256_file, tables), _answers(positive, uncertain)]).encode()).hexdigest(),
        (
            *listed.notes,
            *(
                note
                for (table, _), (_, notes) in zip(read, found, strict=True)
                for note in (*notes, *table.attrs.get("notes", ()))
            ),
        ),
    )


def _introduce(data_set: "DataSet") -> tuple[str, ...]:
    """Say which data set was recognised, and what comes from it."""
    labels = [str(name).removeprefix("label.") for name in data_set.labels if str(name).startswith("label.")]
    women = data_set.labels["patient"].nunique()
    return (
        f"{data_set.title}: {len(data_set.images)} images of {women} patients recognised by its layout; labels: "
        f"{', '.join(labels) or 'none'}. Give its folder as --boxes for its boxes",
    )


def _relative(path: Path, root: Path) -> str:
    """Name of an image below the root; images of a CSV may lie elsewhere, and an absolute path may name a person."""
    if path.is_relative_to(root) and ".." not in (below := path.relative_to(root)).parts:
        return valid_text(below.as_posix())  # as the root's folders are called, links too
    try:
        return valid_text(path.resolve().relative_to(root.resolve()).as_posix())
    except ValueError:
        return valid_text(path.name)


def _answers(positive: Positive | None, uncertain: Uncertain) -> str:
    """What the user said about labels, for the digest of the tables; empty for nothing."""
    given = positive if isinstance(positive, str) or positive is None else sorted(positive.items())
    return "" if given is None and uncertain == "unknown" else repr((given, uncertain))


def _read_all(
    tables: Sequence[Path],
    listing: Path | None,
    entries: Sequence[Entry],
    positive: Positive | None,
    uncertain: Uncertain,
) -> "list[tuple[pd.DataFrame, pd.DataFrame | None]]":
    """Labels and finding rows of all tables, categories numbered alike in all of them."""
    from ..annotations.label_values import number_alike
    from ..annotations.labels import read_label_rows, read_labels

    def read(answer: Positive | None) -> "list[tuple[pd.DataFrame, pd.DataFrame | None]]":
        found: list[tuple[pd.DataFrame, pd.DataFrame | None]] = [
            (read_labels(table, answer, uncertain), read_label_rows(table, answer, uncertain)) for table in tables
        ]
        return found if listing is None else [*found, _read_listing(listing, entries, answer, uncertain)]

    found = read(positive)
    told = {label for labels, _ in found for label in labels.attrs.get("told", ())}
    if isinstance(positive, str):
        wanted = dict.fromkeys(sorted(told), positive)
        if not wanted:
            raise FindingsError(f"no label of the tables has the value {positive!r}; check --positive")
        if len(found) > 1:  # a table that lacks the value says that its images are negative
            found = read(wanted)
    elif lacking := sorted(set(positive or {}) - told):
        raise FindingsError(f"{lacking[0]} has no value {(positive or {})[lacking[0]]!r}; check --positive")
    paths = [*tables, *([] if listing is None else [listing])]
    for end, path in enumerate(paths):
        for start in range(end):
            for first, other in zip(found[start], found[end], strict=True):
                if first is not None and other is not None:
                    number_alike(path, first, other)
    return found


def _read_listing(
    table: Path, entries: Sequence[Entry], positive: Positive | None, uncertain: Uncertain
) -> "tuple[pd.DataFrame, pd.DataFrame | None]":
    """Labels of the CSV that lists the images: they belong to its rows, whatever the images are called."""
    import pandas as pd

    from ..annotations.labels import image_facts, read_label_rows
    from ..base.tables.reading import read_table

    cells = read_table(table)
    identifiers = [entry.image_id for entry in entries]
    facts = image_facts(table, cells, identifiers)
    rows = read_label_rows(table, positive, uncertain, needed=False)
    names = [str(name) for name in rows if str(name).startswith("label.")]
    if not names:
        facts.attrs = rows.attrs
        return facts, None
    found = facts.join(pd.DataFrame(rows[names].to_numpy(), identifiers, names))
    found.attrs = rows.attrs
    return found, None


def _join(tables: "list[pd.DataFrame]", names: Sequence[Sequence[str | None]]) -> "pd.DataFrame":
    """One row an image, known values of earlier tables first."""
    import pandas as pd

    result: pd.DataFrame | None = None
    for table, keys in zip(tables, names, strict=True):
        part = table.reindex(pd.Index([key if key is not None else "" for key in keys], dtype=object))
        part.loc[[key is None for key in keys], :] = None
        part = part.set_axis(range(len(keys)), axis=0)
        result = part if result is None else result.combine_first(part)[_union(result, part)]
    assert result is not None
    return result


def _check_named(
    found: "Sequence[_Found]", tables: "list[pd.DataFrame]", entries: Sequence[Entry], paths: Sequence[Path]
) -> None:
    """Raise unless a table names one of the images."""
    if any(name is not None for names, _ in found for name in names):
        return
    known = [short_name(str(name)) for table in tables for name in table.index[:2]]
    raise RunError(
        f"{', '.join(path.name for path in paths)}: none of the {len(entries)} images is in it. It names images such "
        f"as {', '.join(map(repr, known))}; those to be run are such as {entries[0].image_id!r}."
        f"{''.join(f' {note}.' for _, notes in found for note in notes)}"
    )


def _look_up(table: str, index: "pd.Index[Any]", entries: Sequence[Entry]) -> _Found:
    """What a table calls each image, None where it does not name it, and what a person should know of that.

    The folders above the root count for images that have none below it, unless no image is found with them.
    """
    names, listed = ImageNames(map(str, index)), [_listed(entry) for entry in entries]
    matched = names.match(
        [name if "/" in name else entry.path.as_posix() for name, entry in zip(listed, entries, strict=True)]
    )
    if not any(place is not None for place in matched.places):
        matched = names.match(listed)
    keys = [None if place is None else str(index[place]) for place in matched.places]
    return keys, tuple(f"{table}: {note}" for note in matched.notes)


def _listed(entry: Entry) -> str:
    return listed_name(entry.image_id, entry.name)


def _with_facts(entry: Entry, labels: "pd.Series[Any]") -> Entry:
    laterality, view = labels.get("laterality"), labels.get("view")
    return replace(
        entry, laterality=laterality if laterality in ("L", "R") else None, view=view if view in ("CC", "MLO") else None
    )


def _union(first: "pd.DataFrame", second: "pd.DataFrame") -> list[Any]:
    return [*first.columns, *(name for name in second.columns if name not in first.columns)]


def _finding_rows(rows: "pd.DataFrame | None", keys: Sequence[str | None]) -> "pd.DataFrame | None":
    """Rows of images in the list, where an image may have several; None where none has."""
    if rows is None or not rows["image_id"].duplicated().any():
        return None
    numbers = {key: image for image, key in enumerate(keys) if key is not None}
    found = rows[rows["image_id"].isin(numbers)].copy()
    found.insert(1, "image", found["image_id"].map(numbers).astype("int32"))
    return found.drop(columns="image_id").reset_index(drop=True)
