"""From source pixels to the model input, step by step as the released models were trained, with the geometry kept."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import ImageError
from .geometry import Frame

BACKGROUND = 40
"""Grey levels (of 255) up to this one count as background when the breast is searched."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a model expects of its input.

    Parameters
    ----------
    size
        Rows and columns of the input.
    mean, std
        Taken off and divided by after the image was stretched to 0 ... 1.
    crop
        Whether images of another size are cropped to the breast and resized; otherwise they are refused.
    """

    size: tuple[int, int] = (1520, 912)
    mean: float = 0.3089279
    std: float = 0.25053555408335154
    crop: bool = True

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size is {self.size}, expected (rows, columns)")
        if not self.std > 0:
            raise ValueError(f"std is {self.std}, expected a positive number")


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """An image as the model sees it before normalisation: uint8 pixels (H, W), and where they came from."""

    pixels: NDArray[np.uint8]
    frame: Frame


def prepare(pixels: NDArray[Any], preprocessing: Preprocessing, *, border: int = 0, name: str = "image") -> ModelInput:
    """Scale to 8 bit, crop to the breast, resize; images that already have the size keep their pixels.

    Parameters
    ----------
    pixels
        (rows, cols), finite, bright = dense.
    preprocessing
        Only `size` and `crop` matter here.
    border
        Pixels dropped on every side first: 5 for DICOM in the published pipeline.
    name
        What error messages call the image.

    Raises
    ------
    ImageError
        The image is constant, shows no breast, or has another size and `crop` is off.
    """
    rows, cols = pixels.shape
    if (rows, cols) == preprocessing.size:
        scaled = pixels if pixels.dtype == np.uint8 else to_8bit(pixels, name)
        return ModelInput(np.ascontiguousarray(scaled, dtype=np.uint8), Frame.identity((rows, cols)))
    if not preprocessing.crop:
        raise ImageError(
            f"{name}: the image has {rows} x {cols} pixels, and without cropping the model needs exactly "
            f"{preprocessing.size[0]} x {preprocessing.size[1]}; turn cropping on or resize the image"
        )
    if min(rows, cols) <= 2 * border:
        raise ImageError(f"{name}: {rows} x {cols} pixels are too few for a mammogram; export it in full size")
    grey = to_8bit(pixels[border : rows - border, border : cols - border], name)
    row0, col0, row1, col1 = breast_box(grey, name)
    height, width = preprocessing.size
    resized = cv2.resize(grey[row0:row1, col0:col1], (width, height), interpolation=cv2.INTER_AREA)
    crop = (row0 + border, col0 + border, row1 + border, col1 + border)
    return ModelInput(np.asarray(resized, dtype=np.uint8), Frame((rows, cols), crop, preprocessing.size))


def to_8bit(pixels: NDArray[Any], name: str = "image") -> NDArray[np.uint8]:
    """(x - minimum) / (maximum - minimum) * 255, truncated to uint8; a constant image is an error."""
    low, high = check_varies(pixels, name)
    if pixels.dtype.kind in "iu" and int(high) - int(low) <= 0xFFFF:  # a table is quicker, and exact
        span = int(high) - int(low)
        table = (np.arange(span + 1) / span * 255).astype(np.uint8)
        index = pixels if low == 0 else pixels.astype(np.int64) - int(low)
        return np.take(table, index)
    span_float = float(high) - float(low)
    if not np.isfinite(span_float):
        raise ImageError(
            f"{name}: pixel values from {low} to {high} span more than can be computed with; rescale the image"
        )
    return ((pixels.astype(np.float64) - float(low)) / span_float * 255).astype(np.uint8)


def breast_box(grey: NDArray[np.uint8], name: str = "image") -> tuple[int, int, int, int]:
    """Edges ``(row0, col0, row1, col1)`` of the breast in an 8-bit image, by the published rule.

    Values up to 40 count as background. The breast spans the longest run of columns that are not constant within the
    central 80 % of the rows, then the longest run of rows that are not constant within the central 80 % of those
    columns; of equally long runs the first.
    """
    rows = grey.shape[0]
    col0, col1 = _longest_run(_varies(grey[slice(*_central(rows))], axis=0), name)
    first, last = _central(col1 - col0)
    row0, row1 = _longest_run(_varies(grey[:, col0 + first : col0 + last], axis=1), name)
    return row0, col0, row1, col1


def normalised(pixels: NDArray[np.uint8], preprocessing: Preprocessing, name: str = "image") -> NDArray[np.float32]:
    """Model input (H, W) uint8 -> float32: minus its minimum, over its maximum, minus the mean, over the std."""
    low, high = check_varies(pixels, f"{name} as the model sees it")
    values = pixels.astype(np.float32)
    values -= np.float32(low)
    values /= np.float32(high) - np.float32(low)
    values -= np.float32(preprocessing.mean)
    values /= np.float32(preprocessing.std)
    return values


def check_varies(pixels: NDArray[Any], name: str = "image") -> tuple[Any, Any]:
    """Return the lowest and the highest value; raise ImageError where they are one."""
    low, high = pixels.min(), pixels.max()
    if not low < high:
        raise ImageError(f"{name}: every pixel has the value {low}; expected a mammogram, export it again")
    return low, high


def _central(length: int) -> tuple[int, int]:
    half = int(length * 0.4)
    return length // 2 - half, length // 2 + half


def _varies(grey: NDArray[np.uint8], axis: int) -> NDArray[np.bool_]:
    if grey.shape[axis] == 0:
        return np.zeros(grey.shape[1 - axis], dtype=np.bool_)
    # raising both extremes to the background level merges all background values without a copy of the image
    highest = np.maximum(grey.max(axis=axis), BACKGROUND)
    lowest = np.maximum(grey.min(axis=axis), BACKGROUND)
    return np.asarray(highest != lowest)


def _longest_run(flags: NDArray[np.bool_], name: str) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    if not starts.size:
        raise ImageError(
            f"{name}: no breast found, nothing but background or constant lines; "
            "if the image is already cropped and resized, give it the size the model expects"
        )
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])
