"""How labels and images are named everywhere: slugs, image identifiers, and which image a name with folders means."""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

IMAGE_SUFFIXES = (".dcm", ".dicom", ".dic", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy")
"""File name endings that are dropped to get the identifier of an image."""

LACKS_SLUG = "needs a name with Latin letters or digits"
"""What messages say of a name whose slug is empty."""


def slug(text: str) -> str:
    """Return the text in lower case, every run of other characters as one ``_``.

    ``Suspicious Calcification`` becomes ``suspicious_calcification``. Accents are dropped. Text without a Latin letter
    or digit has no slug: the result is empty, and callers refuse it.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def image_id_of(path: Path | str) -> str:
    """Return the identifier of an image: its file name without folders and image suffix, in composed Unicode.

    Only known suffixes are dropped, because DICOM files are often named by a dotted UID without any.

    >>> image_id_of("images/study/1.2.840.113.7.dcm"), image_id_of("1.2.840.113.7")
    ('1.2.840.113.7', '1.2.840.113.7')
    """
    name = unicodedata.normalize("NFC", PurePosixPath(str(path).replace("\\", "/")).name)
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix.lower()}" in IMAGE_SUFFIXES else name


def valid_text(name: str) -> str:
    """Return a file name as text that can be written: bytes that are not UTF-8 are read as Windows-1252.

    >>> valid_text("m\udce4dchen.png")
    'mädchen.png'
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return name


class _Name(NamedTuple):
    folders: tuple[str, ...]
    stem: str
    suffix: str


_Tails = dict[tuple[str, ...], list[int]]


def tidy_name(name: str) -> str:
    r"""Return a name as names are compared: composed Unicode, ``/`` between folders, without ``.``, ``..`` and root.

    >>> tidy_name("./P1\\1-1.dcm")
    'P1/1-1.dcm'
    """
    path = posixpath.normpath(unicodedata.normalize("NFC", valid_text(str(name))).replace("\\", "/"))
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))


def short_name(name: str) -> str:
    """Return a name for messages, an absolute one with its last folder only: whole paths may name a person."""
    parts = tidy_name(name).split("/")
    return "/".join(parts[-2:] if PureWindowsPath(name).anchor else parts)


def table_names(names: Iterable[str]) -> list[str]:
    """Return what a table's images are called: tidy names, without suffix where it tells nothing apart.

    The same image may be written with and without its suffix; two suffixes make two images.
    """
    names = list(names)
    spelt = {name: tidy_name(name) for name in dict.fromkeys(names)}
    suffixes: dict[str, set[str]] = defaultdict(set)
    bare = {}
    for tidy in spelt.values():
        folder, slash, file = tidy.rpartition("/")
        stem = image_id_of(file)
        bare[tidy] = f"{folder}{slash}{stem}"
        suffixes[bare[tidy]] |= {file[len(stem) :].lower()} - {""}
    chosen = {name: bare[tidy] if len(suffixes[bare[tidy]]) < 2 else tidy for name, tidy in spelt.items()}
    return [chosen[name] for name in names]


@dataclass(frozen=True, slots=True)
class Matched:
    """Which name belongs to each image.

    Attributes
    ----------
    places
        For each image the position of its name, None where it has none.
    notes
        What a person should know, one sentence each: names that fit several, and those matched in part.
    """

    places: list[int | None]
    notes: tuple[str, ...]


class ImageNames:
    """Names, as those in a table, in which images are looked up: the one rule for every table, list and run.

    Where both have folders, these must agree from the last one up, in one folder at least, and the longest agreement
    counts. Where either has none, the file's name alone counts. Both ways only one name may fit, and only one image.
    Suffixes of images count where nothing else tells two names apart.

    >>> names = ImageNames(["P1/1-1", "P2/1-1", "left"])
    >>> names.find("data/P2/1-1.dcm"), names.find("1-1.dcm"), names.find("P3/left.png"), names.find("P3/1-1.dcm")
    (1, None, 2, None)
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)

    def find(self, image: str) -> int | None:
        """Position of the name that belongs to an image; None where there is none, or several fit."""
        return self.match([image]).places[0]

    def match(self, images: Sequence[str]) -> Matched:
        """Look up images, each with as many of its folders as are known."""
        places: list[int | None] = [None] * len(images)
        unclear: list[tuple[int, list[int]]] = []
        for stem, rivals in _by_stem(wanted := [_parsed(image) for image in images]).items():
            if stem in self._stems:
                pairs, several = _pair(wanted, rivals, self._parsed, self._stems[stem])
                unclear += several
                for image, place in pairs:
                    places[image] = place
        return Matched(places, self._notes(images, wanted, places, unclear))

    @cached_property
    def _parsed(self) -> list[_Name]:
        return [_parsed(name) for name in self._names]

    @cached_property
    def _stems(self) -> dict[str, list[int]]:
        return _by_stem(self._parsed)

    def _notes(
        self,
        images: Sequence[str],
        wanted: Sequence[_Name],
        places: Sequence[int | None],
        unclear: Sequence[tuple[int, list[int]]],
    ) -> tuple[str, ...]:
        notes = []
        if unclear:
            image, fitting = min(unclear)
            fits = " or ".join(short_name(self._names[place]) for place in fitting[:2])
            what = f"may be {fits}" if len(fitting) > 1 else f"may not be the {fits} meant"
            notes.append(
                f"images whose names are ambiguous, left out: {len(unclear)} (first: {short_name(images[image])} "
                f"{what}); name them with their folders"
            )
        differing = [
            (image, place)
            for image, place in enumerate(places)
            if place is not None and _differ_above(wanted[image].folders, self._parsed[place].folders)
        ]
        if differing:
            image, place = differing[0]
            notes.append(
                f"images whose last folders agree and whose upper folders do not, used: {len(differing)} "
                f"(first: {short_name(self._names[place])}, taken for {short_name(images[image])})"
            )
        alone = [
            (image, place)
            for image, place in enumerate(places)
            if place is not None and self._parsed[place].folders and not wanted[image].folders
        ]
        if alone:
            image, place = alone[0]
            notes.append(
                f"images found by the name of the file alone, as no folder of theirs is known: {len(alone)} (first: "
                f"{short_name(self._names[place])}, taken for {images[image]})"
            )
        return tuple(notes)


def _parsed(name: str) -> _Name:
    *folders, file = tidy_name(name).split("/")
    stem = image_id_of(file)
    return _Name(tuple(folders), stem, file[len(stem) :].lower())


def _by_stem(names: Sequence[_Name]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        found[name.stem].append(place)
    return dict(found)


def _pair(
    wanted: Sequence[_Name], images: list[int], named: Sequence[_Name], places: list[int]
) -> tuple[list[tuple[int, int]], list[tuple[int, list[int]]]]:
    """Pair images and names of one stem; and for each image whose name is ambiguous, the names that fit it."""
    image_tails, name_tails = _tails(wanted, images), _tails(named, places)
    image_folders, name_folders = _by_folders(wanted, images), _by_folders(named, places)
    pairs, unclear = [], []
    for image in images:
        folders = wanted[image].folders
        tail = next((folders[at:] for at in range(len(folders)) if folders[at:] in name_tails), ())
        compatible = name_folders.get(tail, [])  # shorter names, else those that go on where this one ends
        if tail:
            fitting, rivals = name_tails[tail], image_tails[tail]
        else:  # names in other folders are those of other images, but what fits one beside them does not become certain
            fitting, rivals = places if compatible or not folders else [], images
        chosen = _narrowed(fitting, name_folders, named, wanted[image])
        if len(chosen) == 1 and _narrowed(rivals, image_folders, wanted, named[chosen[0]]) == [image]:
            pairs.append((image, chosen[0]))
        elif folders == tail or compatible:
            unclear.append((image, fitting if folders == tail else compatible))
    return pairs, unclear


def _narrowed(places: list[int], by_folders: _Tails, names: Sequence[_Name], like: _Name) -> list[int]:
    """Those of several names that have the same folders as another, and of those in one folder the same suffix."""
    if len(places) > 1:
        places = by_folders.get(like.folders, places)
        if 1 < len(places) <= len(IMAGE_SUFFIXES) and len({names[place].folders for place in places}) == 1:
            return [place for place in places if names[place].suffix == like.suffix] or places
    return places


def _by_folders(names: Sequence[_Name], places: list[int]) -> _Tails:
    found: _Tails = defaultdict(list)
    for place in places:
        found[names[place].folders].append(place)
    return dict(found)


def _tails(names: Sequence[_Name], places: list[int]) -> _Tails:
    found: _Tails = defaultdict(list)
    for place in places:
        folders = names[place].folders
        for at in range(len(folders)):
            found[folders[at:]].append(place)
    return dict(found)


def _differ_above(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether two names have folders of which neither are the last ones of the other."""
    count = min(len(first), len(second))
    return count > 0 and first[-count:] != second[-count:]
