"""The table of a run's images: numpy columns behind a virtual Qt view, sorted and filtered by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from ..widgets.column_table import sorted_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent

    from .image_columns import ImageColumn

_ROLES = Qt.ItemDataRole
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_WIDEST_TITLE = 84  # pixels; the tooltip has all of it
_TYPICAL_ROWS = 200  # as many decide how wide a column is


class ImageTable(QAbstractTableModel):
    """Images of a run as rows; `visible[row of the view]` is the row of the run's table."""

    rearranged = Signal()
    """The order or the filter changed."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: tuple[ImageColumn, ...] = ()
        self.sort_key, self.rising = "", True
        self.visible: NDArray[np.intp] = np.zeros(0, np.intp)
        self._mask: NDArray[np.bool_] | None = None

    def show(self, columns: Sequence[ImageColumn], mask: NDArray[np.bool_] | None) -> None:
        """Take other columns; rows stay in the order of the same column if it is still there."""
        self.beginResetModel()
        self.columns, self._mask = tuple(columns), mask
        self._arrange()
        self.endResetModel()
        self.rearranged.emit()

    def replace(self, column: ImageColumn) -> None:
        """Take other values for one column; the rows stay where they are until the user sorts again."""
        keys = [one.key for one in self.columns]
        if column.key in keys:
            at = keys.index(column.key)
            self.columns = (*self.columns[:at], column, *self.columns[at + 1 :])
            if self.visible.size:
                self.dataChanged.emit(self.index(0, at), self.index(self.visible.size - 1, at))

    def filter(self, mask: NDArray[np.bool_] | None) -> None:
        """List the rows of a mask (n,) only, or all."""
        self.show(self.columns, mask)

    def sort_by(self, key: str, *, rising: bool) -> None:
        """Order the rows by a column; an empty key is the order of the run."""
        self.sort_key, self.rising = key, rising
        self.show(self.columns, self._mask)

    def _arrange(self) -> None:
        values = next((column.values for column in self.columns if column.key == self.sort_key), None)
        rows = self.columns[0].values.size if self.columns else 0
        order = sorted_rows(values, rising=self.rising) if values is not None else np.arange(rows)
        self.visible = order if self._mask is None else order[self._mask[order]]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, D102
        return 0 if parent.isValid() else self.visible.size

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, D102
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = _ROLES.DisplayRole) -> Any:  # noqa: D102
        column = self.columns[index.column()]
        if role == _ROLES.DisplayRole:
            return column.text(int(self.visible[index.row()]))
        if role == _ROLES.TextAlignmentRole:
            return _RIGHT if column.is_number else _LEFT
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _ROLES.DisplayRole) -> Any:  # noqa: D102
        if orientation == Qt.Orientation.Vertical:
            return f"{self.visible[section] + 1:,}" if role == _ROLES.DisplayRole else None
        column = self.columns[section]
        if role == _ROLES.ToolTipRole:
            return f"{column.tooltip}. Click to sort."
        return column.title if role == _ROLES.DisplayRole else None


class ImageTableView(QTableView):
    """The list on the screen; one image is the current one."""

    opened = Signal(int)
    """The user clicked a row of the run's table, or pressed Enter on it."""

    def __init__(self, table: ImageTable) -> None:
        super().__init__()
        self.table = table
        self._row: int | None = None
        self.setModel(self.table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        rows, header = self.verticalHeader(), self.horizontalHeader()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 5)
        header.setHighlightSections(False)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(False)
        header.sectionClicked.connect(self._sort_by_section)
        self.clicked.connect(self._open)
        self.table.modelReset.connect(self._after_reset)
        self._after_reset()

    def go_to(self, row: int | None) -> None:
        """Mark the row of the run's table that is shown, and scroll to it; None marks nothing."""
        self._row = row
        at = np.flatnonzero(self.table.visible == (-1 if row is None else row))
        if not at.size:
            self.selectionModel().clear()
            return
        self.selectRow(int(at[0]))
        self.scrollTo(self.currentIndex(), QAbstractItemView.ScrollHint.EnsureVisible)

    def fit(self) -> None:
        """Make every column as wide as its title and its first texts."""
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        for section, column in enumerate(self.table.columns):
            texts = {column.text(int(row)) for row in self.table.visible[:_TYPICAL_ROWS]}
            width = max((metrics.horizontalAdvance(text) for text in texts), default=0)
            title = min(metrics.horizontalAdvance(column.title) + 22, _WIDEST_TITLE)
            header.resizeSection(section, max(width + 14, title))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens an image; letters and digits are keys of the viewer, not a search in the table."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open(self.currentIndex())
        elif event.text().isalnum():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _open(self, index: QModelIndex) -> None:
        if index.isValid():
            self.opened.emit(int(self.table.visible[index.row()]))

    def _sort_by_section(self, section: int) -> None:
        key = self.table.columns[section].key
        again = key == self.table.sort_key
        first = not self.table.columns[section].is_number  # high numbers first, names from A
        self.table.sort_by(key, rising=not self.table.rising if again else first)
        self.scrollToTop()

    def _after_reset(self) -> None:
        keys = [column.key for column in self.table.columns]
        known = self.table.sort_key in keys
        self.horizontalHeader().setSortIndicatorShown(known)
        if known:
            order = Qt.SortOrder.AscendingOrder if self.table.rising else Qt.SortOrder.DescendingOrder
            self.horizontalHeader().setSortIndicator(keys.index(self.table.sort_key), order)
        self.go_to(self._row)
