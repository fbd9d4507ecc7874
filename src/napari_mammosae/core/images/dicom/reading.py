"""A mammogram from a DICOM file: stored values, what is needed to show them, and nothing that names the patient."""

import io
import logging
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import ImageError
from ...base.limits import check_grown
from ..rasters import inverted, single_plane
from .bits import keep_stored_bits
from .display import choose_voi, find_padding, find_windows
from .facts import SHOWN, Laterality, View, find_laterality, find_patient, find_scale, find_view, integer_of, value_of
from .pixels import PIXELS, decode_pixels

if TYPE_CHECKING:
    from pydicom import Dataset

BORDER = 5
"""Pixels the published pipeline drops on every side of a DICOM image before anything else."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"


def read_dicom(path: Path) -> dict[str, Any]:
    """Return the fields of `Mammogram` that one single-frame grayscale DICOM file gives.

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


def read_study_date(path: Path) -> date | None:
    """Return the day of a DICOM file's study (0008,0020); None where it gives none, and for another file."""
    dataset = _header(path, "StudyDate")
    text = "" if dataset is None else str(value_of(dataset, "StudyDate") or "").strip(" \0").replace(".", "")
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def read_shape(path: Path) -> tuple[int, int] | None:
    """Return rows and columns of a DICOM file without reading its pixels; None for another file."""
    dataset = _header(path, "Rows", "Columns")
    if dataset is None:
        return None
    rows, cols = integer_of(value_of(dataset, "Rows")), integer_of(value_of(dataset, "Columns"))
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

    loggers = [logging.getLogger(name) for name in ("pydicom", "pydicom.pixels.decoders.base")]
    for logger in loggers:
        logger.addFilter(let_pass)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        for logger in loggers:
            logger.removeFilter(let_pass)


def _read(path: Path, said: list[str]) -> dict[str, Any]:
    dataset = _load(path)
    if any("End of file reached" in line for line in said):
        raise ImageError(f"{path.name}: a truncated DICOM file, it ends within an element; copy it again")
    if not any(keyword in dataset for keyword in PIXELS):
        raise ImageError(
            f"{path.name}: a DICOM file without an image; expected a mammogram. If it should hold one, it was cut off: "
            "copy it again"
        )
    frames = integer_of(value_of(dataset, "NumberOfFrames")) or 1
    if frames > 1:
        raise ImageError(
            f"{path.name}: a multi-frame DICOM with {frames} frames (tomosynthesis or a series); "
            "expected a single 2-D mammogram, choose the 2-D view of the examination"
        )
    if "PALETTE" in str(value_of(dataset, "PhotometricInterpretation")).upper():
        raise ImageError(
            f"{path.name}: a DICOM in palette colour; expected MONOCHROME1 or MONOCHROME2, export it as grey"
        )
    decoded, read_so = decode_pixels(path, dataset)
    stored, bits = keep_stored_bits(single_plane(decoded, path.name), dataset)
    if not stored.size:
        raise ImageError(f"{path.name}: an empty image; expected a mammogram, export it again")
    invert = dataset.PhotometricInterpretation == "MONOCHROME1"
    top = float(stored.max())
    pixels = inverted(stored) if invert else stored
    padding = find_padding(dataset, top if invert else None)
    window, voi, unused = choose_voi(dataset, pixels, int(top) if invert else None, padding)
    shown = {key: value_of(dataset, tag) for tag, key in SHOWN.items()}
    found: dict[str, Any] = {
        "pixels": pixels,
        "laterality": find_laterality(dataset),
        "view": find_view(dataset),
        "patient": find_patient(dataset),
        "window": window,
        "padding": padding,
        "voi": voi,
        "metadata": {key: str(value) for key, value in shown.items() if value not in (None, "")},
        "notes": (*read_so, *bits, *unused),
        "border": BORDER,
        "windows": tuple(find_windows(dataset, top if invert else None)[1:]) if voi is None else (),
    }
    if (scale := find_scale(dataset)) is not None:
        found |= {"spacing": scale.spacing, "spacing_source": scale.source, "magnification": scale.magnification}
    return found


def _load(path: Path) -> "Dataset":
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise ImageError(
            f'{path.name}: reading DICOM needs pydicom; install it with: pip install "napari-mammosae[dicom]"'
        ) from error
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] == b"DICM":
                _check_deflated(path)
                return pydicom.dcmread(path)
        return pydicom.dcmread(_without_preamble(path), force=True)
    except ImageError:
        raise
    except InvalidDicomError as error:
        raise ImageError(f"{path.name}: not a DICOM file (its header is missing); export it again") from error
    except Exception as error:  # damaged files make the parser fail in many ways; its words may quote the patient
        kind = "truncated" if isinstance(error, EOFError) else "damaged"
        raise ImageError(f"{path.name}: a {kind} DICOM file ({type(error).__name__}); copy it again") from error


def _without_preamble(path: Path) -> io.BytesIO:
    """Return the content of a file that lacks its first 128 bytes, and perhaps its mark, so that pydicom reads it."""
    data = path.read_bytes().removeprefix(b"DICM")
    if _DEFLATED in data[:1024]:
        raise ImageError(f"{path.name}: a deflated DICOM file without its preamble; export it again")
    return io.BytesIO(bytes(128) + b"DICM" + data if data.startswith(b"\x02\0") else data)


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that unpacks to far more than it takes: pydicom would take the memory for all of it."""
    from pydicom.filereader import read_file_meta_info

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != _DEFLATED.decode():
        return
    data = path.read_bytes()
    unpacker, found = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = data[128 + 4 + 12 + int(meta.FileMetaInformationGroupLength) :]
    while rest and not unpacker.eof:
        found += len(unpacker.decompress(rest, 1 << 24))
        check_grown(len(data), found, path.name, ImageError)
        rest = unpacker.unconsumed_tail
