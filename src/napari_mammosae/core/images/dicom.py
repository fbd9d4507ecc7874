"""A mammogram from a DICOM file: stored values, what is needed to show them, and nothing that names the patient."""

import hashlib
import logging
import math
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ImageError
from ..base.limits import check_grown
from .rasters import inverted, single_plane
from .sizes import check_jpeg_size, check_size

if TYPE_CHECKING:
    from pydicom import Dataset

Laterality = Literal["L", "R"]
View = Literal["CC", "MLO"]

BORDER = 5
"""Pixels the published pipeline drops on every side of a DICOM image before anything else."""

_SALT = "napari-mammosae patient: "

_SHOWN = {  # none of these identifies a person, an institution or an examination
    "Modality": "modality",
    "PresentationIntentType": "intent",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "device",
    "PhotometricInterpretation": "photometric",
    "BitsStored": "bits",
    "ViewPosition": "view",
    "KVP": "kvp",
    "ExposureInuAs": "exposure_uas",
    "BodyPartThickness": "thickness_mm",
    "CompressionForce": "force_n",
}

_VIEW_CODES: dict[str, View] = {  # View Code Sequence (0054,0220), SNOMED RT and CT
    "R-10242": "CC",
    "399162004": "CC",
    "R-10226": "MLO",
    "399368009": "MLO",
}


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


def hashed_patient(patient_id: str) -> str | None:
    """Pseudonym of a DICOM Patient ID: 16 hexadecimal digits of a salted SHA-256; None when there is no ID.

    It groups the images of one patient. It is a pseudonym, not an anonymisation: who knows an ID can recompute it.
    """
    cleaned = patient_id.strip(" \0")
    return hashlib.sha256((_SALT + cleaned).encode()).hexdigest()[:16] if cleaned else None


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
    frames = _integer(dataset.get("NumberOfFrames")) or 1
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
        spacing=_spacing(dataset),
        laterality=_laterality(dataset),
        view=_view(dataset),
        patient=hashed_patient(str(dataset.get("PatientID", "") or "")),
        window=_window(dataset, top if invert else None),
        padding=_padding(dataset, top if invert else None),
        voi=_voi_table(dataset, int(top) if invert else None),
        metadata={key: str(dataset.get(tag)) for tag, key in _SHOWN.items() if dataset.get(tag) not in (None, "")},
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
        _integer(dataset.get(tag)) or 1 for tag in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel")
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
    if stream.startswith(b"\xff\xd8") and b"\xff\xd9" not in stream.rstrip(b"\0")[-16:]:
        raise ImageError(f"{path.name}: a truncated DICOM file (its compressed image has no end); copy it again")


def _stored_bits(pixels: NDArray[Any], dataset: "Dataset") -> NDArray[Any]:
    """Drop bits above Bits Stored (0028,0101): old files keep overlays there."""
    stored, allocated = _integer(dataset.get("BitsStored")), pixels.dtype.itemsize * 8
    if pixels.dtype.kind not in "iu" or not stored or not 0 < stored < allocated or not pixels.size:
        return pixels
    if pixels.dtype.kind == "u":
        return pixels if int(pixels.max()) < 1 << stored else pixels & pixels.dtype.type((1 << stored) - 1)
    half = 1 << (stored - 1)
    if int(pixels.min()) >= -half and int(pixels.max()) < half:
        return pixels
    spare = allocated - stored
    return (pixels << spare) >> spare  # the shift back extends the sign


def _spacing(dataset: "Dataset") -> tuple[float, float] | None:
    """Imager Pixel Spacing (0018,1164), else Pixel Spacing (0028,0030): mm between rows and between columns."""
    for tag in ("ImagerPixelSpacing", "PixelSpacing"):
        numbers = [number for value in _values(dataset.get(tag)) if (number := _number(value)) is not None]
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None


def _laterality(dataset: "Dataset") -> Laterality | None:
    """Image Laterality (0020,0062), else Laterality (0020,0060)."""
    for tag in ("ImageLaterality", "Laterality"):
        value = str(dataset.get(tag) or "").strip().upper()
        if value == "L":
            return "L"
        if value == "R":
            return "R"
    return None


def _view(dataset: "Dataset") -> View | None:
    """View Position (0018,5101), else the code of the View Code Sequence (0054,0220)."""
    value = str(dataset.get("ViewPosition") or "").strip().upper()
    if value == "CC":
        return "CC"
    if value == "MLO":
        return "MLO"
    codes = dataset.get("ViewCodeSequence") or []
    return _VIEW_CODES.get(str(codes[0].get("CodeValue", "")).strip()) if len(codes) and not value else None


def _window(dataset: "Dataset", top: float | None) -> tuple[float, float] | None:
    """First window (centre, width), taken back through the rescaling and the inversion to units of the pixels."""
    centre = _number(next(iter(_values(dataset.get("WindowCenter"))), None))
    width = _number(next(iter(_values(dataset.get("WindowWidth"))), None))
    if centre is None or width is None or width <= 0:
        return None
    slope = _number(dataset.get("RescaleSlope"))
    if slope:
        centre, width = (centre - (_number(dataset.get("RescaleIntercept")) or 0.0)) / slope, width / abs(slope)
    return (centre if top is None else top - centre), width


def _padding(dataset: "Dataset", top: float | None) -> tuple[float, float] | None:
    value = _number(dataset.get("PixelPaddingValue"))
    if value is None:
        return None
    limit = _number(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((value, value if limit is None else limit))
    return (low, high) if top is None else (top - high, top - low)


def _voi_table(dataset: "Dataset", top: int | None) -> VoiTable | None:
    """First table of the VOI LUT Sequence, for files without a rescaling (with one its index is not a stored value)."""
    sequence = dataset.get("VOILUTSequence") or []
    if (
        not len(sequence)
        or (_number(dataset.get("RescaleSlope")) or 1.0) != 1.0
        or _number(dataset.get("RescaleIntercept"))
    ):
        return None
    descriptor, data = _values(sequence[0].get("LUTDescriptor")), sequence[0].get("LUTData")
    if len(descriptor) != 3 or data is None:
        return None
    bits = int(descriptor[2])
    if isinstance(data, bytes):
        entries = np.frombuffer(data, np.uint8 if bits <= 8 and len(data) == int(descriptor[0]) else np.dtype("<u2"))
    else:
        entries = np.asarray(_values(data), dtype=np.int64)
    table = entries.astype(np.int64) & 0xFFFF
    if table.size < 2:
        return None
    first = int(descriptor[1])
    if top is None:
        return VoiTable(first, table.astype(np.uint16))
    # inverted pixels run the other way: value v of the file is top - v now, and dark there is bright here
    return VoiTable(top - (first + table.size - 1), (table.max() - table)[::-1].astype(np.uint16))


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
