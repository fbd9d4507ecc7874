"""From source pixels to the model input, step by step as the released models were trained, with the geometry kept."""

from dataclasses import dataclass, fields
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import ImageError
from .geometry import Frame

BACKGROUND = 40
"""Grey levels (of 255) up to this one count as background when the breast is searched."""


Fit = Literal["crop", "crop-pad", "resize", "pad"]
"""How an image of another size is made into the input: cropped to the breast or whole, resized or first padded."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a model expects of its input.

    Parameters
    ----------
    size
        Rows and columns of the input.
    mean, std
        Taken off and divided by after the image was scaled to 0 ... 1: a number, or one per channel.
    crop
        Whether images of another size are made to fit; otherwise they are refused.
    fit
        How they are: "crop" cuts the breast out and resizes it, "resize" does so with the whole image; "crop-pad" and
        "pad" first pad to the shape of the input with black, so that nothing is distorted.
    stretch
        Whether each image is stretched from its darkest to its brightest pixel; otherwise 8-bit images keep their
        values, and 255 is 1.
    channels
        1, or 3 for networks of colour images, which get the same plane three times.
    breast
        Whether images are of a breast, with air, skin and pectoral muscle around it.
    """

    size: tuple[int, int] = (1520, 912)
    mean: float | tuple[float, ...] = 0.3089279
    std: float | tuple[float, ...] = 0.25053555408335154
    crop: bool = True
    fit: Fit = "crop"
    stretch: bool = True
    channels: int = 3
    breast: bool = True

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size is {self.size}, expected (rows, columns)")
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, tuple) and len(value) != self.channels:
                raise ValueError(f"{name} has {len(value)} numbers for {self.channels} channels; give one a channel")
        if not np.all(np.asarray(self.std) > 0):
            raise ValueError(f"std is {self.std}, expected a positive number")

    def record(self) -> dict[str, Any]:
        """Return what it says as plain values, without what goes without saying for a mammogram in three channels."""
        first = ("size", "mean", "std", "crop")
        return {
            one.name: value
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default or one.name in first
        }


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
        All but mean, std and channels matter here.
    border
        Pixels dropped on every side first: 5 for DICOM in the published pipeline.
    name
        What error messages call the image.

    Raises
    ------
    ImageError
        The image is constant, shows no breast where one is cut out, or has another size and `crop` is off.
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
    cut = preprocessing.fit.startswith("crop")
    inner = pixels[border : rows - border, border : cols - border] if cut else pixels
    keep = pixels.dtype == np.uint8 and not preprocessing.stretch
    grey = np.asarray(inner, np.uint8) if keep else to_8bit(inner, name)
    box = breast_box(grey, name) if cut else (0, 0, rows, cols)
    if preprocessing.fit.endswith("pad"):
        box = padded_box(box, preprocessing.size)
    height, width = preprocessing.size
    part = Frame(grey.shape, box, preprocessing.size).cut(grey)
    resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    row0, col0, row1, col1 = (edge + border * cut for edge in box)
    frame = Frame((rows, cols), (row0, col0, row1, col1), preprocessing.size)
    return ModelInput(np.asarray(resized, dtype=np.uint8), frame)


def padded_box(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Widen the edges of a box on both sides until it has the shape of `size`; it may leave the image then."""
    row0, col0, row1, col1 = box
    rows, cols = row1 - row0, col1 - col0
    more_rows = max(round(cols * size[0] / size[1]) - rows, 0)
    more_cols = max(round(rows * size[1] / size[0]) - cols, 0)
    above, left = more_rows // 2, more_cols // 2
    return row0 - above, col0 - left, row1 + more_rows - above, col1 + more_cols - left


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
