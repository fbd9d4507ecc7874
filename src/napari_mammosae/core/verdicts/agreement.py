"""How far two annotators agree about the same latents."""

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from ..base.errors import VerdictError
from .events import VERDICTS, Subject
from .store import VerdictStore


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of two annotators, over the latents that both reviewed.

    Parameters
    ----------
    annotators
        First (rows of `counts`) and second (columns).
    counts
        (4, 4) int64: latents by both verdicts, in the order of `VERDICTS`.
    only_first, only_second
        Latents that one of them alone judged: not part of kappa.
    """

    annotators: tuple[str, str]
    counts: npt.NDArray[np.int64]
    only_first: int
    only_second: int

    @property
    def n(self) -> int:
        """Latents both judged."""
        return int(self.counts.sum())

    @property
    def observed(self) -> float:
        """Share of latents with the same verdict; NaN without common latents."""
        return float(np.trace(self.counts) / self.n) if self.n else nan

    @property
    def expected(self) -> float:
        """Share that two annotators with these frequencies of verdicts would agree on by chance."""
        if not self.n:
            return nan
        return float(self.counts.sum(1) @ self.counts.sum(0) / self.n**2)

    @property
    def kappa(self) -> float:
        """(observed - expected) / (1 - expected); NaN when both gave all one and the same."""
        return (self.observed - self.expected) / (1 - self.expected) if self.expected < 1 else nan


def cohen_kappa(store: VerdictStore, first: str, second: str, subject: Subject | None = None) -> Agreement:
    """Agreement of two annotators' current verdicts (concepts are not compared).

    Raises
    ------
    VerdictError
        One of them gave no verdict; the message lists who did.
    """
    judged: dict[str, dict[tuple[str, str, int], str]] = {first: {}, second: {}}
    for event in store.current(subject):
        if event.annotator in judged and event.verdict:
            judged[event.annotator][event.model, event.sae, event.latent] = event.verdict
    for name, verdicts in judged.items():
        if not verdicts:
            raise VerdictError(
                f"{store.path.name} holds no verdict of {name!r} here; annotators: {', '.join(store.annotators())}."
            )
    a, b = judged[first], judged[second]
    counts = np.zeros((len(VERDICTS), len(VERDICTS)), np.int64)
    for key in a.keys() & b.keys():
        counts[VERDICTS.index(a[key]), VERDICTS.index(b[key])] += 1
    return Agreement((first, second), counts, len(a.keys() - b.keys()), len(b.keys() - a.keys()))
