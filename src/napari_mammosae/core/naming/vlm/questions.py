"""What a server is asked: pictures first, the question last, in words that say nothing of the patient or the label."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .server.answers import LETTERS, NameAnswer, OrderAnswer, ScoreAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from .pictures import Picture

VERSION = 1
"""Of the wording; another one makes every question a new one."""
TOP = 20
"""Tokens whose probability is asked for, the most that the interface allows."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes
    ----------
    text
        The question.
    pictures
        What it is about, in order.
    answer
        What its answer has to be; None for one token, with its probabilities.
    max_tokens, temperature, seed
        How it is answered.
    """

    text: str
    pictures: tuple[Picture, ...] = ()
    answer: type[BaseModel] | None = None
    max_tokens: int = 1
    temperature: float = 0.0
    seed: int = 1

    def settings(self) -> dict[str, Any]:
        """Return the body of the request without model and messages."""
        body: dict[str, Any] = {"max_tokens": self.max_tokens, "temperature": self.temperature, "seed": self.seed}
        if self.answer is None:
            return body | {"logprobs": True, "top_logprobs": TOP}
        schema = {"name": self.answer.__name__, "strict": True, "schema": self.answer.model_json_schema()}
        return body | {"response_format": {"type": "json_schema", "json_schema": schema}}

    def messages(self) -> list[dict[str, Any]]:
        """Return one message of the user: data URLs, never an address that the server would have to open."""
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(one.png).decode()}"}}
            for one in self.pictures
        ]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": self.text}]}]

    def key(self, model: str) -> str:
        """Hash of all that shapes the answer, the pictures by theirs."""
        content = {
            "version": VERSION, "model": model, "pictures": [one.sha256 for one in self.pictures], "text": self.text,
            "settings": self.settings(),
        }  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def ask_for_name(pairs: Sequence[Picture], shown: int, alike: int, seed: int) -> Question:
    """Return the question what `shown` pairs of pictures share that `alike` others, at the end, do not have."""
    contrast = (
        f" The last {alike} pictures are whole views in which the feature is absent, although they look alike."
        if alike
        else ""
    )
    text = (
        f"You are shown {shown} mammograms, each as a whole view followed by an enlarged region of it. A computed "
        f"image feature is strong in every enlarged region.{contrast} Name, in at most six words, the one visual "
        "pattern that the enlarged regions share. Choose the category it belongs to; if you see no pattern that they "
        'share, the category is "unclear". Describe what is visible and do not guess a diagnosis. Say in a few words '
        "what you see (evidence), in how many of the mammograms you see it (consistent), and how sure you are from 0 "
        "to 10 (confidence). Answer as JSON with the fields name, category, evidence, consistent and confidence."
    )
    return Question(text, tuple(pairs), NameAnswer, max_tokens=300, temperature=0.3, seed=seed)


def ask_whether(name: str, picture: Picture, *, outlined: bool = False) -> Question:
    """Return the question whether a picture, or the region outlined in it, shows what a name says."""
    where = "the outlined region of this mammogram" if outlined else "this mammogram"
    return Question(f'Does {where} show: "{name}"? Answer 1 for yes or 0 for no, with one digit only.', (picture,))


def ask_how_sure(name: str, picture: Picture, *, outlined: bool = False) -> Question:
    """Return the same question for a server that gives no probabilities."""
    where = "the outlined region of this mammogram" if outlined else "this mammogram"
    text = (
        f'How sure are you that {where} shows: "{name}"? Answer as JSON with the field score, a whole number from 0 '
        "(certainly not) to 10 (certainly)."
    )
    return Question(text, (picture,), ScoreAnswer, max_tokens=40)


def ask_for_order(names: Sequence[str], pictures: Sequence[Picture]) -> Question:
    """Return the question which of five names fits best; without pictures, which one sounds likeliest."""
    listed = "; ".join(f"{letter}: {name}" for letter, name in zip(LETTERS, names, strict=True))
    what = (
        "You are shown a mammogram as a whole view, then an enlarged region of it. Which of these names fits the "
        "enlarged region best?"
        if pictures
        else "Which of these names most likely describes an enlarged region of a mammogram?"
    )
    text = f"{what} {listed}. Answer as JSON with the field order: all five letters, from best to worst, each once."
    return Question(text, tuple(pictures), OrderAnswer, max_tokens=80)
