"""Asking a server question by question: what is known already is not asked, what failed is counted."""

from __future__ import annotations

from concurrent.futures import Future, wait
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any

from ...base.errors import ServerError
from .questions import ask_how_sure, ask_whether
from .server.answers import ScoreAnswer, parse_answer, probability_of_yes
from .server.client import NoProbabilities, ServerFault, spoken

if TYPE_CHECKING:
    from ...base.progress import Report
    from .pictures import Picture
    from .questions import Question
    from .server.answers import Parsed
    from .server.client import Client
    from .server.replies import Replies, Reply

MOST_FAULTS = 5
"""So many requests that fail one after the other end the work."""
_FROM_SCORE = 10
_LOOK, _GRACE = 0.25, 1.0  # seconds: between reports, and for an answer that may be on its way


class Asker:
    """Asks a model of a server, and keeps what it answers.

    Attributes
    ----------
    asked, known
        How many questions were put to the server, and how many had an answer already.
    failed
        How many have no usable answer.
    used
        Tokens of questions and answers that were asked now.
    gives_tokens
        Whether the server gives probabilities of tokens; None until it was asked.
    """

    def __init__(self, client: Client, model: str, replies: Replies, report: Report, total: int) -> None:
        self._client, self.model, self._replies, self._report, self._total = client, model, replies, report, total
        self.asked = self.known = self.failed = 0
        self.used = (0, 0)
        self.gives_tokens: bool | None = None
        self._faults = 0

    def parsed(self, question: Question, kind: type[Parsed]) -> Parsed | None:
        """Return a structured answer; None where there is none.

        One that was cut off is asked for once more, with twice the room.
        """
        reply = self._reply(question)
        if reply is not None and not reply.whole:
            reply = self._reply(_longer(question), again=True)
        found = parse_answer(reply.text, kind) if reply is not None else None
        self.failed += found is None
        return found

    def probability(self, name: str, picture: Picture, *, outlined: bool = False) -> float | None:
        """Return how likely a picture shows what a name says, from 0 to 1; None where the server does not say.

        Where it gives no probabilities of tokens, a whole number from 0 to 10 that it is asked for instead.
        """
        if self.gives_tokens is not False:
            try:
                reply = self._reply(ask_whether(name, picture, outlined=outlined))
            except NoProbabilities:
                reply, self.gives_tokens = None, False
            if reply is not None and (reply.tokens is not None or reply.text) and self.gives_tokens is None:
                self.gives_tokens = reply.tokens is not None
            if self.gives_tokens is not False:
                found = probability_of_yes(reply.tokens or ()) if reply is not None else None
                self.failed += found is None
                return found
        score = self.parsed(ask_how_sure(name, picture, outlined=outlined), ScoreAnswer)
        return None if score is None else score.score / _FROM_SCORE

    def _reply(self, question: Question, *, again: bool = False) -> Reply | None:
        """Return the answer to a question; None where the server failed at it."""
        if not again:
            self._tell()
        key = question.key(self.model)
        if (known := self._replies.get(key)) is not None:
            self.known += not again
            return known
        try:
            reply = self._wait_for(question, key)
        except ServerFault as error:
            self.asked += not again
            self._faults += 1
            if self._faults >= MOST_FAULTS:
                raise ServerError(f"{error} {MOST_FAULTS} requests in a row failed; start again to resume.") from error
            return None
        self._faults = 0
        self.asked += not again
        self.used = self.used[0] + reply.used[0], self.used[1] + reply.used[1]
        return reply

    def _wait_for(self, question: Question, key: str) -> Reply:
        """Ask, reporting now and then, so that work can be stopped while a slow server thinks; keep the answer."""
        answer: Future[Reply] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._client.ask(question, self.model))
            except BaseException as error:
                answer.set_exception(error)

        Thread(target=ask, daemon=True).start()
        try:
            while not wait([answer], _LOOK).done:
                self._tell()
        except BaseException:
            wait([answer], _GRACE)  # what a quick server has answered is not to be asked again
            if answer.done() and answer.exception() is None:
                self._replies.keep(key, answer.result())
            raise
        self._replies.keep(key, answer.result())
        return answer.result()

    def _tell(self) -> None:
        done = self.asked + self.known
        self._report(f"Asking {spoken(self.model)}", min(done, self._total), self._total)

    def describe(self) -> dict[str, Any]:
        """Return what the provenance of a result says."""
        return {
            "asked": self.asked, "known": self.known, "failed": self.failed, "tokens": list(self.used),
            "probabilities": {None: "not asked", True: "of tokens", False: "a number from 0 to 10"}[self.gives_tokens],
        }  # fmt: skip


def _longer(question: Question) -> Question:
    return replace(question, max_tokens=2 * question.max_tokens)
