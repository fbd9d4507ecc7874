"""What is to be said of single images of a run, counted, so that a thousand alike make one sentence."""

import re
from collections.abc import Iterable, Iterator

from ...base.names import valid_text
from ...models.latents import scale_alarm
from .compute import Computed
from .decode import Decoded, Failed

_OWN = re.compile(r"'[^']*'|[-+]?\d[\d.e+-]*")
"""What differs between notes of one kind: values and numbers."""


class ImageNotes:
    """Notes of decoded images, by their kind."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add_computed(self, found: Computed) -> None:
        """Take in what is to be said of images' latents."""
        for images, latents in found.parts:
            for image, fvu in zip(images, latents.fvu.tolist(), strict=True):
                if alarm := scale_alarm(fvu):
                    self._add(image, alarm.rstrip("."))
        for image in found.again:
            self._add(image, "values overflowed float16, so it was computed in float32")

    def _add(self, image: Decoded, note: str) -> None:
        kind = _OWN.sub("", note)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, f"{valid_text(image.entry.name)}: {note}")

    def add(self, images: Iterable[Decoded | Failed]) -> None:
        """Take the notes of images in."""
        for image in images:
            if isinstance(image, Decoded):
                for note in image.notes:
                    self._add(image, note)

    def __iter__(self) -> Iterator[str]:
        """Yield a clause for each kind: how many images, and the first one's note."""
        for kind, count in self._counts.items():
            yield f"images with a note: {count:,} (first: {self._first[kind]})" if count > 1 else self._first[kind]
