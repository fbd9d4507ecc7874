"""Which images a command is to read: a file, a folder, a pattern, or a list in a CSV."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import FindingsError, ImageError
from ..base.names import IMAGE_SUFFIXES, image_id_of, tidy_name, valid_text
from ..base.reading import reads
from .kinds import DICOM_SUFFIXES, START_BYTES, is_dicom, kind_without_image

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class ImageList:
    """Images in a fixed order.

    Attributes
    ----------
    root : Path
        Folder the images lie in; names shown to people are relative to it.
    paths : tuple of Path
        The files. Those a CSV lists may be missing: that is for the reader to say, image by image.
    image_ids : tuple of str
        Name without folders and suffix; the path relative to `root` for images whose names clash.
    table : Path or None
        The CSV the images were listed in; its columns beside `path` are labels.
    notes : tuple of str
        What a person should know of the search, one sentence each.
    """

    root: Path
    paths: tuple[Path, ...]
    image_ids: tuple[str, ...]
    table: Path | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)


@reads(ImageError, "images")
def resolve_images(images: str | Path) -> ImageList:
    """List the images that `images` stands for.

    Parameters
    ----------
    images : str or Path
        An image; a folder, searched with all its subfolders for files named like images and for DICOM files of any
        name; a glob pattern (``**`` goes into subfolders); or a CSV with a column ``path``, relative to the CSV.

    Returns
    -------
    ImageList
        Sorted by path; in a CSV's own order for a CSV.

    Raises
    ------
    ImageError
        If nothing is there, nothing there is an image, or the CSV has no usable ``path`` column.
    """
    given = Path(images).expanduser()
    if given.is_dir():
        files, notes = walk(given)
        found, left_out = choose_images(files)
        if not found:
            raise ImageError(f"{given.name or given}: no images in this folder; expected {_expected()}.")
        return _image_list(given, found, notes=[*notes, *left_out])
    if given.is_file():
        return _from_table(given) if given.suffix.lower() == ".csv" else _image_list(given.parent, [given])
    if glob.has_magic(str(images)):
        root = _fixed_part(given)
        matches = (Path(match) for match in glob.glob(str(given), recursive=True))  # noqa: PTH207  Path.glob refuses absolute patterns
        found, left_out = choose_images(
            sorted(path for path in matches if path.is_file() and not _is_hidden(path, root))
        )
        if not found:
            raise ImageError(f"No image matches {given.name}; expected {_expected()}.")
        return _image_list(root, found, notes=left_out)
    raise ImageError(f"{given.name} does not exist; give an image, a folder, a glob, or a CSV with a column 'path'.")


def image_ids(root: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    """One identifier for each path: its name, or where names clash its path relative to `root`, with ``/``."""
    paths = list(paths)
    names = [valid_text(image_id_of(path)) for path in paths]
    counts = Counter(names)
    relative = [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]
    return tuple(
        name if counts[name] == 1 else valid_text(path.as_posix()) for name, path in zip(names, relative, strict=True)
    )


def _image_list(root: Path, paths: list[Path], table: Path | None = None, notes: Iterable[str] = ()) -> ImageList:
    return ImageList(root, tuple(paths), image_ids(root, paths), table, tuple(notes))


@reads(ImageError, "a CSV that lists images")
def _from_table(table: Path) -> ImageList:
    from ..base.tables.reading import read_table

    try:
        cells = read_table(table)
    except FindingsError as error:
        raise ImageError(str(error)) from error
    if "path" not in cells:
        raise ImageError(
            f"{table.name} has no column 'path' (it has {', '.join(map(str, cells)) or 'none'}); it should list one "
            "image per row, relative to the CSV."
        )
    names = list(cells["path"])
    blank = cells.index[cells["path"] == ""]
    if len(blank):
        raise ImageError(f"{table.name}, line {blank[0]}: 'path' is blank; every row needs the path of an image.")
    if not names:
        raise ImageError(f"{table.name} lists no images.")
    paths = _found(table.parent, names)
    files = [tidy_name(os.path.abspath(path)) for path in paths]  # noqa: PTH100  links are files of their own
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise ImageError(f"{table.name} lists {Path(twice[0]).name} more than once; one row per image is expected.")
    return _image_list(table.parent, paths, table, cells.attrs["notes"])


def _found(root: Path, names: list[str]) -> list[Path]:
    """Files of these names, which tables may spell with other slashes or another Unicode form than the disk does."""

    @cache
    def composed(folder: Path) -> dict[str, Path]:
        try:
            return {unicodedata.normalize("NFC", path.name): path for path in folder.iterdir()}
        except OSError:
            return {}

    @cache
    def found(path: Path) -> Path:
        if path.exists() or path == path.parent:
            return path
        folder = found(path.parent)
        return composed(folder).get(unicodedata.normalize("NFC", path.name), folder / path.name)

    paths = [root / Path(name).expanduser() for name in names]
    slashed = [root / Path(name.replace("\\", "/")).expanduser() for name in names]
    return [path if path.exists() else found(other) for path, other in zip(paths, slashed, strict=True)]


def walk(root: Path) -> tuple[list[Path], list[str]]:
    """Return the files below a folder, sorted, hidden ones left out, and notes on the linked folders among them.

    Every folder is searched once, by its own name rather than by that of a link to it.
    """
    files: list[Path] = []
    linked: list[Path] = []
    again: list[Path] = []
    seen: set[tuple[int, int]] = set()
    own, links = [root], list[Path]()
    while own or links:
        folder = own.pop() if own else links.pop()
        try:
            status = folder.stat()
            inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError:  # one that may not be read is left to whoever asks for it by name
            continue
        is_link = folder != root and folder.is_symlink()
        above = is_link and root.resolve().is_relative_to(folder.resolve())
        if above or (status.st_dev, status.st_ino) in seen:
            again.append(folder)
            continue
        seen.add((status.st_dev, status.st_ino))
        if is_link:
            linked.append(folder)
        files += [path for path in inside if path.is_file()]
        folders = [path for path in inside if path.is_dir()]
        own += [path for path in reversed(folders) if not path.is_symlink()]
        links = [path for path in reversed(folders) if path.is_symlink()] + links
    notes = [
        f"{root.name}: linked folders {what}: {len(paths)} "
        f"(first: {valid_text(min(paths).relative_to(root).as_posix())})"
        for paths, what in ((linked, "that were followed"), (again, "that lead to folders already searched, left out"))
        if paths
    ]
    return sorted(files), notes


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def choose_images(files: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return files named like images and DICOM files of any name, and notes on DICOM files that hold no image."""
    chosen: list[Path] = []
    others: dict[str, list[Path]] = {}
    for path in files:
        # DICOM files often have no suffix, or what looks like one is the end of a dotted identifier
        suffix = next((suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix)), "")
        start = _start(path) if suffix in ("", *DICOM_SUFFIXES) else b""
        if kind := kind_without_image(start):
            others.setdefault(kind, []).append(path)
        elif suffix or is_dicom(start):
            chosen.append(path)
    notes = [
        f"DICOM files that hold no image but {kind}, left out: {len(paths)} (first: {valid_text(paths[0].name)})"
        for kind, paths in others.items()
    ]
    return chosen, notes


def _start(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(START_BYTES)
    except OSError:  # one that may not be read is left to whoever asks for it by name
        return b""


def _fixed_part(pattern: Path) -> Path:
    """The longest folder of a glob pattern that holds no wildcard."""
    fixed = [*pattern.parents][::-1]
    return [folder for folder in fixed if not glob.has_magic(str(folder))][-1]


def _expected() -> str:
    return f"files ending in {', '.join(IMAGE_SUFFIXES)}"
