"""Suspects: latents ranked by how much of their activation lies where no lesion can be."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtWidgets import QComboBox, QLabel, QProgressBar, QPushButton, QVBoxLayout

from ...core.base.errors import MammoSAEError
from ...core.localization.suspects import find_suspects
from ..app.jobs import Jobs
from ..app.order import Order
from ..widgets.columns import LATENT, VERDICT, Column
from ..widgets.parts import Part, row
from ..widgets.table_view import LatentTableView

if TYPE_CHECKING:
    import pandas as pd

    from ...core.base.progress import Progress
    from ..image.controller import Controller

NO_RUN = "Open a run to look for suspects over many images."
NO_MAPS = "{} keeps pooled values only. Suspects need maps: make the run again with Keep maps (run --maps)."
ANYWHERE = "anywhere"
NEVER = "Pre-sorting by where latents fire, never a decision."

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
    "suspect.lift", "Box lift", "Share of its activation inside the boxes over theirs of the image; below 1 avoids",
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

_kept: WeakKeyDictionary[Any, tuple[Any, pd.DataFrame, str]] = WeakKeyDictionary()


class SuspectsPart(Part):
    """Finds suspects over the open run and lists them; they can become the order of the stack."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self.book = controller.reviewer.book
        self._values: dict[str, Any] = {}
        self.find_button, self.order_button = QPushButton("Find suspects"), QPushButton("Order the stack")
        self.find_button.setToolTip("Look over all kept maps of the run for latents that fire in unlikely places")
        self.order_button.setToolTip(
            "The slider and the key for the next unreviewed go through the suspects in turn, as they are sorted"
        )
        self.place_box = QComboBox()
        self.place_box.addItem(ANYWHERE, "")
        for reason, words in REASONS.items():
            self.place_box.addItem(words, reason)
        self.place_box.setToolTip(
            "Sort by the share in this place; Order the stack takes that order. Markers are letters, tags and beads, "
            "with the cells around them"
        )
        self.place_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.place_box.setMinimumContentsLength(9)
        self.cancel_button = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.view = LatentTableView()
        self.view.setMinimumHeight(80)
        self.busy_row = row(self.bar, self.cancel_button)
        self.busy_row.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(row(self.find_button, self.place_box, self.order_button))
        layout.addWidget(self.busy_row)
        layout.addWidget(self.note)
        layout.addWidget(self.view, 1)

        self.find_button.clicked.connect(self.find)
        self.order_button.clicked.connect(self.order_stack)
        self.cancel_button.clicked.connect(self.jobs.cancel)
        self.place_box.activated.connect(self._sort_by_place)
        self.view.chosen.connect(self._choose)
        self.listen(self.jobs.started, self._on_started)
        self.listen(self.jobs.progressed, self._on_progress)
        self.listen(self.jobs.ended, self._on_ended)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._on_run)
        self.listen(self.session.events.current, self.view.go_to)
        self.listen(self.book.changed, self._show_verdicts)
        self._on_run()

    def find(self) -> None:
        """Begin to look, unless it was done for this run and these boxes already."""
        run, findings = self.session.run, self.session.findings
        kept = _kept.get(run)
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
            self.session.order = Order.by_score(self._values[column.key], name)

    @property
    def _column(self) -> Column:
        """What suspects are ranked by: the share in the chosen place, or the largest of all."""
        return PLACES.get(self.place_box.currentData(), SUSPICION)

    def _sort_by_place(self, *_: object) -> None:
        if self._values:
            self.view.reveal(self._column)
            self._show_verdicts()
            self.view.scrollToTop()

    def _take(self, run: Any, findings: Any, found: tuple[pd.DataFrame, str]) -> None:
        _kept[run] = findings, *found
        if run is not self.session.run:
            return
        table, note = found
        live = table["latent"].to_numpy()
        values: dict[str, Any] = {LATENT.key: np.arange(run.n_latents)}
        names = {SUSPICION: "suspicion", LIFT: "lift", IMAGES: "images_active"}
        for column, name in (names | {column: place for place, column in PLACES.items()}).items():
            values[column.key] = np.full(run.n_latents, np.nan)
            values[column.key][live] = table[name].to_numpy(np.float64)
        values[REASON.key] = np.full(run.n_latents, "", dtype=object)
        values[REASON.key][live] = [REASONS[name] for name in table["reason"]]
        self._values = values
        self._sort_by_place()
        self.note.setText(f"{NEVER} {note}")
        self.order_button.setEnabled(True)

    def _show_verdicts(self, *_: object) -> None:
        if not self._values:
            return
        count = len(self._values[LATENT.key])
        verdicts = np.array([self.book.line(latent) or "" for latent in range(count)], dtype=object)
        fires = ~np.isnan(self._values[SUSPICION.key])
        columns = (LATENT, REASON, SUSPICION, VERDICT, IMAGES, *PLACES.values(), LIFT)
        self.view.show_columns(columns, self._values | {VERDICT.key: verdicts}, fires)
        width = max(self.fontMetrics().horizontalAdvance(words) for words in REASONS.values())
        self.view.horizontalHeader().resizeSection(columns.index(REASON), width + 14)
        self.view.go_to(self.session.current)

    def _choose(self, latent: int) -> None:
        self.session.current = latent

    def _on_run(self, *_: object) -> None:
        """Another run has other suspects; to a blind judge they would be a hint."""
        self.jobs.cancel()
        run, blind = self.session.run, self.session.blind
        self._values = {}
        self.view.show_columns((LATENT,), {LATENT.key: np.arange(0)})
        usable = run is not None and run.has_maps and not blind
        self.find_button.setEnabled(usable)
        self.order_button.setEnabled(False)
        if run is None:
            self.note.setText(NO_RUN)
        elif not run.has_maps:
            self.note.setText(NO_MAPS.format(run.path.name))
        else:
            self.note.setText("Hidden while judging blind." if blind else NEVER)
        if usable and run in _kept:
            self.find()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.controller.report_failure(error)
        self.note.setText(str(error))

    def _on_started(self, _: str) -> None:
        self.bar.setRange(0, 0)
        self.busy_row.show()
        self.find_button.setEnabled(False)

    def _on_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)

    def _on_ended(self) -> None:
        self.busy_row.hide()
        run = self.session.run
        self.find_button.setEnabled(run is not None and run.has_maps and not self.session.blind)
