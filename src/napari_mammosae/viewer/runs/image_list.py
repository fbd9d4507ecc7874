"""Which images of the open run are listed, and in which order: what next and previous go through."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..context import Context, Controller
from ..widgets.column_table import ColumnTable
from .browser import RunBrowser
from .image_columns import ImageFilter, Listed, image_columns, review_column


class RunImageList(Controller):
    """The filter and the order of the images; the browser's rows follow.

    Attributes
    ----------
    table
        The images as they are listed.
    """

    def __init__(self, context: Context, browser: RunBrowser, verdicts: Callable[[], Mapping[int, str]]) -> None:
        super().__init__(context)
        self.browser, self._verdicts = browser, verdicts
        self.table = ColumnTable(numbered_by_entry=True)
        self.table.rearranged.connect(self._on_rearranged)
        self._filter = ImageFilter()
        self._columns: list[Listed] = []
        self._listed: Any = None
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._show)
        self.listen(self.session.events.verdicts, self._on_verdicts)
        self._on_run()

    @property
    def filter(self) -> ImageFilter:
        """What the user asks for; while judging blind labels and predictions are asked for no more."""
        return self._filter

    @filter.setter
    def filter(self, wanted: ImageFilter) -> None:
        self._filter = wanted
        if (run := self._listed) is not None:
            self.table.filter(self._allowed.mask(run))

    @property
    def _allowed(self) -> ImageFilter:
        return replace(self._filter, label="", wrong=False) if self.session.blind else self._filter

    def _on_run(self, *_: object) -> None:
        self._filter = ImageFilter(self._filter.text)
        self.session.afterwards(self._follow_run)

    def _follow_run(self) -> None:
        run = self.session.run
        self._columns, self._listed = [], run
        if run is not None:
            first, *others = image_columns(run)
            self._columns = [first, review_column(run, self._reviewed()), *others]
        self._show()

    def _show(self, *_: object) -> None:
        """Fill the table for this run; labels and predictions stay away from a blind judge."""
        blind, run = self.session.blind, self._listed
        listed = [(column, values) for column, values in self._columns if not (blind and column.sways)]
        columns = [column for column, _ in listed]
        if blind and self.table.sort_key not in {column.key for column in columns}:
            self.table.sort_key = ""  # an order by a label or a prediction would give it away
        values = {column.key: values for column, values in listed}
        self.table.show(columns, values, self._allowed.mask(run) if run is not None else None)

    def _on_verdicts(self, *_: object) -> None:
        run = self.session.run
        if run is not None and run is self._listed:  # verdicts come with another run before its images do
            self._columns[1] = review_column(run, self._reviewed())
            self.table.replace(*self._columns[1])

    def _reviewed(self) -> list[int]:
        return [latent for latent, verdict in self._verdicts().items() if verdict]

    def _on_rearranged(self) -> None:
        self.browser.rows = self.table.visible
