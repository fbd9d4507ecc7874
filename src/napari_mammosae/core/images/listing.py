"""Which images a command is to read: a file, a folder, a pattern, or a list in a CSV."""

from __future__ import annotations

import csv
import glob
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import ImageError
from ..base.limits import check_limit, limit, limit_cells
from ..base.names import IMAGE_SUFFIXES, image_id_of, tidy_name
from ..base.reading import reads

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
    """

    root: Path
    paths: tuple[Path, ...]
    image_ids: tuple[str, ...]
    table: Path | None = None

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
        found = sorted(path for path in given.rglob("*") if path.is_file() and _is_image(path, given))
        if not found:
            raise ImageError(f"{given.name or given}: no images in this folder; expected {_expected()}.")
        return _image_list(given, found)
    if given.is_file():
        return _from_table(given) if given.suffix.lower() == ".csv" else _image_list(given.parent, [given])
    if glob.has_magic(str(images)):
        root = _fixed_part(given)
        matches = (Path(match) for match in glob.glob(str(given), recursive=True))  # noqa: PTH207  Path.glob refuses absolute patterns
        found = sorted(path for path in matches if path.is_file() and _is_image(path, root))
        if not found:
            raise ImageError(f"No image matches {given.name}; expected {_expected()}.")
        return _image_list(root, found)
    raise ImageError(f"{given.name} does not exist; give an image, a folder, a glob, or a CSV with a column 'path'.")


def image_ids(root: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    """One identifier for each path: its name, or where names clash its path relative to `root`, with ``/``."""
    paths = list(paths)
    names = [image_id_of(path) for path in paths]
    counts = Counter(names)
    relative = [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]
    return tuple(name if counts[name] == 1 else path.as_posix() for name, path in zip(names, relative, strict=True))


def _image_list(root: Path, paths: list[Path], table: Path | None = None) -> ImageList:
    return ImageList(root, tuple(paths), image_ids(root, paths), table)


@reads(ImageError, "a CSV that lists images")
def _from_table(table: Path) -> ImageList:
    limit_cells()
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        try:
            columns = list(rows.fieldnames or ())
            if "path" not in columns:
                raise ImageError(
                    f"{table.name} has no column 'path' (it has {', '.join(columns) or 'none'}); it should list one "
                    "image per row, relative to the CSV."
                )
            most = limit("rows")
            names = [(row["path"] or "").strip() for row in islice(rows, most + 1)]
            check_limit("rows", len(names), f"{table.name}: more than {most:,} rows", ImageError)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ImageError(f"{table.name} is not a CSV in UTF-8 ({error}).") from error
    blank = [number for number, name in enumerate(names, start=2) if not name]
    if blank:
        raise ImageError(f"{table.name}, row {blank[0]}: 'path' is blank; every row needs the path of an image.")
    if not names:
        raise ImageError(f"{table.name} lists no images.")
    paths = _found(table.parent, names)
    files = [tidy_name(os.path.abspath(path)) for path in paths]  # noqa: PTH100  links are files of their own
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise ImageError(f"{table.name} lists {Path(twice[0]).name} more than once; one row per image is expected.")
    return _image_list(table.parent, paths, table)


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


def _is_image(path: Path, root: Path) -> bool:
    if any(part.startswith(".") for part in path.relative_to(root).parts):
        return False
    # DICOM files often have no suffix, or what looks like one is the end of a dotted identifier
    return path.name.lower().endswith(IMAGE_SUFFIXES) or _has_dicom_magic(path)


def _has_dicom_magic(path: Path) -> bool:
    try:
        with path.open("rb") as file:  # PS3.10: 128 bytes of preamble, then "DICM"
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:  # one that may not be read is left to whoever asks for it by name
        return False


def _fixed_part(pattern: Path) -> Path:
    """The longest folder of a glob pattern that holds no wildcard."""
    fixed = [*pattern.parents][::-1]
    return [folder for folder in fixed if not glob.has_magic(str(folder))][-1]


def _expected() -> str:
    return f"files ending in {', '.join(IMAGE_SUFFIXES)}"
