"""Heads of the model in a viewer: which are shown, and ones trained for a label of the open run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from ...core.base.text import readable
from ..context import Context, Controller
from . import tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...core.models.heads import Head
    from ...process.handle import ModelHandle


class Heads(Controller):
    """Hides predictions of heads, and trains heads.

    Parameters
    ----------
    context
        The viewer's.
    base
        Returns what a `model.toml` calls the loaded model; None where that has no name.

    Attributes
    ----------
    changed
        Emits when `note` changed.
    jobs
        The head that is being trained.
    note
        What there is to say of the head trained last.
    """

    changed = Signal()

    def __init__(self, context: Context, base: Callable[[], str | None]) -> None:
        super().__init__(context)
        self._base = base
        self.jobs = self.new_jobs()
        self.note = ""
        for event in (self.session.events.model, self.session.events.run):
            self.listen(event, self._forget)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the open run that a head can be trained for; empty without the run's model."""
        run = self.session.run
        return tuple(run.labels) if run is not None and self.session.model is not None else ()

    def show(self, name: str, shown: bool) -> None:
        """Show or hide the predictions of a head."""
        hidden = [one for one in self.session.hidden_heads if one != name]
        self.session.hidden_heads = tuple(hidden if shown else [*hidden, name])

    def train(self, label: str) -> None:
        """Train a head for a label on the open run, give it to the model, and keep it in the run's folder."""
        handle, run = self.session.handle, self.session.run
        if handle is None or run is None:
            self._say("Open a run and load its model first.")
            return
        work = partial(tasks.train_head, handle, run, label, self._base())
        title = f"Training a head for {readable(label)}"
        self.jobs.start(title, work, partial(self._take, handle), self._failed)

    def reopen(self, path: Path) -> None:
        """Give the model a head again that was trained before, from its file; `note` says it where that fails."""
        if (handle := self.session.handle) is not None:
            work = partial(tasks.reopen_head, handle, path)
            self.jobs.start(f"Opening {path.name}", work, partial(self._renew, handle), self._failed)

    def _take(self, handle: ModelHandle, found: tuple[Head, str]) -> None:
        if handle is self.session.handle:
            self._renew(handle)
            self._say(found[1])

    def _renew(self, handle: ModelHandle, _: object = None) -> None:
        if handle is self.session.handle and self.session.maps is not None:
            self.session.renew_maps()

    def _failed(self, error: Exception) -> None:
        text = str(error)
        self._say(text[:1].upper() + text[1:])

    def _forget(self, *_: object) -> None:
        self.jobs.cancel()
        self._say("")

    def _say(self, text: str) -> None:
        self.note = text
        self.changed.emit()
