"""Suspects: latents ranked by how much of their activation lies where no lesion can be."""

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal

from ...core.base.errors import MammoSAEError
from ...core.localization.suspects import find_suspects
from ..app.order import Order
from ..app.session import HIDDEN
from ..context import Context, Controller
from ..runs.top_images import TopImages
from ..widgets.column_table import ColumnTable
from ..widgets.columns import LATENT, VERDICT, Column
from .book import VerdictBook

if TYPE_CHECKING:
    import pandas as pd

NO_RUN = "Open a run to look for suspects over many images."
NO_MAPS = "{} keeps pooled values only. Suspects need maps: make the run again with Keep maps (run --maps)."
NEVER = "Sorted by where latents fire: a suggestion, not a verdict."
CHANGED = "Boxes have changed since: Find suspects again."

_MS = 250  # a slider that is dragged asks for no images

SUSPICION = Column(
    "suspect.suspicion", "Suspicion", "Largest share of its activation that lies in one unlikely place", "run", ".2f",
    shown=True, name="suspicion",
)  # fmt: skip
REASON = Column(
    "suspect.reason",
    "Fires",
    "Of the places it fires in, the least likely by chance",
    "run",
    "",
    rising=True,
    shown=True,
)
LIFT = Column(
    "suspect.lift", "Box lift",
    "Share of its activation inside the boxes over their share of the image; below 1: it avoids them",
    "run", ".2f", rising=True,
)  # fmt: skip
REASONS = {
    "outside": "outside the breast",
    "skin": "skin line",
    "pectoral": "pectoral muscle",
    "border": "image border",
    "marker": "burned-in marker",
    "avoids_boxes": "avoids the boxes",
}
"""Where a suspect fires, in words."""

PLACES = {
    place: Column(f"suspect.{place}", words.capitalize(), f"Share of its activation: {words}", "run", ".2f", name=words)
    for place, words in REASONS.items()
}
IMAGES = Column("suspect.images", "Images", "Images of the run on which it fires", "run", ",.0f", shown=True)
COLUMNS = (LATENT, REASON, SUSPICION, VERDICT, IMAGES, *PLACES.values(), LIFT)


class SuspectSearch(Controller):
    """Finds suspects over the open run; they can become the order of the stack.

    Attributes
    ----------
    changed
        Emits when suspects, the place or the note changed.
    jobs
        The search.
    table
        The suspects as they are listed.
    note
        What there is to say.
    """

    changed = Signal()

    def __init__(self, context: Context, book: VerdictBook, top_images: TopImages) -> None:
        super().__init__(context)
        self.book, self.top_images = book, top_images
        self._stacked: Order | None = None
        self._see = self.debounced(self._show_stepped, _MS)
        self.listen(self.session.events.current, self._see)
        self.jobs = self.new_jobs()
        self.table = ColumnTable(LATENT.key)
        self.note = NO_RUN
        self._place = ""
        self._values: dict[str, Any] = {}
        self._kept: WeakKeyDictionary[Any, tuple[Any, pd.DataFrame, str]] = WeakKeyDictionary()
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._on_run)
        self.listen(self.session.events.findings, self._on_findings)
        self.listen(book.changed, self._on_book)
        self._on_run()

    @property
    def usable(self) -> bool:
        """Whether there is a run to search, and the judge may know of suspects."""
        run = self.session.run
        return run is not None and run.has_maps and not self.session.blind

    @property
    def found(self) -> bool:
        """Whether suspects are listed."""
        return bool(self._values)

    @property
    def suspects(self) -> "pd.DataFrame | None":
        """All that fire, as `find_suspects` gives them; None until they are found."""
        kept = self._kept.get(self.session.run) if self._values else None
        return None if kept is None else kept[1]

    @property
    def place(self) -> str:
        """Key of the place that suspects are ranked by; empty for the largest share of all."""
        return self._place

    @place.setter
    def place(self, place: str) -> None:
        self._place = place
        self._sort()

    def find(self) -> None:
        """Begin to look, unless it was done for this run and these boxes already."""
        if not self.usable:
            return
        run, findings = self.session.run, self.session.findings
        kept = self._kept.get(run)
        if kept is not None and kept[0] is findings:
            self._take(run, findings, kept[1:])
            return
        work = partial(find_suspects, run, findings)
        self.jobs.start("Finding suspects", work, partial(self._take, run, findings), self._failed)

    def order_stack(self) -> None:
        """Stack the latents by what the table was sorted by for a place, silent ones last."""
        if self._values:
            column = self._column
            name = column.name if column is SUSPICION else f"{SUSPICION.name}, {column.name}"
            self._stacked = Order.by_score(self._values[column.key], name, self.session.run)
            self.session.order = self._stacked

    def choose(self, latent: int) -> None:
        """Go to a suspect, and to an image on which it is to be seen."""
        self.session.current = latent
        self.top_images.show_latent()

    def _show_stepped(self) -> None:
        """While the stack is ordered by suspects, show each where it fires."""
        if self._stacked is not None and self.session.order is self._stacked:
            self.top_images.show_latent()

    @property
    def _column(self) -> Column:
        """What suspects are ranked by: the share in the chosen place, or the largest of all."""
        return PLACES.get(self._place, SUSPICION)

    def _sort(self) -> None:
        if self._values:
            self.table.reveal(self._column)
            self._show()
        self.changed.emit()

    def _take(self, run: Any, findings: Any, found: tuple["pd.DataFrame", str]) -> None:
        self._kept[run] = findings, *found
        if run is not self.session.run:
            return
        table, _ = found
        live = table["latent"].to_numpy()
        values: dict[str, Any] = {LATENT.key: np.arange(run.n_latents)}
        names = {SUSPICION: "suspicion", LIFT: "lift", IMAGES: "images_active"}
        for column, name in (names | {column: place for place, column in PLACES.items()}).items():
            values[column.key] = np.full(run.n_latents, np.nan)
            values[column.key][live] = table[name].to_numpy(np.float64)
        values[REASON.key] = np.full(run.n_latents, "", dtype=object)
        values[REASON.key][live] = [REASONS[name] for name in table["reason"]]
        self._values = values
        self._remark()
        self._sort()

    def _remark(self) -> None:
        """Say how the suspects were found, and whether they would be others now."""
        findings, _, note = self._kept[self.session.run]
        self.note = f"{NEVER} {note}{'' if findings is self.session.findings else f' {CHANGED}'}"

    def _show(self) -> None:
        """Fill the table, with what is decided by now."""
        if self._values:
            fires = ~np.isnan(self._values[SUSPICION.key])
            self.table.show(COLUMNS, self._values | {VERDICT.key: self._verdicts()}, fires)

    def _verdicts(self) -> Any:
        count = len(self._values[LATENT.key])
        return np.array([self.book.line(latent) or "" for latent in range(count)], dtype=object)

    def _on_book(self, *_: object) -> None:
        """Rows that are sorted by verdicts stay where they are while somebody judges."""
        if self._values:
            self.table.replace(VERDICT, self._verdicts())

    def _on_findings(self, *_: object) -> None:
        if self._values:
            self._remark()
            self.changed.emit()

    def _on_run(self, *_: object) -> None:
        """Another run has other suspects; to a blind judge they would be a hint."""
        self.jobs.cancel()
        run = self.session.run
        if self._stacked is not None and self._stacked.measured_on is not run:
            self.session.give_up(self._stacked)
            self._stacked = None
        self._values = {}
        self.table.show((LATENT,), {LATENT.key: np.arange(0)})
        if run is None:
            self.note = NO_RUN
        elif not run.has_maps:
            self.note = NO_MAPS.format(run.path.name)
        else:
            self.note = HIDDEN if self.session.blind else NEVER
        self.changed.emit()
        if self.usable and run in self._kept:
            self.find()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.status.report_failure(error)
        self.note = str(error)
        self.changed.emit()
