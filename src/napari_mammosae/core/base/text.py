"""Numbers, names and lists as people read them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import SettingsError

MOST_LISTED = 1_000_000


def readable(slug: str) -> str:
    """A slug as words: ``suspicious_calcification`` -> ``suspicious calcification``."""
    return slug.replace("_", " ")


def size_text(size: float) -> str:
    """Bytes in the unit a person would choose.

    >>> size_text(1234567)
    '1.2 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds in the units a person would choose: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun; `plural` where that is not the noun with an s.

    >>> counted(1, "box", "boxes"), counted(1200, "image")
    ('1 box', '1,200 images')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["recall", "best IoU", "pointing"])
    'recall, best IoU and pointing'
    """
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def shorten(text: str, length: int) -> str:
    """Text of at most so many characters, the last one a mark where some are gone.

    >>> shorten("spiculated margin", 12)
    'spiculated …'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def sentence(text: str) -> str:
    """A note with a capital and a full stop.

    >>> sentence("boxes outside the image, left out: 2")
    'Boxes outside the image, left out: 2.'
    """
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def markdown(text: str) -> str:
    r"""A text from a file for a page in Markdown, where it reads as it is.

    >>> print(markdown("a_b|<c>"))
    a\_b&#124;&#60;c&#62;
    """
    # a backslash is not known before every mark, an entity is
    escaped = re.sub(r"[<>&|$^~#]", lambda mark: f"&#{ord(mark[0])};", text)
    return re.sub(r"([\\`*_\[\]])", r"\\\1", escaped)


def numbers_of(text: str) -> list[int]:
    """Read a list of latents such as ``3, 17 40-44``.

    Raises
    ------
    SettingsError
        There is something else in it.

    >>> numbers_of("3, 17 40-42")
    [3, 17, 40, 41, 42]
    """
    latents: list[int] = []
    for part in re.findall(r"[^\s,;]+", text):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found is None:
            raise SettingsError(f"{part!r} is not the number of a latent; write numbers such as 3, 17, 40-44.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last - first > MOST_LISTED:
            raise SettingsError(f"{part!r} names more than {MOST_LISTED:,} latents.")
        if last < first:
            raise SettingsError(f"{part!r} is not a range; write the lower number first.")
        latents += range(first, last + 1)
    return latents


def text_of(latents: Any) -> str:
    """Write latents as a list that `numbers_of` reads, neighbours as ranges.

    >>> text_of([17, 3, 41, 40, 42])
    '3, 17, 40-42'
    """
    ids = np.unique(np.asarray(latents, dtype=np.int64))
    if not ids.size:
        return ""
    breaks = np.flatnonzero(np.diff(ids) != 1) + 1
    runs = np.split(ids, breaks)
    return ", ".join(f"{run[0]}-{run[-1]}" if run.size > 2 else ", ".join(map(str, run)) for run in runs)
