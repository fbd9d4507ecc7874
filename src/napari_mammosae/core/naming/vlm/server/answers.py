"""What a server answers, checked again: a schema in the request is a wish, and what comes back may be anything."""

from __future__ import annotations

import json
import re
from math import exp, isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

if TYPE_CHECKING:
    from collections.abc import Iterable

Category = Literal[
    "mass", "calcification", "distortion", "asymmetry", "skin or nipple", "lymph node", "normal tissue", "vessel",
    "technique or artefact", "unclear",
]  # fmt: skip
CATEGORIES: tuple[Category, ...] = get_args(Category)
UNCLEAR: Category = "unclear"
Letter = Literal["A", "B", "C", "D", "E"]
LETTERS: tuple[Letter, ...] = get_args(Letter)
YES, NO = frozenset({"1", "yes"}), frozenset({"0", "no"})

_LONGEST = 60
_SENTENCE = 120
_MOST_CHARACTERS = 20_000
_FENCE = re.compile(r"^\s*```\w*\s*\n(?P<inside>.*?)(?:```\s*$|$)", re.DOTALL)
_TRACE = re.compile(r"^\s*(?:<unused94>.*?<unused95>|<think>.*?</think>)", re.DOTALL)

Parsed = TypeVar("Parsed", bound=BaseModel)


def _plain(longest: int) -> BeforeValidator:
    """Reduce a text to plain letters, and to its first words where it is longer than `longest`."""

    def tidy(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = " ".join(re.sub(r"[^a-zA-Z0-9 ,/-]+", " ", value).split())
        return text if len(text) <= longest else text[: longest + 1].rpartition(" ")[0][:longest].rstrip(" ,/-")

    return BeforeValidator(tidy)


class NameAnswer(BaseModel):
    """What the images of a latent share."""

    model_config = ConfigDict(extra="forbid")

    # a pattern keeps what a server writes to ASCII; without one some write text that they cannot encode themselves
    name: Annotated[str, _plain(_LONGEST)] = Field(pattern=rf"^[a-zA-Z0-9 ,/-]{{3,{_LONGEST}}}$")
    category: Category
    evidence: Annotated[str, _plain(_SENTENCE)] = Field(pattern=rf"^[a-zA-Z0-9 ,/-]{{0,{_SENTENCE}}}$")
    consistent: int = Field(ge=0, le=20)
    confidence: int = Field(ge=0, le=10)

    @field_validator("name")
    @classmethod
    def _has_letters(cls, name: str) -> str:
        if not re.search("[a-zA-Z]", name):
            raise ValueError("a name without a letter")
        return name


class ScoreAnswer(BaseModel):
    """How sure a server is."""

    model_config = ConfigDict(extra="forbid")

    score: int = Field(ge=0, le=10)


class OrderAnswer(BaseModel):
    """Five names from best to worst."""

    model_config = ConfigDict(extra="forbid")

    order: list[Letter] = Field(min_length=5, max_length=5)

    @field_validator("order")
    @classmethod
    def _each_once(cls, order: list[Letter]) -> list[Letter]:
        if len(set(order)) != len(order):  # servers do not enforce this
            raise ValueError("a letter occurs twice")
        return order


def parse_answer(text: str, kind: type[Parsed]) -> Parsed | None:
    """Return a structured answer without fences and traces of thought; None where it is not one."""
    text = _TRACE.sub("", text[:_MOST_CHARACTERS])
    if fence := _FENCE.match(text):
        text = fence["inside"]
    first, last = text.find("{"), text.rfind("}")
    if first < 0 or last < first:
        return None
    try:
        return kind.model_validate(json.loads(text[first : last + 1]))
    except (ValueError, RecursionError, ValidationError):
        return None


def probability_of_yes(tokens: Iterable[tuple[str, float]]) -> float | None:
    """Return P(1) / (P(0) + P(1)), all ways to write either summed; None where neither is among the tokens.

    Parameters
    ----------
    tokens
        The likeliest first tokens, each with the logarithm of its probability.
    """
    yes = no = 0.0
    for token, logarithm in tokens:
        word = token.strip(" \t\n▁Ġ").lower()
        if isfinite(logarithm) and (word in YES or word in NO):
            chance = exp(min(logarithm, 0.0))
            yes, no = (yes + chance, no) if word in YES else (yes, no + chance)
    return yes / (yes + no) if yes + no > 0 else None
