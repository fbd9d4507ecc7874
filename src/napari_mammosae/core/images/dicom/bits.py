"""Bits of the pixels that Bits Stored (0028,0101) leaves out: dropped where they are none of the image's."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .facts import integer_of, value_of

if TYPE_CHECKING:
    from pydicom import Dataset

Values = NDArray[Any]


def keep_stored_bits(pixels: Values, dataset: "Dataset") -> tuple[Values, list[str]]:
    """Return the values of Bits Stored bits, and notes.

    Padding and overlays above these bits, as old files keep them there, are dropped; where the values themselves go on
    above them, Bits Stored is too low, and they stay.
    """
    stored, allocated = integer_of(value_of(dataset, "BitsStored")), pixels.dtype.itemsize * 8
    if pixels.dtype.kind not in "iu" or not stored or not 0 < stored < allocated or not pixels.size:
        return pixels, []
    if _fits(pixels, stored):
        return pixels, []
    pixels, notes = _without_padding(pixels, dataset, stored)
    shift = (integer_of(value_of(dataset, "HighBit")) or 0) + 1 - stored
    if _fits(pixels, stored) or (shift > 0 and not (pixels & ((1 << shift) - 1)).any()):
        return pixels, notes  # values that fill the upper bits are the same ones, times a power of two
    spare = pixels.dtype.type(allocated - stored)
    masked = (pixels << spare) >> spare  # in a signed type the shift back extends the sign
    if not _has_overlay(dataset, stored) and _goes_on(pixels, stored):
        above = f"values from {pixels.min()} to {pixels.max()} need more than the {stored} bits of Bits Stored"
        return pixels, [*notes, f"{above} (0028,0101), so all their bits are used"]
    return masked, [*notes, f"bits above the {stored} of Bits Stored (0028,0101) are dropped"]


def _limits(values: Values, stored: int) -> tuple[int, int]:
    half = 1 << (stored - 1)
    return (0, 2 * half) if values.dtype.kind == "u" else (-half, half)


def _fits(values: Values, stored: int) -> bool:
    low, high = _limits(values, stored)
    return low <= int(values.min()) and int(values.max()) < high


def _without_padding(pixels: Values, dataset: "Dataset", stored: int) -> tuple[Values, list[str]]:
    """Make pixels background that hold a Pixel Padding Value (0028,0120) which Bits Stored cannot hold."""
    value = integer_of(value_of(dataset, "PixelPaddingValue"))
    if value is None:
        return pixels, []
    limit = integer_of(value_of(dataset, "PixelPaddingRangeLimit"))
    ends = np.array([value, value if limit is None else limit]).astype(pixels.dtype)  # -1 is 65535 without a sign
    low, high = _limits(pixels, stored)
    padded = (pixels >= ends.min()) & (pixels <= ends.max()) & ((pixels < low) | (pixels >= high))
    if not padded.any() or padded.all():
        return pixels, []
    others = pixels[~padded]
    dark = others.max() if value_of(dataset, "PhotometricInterpretation") == "MONOCHROME1" else others.min()
    note = f"Pixel Padding Value {value} lies above the {stored} bits of Bits Stored (0028,0101); it is background"
    return np.where(padded, dark, pixels), [note]


def _has_overlay(dataset: "Dataset", stored: int) -> bool:
    """Whether the header says that an overlay (60xx) lies in bits above those stored."""
    places = (dataset.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    return any((integer_of(place.value) or 0) >= stored for place in places if place is not None)


def _goes_on(pixels: Values, stored: int) -> bool:
    """Whether the bits above those stored count on, rather than being flags: single bits, or one pattern."""
    signed = pixels.dtype.kind == "i"
    above = np.unique(pixels >> pixels.dtype.type(stored - signed))
    above = np.unique(above ^ (above >> pixels.dtype.type(8 * pixels.dtype.itemsize - 1)) if signed else above)
    flags = above[above > 0]
    if flags.size == above[-1]:  # none is left out
        return True
    return flags.size > 1 and bool((flags & (flags - 1)).any())
