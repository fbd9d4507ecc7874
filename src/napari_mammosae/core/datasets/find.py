"""Which data set lies in a folder, and what follows for lists of images and boxes."""

from dataclasses import replace
from pathlib import Path

from ..annotations.boxes import Findings, read_findings
from ..base.errors import FindingsError
from ..base.reading import reads
from ..images.listing import ImageList, resolve_images
from . import cbis, cmmd, embed, inbreast, rsna, vindr
from .dataset import DataSet, Folder

_LAYOUTS = (vindr, cbis, inbreast, cmmd, rsna, embed)

TITLES = tuple(layout.TITLE for layout in _LAYOUTS)
"""Data sets that are recognised."""


@reads(FindingsError, "a data set")
def find_data_set(images: Path | str) -> DataSet | None:
    """Return the published data set that a folder is the root of, or that a table of its own lists; else None.

    Raises
    ------
    FindingsError
        One of its tables cannot be read.
    """
    path = Path(images).expanduser()
    if path.is_file() and path.suffix.lower() == ".csv":
        return vindr.find_listed(path)
    if not path.is_dir():
        return None
    folder = Folder(path)
    return next((found for layout in _LAYOUTS if (found := layout.find(folder)) is not None), None)


def list_images(images: Path | str) -> tuple[ImageList, DataSet | None]:
    """List the images that `images` stands for, as `resolve_images` does, those of a data set by its own layout."""
    found = find_data_set(images)
    return (resolve_images(images), None) if found is None else (found.images, found)


def read_boxes(path: Path | str) -> Findings:
    """Read boxes from a table, as `read_findings` does, or from the root of a data set.

    Raises
    ------
    FindingsError
        The table cannot be read, or the folder is not a data set with boxes.
    """
    path = Path(path)
    if not path.is_dir():
        return read_findings(path)
    found = find_data_set(path)
    if found is None:
        raise FindingsError(f"{path.name}: a folder that is not a known data set; give a table of boxes")
    return replace(found.read_boxes(), source=path.absolute())
