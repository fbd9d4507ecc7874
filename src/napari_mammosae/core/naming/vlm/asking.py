"""Asking a server, several questions at once: what is known already is not asked, what failed is counted."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from ...base.errors import ServerError
from .questions import ask_how_sure, ask_whether
from .server.answers import ScoreAnswer, parse_answer, probability_of_yes
from .server.client import NoProbabilities, ServerFault, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...base.progress import Report
    from .pictures import Picture
    from .questions import Question
    from .server.answers import Parsed
    from .server.client import Client
    from .server.replies import Replies, Reply

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_FAULTS = 5
"""So many requests that fail one after the other end the work."""
_FROM_SCORE = 10
_LOOK, _GRACE = 0.25, 1.0  # seconds: between reports, and for an answer that may be on its way


class Asker:
    """Asks a model of a server, and keeps what it answers.

    What comes back does not depend on the order in which a server answers: it is a question's own answer, and a
    question that two threads have at once is asked by one of them.

    Parameters
    ----------
    client, model
        Who is asked.
    replies
        The answers that are known.
    report
        Is given the number of questions that are done, of `total`.
    parallel
        So many questions at once, at most.

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

    def __init__(
        self, client: Client, model: str, replies: Replies, report: Report, total: int, parallel: int = 1
    ) -> None:
        self._client, self.model, self._replies, self._report, self._total = client, model, replies, report, total
        self._parallel = parallel
        self.asked = self.known = self.failed = 0
        self.used = (0, 0)
        self.gives_tokens: bool | None = None
        self._faults = 0
        self._counting = Lock()
        self._asking: defaultdict[str, Lock] = defaultdict(Lock)

    def parsed(self, questions: Iterable[Question], kind: type[Parsed]) -> list[Parsed | None]:
        """Return structured answers, in the order of the questions; None where there is none."""
        return self.each(partial(self._parsed, kind), questions)

    def probabilities(self, name: str, pictures: Iterable[Picture], *, outlined: bool = False) -> list[float | None]:
        """Return how likely each picture shows what a name says, from 0 to 1; None where the server does not say.

        Where it gives no probabilities of tokens, a whole number from 0 to 10 that it is asked for instead.
        """
        return self.each(partial(self._probability, name, outlined), pictures, settles=True)

    def each(self, ask: Callable[[Item], Answer], items: Iterable[Item], *, settles: bool = False) -> list[Answer]:
        """Ask about things that are made one by one, as there is room, and return what comes back in their order.

        Parameters
        ----------
        ask
            Puts questions; called in threads.
        settles
            Whether the first answers settle if the server gives probabilities: until then, one at a time.
        """
        answers: list[Future[Answer]] = []
        busy: list[Future[Answer]] = []
        try:
            for item in items:
                busy = self._make_room(busy, 1 if settles and self.gives_tokens is None else self._parallel)
                self._tell()
                answers.append(_begin(ask, item))
                busy.append(answers[-1])
            self._make_room(busy, 1)
        except BaseException:
            wait(busy, _GRACE)  # what a quick server has answered is not to be asked again
            raise
        return [one.result() for one in answers]

    def _make_room(self, busy: list[Future[Answer]], most: int) -> list[Future[Answer]]:
        """Wait until fewer than `most` are under way; report now and then, so that work can be stopped meanwhile."""
        while True:
            for one in busy:
                if one.done():
                    one.result()  # raises what ended it
            busy = [one for one in busy if not one.done()]
            if len(busy) < most:
                return busy
            if not wait(busy, _LOOK, FIRST_COMPLETED).done:
                self._tell()

    def _parsed(self, kind: type[Parsed], question: Question) -> Parsed | None:
        """Return a structured answer. One that was cut off is asked for once more, with twice the room."""
        reply = self._reply(question)
        if reply is not None and not reply.whole:
            reply = self._reply(_longer(question), again=True)
        found = parse_answer(reply.text, kind) if reply is not None else None
        self._count(failed=found is None)
        return found

    def _probability(self, name: str, outlined: bool, picture: Picture) -> float | None:
        if self.gives_tokens is not False:
            reply, refused = None, False
            try:
                reply = self._reply(ask_whether(name, picture, outlined=outlined))
            except NoProbabilities:
                refused = True
            if self.gives_tokens is None:
                self.gives_tokens = _gives_tokens(reply, refused)
            if self.gives_tokens is not False and not refused:
                found = probability_of_yes(reply.tokens or ()) if reply is not None else None
                self._count(failed=found is None)
                return found
        score = self._parsed(ScoreAnswer, ask_how_sure(name, picture, outlined=outlined))
        return None if score is None else score.score / _FROM_SCORE

    def _reply(self, question: Question, *, again: bool = False) -> Reply | None:
        """Return the answer to a question; None where the server failed at it."""
        key = question.key(self.model)
        with self._counting:
            asking = self._asking[key]
        with asking:
            if (known := self._replies.get(key)) is not None:
                self._count(known=not again)
                return known
            try:
                reply = self._client.ask(question, self.model)
            except ServerFault as error:
                self._count(asked=not again, fault=True)
                if self._faults >= MOST_FAULTS:
                    raise ServerError(
                        f"{error} {MOST_FAULTS} requests in a row failed; start again to resume."
                    ) from error
                return None
            self._replies.keep(key, reply)
        self._count(asked=not again, used=reply.used)
        return reply

    def _count(
        self, *, asked: bool = False, known: bool = False, failed: bool = False, fault: bool = False,
        used: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        with self._counting:
            self.asked, self.known, self.failed = self.asked + asked, self.known + known, self.failed + failed
            if fault:
                self._faults += 1
            elif used is not None:
                self._faults, self.used = 0, (self.used[0] + used[0], self.used[1] + used[1])

    def _tell(self) -> None:
        done = self.asked + self.known
        self._report(f"Asking {spoken(self.model)}", min(done, self._total), self._total)

    def describe(self) -> dict[str, Any]:
        """Return what the provenance of a result says."""
        return {
            "asked": self.asked, "known": self.known, "failed": self.failed, "tokens": list(self.used),
            "probabilities": {None: "not asked", True: "of tokens", False: "a number from 0 to 10"}[self.gives_tokens],
        }  # fmt: skip


def _begin(ask: Callable[[Item], Answer], item: Item) -> Future[Answer]:
    """Ask in a thread that does not keep the program from ending."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(ask(item))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer


def _gives_tokens(reply: Reply | None, refused: bool) -> bool | None:
    """What an answer says of probabilities; None where it says nothing."""
    if refused:
        return False
    return reply.tokens is not None if reply is not None and (reply.tokens is not None or reply.text) else None


def _longer(question: Question) -> Question:
    return replace(question, max_tokens=2 * question.max_tokens)
