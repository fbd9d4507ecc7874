"""Lengths in millimetres: in the breast, not at the detector, where the file says how much it was magnified."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .geometry import Frame


@dataclass(frozen=True, slots=True)
class Scale:
    """Millimetres per pixel, and what they were taken from.

    Parameters
    ----------
    spacing
        (row, column) in millimetres, as the file gives it.
    source
        What the file calls it: ``Imager Pixel Spacing`` (at the detector), ``Pixel Spacing``; empty if it was given.
    magnification
        Estimated Radiographic Magnification Factor (0018,1114): how much larger the breast is at the detector. It
        applies to the spacing at the detector alone; 1 where it is not known.

    Examples
    --------
    >>> scale = Scale((0.07, 0.07), "Imager Pixel Spacing", 1.75)
    >>> scale.per_pixel
    (0.04, 0.04)
    >>> round(scale.length((0, 0), (300, 400)), 3)
    20.0
    """

    spacing: tuple[float, float]
    source: str = ""
    magnification: float = 1.0

    @property
    def per_pixel(self) -> tuple[float, float]:
        """Millimetres in the breast per pixel, (row, column)."""
        row, column = (round(step / self.magnification, 9) for step in self.spacing)
        return row, column

    def length(self, start: Sequence[float], end: Sequence[float]) -> float:
        """Millimetres between two points (row, column)."""
        down, across = self.per_pixel
        return float(((start[0] - end[0]) ** 2 * down**2 + (start[1] - end[1]) ** 2 * across**2) ** 0.5)

    def __str__(self) -> str:
        down, across = self.per_pixel
        size = f"{down:.4g} mm per pixel" if down == across else f"{down:.4g} x {across:.4g} mm per pixel"
        if self.magnification != 1:
            return f"{size} ({self.source}, divided by its magnification of {self.magnification:g})"
        if self.source == AT_DETECTOR:
            return f"{size} (at the detector; lengths in the breast are slightly smaller)"
        return f"{size} ({self.source})" if self.source else size


AT_DETECTOR = "Imager Pixel Spacing"


def input_spacing(scale: Scale | None, frame: "Frame") -> tuple[float, float] | None:
    """Millimetres per pixel (row, column) of the model input; None where they are not known."""
    if scale is None:
        return None
    down, across = scale.per_pixel
    return down * frame.scale[0], across * frame.scale[1]
