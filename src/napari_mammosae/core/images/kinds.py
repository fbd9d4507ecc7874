"""What kind of file one is, told by its first bytes."""

import re

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic")

START_BYTES = 1024
"""Bytes that are enough to tell."""

_FILE_META = re.compile(rb"\x02\x00\x02\x00UI..([0-9.]+)", re.DOTALL)
_DATA_SET = re.compile(  # the first element, with its type in two letters or with a short length
    rb"(?:DICM)?[\x02\x08]\0(?:[\0-\x1f]\0[A-Z]{2}|\0\0\x04\0\0\0|[\x05\x08\x16\x18]\0.\0\0\0)", re.DOTALL
)

_WITHOUT_IMAGE = {
    "1.2.840.10008.1.3.10": "a DICOM directory",
    "1.2.840.10008.5.1.4.1.1.88.": "a structured report",
    "1.2.840.10008.5.1.4.1.1.11.": "a presentation state",
    "1.2.840.10008.5.1.4.1.1.104.": "an encapsulated document",
    "1.2.840.10008.5.1.4.1.1.66.1": "a registration",
    "1.2.840.10008.5.1.4.1.1.9.": "a waveform",
}
"""Beginning of a Media Storage SOP Class -> what objects of it are."""


def is_dicom(start: bytes) -> bool:
    """Whether a file that begins so is DICOM: with its mark, or with the first elements of a data set at once."""
    return start[128:132] == b"DICM" or _DATA_SET.match(start) is not None


def kind_without_image(start: bytes) -> str:
    """What a DICOM file that begins so is, where it holds no image by its class; empty for all others."""
    found = _FILE_META.search(start) if start[128:132] == b"DICM" else None
    uid = found[1].decode() if found else ""
    return next((kind for beginning, kind in _WITHOUT_IMAGE.items() if uid.startswith(beginning)), "")
