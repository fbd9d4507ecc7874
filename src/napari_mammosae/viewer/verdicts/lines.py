"""What is said about latents, as lines to show, asked for by number."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerdictLines:
    """Called with a latent, the line about it; `latents` gives all that have been spoken of, a few of thousands."""

    line: Callable[[int], str | None]
    latents: Callable[[], Iterable[int]]

    def __call__(self, latent: int) -> str | None:
        """Return the line about a latent, None when nobody said anything."""
        return self.line(latent)
