"""Where the image files of a run are: a run keeps their relative names, a person's own folder the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from ..base.remembered import recall, remember

if TYPE_CHECKING:
    from .run import Run

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
