"""What a DICOM file says about its image: spacing, side, view, woman."""

import hashlib
import math
import re
from typing import TYPE_CHECKING, Any, Literal

from ..scale import AT_DETECTOR, Scale

if TYPE_CHECKING:
    from pydicom import Dataset

Laterality = Literal["L", "R"]
View = Literal["CC", "MLO"]

_LARGEST_MAGNIFICATION = 4.0
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


def hashed_patient(patient_id: str) -> str | None:
    """Pseudonym of a DICOM Patient ID: 16 hexadecimal digits of a salted SHA-256; None when there is no ID.

    It groups the images of one patient. It is a pseudonym, not an anonymisation: who knows an ID can recompute it.
    """
    cleaned = patient_id.strip(" \0")
    return hashlib.sha256((_SALT + cleaned).encode()).hexdigest()[:16] if cleaned else None


def value_of(dataset: "Dataset", keyword: str) -> Any:
    """Return an element's value; None where it is missing, or cannot be read as what it should be."""
    try:
        return dataset.get(keyword)
    except Exception:  # pydicom converts an element when it is asked for, and has no common error type
        return None


def find(dataset: "Dataset", keyword: str) -> Any:
    """Return an element's value: the data set's own, else that of its first frame's functional groups, or None."""
    if (own := value_of(dataset, keyword)) not in (None, ""):
        return own
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in list(value_of(dataset, groups) or [])[:1]:
            for element in group:
                inside = list(element.value)[:1] if element.VR == "SQ" and element.value else []
                if inside and (found := value_of(inside[0], keyword)) not in (None, ""):
                    return found
    return None


def find_patient(dataset: "Dataset") -> str | None:
    """Pseudonym of the woman; CBIS-DDSM's Patient ID names a view of hers."""
    patient_id = str(value_of(dataset, "PatientID") or "")
    case = CBIS_CASE.fullmatch(patient_id.strip(" \0"))
    return hashed_patient(case["woman"] if case else patient_id)


def find_scale(dataset: "Dataset") -> Scale | None:
    """Imager Pixel Spacing (0018,1164), else Pixel Spacing (0028,0030), and the magnification (0018,1114).

    Factors that no mammography unit has (below 1, or above 4) are taken for mistakes.
    """
    for tag, source in (("ImagerPixelSpacing", AT_DETECTOR), ("PixelSpacing", "Pixel Spacing")):
        numbers = [number for value in values_of(find(dataset, tag)) if (number := number_of(value)) is not None]
        if len(numbers) == 2 and min(numbers) > 0:
            factor = number_of(find(dataset, "EstimatedRadiographicMagnificationFactor")) or 1.0
            applies = source == AT_DETECTOR and 1.0 <= factor <= _LARGEST_MAGNIFICATION
            return Scale((numbers[0], numbers[1]), source, factor if applies else 1.0)
    return None


def find_laterality(dataset: "Dataset") -> Laterality | None:
    """Image Laterality (0020,0062), Laterality (0020,0060) or Frame Laterality (0020,9072); else as CBIS-DDSM says."""
    case = CBIS_CASE.fullmatch(str(value_of(dataset, "PatientID") or "").strip(" \0"))
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
    if value := str(value_of(dataset, "ViewPosition") or "").strip().upper():
        return _known_view(value)
    codes = value_of(dataset, "ViewCodeSequence") or []
    if len(codes):
        return _VIEW_CODES.get(str(codes[0].get("CodeValue", "")).strip())
    case = CBIS_CASE.fullmatch(str(value_of(dataset, "PatientID") or "").strip(" \0"))
    return _known_view(str(value_of(dataset, "PatientOrientation") or "").strip().upper()) or (
        _known_view(case["view"]) if case else None
    )


def _known_view(text: str) -> View | None:
    return "CC" if text == "CC" else "MLO" if text == "MLO" else None


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
