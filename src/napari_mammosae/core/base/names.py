"""How labels and images are named everywhere: slugs and image identifiers."""

import re
import unicodedata
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = (".dcm", ".dicom", ".dic", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy")
"""File name endings that are dropped to get the identifier of an image."""

LACKS_SLUG = "needs a name with Latin letters or digits"
"""What messages say of a name whose slug is empty."""


def slug(text: str) -> str:
    """Return the text in lower case, every run of other characters as one ``_``.

    ``Suspicious Calcification`` becomes ``suspicious_calcification``. Accents are dropped. Text without a Latin letter
    or digit has no slug: the result is empty, and callers refuse it.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def image_id_of(path: Path | str) -> str:
    """Return the identifier of an image: its file name without folders and image suffix, in composed Unicode.

    Only known suffixes are dropped, because DICOM files are often named by a dotted UID without any.

    >>> image_id_of("images/study/1.2.840.113.7.dcm"), image_id_of("1.2.840.113.7")
    ('1.2.840.113.7', '1.2.840.113.7')
    """
    name = unicodedata.normalize("NFC", PurePosixPath(str(path).replace("\\", "/")).name)
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix.lower()}" in IMAGE_SUFFIXES else name
