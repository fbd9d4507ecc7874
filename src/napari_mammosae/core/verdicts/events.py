"""What one verdict says: the lines of the log."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, get_args

from ..base.errors import VerdictError
from ..base.limits import limit

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SHOWN = 80  # characters of a name in a message

Verdict = Literal["lesion", "anatomy", "spurious", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: the latents of one SAE on one model, both named by the SHA-256 of their weights."""

    model: str
    sae: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was on the screen when a verdict was given.

    Parameters
    ----------
    image
        The image's id; never an address, an absolute path, or one that leads out of its folder.
    view
        How it was shown, in JSON's types: contrast limits, zoom, centre, laterality ...
    screenshot
        A PNG, kept beside the events; nothing of it is exported as CSV or JSON.
    """

    image: str = ""
    view: Mapping[str, Any] = field(default_factory=dict)
    screenshot: bytes | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. Empty strings mean "none"; an empty verdict takes an earlier one back."""

    uuid: str
    time: str
    """UTC, ``2026-01-31T12:00:00.000000Z``: the order of the text is the order in time."""
    annotator: str
    model: str
    sae: str
    latent: int
    verdict: Verdict | Literal[""]
    concept: str
    note: str
    image: str
    view: str
    """`Evidence.view` as JSON text."""
    reverts: str
    """UUID of the event that this one, an undo or a redo, reverses."""
    rejected: str = ""
    """Names that were suggested and are not accepted, a line each."""

    @property
    def subject(self) -> Subject:
        """The model and SAE the latent belongs to."""
        return Subject(self.model, self.sae)


COLUMNS = tuple(column.name for column in fields(Event))
INSERT_EVENT = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def check_event(event: Event) -> None:
    """Raise VerdictError for an event that no file may hold."""
    if event.verdict not in ("", *VERDICTS):
        raise VerdictError(f"{event.verdict!r} is not a verdict; expected one of {', '.join(VERDICTS)}.")
    if event.latent < 0:
        raise VerdictError(f"Latent {event.latent} does not exist; latents are counted from 0.")
    for name in COLUMNS:  # a table with a longer text could not be read again; exporting may add an apostrophe
        if len(str(getattr(event, name))) >= limit("cell"):
            raise VerdictError(
                f"The {name} of a verdict is too long; shorten it to under {limit('cell'):,} characters."
            )
    if not event.annotator.strip():
        raise VerdictError("A verdict needs the annotator's name; none was given.")
    if leads_elsewhere(event.image):
        name = PureWindowsPath(event.image).name[:_SHOWN]
        raise VerdictError(f"Evidence {name!r} was given as a path, not as a name; give the image's id instead.")


def leads_elsewhere(image: str) -> bool:
    """Whether the name of an image is an address, an absolute path, or leads out of the folder of images."""
    parts = PureWindowsPath(image).parts  # which splits at both kinds of slash
    return (
        bool(_ADDRESS.match(image.strip()))
        or bool(PureWindowsPath(image).anchor)
        or PurePosixPath(image).is_absolute()
        or any(part.strip() in ("..", "~") for part in parts)
        or image.lstrip().startswith("~")
    )


def time_text(time: datetime) -> str:
    """Write a time (with its zone) as the log holds it: UTC, microseconds, of fixed width."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
