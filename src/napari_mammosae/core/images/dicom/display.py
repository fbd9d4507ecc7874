"""How a DICOM file wants its image shown: window, lookup table, padding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .facts import find, integer_of, number_of, value_of, values_of

if TYPE_CHECKING:
    from pydicom import Dataset

Range = tuple[float, float]
Window = tuple[str, float, float]
"""What the file calls it, its centre and its width."""
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True, eq=False)
class VoiTable:
    """A VOI lookup table for display: pixel value -> grey, bright = dense.

    Values below `first` take the first entry of `table`, values beyond its end the last.
    """

    first: int
    table: NDArray[Any]

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Grey values (rows, cols) of pixel values (rows, cols)."""
        index = np.clip(pixels.astype(np.int64) - self.first, 0, self.table.size - 1)
        return np.take(self.table, index)


def find_windows(dataset: "Dataset", top: float | None) -> list[Window]:
    """Windows of the file, the first one its default, taken back through rescaling and inversion to units of pixels."""
    centres, widths, names = (
        values_of(find(dataset, f"Window{tag}")) for tag in ("Center", "Width", "CenterWidthExplanation")
    )
    slope, intercept = (number_of(find(dataset, f"Rescale{tag}")) or 0.0 for tag in ("Slope", "Intercept"))
    found = []
    for at, values in enumerate(zip(centres, widths, strict=False)):
        centre, width = map(number_of, values)
        if centre is None or width is None or width <= 0:
            continue
        if slope:
            centre, width = (centre - intercept) / slope, width / abs(slope)
        said = " ".join(str(names[at]).split())[:_LONGEST_NAME] if at < len(names) else ""
        found.append((said or f"Window {at + 1}", centre if top is None else top - centre, width))
    return found


def find_padding(dataset: "Dataset", top: float | None) -> tuple[float, float] | None:
    """Lowest and highest value that mean "no image here", in units of the pixels."""
    value, limit = (number_of(value_of(dataset, tag)) for tag in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if value is None:
        return None
    # in pixels without a sign, -1 is the highest value
    unsigned = 1 << dataset.BitsAllocated if not integer_of(value_of(dataset, "PixelRepresentation")) else 0
    ends = (end if end >= 0 else end + unsigned for end in (value, value if limit is None else limit))
    low, high = sorted(ends)
    return (low, high) if top is None else (top - high, top - low)


def find_voi_table(dataset: "Dataset", top: int | None) -> VoiTable | None:
    """First table of the VOI LUT Sequence, for files without a rescaling (with one its index is not a stored value)."""
    sequence = value_of(dataset, "VOILUTSequence") or []
    if (
        not len(sequence)
        or (number_of(find(dataset, "RescaleSlope")) or 1.0) != 1.0
        or number_of(find(dataset, "RescaleIntercept"))
    ):
        return None
    descriptor, data = values_of(value_of(sequence[0], "LUTDescriptor")), value_of(sequence[0], "LUTData")
    if len(descriptor) != 3 or data is None:
        return None
    bits = int(descriptor[2])
    if isinstance(data, bytes):
        entries = np.frombuffer(data, np.uint8 if bits <= 8 and len(data) == int(descriptor[0]) else np.dtype("<u2"))
    else:
        entries = np.asarray(values_of(data), dtype=np.int64)
    table = entries.astype(np.int64) & 0xFFFF
    if table.size < 2:
        return None
    first = int(descriptor[1])
    if top is None:
        return VoiTable(first, table.astype(np.uint16))
    # inverted pixels run the other way: value v of the file is top - v now, and dark there is bright here
    return VoiTable(top - (first + table.size - 1), (table.max() - table)[::-1].astype(np.uint16))


def find_sigmoid(dataset: "Dataset", window: Range, pixels: NDArray[Any]) -> VoiTable | None:
    """Table of VOI LUT Function (0028,1056) SIGMOID for the values that occur; None where it is another function."""
    if str(find(dataset, "VOILUTFunction") or "").strip().upper() != "SIGMOID" or pixels.dtype.kind not in "iu":
        return None
    low, high = int(pixels.min()), int(pixels.max())
    if high - low > 0xFFFF:
        return None
    # turned along with inverted pixels, the function stays as it is
    slope = np.clip(-4 * (np.arange(low, high + 1) - window[0]) / window[1], -50, 50)
    return VoiTable(low, np.rint(0xFFFF / (1 + np.exp(slope))).astype(np.uint16))


def choose_voi(
    dataset: "Dataset", pixels: NDArray[Any], top: int | None, padding: Range | None
) -> tuple[Range | None, VoiTable | None, list[str]]:
    """Return the window, in units of the pixels, the table to show an image with, and notes on those of no use.

    Parameters
    ----------
    dataset
        The file's data set.
    pixels
        (rows, cols), inverted already where they are to be.
    top
        What they were inverted at; None where they were not.
    padding
        Lowest and highest value that mean "no image here".
    """
    step = max(1, int(np.sqrt(pixels.size / 250_000)))  # a sample is enough for percentiles
    seen = pixels[::step, ::step].ravel()
    if padding is not None:
        image = seen[(seen < padding[0]) | (seen > padding[1])]
        seen = image if image.size else seen
    low, high = np.percentile(seen, (0.5, 99.9))
    notes = []
    table, windows = find_voi_table(dataset, top), find_windows(dataset, top)
    window = windows[0][1:] if windows else None
    if table is not None and np.ptp(table(seen)) == 0:
        notes.append("its VOI LUT (0028,3010) shows all values alike, so it is not used")
        table = None
    if window is not None and (window[0] - window[1] / 2 >= high or window[0] + window[1] / 2 <= low):
        notes.append(
            f"its window (centre {window[0]:g}, width {window[1]:g}) shows none of the values {low:g} to {high:g}, so "
            "it is not used"
        )
        window = None
    if table is None and window is not None:
        table = find_sigmoid(dataset, window, pixels)
    return window, table, notes
