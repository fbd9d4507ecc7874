"""Names of the open run from a server: the cost is shown first, and images leave this machine with consent only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ...core.base.errors import ConsentNeeded
from ..context import Context, Controller
from . import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...core.naming.vlm.of_run import NamingPlan, ServerChoice
    from ...core.naming.vlm.result import ServerNames
    from ...core.verdicts.suggestions import Suggestion
    from ..runs.browser import RunBrowser

    Accept = Callable[[str, str], bool]
    """Shows a title and a question, and says whether the user agrees."""

SENT = (
    "The pixels are sent without names and metadata, but text that is burnt into an image is part of them. "
    "Send images only if you are allowed to."
)


@dataclass(frozen=True, slots=True)
class ServerForm:
    """What the user asks for.

    Attributes
    ----------
    url, model
        Address of the server, and what it calls the model; empty for the only one that it has.
    latents, most
        Which latents, as they are written; none for the `most` that contribute most.
    parallel
        Questions that are asked at once.
    against
        Folder of a run whose latents are named in the same way, to compare with; empty for none.
    """

    url: str = "http://127.0.0.1:11434/v1"
    model: str = ""
    latents: str = ""
    most: int = 20
    parallel: int = 1
    against: str = ""


class ServerNaming(Controller):
    """Asks a server what the latents of the open run stand for.

    Parameters
    ----------
    context
        Of the viewer.
    browser
        Knows where the images of a run lie.
    keep
        Keeps suggestions with the verdicts; returns how many are new.

    Attributes
    ----------
    changed
        Emits when there is something else to show.
    form
        What the user asks for.
    models
        What the server has, once it was asked.
    note
        What there is to say.
    jobs
        Choosing images, and asking.
    """

    changed = Signal()

    def __init__(self, context: Context, browser: RunBrowser, keep: Callable[[Sequence[Suggestion]], int]) -> None:
        super().__init__(context)
        self.browser, self._keep = browser, keep
        self.jobs = self.new_jobs()
        self.form, self.note = ServerForm(), ""
        self.models: list[str] = []
        self._allowed: frozenset[str] = frozenset()
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._on_run)

    @property
    def usable(self) -> bool:
        """Whether there is a run to name, and the judge may know of names."""
        return self.session.run is not None and not self.session.blind

    def list_models(self, accept: Accept) -> None:
        """Ask the server which models it has."""
        again = partial(self.list_models, accept)
        self._start("Asking for models", partial(tasks.list_models, self._choice), self._take_models, accept, again)

    def name(self, accept: Accept) -> None:
        """Work out what naming costs, have the user accept that, and ask the server; answers are kept as they come."""
        run = self.session.run
        if run is None or not self.usable:
            return
        work = partial(
            tasks.plan_names,
            run,
            self.session.model,
            self.form.latents,
            self.form.most,
            self.browser.files_of(run).root,
            self.form.against,
        )
        self._start("Choosing images", work, partial(self._offer, accept), accept, partial(self.name, accept))

    @property
    def _choice(self) -> ServerChoice:
        from ...core.naming.vlm.of_run import ServerChoice

        return ServerChoice(self.form.url, self.form.model.strip(), self._allowed, parallel=self.form.parallel)

    def _offer(self, accept: Accept, plans: list[NamingPlan]) -> None:
        plan, *nulls = plans
        if plan.run is not self.session.run:
            return
        text = f"{sum((null.cost for null in nulls), plan.cost)}. Answers are kept, so you can cancel and resume."
        self._tell(text)
        if accept("Name latents", f"{text}\n\nStart?"):
            self._ask(plans, accept)

    def _ask(self, plans: list[NamingPlan], accept: Accept) -> None:
        work = partial(tasks.ask_server, plans, self._choice)
        again = partial(self._ask, plans, accept)
        self._start("Naming latents", work, partial(self._take, plans[0].run), accept, again)

    def _start(
        self,
        title: str,
        work: Callable[..., Any],
        done: Callable[[Any], None],
        accept: Accept,
        again: Callable[[], None],
    ) -> None:
        self._tell("")
        self.jobs.start(title, work, done, partial(self._failed, accept, again))

    def _failed(self, accept: Accept, again: Callable[[], None], error: Exception) -> None:
        if isinstance(error, ConsentNeeded):
            text = str(error).partition(" To allow it")[0]
            if accept(f"Send images to {error.host}?", f"{text}\n\n{SENT}"):
                self._allowed |= {error.host}
                again()
            else:
                self._tell("Nothing was sent.")
            return
        self.status.report_failure(error)
        self._tell(str(error))

    def _take_models(self, models: list[str]) -> None:
        self.models = models
        if self.form.model not in models:
            self.form = replace(self.form, model=models[0] if models else "")
        self._tell("" if models else "The server has no model.")

    def _take(self, run: Any, found: ServerNames) -> None:
        from ...core.naming.vlm.result import compared_lines, server_suggestions

        if run is not self.session.run:
            return
        names = server_suggestions(found)
        with self.status.telling():
            new, sure = self._keep(names), sum(name.beats_chance for name in names)
            self.status.tell(
                f"{len(names):,} of {len(found.latents):,} latents named, {sure:,} better than chance; {new:,} of the "
                "names are new. See the columns Name and Score."
            )
        notes = " ".join(f"{note[:1].upper()}{note[1:]}." for note in found.notes)
        self._tell("\n".join(filter(None, [*compared_lines(found), notes])))

    def _on_run(self, *_: object) -> None:
        self._tell("")

    def _tell(self, note: str) -> None:
        self.note = note
        self.changed.emit()
