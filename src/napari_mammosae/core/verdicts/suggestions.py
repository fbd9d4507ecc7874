"""What methods suggest that a latent should be called: kept beside people's verdicts, never instead of them.

Suggestions are lines of the same verdict file, appended and never changed, with the method as who says it. A person
answers one with a verdict event: its concept is the name that was accepted, its `rejected` lists those that were not.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite, isnan
from typing import Any

from ..base.errors import VerdictError
from ..base.limits import limit
from .events import Subject

CHANCE = 0.05
"""A name whose q-value is larger is no better than chance."""
LONGEST = 120
"""Characters of a name."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name for a latent, from a method.

    Parameters
    ----------
    latent
        Which one.
    name
        In a few words.
    method
        What suggests it, in a word or two: ``text``, ``medgemma-4b-it``. A new suggestion of a method takes the place
        of its earlier one.
    score, null
        How well the name fits, and how well one would by chance; None where it was not measured.
    q_value
        False discovery rate over the latents that were named together; None where there is none.
    provenance
        How it was made, in JSON's types. ``measure`` says what the score is: ``cosine``, ``AUROC``.
    """

    latent: int
    name: str
    method: str
    score: float | None = None
    null: float | None = None
    q_value: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def says(self) -> tuple[Any, ...]:
        """What it says, whatever its provenance."""
        return self.name, self.score, self.null, self.q_value

    @property
    def beats_chance(self) -> bool:
        """Whether the name was measured, and found better than chance."""
        if self.q_value is not None:
            return self.q_value <= CHANCE
        return self.score is not None and self.null is not None and self.score > self.null

    @property
    def measure(self) -> str:
        """What `score` is."""
        return str(self.provenance.get("measure", "score"))

    @property
    def title(self) -> str:
        """The name as it is shown before a person accepts it: with a question mark, and in words where it is chance."""
        return f"{self.name}?" if self.beats_chance else f"{self.name}? no better than chance"

    @property
    def evidence(self) -> str:
        """Where the name comes from and how well it fits, in a line.

        >>> Suggestion(3, "view marker", "text", 0.41, 0.2, 0.01, {"measure": "cosine"}).evidence
        'text: cosine 0.41, chance 0.2, q 0.01'
        """
        figures = ((self.measure, self.score), ("chance", self.null), ("q", self.q_value))
        known = ", ".join(f"{title} {value:.2g}" for title, value in figures if value is not None)
        return f"{self.method}: {known or 'not measured'}"


@dataclass(frozen=True, slots=True)
class SuggestionEvent:
    """A line of the log: what was suggested when, and about the latents of which model and SAE."""

    uuid: str
    time: str
    """As that of `events.Event`."""
    subject: Subject
    suggestion: Suggestion

    @property
    def row(self) -> tuple[Any, ...]:
        """The line in the order of `SUGGESTION_COLUMNS`."""
        said = (getattr(self.suggestion, name) for name in _FIELDS[:-1])
        text = json.dumps(self.suggestion.provenance, sort_keys=True)
        return self.uuid, self.time, self.subject.model, self.subject.sae, *said, text


_FIELDS = tuple(one.name for one in fields(Suggestion))
SUGGESTION_COLUMNS = ("uuid", "time", "model", "sae", *_FIELDS)
QUOTED = ", ".join(f'"{name}"' for name in SUGGESTION_COLUMNS)  # `null` is a word of SQL
INSERT_SUGGESTION = f"INSERT INTO suggestions ({QUOTED}) VALUES ({', '.join('?' * len(SUGGESTION_COLUMNS))})"


def event_of(row: Sequence[Any]) -> SuggestionEvent:
    """Return the event of a line in the order of `SUGGESTION_COLUMNS`."""
    uuid, time, model, sae, *said = row
    said[-1] = json.loads(said[-1])
    return SuggestionEvent(uuid, time, Subject(model, sae), Suggestion(*said))


def best_suggestion(suggestions: Iterable[Suggestion], rejected: str = "") -> Suggestion | None:
    """Return the one to show: better than chance before others, then of the smallest q-value; none that was rejected.

    Parameters
    ----------
    suggestions
        Of one latent, one a method.
    rejected
        Names that a person does not accept, a line each.
    """
    gone = set(rejected.splitlines())
    left = [one for one in suggestions if one.name not in gone]
    return min(left, key=_doubt, default=None)


def checked(suggestion: Suggestion) -> Suggestion:
    """Return a suggestion as a file holds it: spaces trimmed, six digits a figure, not-a-numbers as None.

    Raises
    ------
    VerdictError
        No file may hold it.
    """
    name, method = (" ".join(text.split()) for text in (suggestion.name, suggestion.method))
    where = f"The name of latent {suggestion.latent}"
    if suggestion.latent < 0:
        raise VerdictError(f"Latent {suggestion.latent} does not exist; latents are counted from 0.")
    if not name or not method:
        raise VerdictError(f"{where}: a suggestion needs a name, and the method that makes it.")
    if len(name) > LONGEST or len(method) > LONGEST:
        raise VerdictError(f"{where} is too long; shorten it to {LONGEST} characters.")
    figures: dict[str, Any] = {key: _figure(getattr(suggestion, key)) for key in ("score", "null", "q_value")}
    if any(value is not None and not isfinite(value) for value in figures.values()):
        raise VerdictError(f"{where}: a score is not a finite number.")
    if not 0 <= (figures["q_value"] or 0) <= 1:
        raise VerdictError(f"{where}: the q-value {figures['q_value']:g} is not between 0 and 1.")
    if len(json.dumps(suggestion.provenance)) >= limit("cell"):
        raise VerdictError(f"{where}: its provenance is too long; shorten it to under {limit('cell'):,} characters.")
    return replace(suggestion, latent=int(suggestion.latent), name=name, method=method, **figures)


def _figure(value: float | None) -> float | None:
    return None if value is None or isnan(value) else float(f"{value:.6g}")


def _doubt(suggestion: Suggestion) -> tuple[bool, float]:
    return not suggestion.beats_chance, 1.0 if suggestion.q_value is None else suggestion.q_value
