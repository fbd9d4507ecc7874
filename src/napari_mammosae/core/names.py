"""How labels and images are named everywhere: slugs and image identifiers."""

import re
import unicodedata
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = (".dcm", ".dicom", ".dic", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy")
"""File name endings that are dropped to get the identifier of an image."""


def slug(text: str) -> str:
    """Lower case with every run of other characters as one ``_``: ``Suspicious Calcification`` -> ``suspicious_calcification``.

    Accents are dropped. Text without a Latin letter or digit has no slug: the result is empty, and callers refuse it.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def image_id_of(path: Path | str) -> str:
    """Identifier of an image: its file name without folders and without an image suffix.

    Only known suffixes are dropped, because DICOM files are often named by a dotted UID without any.

    >>> image_id_of("images/study/1.2.840.113.7.dcm"), image_id_of("1.2.840.113.7")
    ('1.2.840.113.7', '1.2.840.113.7')
    """
    name = PurePosixPath(str(path).replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix.lower()}" in IMAGE_SUFFIXES else name
