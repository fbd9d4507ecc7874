"""Where the image files of a run are: a run keeps their relative names, a person's own folder the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from ...base.errors import ImageError
from ...base.names import short_name
from ...base.remembered import recall, remember
from ...images.mammogram import Mammogram, read_mammogram

if TYPE_CHECKING:
    from ..run import Run

_FOLDERS = ("", "images", "phantoms")
"""Where images are looked for, from the run's folder and the two around it."""
_REMEMBERED = "image-folders"


def remember_folder(run: Path, folder: Path) -> None:
    """Remember for this person where the images of a run lie."""
    remember(_REMEMBERED, str(run.absolute()), str(folder.absolute()))


class ImageFiles:
    """Finds the files of a run's images; made by `image_files`.

    Attributes
    ----------
    changed
        Emits when another root was set.
    """

    changed = Signal()

    def __init__(self, run: Run) -> None:
        self._of = run
        self._names = [str(name) for name in run.images["path"]]
        self._ids = [str(name) for name in run.images["image_id"]]
        self._run = run.path.absolute()
        self._root = self._likely_root()

    @property
    def root(self) -> Path | None:
        """Folder the images' names are relative to; None until it is known."""
        return self._root

    @root.setter
    def root(self, root: Path | None) -> None:
        if root != self._root:
            self._root = root
            if root is not None and self._holds_first(root):
                remember_folder(self._run, root)
            self.changed.emit()

    def path(self, row: int) -> Path | None:
        """File of the image in a row of the run's table, None when it cannot be found."""
        if self._root is None:
            return None
        path = self._root / self._names[row]
        return path if path.is_file() else None

    def read(self, row: int) -> Mammogram:
        """Read the image in a row of the run's table, as the run read it.

        Raises
        ------
        ImageError
            The file is not found, cannot be read, or has another size than the image the run was made from.
        """
        path, name = self.fetch(row), short_name(self._names[row])
        if path is None:
            where = f"in {self._root.name}" if self._root is not None else f"near {self._run.name}"
            raise ImageError(f"{name} was not found {where}; give the folder that the run was made from.")
        crop = self._of.info["preprocessing"].get("crop", True)
        image = read_mammogram(path, image_id=str(self._of.images["image_id"].iloc[row]), crop=crop)
        if image.shape != (shape := self._of.frame(row).source_shape):
            then, now = (" x ".join(map(str, one)) for one in (shape, image.shape))
            raise ImageError(f"{name} has {now} pixels, it had {then} when {self._run.name} was made.")
        return image

    def fetch(self, row: int) -> Path | None:
        """File of the image in a row, made first where that is how the run has its images."""
        return self.path(row)

    def thumbnail(self, row: int) -> Path | None:
        """Small grey picture of the image in a row, where the run has one."""
        return None

    def _likely_root(self) -> Path | None:
        """The folder that was named last, or one beside or around the run; it holds the first of the images."""
        known = recall(_REMEMBERED).get(str(self._run))
        near = (parent / name for parent in (self._run, *self._run.parents[:2]) for name in _FOLDERS)
        return next((one for one in (*([Path(known)] if known else []), *near) if self._holds_first(one)), None)

    def _holds_first(self, folder: Path) -> bool:
        return bool(self._names) and (folder / self._names[0]).is_file()
