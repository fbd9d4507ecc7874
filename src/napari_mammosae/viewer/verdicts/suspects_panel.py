"""The suspects of the open run in a table, and the order they give the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QPushButton, QVBoxLayout

from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from ..widgets.plain import Label
from ..widgets.table_view import ColumnTableView
from .suspects import REASON, REASONS

if TYPE_CHECKING:
    from .suspects import SuspectSearch

ANYWHERE = "anywhere"


class SuspectsPart(Part):
    """Starts the search and lists what it found."""

    def __init__(self, search: SuspectSearch) -> None:
        super().__init__(search.context)
        self.search, self.jobs = search, search.jobs
        self.find_button, self.order_button = QPushButton("Find suspects"), QPushButton("Order the stack")
        self.find_button.setToolTip("Search the maps of the run for latents that fire in unlikely places")
        self.order_button.setToolTip("The slider and the key for the next unreviewed latent follow this order")
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
        self.progress = JobBar(search.jobs)
        self.note = Label()
        self.note.setWordWrap(True)
        self.view = ColumnTableView(search.table)
        self.view.setMinimumHeight(80)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(row(self.find_button, self.place_box, self.order_button))
        layout.addWidget(self.progress)
        layout.addWidget(self.note)
        layout.addWidget(self.view, 1)

        self.find_button.clicked.connect(search.find)
        self.order_button.clicked.connect(search.order_stack)
        self.place_box.activated.connect(self._sort_by_place)
        self.view.chosen.connect(self._choose)
        self.progress.turned.connect(self._refresh)
        self.listen(self.session.events.current, self.view.go_to)
        self.listen(search.table.columns_changed, self._fit)
        self.listen(search.changed, self._refresh)
        self._fit()
        self._refresh()

    def _refresh(self) -> None:
        """Follow the search."""
        self.note.setText(self.search.note)
        self.find_button.setEnabled(self.search.usable and not self.jobs.busy)
        self.order_button.setEnabled(self.search.found)
        self.place_box.setCurrentIndex(self.place_box.findData(self.search.place))
        self.view.go_to(self.session.current)

    def _fit(self) -> None:
        """Make the column of reasons as wide as they are."""
        columns = self.search.table.columns
        if REASON in columns:
            width = max(self.fontMetrics().horizontalAdvance(words) for words in REASONS.values())
            self.view.horizontalHeader().resizeSection(columns.index(REASON), width + 14)

    def _sort_by_place(self, *_: object) -> None:
        self.search.place = self.place_box.currentData()
        self.view.scrollToTop()

    def _choose(self, latent: int) -> None:
        self.session.current = latent
