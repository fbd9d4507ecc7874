"""The run that comes with the package: 40 synthetic phantoms, of which those not shown first are drawn on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.caches import cache_folder, is_embedded
from ..models.files.model_files import SAMPLE_DATA
from .files.images import ImageFiles

if TYPE_CHECKING:
    from pathlib import Path

    from ..models.facts import ModelFacts
    from .run import Run

RUN, PHANTOMS, THUMBNAILS, FACTS = "demo-run", "phantoms", "thumbnails", "model-facts.safetensors"
"""What lies in the folder of sample data: made by ``scripts/make_ready_run.py``."""


def ready_run() -> Path:
    """Return the folder of the run."""
    return SAMPLE_DATA / RUN


def ready_facts() -> ModelFacts:
    """Return what is known of the embedded model, without loading it.

    Raises
    ------
    ModelError
        The file is not there or damaged.
    """
    from ..models.files.facts_file import read_facts

    return read_facts(SAMPLE_DATA / FACTS)


def files_of_run(run: Run) -> ImageFiles:
    """Return where the image files of a run are."""
    return DrawnFiles(run) if is_embedded(run.path) else ImageFiles(run)


class DrawnFiles(ImageFiles):
    """Image files of the run that comes with the package; those it lacks are drawn into the user's cache folder."""

    def path(self, row: int) -> Path | None:
        """File of the image in a row, which may not be there yet: `fetch` draws it."""
        from ... import __version__

        drawn = cache_folder() / f"demo-phantoms-{__version__}" / f"{self._ids[row]}.png"
        return super().path(row) or drawn

    def fetch(self, row: int) -> Path | None:
        """File of the image in a row, drawn if need be, which takes about half a second.

        Raises
        ------
        RunError
            The disk is full, or the cache folder cannot be written.
        """
        from ..phantoms.dataset import write_image
        from ..phantoms.phantom import make_phantom
        from .files.layout import writing

        path = self.path(row)
        if path is not None and not path.is_file():
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path.parent, make_phantom(int(self._ids[row].rpartition("-")[2])))
        return path

    def thumbnail(self, row: int) -> Path | None:
        """Small picture of the image in a row."""
        path = SAMPLE_DATA / THUMBNAILS / f"{self._ids[row]}.jpg"
        return path if path.is_file() else None
