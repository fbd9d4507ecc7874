"""Verdicts in and out of the file in use: export, merge, agreement of two annotators."""

from functools import partial
from pathlib import Path

from psygnal import Signal

from ...core.base.errors import MammoSAEError
from ...core.base.text import counted
from ...core.verdicts.agreement import Agreement
from ...core.verdicts.exchange import Merged
from ...core.verdicts.store import VERDICTS
from ..context import Context, Controller
from ..widgets.parts import NOTICE
from . import tasks
from .controller import Reviewer


class VerdictExchange(Controller):
    """Moves verdicts in and out. Nothing here is deleted or overwritten unasked.

    Attributes
    ----------
    said
        Emits the new `text`: what came of it, for the user.
    whole_log
        Whether an export has every decision and undo, not only what holds now.
    pair
        The two annotators that are compared; empty until they are chosen.
    """

    said = Signal(str)

    def __init__(self, context: Context, reviewer: Reviewer) -> None:
        super().__init__(context)
        self.reviewer, self.book = reviewer, reviewer.book
        self.jobs = self.new_jobs()
        self.text = ""
        self.whole_log = False
        self.pair = ("", "")

    def say(self, text: str) -> None:
        """Put a text where the user looks for it."""
        self.text = text
        self.said.emit(text)

    def use(self, path: Path | None) -> None:
        """Write into another file from now on; None for the usual one."""
        try:
            self.reviewer.use_file(path)
        except MammoSAEError as error:
            self.say(str(error))

    def export(self, path: Path) -> None:
        """Write the verdicts on the current model's latents to a CSV or JSON file."""
        work = partial(tasks.export, self.book.path, path, self.book.subject, not self.whole_log)
        self.jobs.start(f"Exporting {path.name}", work, self._exported, self._failed)

    def merge(self, paths: list[Path]) -> None:
        """Add the verdicts of other files."""
        work = partial(tasks.merge, self.book.path, self.book.annotator, paths)
        self.jobs.start("Merging verdicts", work, self._merged, self._failed)

    def compare(self) -> None:
        """Work out how far the two chosen annotators agree."""
        work = partial(tasks.compare, self.book.path, *self.pair, self.book.subject)
        self.jobs.start("Comparing", work, self._compared, self._failed)

    def _exported(self, path: Path) -> None:
        self.say(f"{path.name} written. {NOTICE}")

    def _merged(self, found: list[Merged]) -> None:
        self.book.reload()
        self.say("\n".join(
            one.refused or f"{one.source}: {one.added:,} new, {one.known:,} known already." for one in found
        ))  # fmt: skip

    def _compared(self, found: Agreement) -> None:
        first, second = found.annotators
        if not found.n:
            self.say(f"{first} and {second} have no reviewed latent in common.")
            return
        kappa = f"{found.kappa:.3f}" if found.kappa == found.kappa else "undefined (one verdict only)"
        lines = [
            f"Cohen's kappa {kappa} over {counted(found.n, 'latent')}; the same verdict on {found.observed:.0%}.",
            f"Reviewed by only one of them: {found.only_first:,} and {found.only_second:,}.",
        ]
        lines += [
            f"{first} {VERDICTS[i]}, {second} {VERDICTS[j]}: {int(found.counts[i, j]):,}"
            for i in range(len(VERDICTS))
            for j in range(len(VERDICTS))
            if i != j and found.counts[i, j]
        ]
        self.say("\n".join(lines))

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.status.report_failure(error)
        self.say(str(error))
