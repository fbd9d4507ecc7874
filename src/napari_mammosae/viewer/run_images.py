"""Where the image files of a run lie: a run keeps their relative names only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

if TYPE_CHECKING:
    from pathlib import Path

    from ..core.runs.run import Run
    from .image.controller import Controller

_FOLDERS = ("", "images", "phantoms")


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


_files: WeakKeyDictionary[Any, ImageFiles] = WeakKeyDictionary()


def image_files(run: Run) -> ImageFiles:
    """Return what is known about the files of a run's images."""
    if run not in _files:
        _files[run] = ImageFiles(run)
    return _files[run]


def show_image(controller: Controller, run: Run, row: int) -> None:
    """Look at an image of the open run with its latents; the current latent stays."""
    if run is controller.session.run:
        controller.browser.show(row)
