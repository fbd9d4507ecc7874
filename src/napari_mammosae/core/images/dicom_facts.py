"""What a DICOM file says about its image: spacing, side, view, woman, window, padding."""

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset

Laterality = Literal["L", "R"]
View = Literal["CC", "MLO"]

_SALT = "napari-mammosae patient: "

SHOWN = {  # none of these identifies a person, an institution or an examination
    "Modality": "modality",
    "BodyPartExamined": "body_part",
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

CBIS_CASE = re.compile(
    r"(?P<kind>Mass|Calc)-(?P<split>Training|Test)_(?P<woman>P_\d+)_(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)(_(?P<number>\d+))?"
)
"""Patient ID in CBIS-DDSM, which is one a view and abnormality: kind, split, woman, side, view, number."""


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


def hashed_patient(patient_id: str) -> str | None:
    """Pseudonym of a DICOM Patient ID: 16 hexadecimal digits of a salted SHA-256; None when there is no ID.

    It groups the images of one patient. It is a pseudonym, not an anonymisation: who knows an ID can recompute it.
    """
    cleaned = patient_id.strip(" \0")
    return hashlib.sha256((_SALT + cleaned).encode()).hexdigest()[:16] if cleaned else None


def find(dataset: "Dataset", keyword: str) -> Any:
    """Return an element's value: the data set's own, else that of its first frame's functional groups, or None."""
    own = dataset.get(keyword)
    if own not in (None, ""):
        return own
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in list(dataset.get(groups) or [])[:1]:
            for element in group:
                inside = list(element.value)[:1] if element.VR == "SQ" and element.value else []
                if inside and inside[0].get(keyword) not in (None, ""):
                    return inside[0].get(keyword)
    return None


def find_patient(dataset: "Dataset") -> str | None:
    """Pseudonym of the woman; CBIS-DDSM's Patient ID names a view of hers."""
    patient_id = str(dataset.get("PatientID") or "")
    case = CBIS_CASE.fullmatch(patient_id.strip(" \0"))
    return hashed_patient(case["woman"] if case else patient_id)


def find_spacing(dataset: "Dataset") -> tuple[float, float] | None:
    """Imager Pixel Spacing (0018,1164), else Pixel Spacing (0028,0030): mm between rows and between columns."""
    for tag in ("ImagerPixelSpacing", "PixelSpacing"):
        numbers = [number for value in values_of(find(dataset, tag)) if (number := number_of(value)) is not None]
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None


def find_laterality(dataset: "Dataset") -> Laterality | None:
    """Image Laterality (0020,0062), Laterality (0020,0060) or Frame Laterality (0020,9072); else as CBIS-DDSM says."""
    case = CBIS_CASE.fullmatch(str(dataset.get("PatientID") or "").strip(" \0"))
    said = [find(dataset, tag) for tag in ("ImageLaterality", "Laterality", "FrameLaterality")]
    for value in (*said, case["side"][0] if case else ""):
        letter = str(value or "").strip().upper()
        if letter in ("L", "R"):
            return "L" if letter == "L" else "R"
    return None


def find_view(dataset: "Dataset") -> View | None:
    """View Position (0018,5101), else the View Code Sequence (0054,0220), else as CBIS-DDSM says it.

    That data set writes the view as Patient Orientation (0020,0020).
    """
    if value := str(dataset.get("ViewPosition") or "").strip().upper():
        return _known_view(value)
    codes = dataset.get("ViewCodeSequence") or []
    if len(codes):
        return _VIEW_CODES.get(str(codes[0].get("CodeValue", "")).strip())
    case = CBIS_CASE.fullmatch(str(dataset.get("PatientID") or "").strip(" \0"))
    return _known_view(str(dataset.get("PatientOrientation") or "").strip().upper()) or (
        _known_view(case["view"]) if case else None
    )


def _known_view(text: str) -> View | None:
    return "CC" if text == "CC" else "MLO" if text == "MLO" else None


def find_window(dataset: "Dataset", top: float | None) -> tuple[float, float] | None:
    """First window (centre, width), taken back through the rescaling and the inversion to units of the pixels."""
    centre = number_of(next(iter(values_of(find(dataset, "WindowCenter"))), None))
    width = number_of(next(iter(values_of(find(dataset, "WindowWidth"))), None))
    if centre is None or width is None or width <= 0:
        return None
    slope = number_of(find(dataset, "RescaleSlope"))
    if slope:
        intercept = number_of(find(dataset, "RescaleIntercept")) or 0.0
        centre, width = (centre - intercept) / slope, width / abs(slope)
    return (centre if top is None else top - centre), width


def find_padding(dataset: "Dataset", top: float | None) -> tuple[float, float] | None:
    """Lowest and highest value that mean "no image here", in units of the pixels."""
    value = number_of(dataset.get("PixelPaddingValue"))
    if value is None:
        return None
    limit = number_of(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((value, value if limit is None else limit))
    return (low, high) if top is None else (top - high, top - low)


def find_voi_table(dataset: "Dataset", top: int | None) -> VoiTable | None:
    """First table of the VOI LUT Sequence, for files without a rescaling (with one its index is not a stored value)."""
    sequence = dataset.get("VOILUTSequence") or []
    if (
        not len(sequence)
        or (number_of(dataset.get("RescaleSlope")) or 1.0) != 1.0
        or number_of(dataset.get("RescaleIntercept"))
    ):
        return None
    descriptor, data = values_of(sequence[0].get("LUTDescriptor")), sequence[0].get("LUTData")
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


def values_of(value: Any) -> list[Any]:
    """Values of an element, which may have one, several or none."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def number_of(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def integer_of(value: Any) -> int | None:
    """Return a whole number; None for anything else."""
    number = number_of(value)
    return None if number is None else int(number)
