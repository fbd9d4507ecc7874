"""Where the image files of a run are: a run keeps their relative names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from pathlib import Path

    from .run import Run

_FOLDERS = ("", "images", "phantoms")
"""Where images are looked for, from the run's folder and the two around it."""


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
        self._root = self._likely_root(run.path.absolute())

    @property
    def root(self) -> Path | None:
        """Folder the images' names are relative to; None until it is known."""
        return self._root

    @root.setter
    def root(self, root: Path | None) -> None:
        if root != self._root:
            self._root = root
            self.changed.emit()

    def path(self, row: int) -> Path | None:
        """File of the image in a row of the run's table, None when it cannot be found."""
        if self._root is None:
            return None
        path = self._root / self._names[row]
        return path if path.is_file() else None

    def _likely_root(self, run: Path) -> Path | None:
        """A folder beside or around the run that holds the first of its images."""
        near = (parent / name for parent in (run, *run.parents[:2]) for name in _FOLDERS)
        return next((folder for folder in near if self._names and (folder / self._names[0]).is_file()), None)
