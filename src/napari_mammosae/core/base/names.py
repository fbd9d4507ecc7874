"""How labels and images are named everywhere: slugs and image identifiers."""

import re
import unicodedata
from collections.abc import Iterable
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
    """Return the identifier of an image: its file name without folders and without an image suffix.

    Only known suffixes are dropped, because DICOM files are often named by a dotted UID without any.

    >>> image_id_of("images/study/1.2.840.113.7.dcm"), image_id_of("1.2.840.113.7")
    ('1.2.840.113.7', '1.2.840.113.7')
    """
    name = PurePosixPath(str(path).replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix.lower()}" in IMAGE_SUFFIXES else name


def image_ids_of(names: Iterable[str]) -> list[str]:
    """Return an identifier for each image named in a table; where different names clash, they stay as they are.

    Some tables name images by paths, with the same file name in many folders.
    """
    names = [name.replace("\\", "/") for name in names]
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(image_id_of(name), set()).add(name)
    # the same image may be written with and without its suffix; only other folders make another image
    clashes = {key for key, found in spellings.items() if len({name.rpartition("/")[0] for name in found}) > 1}
    return [name if image_id_of(name) in clashes else image_id_of(name) for name in names]
