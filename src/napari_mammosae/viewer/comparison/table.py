"""The latents of two models as a table that sorts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    ("latent", "Latent", "Number of the latent", "d"),
    ("state", "State", "Fires in both models, or only in the second (gained) or the first (lost)", ""),
    ("diff_a", "Diff. 1st", "Mean over the class minus mean over the rest, first model", ".3g"),
    ("diff_b", "Diff. 2nd", "Mean over the class minus mean over the rest, second model", ".3g"),
    ("change", "Change", "Second difference minus first", "+.3g"),
    ("auroc_a", "AUROC 1st", "How well its mean tells the class in the first model", ".3f"),
    ("auroc_b", "AUROC 2nd", "How well its mean tells the class in the second model", ".3f"),
)


class ComparisonTable(QAbstractTableModel):
    """One row a latent that fires in either model; `sorted_by` is a column, -1 for none, and whether it falls."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, np.ndarray] = {}
        self._order = np.zeros(0, dtype=np.intp)
        self.sorted_by = (-1, False)

    def show(self, table: pd.DataFrame) -> None:
        """Show other latents, in the order of the table."""
        self.beginResetModel()
        self._values = {name: table[name].to_numpy() for name, *_ in COLUMNS}
        self._order, self.sorted_by = np.arange(len(table)), (-1, False)  # by size of the change
        self.endResetModel()

    def latent(self, line: int) -> int:
        """Latent of a line on the screen."""
        return int(self._values["latent"][self._order[line]])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many latents."""
        return int(self._order.size)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """How many columns."""
        return len(COLUMNS)

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Text of a cell, numbers to the right."""
        name, _, _, form = COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            value = self._values[name][self._order[index.row()]]
            return format(value, form) if form else str(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and form:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        """Titles and their meaning."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section][1]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return COLUMNS[section][2]
        return None

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; equal values by latent."""
        if not self._values or column < 0:
            return
        self.sorted_by = column, order == Qt.SortOrder.DescendingOrder
        keys = self._values[COLUMNS[column][0]]
        ranks = np.unique(keys, return_inverse=True)[1]
        falling = order == Qt.SortOrder.DescendingOrder
        self.layoutAboutToBeChanged.emit()
        self._order = np.lexsort((self._values["latent"], -ranks if falling else ranks))
        self.layoutChanged.emit()
