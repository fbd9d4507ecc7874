"""One image from its file to a model input.

This module is imported by the worker processes: it must not need torch.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...anatomy.regions import region_cells, whole_image
from ...base.errors import ImageError
from ...base.files import sha256_file
from ...images.geometry import Frame
from ...images.mammogram import Mammogram, read_mammogram
from ...images.preprocessing import ModelInput, Preprocessing, check_varies
from ...images.scale import input_spacing
from ..sources import Entry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """An image ready for the model, and what its file says about it."""

    entry: Entry
    pixels: NDArray[np.uint8]
    """(H, W), before normalisation: a quarter of what normalised pixels would cost to hand over."""
    frame: Frame
    sha256: str
    patient: str | None
    laterality: str | None
    view: str | None
    regions: NDArray[np.float32]
    """(5, H', W'): shares of each cell, in the order of `regions.REGIONS`."""
    breast_parts: NDArray[np.uint64]
    """(H', W'): see `cell_parts`."""
    notes: tuple[str, ...] = ()
    """What a person should know of the image."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An image that could not be used, and why."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Decoder:
    """What every image goes through; sent to the workers."""

    preprocessing: Preprocessing
    grid: tuple[int, int]

    def __call__(self, entry: Entry) -> Decoded | Failed:
        """Read one image. Whatever is wrong with it is its own failure, never the run's."""
        try:
            return self._decode(entry)
        except ImageError as error:
            return Failed(entry, str(error))
        except Exception as error:
            logger.debug("while decoding %s", entry.name, exc_info=True)
            text = str(error).replace(str(entry.path), entry.path.name).replace(str(entry.path.parent), "")
            return Failed(entry, f"{entry.path.name}: {type(error).__name__}: {text}")

    def _decode(self, entry: Entry) -> Decoded:
        image = read_mammogram(entry.path, crop=self.preprocessing.crop)
        prepared = image.prepared(self.preprocessing)
        check_varies(prepared.pixels, f"{entry.path.name} as the model sees it")
        return Decoded(
            entry,
            prepared.pixels,
            prepared.frame,
            sha256_file(entry.path),
            image.patient,
            image.laterality,
            image.view,
            *self._regions(image, entry, prepared),
            notes=(*image.notes, *prepared.frame.notes),
        )

    def _regions(
        self, image: Mammogram, entry: Entry, prepared: ModelInput
    ) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        if not self.preprocessing.breast:
            return whole_image(prepared.frame.input_shape, self.grid)
        return region_cells(
            prepared.pixels,
            self.grid,
            laterality=image.laterality or entry.laterality,
            view=image.view or entry.view,
            spacing=input_spacing(image.scale, prepared.frame),
        )
