"""The elements that decoding needs: misspelt or missing ones are read where the rest of the file leaves no doubt."""

import re
from typing import TYPE_CHECKING

from ...base.errors import ImageError
from ..sizes import StreamSize
from .facts import integer_of, value_of

if TYPE_CHECKING:
    from pydicom import Dataset

_PHOTOMETRIC = {
    re.sub("[ _]", "", name): name
    for name in (
        *("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR"),
        *(
            "YBR_FULL",
            "YBR_FULL_422",
            "YBR_PARTIAL_420",
            "YBR_PARTIAL_422",
            "YBR_ICT",
            "YBR_RCT",
            "ARGB",
            "HSV",
            "CMYK",
        ),
    )
}
_SHAPES = {"IDENTITY": "MONOCHROME2", "INVERSE": "MONOCHROME1"}
"""Presentation LUT Shape (2050,0020), which goes with one of the two."""

_MAMMOGRAPHY = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.13.1.3")
"""Beginnings of the classes of mammograms and of tomosynthesis, whose values the standard wants without a sign."""


def complete_elements(name: str, dataset: "Dataset", stream: StreamSize | None, native: int | None) -> list[str]:
    """Complete the elements that describe the pixels, in place, and say what was decided, a clause each.

    Parameters
    ----------
    name
        What errors call the file.
    dataset
        The file's data set.
    stream
        What the header of a compressed image says; None for others.
    native
        Bytes of an image that is not compressed; None for others.

    Raises
    ------
    ImageError
        An element is missing, or has a value of no meaning, and nothing else tells it.
    """
    elements = _Elements(name, dataset)
    elements.complete_photometric()
    elements.complete("SamplesPerPixel", stream.channels if stream else 1, (1, 3))
    elements.complete("Rows", stream.rows if stream else None, range(1, 1 << 16))
    elements.complete("Columns", stream.cols if stream else None, range(1, 1 << 16))
    allocated = None
    if stream:
        allocated = 8 if stream.bits <= 8 else 16
    elif native is not None:
        allocated = native * 8 // (dataset.Rows * dataset.Columns * dataset.SamplesPerPixel)
    elements.complete("BitsAllocated", allocated, (1, 8, 16, 32, 64))
    if "NumberOfFrames" in dataset:
        elements.complete("NumberOfFrames", 1 if allocated in (None, dataset.BitsAllocated) else None, range(1, 2))
    if "PixelData" not in dataset:  # real numbers have neither unused bits nor a choice of sign
        return elements.notes
    high = integer_of(value_of(dataset, "HighBit"))
    stored = stream.bits if stream else dataset.BitsAllocated if high is None else high + 1
    elements.complete("BitsStored", stored, range(1, dataset.BitsAllocated + 1))
    unsigned = str(value_of(dataset, "Modality")) == "MG" or str(value_of(dataset, "SOPClassUID")).startswith(
        _MAMMOGRAPHY
    )
    elements.complete("PixelRepresentation", 0 if unsigned else None, (0, 1))
    return elements.notes


class _Elements:
    def __init__(self, name: str, dataset: "Dataset") -> None:
        self.name, self.dataset = name, dataset
        self.notes: list[str] = []

    def complete(self, keyword: str, known: int | None, allowed: range | tuple[int, ...]) -> None:
        found = value_of(self.dataset, keyword)
        if integer_of(found) in allowed:
            return
        if known not in allowed:
            raise ImageError(f"{self.name}: {self._lacks(keyword)}, which decoding needs; export it again")
        self._set(keyword, known)

    def complete_photometric(self) -> None:
        keyword, found = "PhotometricInterpretation", str(value_of(self.dataset, "PhotometricInterpretation") or "")
        squeezed = re.sub(r"[^A-Z0-9]", "", found.upper())
        said = _PHOTOMETRIC.get(squeezed) or re.sub("^MONO[A-Z]*([12])$", r"MONOCHROME\1", squeezed)
        if said not in _PHOTOMETRIC.values():
            shape = str(value_of(self.dataset, "PresentationLUTShape") or "").strip().upper()
            said = _SHAPES.get(shape, "")
        if not said:
            raise ImageError(
                f"{self.name}: {self._lacks(keyword)}, so it does not say whether bright is dense; export it again as "
                "MONOCHROME1 or MONOCHROME2"
            )
        if said != found:
            self._set(keyword, said)

    def _set(self, keyword: str, value: object) -> None:
        self.notes.append(f"{self._lacks(keyword)}, read as {value}")
        setattr(self.dataset, keyword, value)

    def _lacks(self, keyword: str) -> str:
        from pydicom.datadict import dictionary_description, tag_for_keyword

        tag, found = tag_for_keyword(keyword) or 0, value_of(self.dataset, keyword)
        shown = f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
        if found in (None, ""):
            return f"{shown} {'cannot be read' if keyword in self.dataset and found is None else 'is missing'}"
        return f"{shown} is {str(found)[:30]!r}"
