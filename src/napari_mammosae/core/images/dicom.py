"""A mammogram from a DICOM file: stored values, what is needed to show them, and nothing that names the patient."""

import logging
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ImageError
from ..base.limits import check_grown
from .dicom_facts import (
    SHOWN,
    Laterality,
    View,
    VoiTable,
    find_laterality,
    find_padding,
    find_patient,
    find_spacing,
    find_view,
    find_voi_table,
    find_window,
    integer_of,
)
from .rasters import inverted, single_plane
from .sizes import check_jpeg_size, check_size, jpeg_ends

if TYPE_CHECKING:
    from pydicom import Dataset

BORDER = 5
"""Pixels the published pipeline drops on every side of a DICOM image before anything else."""


@dataclass(frozen=True, slots=True, eq=False)
class DicomImage:
    """Pixels and facts of one DICOM file; see `Mammogram` for their meaning."""

    pixels: NDArray[Any]
    spacing: tuple[float, float] | None = None
    laterality: Laterality | None = None
    view: View | None = None
    patient: str | None = None
    window: tuple[float, float] | None = None
    padding: tuple[float, float] | None = None
    voi: VoiTable | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_dicom(path: Path) -> DicomImage:
    """Read one single-frame grayscale DICOM file.

    The values are the *stored* ones, as in the published pipeline: modality LUT, rescale slope, VOI LUT and window do
    not touch them. MONOCHROME1 is inverted (maximum minus value). Window (0028,1050/1051), VOI LUT Sequence
    (0028,3010) and Pixel Padding Value (0028,0120/0121) are carried for display, in units of the returned pixels.

    Raises
    ------
    ImageError
        pydicom is not installed, or the file is not a DICOM image, is truncated, multi-frame, in colour, or compressed
        in a way that no installed decoder knows.
    """
    with _collect_log() as said:
        try:
            return _read(path, said)
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # what the values of a damaged file lead to; the words may quote the patient
            raise ImageError(f"{path.name}: a damaged DICOM file ({type(error).__name__}); copy it again") from error


def read_facts(path: Path) -> tuple[Laterality | None, View | None]:
    """Return side and view of a DICOM file without reading its pixels; None for what it, or another file, lacks."""
    dataset = _header(path, "ImageLaterality", "Laterality", "ViewPosition", "ViewCodeSequence", "PatientOrientation")
    return (None, None) if dataset is None else (find_laterality(dataset), find_view(dataset))


def read_shape(path: Path) -> tuple[int, int] | None:
    """Return rows and columns of a DICOM file without reading its pixels; None for another file."""
    dataset = _header(path, "Rows", "Columns")
    if dataset is None:
        return None
    rows, cols = integer_of(dataset.get("Rows")), integer_of(dataset.get("Columns"))
    return None if rows is None or cols is None else (rows, cols)


def _header(path: Path, *tags: str) -> "Dataset | None":
    try:
        import pydicom

        with _collect_log():
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    except Exception:  # what is wrong with it is said when it is read
        return None


@contextmanager
def _collect_log() -> Iterator[list[str]]:
    """Yield a list that takes what pydicom logs in this thread; its warnings are dropped."""
    said: list[str] = []
    thread = threading.get_ident()

    def let_pass(record: logging.LogRecord) -> bool:
        if record.thread == thread:
            said.append(record.getMessage())
        return record.thread != thread

    logger = logging.getLogger("pydicom")
    logger.addFilter(let_pass)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        logger.removeFilter(let_pass)


def _read(path: Path, said: list[str]) -> DicomImage:
    dataset = _load(path)
    if any("End of file reached" in line for line in said):
        raise ImageError(f"{path.name}: a truncated DICOM file, it ends within an element; copy it again")
    if "PixelData" not in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
        raise ImageError(
            f"{path.name}: a DICOM file without an image; expected a mammogram. If it should hold one, it was cut off: "
            "copy it again"
        )
    frames = integer_of(dataset.get("NumberOfFrames")) or 1
    if frames > 1:
        raise ImageError(
            f"{path.name}: a multi-frame DICOM with {frames} frames (tomosynthesis or a series); "
            "expected a single 2-D mammogram, choose the 2-D view of the examination"
        )
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        raise ImageError(
            f"{path.name}: a DICOM in palette colour; expected MONOCHROME1 or MONOCHROME2, export it as grey"
        )
    stored = _stored_bits(single_plane(_pixels(path, dataset), path.name), dataset)
    if not stored.size:
        raise ImageError(f"{path.name}: an empty image; expected a mammogram, export it again")
    invert = photometric == "MONOCHROME1"
    top = float(stored.max())
    return DicomImage(
        pixels=inverted(stored) if invert else stored,
        spacing=find_spacing(dataset),
        laterality=find_laterality(dataset),
        view=find_view(dataset),
        patient=find_patient(dataset),
        window=find_window(dataset, top if invert else None),
        padding=find_padding(dataset, top if invert else None),
        voi=find_voi_table(dataset, int(top) if invert else None),
        metadata={key: str(dataset.get(tag)) for tag, key in SHOWN.items() if dataset.get(tag) not in (None, "")},
    )


def _load(path: Path) -> "Dataset":
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise ImageError(
            f'{path.name}: reading DICOM needs pydicom; install it with: pip install "napari-mammosae[dicom]"'
        ) from error
    try:
        _check_deflated(path)
        return pydicom.dcmread(path)
    except ImageError:
        raise
    except InvalidDicomError as error:
        raise ImageError(f"{path.name}: not a DICOM file (its header is missing); export it again") from error
    except Exception as error:  # damaged files make the parser fail in many ways; its words may quote the patient
        raise ImageError(
            f"{path.name}: a truncated or damaged DICOM file ({type(error).__name__}); copy it again"
        ) from error


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that unpacks to far more than it takes: pydicom would take the memory for all of it."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    data = path.read_bytes()
    unpacker, found = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = data[128 + 4 + 12 + int(meta.FileMetaInformationGroupLength) :]
    while rest and not unpacker.eof:
        found += len(unpacker.decompress(rest, 1 << 24))
        check_grown(len(data), found, path.name, ImageError)
        rest = unpacker.unconsumed_tail


def _pixels(path: Path, dataset: "Dataset") -> NDArray[Any]:
    rows, cols, bits, samples = (
        integer_of(dataset.get(tag)) or 1 for tag in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel")
    )
    check_size(path.name, rows, cols, max(1, bits // 8) * samples)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise ImageError(
            f"{path.name}: a DICOM file without a transfer syntax, so its pixels cannot be decoded; export it again"
        )
    if syntax.is_encapsulated:
        _check_stream(path, dataset)
    try:
        return np.asarray(dataset.pixel_array)
    except Exception as error:  # raised by whichever decoder is installed: no common base
        if "missing dependencies" in str(error) or "missing required dependencies" in str(error):
            raise ImageError(
                f"{path.name}: no decoder for {syntax.name} is installed; "
                'install one with: pip install "napari-mammosae[dicom]"'
            ) from error
        raise ImageError(
            f"{path.name}: the pixels of this DICOM file ({syntax.name}, {dataset.get('Rows')} x "
            f"{dataset.get('Columns')}) cannot be decoded, it is truncated or damaged; copy it again"
        ) from error


def _check_stream(path: Path, dataset: "Dataset") -> None:
    """Refuse a JPEG stream without its end: some decoders fill what is missing with a constant, silently."""
    from pydicom.encaps import get_frame

    try:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception as error:  # the parser of fragments has no common error type
        raise ImageError(f"{path.name}: a damaged DICOM file ({type(error).__name__}); copy it again") from error
    check_jpeg_size(path.name, stream)
    if stream.startswith(b"\xff\xd8") and not jpeg_ends(stream):
        raise ImageError(f"{path.name}: a truncated DICOM file (its compressed image has no end); copy it again")


def _stored_bits(pixels: NDArray[Any], dataset: "Dataset") -> NDArray[Any]:
    """Drop bits above Bits Stored (0028,0101): old files keep overlays there."""
    stored, allocated = integer_of(dataset.get("BitsStored")), pixels.dtype.itemsize * 8
    if pixels.dtype.kind not in "iu" or not stored or not 0 < stored < allocated or not pixels.size:
        return pixels
    if pixels.dtype.kind == "u":
        return pixels if int(pixels.max()) < 1 << stored else pixels & pixels.dtype.type((1 << stored) - 1)
    half = 1 << (stored - 1)
    if int(pixels.min()) >= -half and int(pixels.max()) < half:
        return pixels
    spare = allocated - stored
    return (pixels << spare) >> spare  # the shift back extends the sign
