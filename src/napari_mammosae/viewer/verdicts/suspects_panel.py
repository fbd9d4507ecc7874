"""The suspects of the open run in a table, and the order they give the stack."""

from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from ..widgets.table_view import ColumnTableView
from .suspects import REASON, REASONS, SuspectSearch

ANYWHERE = "anywhere"


class SuspectsPart(Part):
    """Starts the search and lists what it found."""

    def __init__(self, search: SuspectSearch) -> None:
        super().__init__(search.context)
        self.search, self.jobs = search, search.jobs
        self.find_button = ui.button(
            "Find suspects", "Search the maps of the run for latents that fire in unlikely places", search.find
        )
        self.order_button = ui.button(
            "Order the stack",
            "The slider and the key for the next unreviewed latent follow this order",
            search.order_stack,
        )
        self.place_box = ui.chooser(
            9,
            "Sort by the share in this place; Order the stack takes that order. Markers are letters, tags and beads, "
            "with the cells around them",
        )
        places = ((words, reason) for reason, words in REASONS.items())
        ui.offer(self.place_box, [(ANYWHERE, ""), *places], search.place)
        self.progress = JobBar(search.jobs)
        self.note = ui.wrapped()
        self.view = ColumnTableView(search.table)
        self.view.setAccessibleName("Suspects")
        self.view.setMinimumHeight(80)
        top = row(self.find_button, self.place_box, self.order_button)
        ui.column(self, top, self.progress, self.note, self.view, grow=self.view, spacing=3, margins=(0, 2, 0, 0))

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
        self.search.choose(latent)
