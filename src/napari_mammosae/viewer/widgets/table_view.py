"""A table on the screen: a virtual view, one current row, columns to choose from."""

from collections.abc import Iterable
from math import ceil
from typing import Any

from qtpy.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from qtpy.QtGui import QKeyEvent, QPalette, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView

from .column_table import DARK_GREY, LIGHT_GREY, ColumnTable
from .columns import SOURCES, Column
from .plain import plain, unmarked

_WIDEST_TITLE = 130  # pixels; the tooltip has all of it
_SHORT_TITLE = 60  # pixels that a narrow table leaves it
_SHORT_TEXT = "spurious…"  # a narrow table leaves a text as much room
_GAP = 10
_TYPICAL_ROWS = 200  # as many decide how wide a column of texts is


class ColumnTableView(QTableView):
    """A `ColumnTable` on the screen: one current entry, any number selected, columns to choose from.

    Parameters
    ----------
    table
        What is shown.
    one_click
        Whether a click opens an entry, as in a list of images, and moving with the arrow keys does not; otherwise a
        double click opens.
    """

    chosen = Signal(int)
    """The user moved to an entry."""
    sorted_by_user = Signal(str)
    """The user clicked on the header of a column, whose key this is."""
    entered = Signal(int)
    """The user opened an entry: with Enter, or by a click."""

    def __init__(self, table: ColumnTable, *, one_click: bool = False) -> None:
        super().__init__()
        self.table = table
        self._following = False
        self._entry: int | None = None
        self._widths: dict[int, tuple[int, int]] = {}
        self.setModel(self.table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        mode = QAbstractItemView.SelectionMode
        self.setSelectionMode(mode.SingleSelection if one_click else mode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 5)
        rows.setMinimumWidth(self.fontMetrics().horizontalAdvance("16,384"))
        columns.setSectionsMovable(True)
        columns.setHighlightSections(False)
        columns.setSectionsClickable(True)
        columns.setTextElideMode(Qt.TextElideMode.ElideRight)
        columns.setSortIndicatorShown(True)
        columns.sectionClicked.connect(self._sort_by_section)
        columns.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        columns.customContextMenuRequested.connect(self._show_menu)
        self.selectionModel().currentRowChanged.connect(self._on_current)
        (self.clicked if one_click else self.doubleClicked).connect(self._on_entered)
        self.table.modelReset.connect(self._after_reset)
        self.table.columns_changed.connect(self._fit)
        self._follow_theme()
        self._fit()
        self._after_reset()

    @property
    def entry(self) -> int | None:
        """The entry of the current row."""
        index = self.currentIndex()
        return int(self.table.visible[index.row()]) if index.isValid() else None

    @property
    def selected(self) -> list[int]:
        """Entries of the selected rows, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [int(self.table.visible[row]) for row in rows]

    def go_to(self, entry: int | None) -> None:
        """Make an entry's row the current one and scroll to it without a signal; none if it is hidden."""
        self._entry = entry
        row = self.table.row_of(entry) if entry is not None else -1
        if row >= 0 and self.currentIndex().row() == row:
            return
        self._following = True
        try:
            if row < 0:
                self.selectionModel().clear()
            else:
                # not `selectRow`, which adds to what is selected while Shift is held down for a key
                flags = QItemSelectionModel.SelectionFlag
                index = self.model().index(row, max(self.currentIndex().column(), 0))
                self.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
                self.scrollTo(self.currentIndex(), QAbstractItemView.ScrollHint.EnsureVisible)
        finally:
            self._following = False

    def sort_by(self, column: Column, *, rising: bool | None = None) -> None:
        """Order the rows by a column, by default in the direction that makes sense for it."""
        self.table.sort_by(column.key, rising=column.rising if rising is None else rising)

    def column_menu(self) -> QMenu:
        """Menu with a tick for every column, those of a source together."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        parts: dict[str, QMenu] = {}
        for column in self.table.columns[1:]:
            part = menu
            if column.source in SOURCES:
                part = parts.get(column.source) or menu.addMenu(SOURCES[column.source])
                parts[column.source] = part
            part.setToolTipsVisible(True)
            action = part.addAction(unmarked(column.title))
            action.setToolTip(plain(column.tooltip))
            action.setCheckable(True)
            action.setChecked(column.key not in self.table.hidden)
            action.setData(column.key)
        menu.triggered.connect(self._on_column_action)
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens the entry; letters and digits are keys of the viewer, not a search in the table."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_entered(self.currentIndex())
        elif event.text().isalnum():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _on_column_action(self, action: Any) -> None:
        if action.data() is None:
            return  # not a column's
        keys = {column.key for column in self.table.columns} - self.table.hidden
        self.table.choose_columns(keys | {action.data()} if action.isChecked() else keys - {action.data()})

    def _show_menu(self, at: QPoint) -> None:
        self.column_menu().popup(self.horizontalHeader().mapToGlobal(at))

    def _sort_by_section(self, section: int) -> None:
        column = self.table.columns[section]
        if self.table.blind and column.sways:
            return  # the order would tell what the cells hide
        again = column.key == self.table.sort_key
        self.sort_by(column, rising=not self.table.rising if again else None)
        self.scrollToTop()
        self.sorted_by_user.emit(column.key)

    def _on_current(self, current: QModelIndex, _before: QModelIndex) -> None:
        if self._following or not current.isValid():
            return
        self._entry = int(self.table.visible[current.row()])
        self.chosen.emit(self._entry)

    def _on_entered(self, index: QModelIndex) -> None:
        if index.isValid():
            self.entered.emit(int(self.table.visible[index.row()]))

    def _after_reset(self) -> None:
        """Qt forgets the current row with the rows; the entry stays current."""
        columns = [column.key for column in self.table.columns]
        order = Qt.SortOrder.AscendingOrder if self.table.rising else Qt.SortOrder.DescendingOrder
        section = columns.index(self.table.sort_key) if self.table.sort_key in columns else -1
        self.horizontalHeader().setSortIndicator(section, order)
        self._squeeze()
        self.go_to(self._entry)

    def select(self, entries: Iterable[int]) -> None:
        """Select the rows of several entries besides the current one."""
        rows = [row for entry in entries if (row := self.table.row_of(entry)) >= 0]
        wanted = QItemSelection()
        for row in rows:
            wanted.select(self.table.index(row, 0), self.table.index(row, len(self.table.columns) - 1))
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.selectionModel().select(wanted, flags)

    def changeEvent(self, event: QEvent) -> None:
        """Take the grey that can be read in the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._follow_theme()

    def _follow_theme(self) -> None:
        text = self.palette().color(QPalette.ColorRole.Text)
        self.table.grey = LIGHT_GREY if text.lightness() > 127 else DARK_GREY

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the columns into another width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._squeeze()

    def _fit(self) -> None:
        """Show and hide columns, and find how wide each is to be: as its title and a typical number, or first texts."""
        metrics = self.fontMetrics()
        self._widths.clear()
        for section, column in enumerate(self.table.columns):
            self.setColumnHidden(section, column.key in self.table.hidden)
            title = metrics.horizontalAdvance(column.title)
            texts = {_typical(column)} if column.format and column.write is None else self._first_texts(column)
            typical = max((metrics.horizontalAdvance(text) for text in texts), default=0) + _GAP
            wanted = max(min(title + 24, _WIDEST_TITLE), typical)  # room for the sort mark
            self._widths[section] = wanted, max(typical, min(title + 8, _SHORT_TITLE))
        self._squeeze()

    def _squeeze(self) -> None:
        """Take from titles, then from texts, as much as it takes to see all columns; tooltips have all of both."""
        columns = self.table.columns  # which may be fewer for a moment than were fitted
        shown = {at: both for at, both in self._widths.items() if at < len(columns) and not self.isColumnHidden(at)}
        if (at := self.horizontalHeader().sortIndicatorSection()) in shown:
            shown[at] = shown[at][0], shown[at][0]  # what the table is sorted by is read in full
        wanted, least = (sum(both[at] for both in shown.values()) for at in (0, 1))
        room = self.viewport().width()
        part = min(max((wanted - room) / max(wanted - least, 1), 0.0), 1.0)
        widths = {at: width - ceil(part * (width - typical)) for at, (width, typical) in shown.items()}
        texts = [at for at in shown if not columns[at].format]
        shortest = self.fontMetrics().horizontalAdvance(_SHORT_TEXT) + _GAP
        while sum(widths.values()) > room and (long := [at for at in texts if widths[at] > shortest]):
            widths[max(long, key=widths.__getitem__)] -= 1
        for section, width in widths.items():
            self.horizontalHeader().resizeSection(section, width)

    def _first_texts(self, column: Column) -> set[str]:
        return {self.table.text(column, int(entry)) for entry in self.table.visible[:_TYPICAL_ROWS]} | {_SHORT_TEXT}


def _typical(column: Column) -> str:
    """Return a number of usual length in the format of a column."""
    return {".2f": "0.12", ".3f": "0.123", "d": "12345"}.get(column.format, "0.00123")
