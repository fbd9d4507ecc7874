"""The pixels of a DICOM file, decoded; what is wrong with them in the decoder's own words."""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...base.errors import ImageError
from ...base.reading import short_line, short_reason
from ..sizes import check_jpeg_size, check_size, stream_ends, stream_size
from .elements import complete_elements

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
PIXELS = ("PixelData", *FLOATS)

_SHORT = re.compile(r"insufficient|truncat|not enough|unexpected end|too short|premature end|end of (file|data)", re.I)
"""In a decoder's words: data is missing."""

_COUNTED = re.compile(r"\((\d+) vs\.? (\d+) bytes\)")
"""Bytes found and bytes expected, as pydicom says them."""

_ALONE = threading.Lock()


def decode_pixels(path: Path, dataset: "Dataset") -> tuple[NDArray[Any], list[str]]:
    """Return the values of a single frame as they are stored, and notes on what was read into the header.

    Raises
    ------
    ImageError
        The transfer syntax is unknown, no decoder is installed, an element is missing, or the decoder refuses.
    """
    syntax = _syntax(path, dataset)
    stream = _stream(path, dataset) if syntax.is_encapsulated else None
    size = None if stream is None else stream_size(stream)
    native = len(dataset.PixelData) if stream is None and "PixelData" in dataset else None
    notes = complete_elements(path.name, dataset, size, native)
    check_size(path.name, dataset.Rows, dataset.Columns, max(1, dataset.BitsAllocated // 8) * dataset.SamplesPerPixel)
    if stream is not None:
        check_jpeg_size(path.name, stream)
        if not stream_ends(stream):
            raise ImageError(f"{path.name}: a truncated DICOM file (its compressed image has no end); copy it again")
    heard: list[str] = []
    dataset.pixel_array_options(correct_unused_bits=False)  # which bits are unused is decided by the values too
    try:
        with _hearing(heard) if syntax.is_encapsulated else nullcontext():
            return np.asarray(dataset.pixel_array), notes
    except MemoryError:
        raise
    except Exception as error:  # raised by whichever decoder is installed: no common base
        _refuse(path, dataset, syntax, error, heard)


def _syntax(path: Path, dataset: "Dataset") -> "UID":
    """Transfer syntax; where the file does not name it, that of its pixels."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    from . import decoders as dicom_decoders  # noqa: F401  pydicom knows what it decodes from then on

    syntax: UID | None = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
            raise ImageError(
                f"{path.name}: Transfer Syntax UID (0002,0010) is missing, so its compressed pixels cannot be decoded; "
                "export it again"
            )
        dataset.file_meta.TransferSyntaxUID = syntax
    try:
        get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageError(
            f"{path.name}: its transfer syntax (0002,0010) is {syntax.name}, which nothing here decodes; convert it to "
            "Explicit VR Little Endian, for example with gdcmconv --raw"
        ) from error
    return syntax


def _stream(path: Path, dataset: "Dataset") -> bytes:
    from pydicom.encaps import get_frame

    try:
        return get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception as error:  # the parser of fragments has no common error type
        raise ImageError(
            f"{path.name}: Pixel Data (7FE0,0010) is damaged ({short_reason(error)}); copy it again"
        ) from error


@contextmanager
def _hearing(heard: list[str]) -> Iterator[None]:
    """Add to `heard` what decoders in C write to the error stream, which has their reasons, and keep it from there."""
    try:
        kept = os.dup(2)
    except OSError:  # programs without a console have no error stream
        yield
        return
    with _ALONE, tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            heard += file.read(4096).decode("utf-8", "replace").splitlines()


def _refuse(path: Path, dataset: "Dataset", syntax: "UID", error: Exception, heard: list[str]) -> NoReturn:
    said, throughput = str(error), "High-Throughput" in syntax.name
    if "missing dependencies" in said or "missing required dependencies" in said:
        needed = "pylibjpeg pylibjpeg-openjpeg" if throughput else '"napari-mammosae[dicom]"'
        raise ImageError(
            f"{path.name}: no decoder for {syntax.name} is installed; install one with: pip install {needed}"
        ) from error
    lines = [line.strip() for line in said.splitlines()[1:]] if "all available plugins" in said else [said]
    own = [line for line in (*heard, *lines) if "'NoneType'" not in line and not line.startswith("Unsupported JPEG")]
    reason = short_line("; ".join(dict.fromkeys(line.partition(" - ")[0] for line in own)))[:90]
    keyword = next(name for name in PIXELS if name in dataset)
    element = dataset[keyword]
    what = f"{path.name}: {element.name} {element.tag} in {syntax.name}"
    counted = _COUNTED.search(said)
    if _SHORT.search(reason) or (counted and int(counted[1]) < int(counted[2])):
        raise ImageError(f"{what} is truncated ({reason}); copy it again") from error
    advice = "install pylibjpeg-openjpeg, or convert it" if throughput else "convert it"
    advice = f"{advice} with gdcmconv --raw" if syntax.is_encapsulated else "export it again"
    raise ImageError(f"{what} cannot be decoded ({reason}); {advice}") from error
