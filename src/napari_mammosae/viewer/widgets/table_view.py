"""The table of all latents on the screen: a virtual view, one current latent, columns to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView

from .columns import SOURCES, Column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QKeyEvent

    from .column_table import LatentTable


class LatentTableView(QTableView):
    """A table on the screen: one current latent, any number selected, columns to choose from."""

    chosen = Signal(int)
    """The user moved to a latent."""
    sorted_by_user = Signal(str)
    """The user clicked on the header of a column, whose key this is."""
    entered = Signal(int)
    """The user pressed Enter on a latent, or double-clicked it."""

    def __init__(self, table: LatentTable) -> None:
        super().__init__()
        self.table = table
        self._following = False
        self._latent: int | None = None
        self.setModel(self.table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
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
        columns.setSortIndicatorShown(True)
        columns.sectionClicked.connect(self._sort_by_section)
        columns.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        columns.customContextMenuRequested.connect(self._show_menu)
        self.selectionModel().currentRowChanged.connect(self._on_current)
        self.doubleClicked.connect(self._on_entered)
        self.table.modelReset.connect(self._after_reset)
        self.table.columns_changed.connect(self._fit)
        self._fit()
        self._after_reset()

    @property
    def latent(self) -> int | None:
        """The latent of the current row."""
        index = self.currentIndex()
        return int(self.table.visible[index.row()]) if index.isValid() else None

    @property
    def selected(self) -> list[int]:
        """Latents of the selected rows, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [int(self.table.visible[row]) for row in rows]

    def go_to(self, latent: int | None) -> None:
        """Make a latent's row the current one and scroll to it, without telling anybody; none if it is hidden."""
        self._latent = latent
        row = self.table.row_of(latent) if latent is not None else -1
        if row >= 0 and self.currentIndex().row() == row:
            return
        self._following = True
        try:
            if row < 0:
                self.selectionModel().clear()
            else:
                self.selectRow(row)
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
            action = part.addAction(column.title)
            action.setToolTip(column.tooltip)
            action.setCheckable(True)
            action.setChecked(column.key not in self.table.hidden)
            action.setData(column.key)
        menu.triggered.connect(self._on_column_action)
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter goes to the latent; letters and digits are keys of the viewer, not a search in the table."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_entered(self.currentIndex())
        elif event.text().isalnum():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _on_column_action(self, action: Any) -> None:
        keys = {column.key for column in self.table.columns} - self.table.hidden
        self.table.choose_columns(keys | {action.data()} if action.isChecked() else keys - {action.data()})

    def _show_menu(self, at: QPoint) -> None:
        self.column_menu().popup(self.horizontalHeader().mapToGlobal(at))

    def _sort_by_section(self, section: int) -> None:
        column = self.table.columns[section]
        again = column.key == self.table.sort_key
        self.sort_by(column, rising=not self.table.rising if again else None)
        self.scrollToTop()
        self.sorted_by_user.emit(column.key)

    def _on_current(self, current: QModelIndex, _before: QModelIndex) -> None:
        if self._following or not current.isValid():
            return
        self._latent = int(self.table.visible[current.row()])
        self.chosen.emit(self._latent)

    def _on_entered(self, index: QModelIndex) -> None:
        if index.isValid():
            self.entered.emit(int(self.table.visible[index.row()]))

    def _after_reset(self) -> None:
        """Qt forgets the current row with the rows; the latent stays current."""
        columns = [column.key for column in self.table.columns]
        order = Qt.SortOrder.AscendingOrder if self.table.rising else Qt.SortOrder.DescendingOrder
        self.horizontalHeader().setSortIndicator(columns.index(self.table.sort_key), order)
        self.go_to(self._latent)

    def select(self, latents: Iterable[int]) -> None:
        """Select the rows of several latents besides the current one."""
        rows = [row for latent in latents if (row := self.table.row_of(latent)) >= 0]
        wanted = QItemSelection()
        for row in rows:
            wanted.select(self.table.index(row, 0), self.table.index(row, len(self.table.columns) - 1))
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.selectionModel().select(wanted, flags)

    def _fit(self) -> None:
        """Show and hide columns, and make each as wide as its title and a typical number."""
        header, metrics = self.horizontalHeader(), self.fontMetrics()
        for section, column in enumerate(self.table.columns):
            self.setColumnHidden(section, column.key in self.table.hidden)
            title = metrics.horizontalAdvance(column.title) + 24  # room for the sort mark
            typical = metrics.horizontalAdvance("0.00123" if column.format else "spurious") + 8
            header.resizeSection(section, max(title, typical))
