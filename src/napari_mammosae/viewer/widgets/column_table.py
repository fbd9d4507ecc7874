"""A table of all latents that sorts and filters itself: numpy columns as a Qt model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal

from .columns import LATENT, Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

_ROLES = Qt.ItemDataRole
_ALIGN_NUMBER = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_ALIGN_TEXT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


def sorted_rows(values: NDArray[Any], *, rising: bool) -> NDArray[np.intp]:
    """All rows by value, equal ones by row number; missing numbers and empty texts last either way."""
    if values.dtype.kind in "OUS":
        texts = [str(text) for text in values.tolist()]
        places = {text: place for place, text in enumerate(sorted(set(texts)))}  # few of many are different
        keys = np.fromiter((places[text] for text in texts), np.float64, len(texts))
        missing = keys == places.get("", -1)
    else:
        keys = values.astype(np.float64)
        missing = np.isnan(keys)
    keys = np.where(missing, np.inf, keys if rising else -keys)
    rows = np.argsort(keys, kind="stable")
    return rows[np.argsort(missing[rows], kind="stable")] if missing.any() else rows


class LatentTable(QAbstractTableModel):
    """All h latents as rows, in an order and with a filter of its own.

    Rows of the model are `visible[row]` -> latent. The values are arrays of length h, shared, not copied. While it is
    `blind`, columns that could sway a judge are left empty. `hidden` are the keys of the columns that are not shown.
    """

    rearranged = Signal()
    """The order or the filter changed."""
    columns_changed = Signal()
    """Other columns are there, or other ones are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: tuple[Column, ...] = (LATENT,)
        self.hidden: set[str] = set()
        self._known: set[str] = set()
        self.values: dict[str, NDArray[Any]] = {LATENT.key: np.arange(0)}
        self.sort_key, self.rising = LATENT.key, True
        self.blind = False
        self._mask: NDArray[np.bool_] | None = None
        self._order: NDArray[np.intp] = np.arange(0)
        self.visible: NDArray[np.intp] = self._order
        self._row_of: NDArray[np.intp] = self._order

    @property
    def n_latents(self) -> int:
        """All latents, hidden ones included."""
        return len(self.values[LATENT.key])

    @property
    def sort_column(self) -> Column:
        """The column whose values decide the order."""
        return next(column for column in self.columns if column.key == self.sort_key)

    @property
    def order(self) -> NDArray[np.intp]:
        """Every latent once, those that pass the filter first, each part in the order of the sorting column."""
        if self._mask is None:
            return self._order
        return np.concatenate([self.visible, self._order[~self._mask[self._order]]])

    def row_of(self, latent: int) -> int:
        """Row of a latent, -1 when the filter hides it or there is no such latent."""
        return int(self._row_of[latent]) if 0 <= latent < self._row_of.size else -1

    def show(
        self, columns: Sequence[Column], values: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Take other columns or other values, and show the latents of a mask (h,) only, or all.

        The order stays that of the same column, if it is still there. New columns start shown or hidden as they say
        themselves.
        """
        changed = tuple(columns) != self.columns
        for column in columns:
            if column.key not in self._known:
                self._known.add(column.key)
                if not column.shown:
                    self.hidden.add(column.key)
        self.beginResetModel()
        self.columns, self.values, self._mask = tuple(columns), dict(values), mask
        if self.sort_key not in self.values:
            self.sort_key, self.rising = LATENT.key, True
        self._sort()
        self.endResetModel()
        self.rearranged.emit()
        if changed:
            self.columns_changed.emit()

    def reveal(self, column: Column) -> None:
        """Show a column from now on, and be sorted by it when its values are next given."""
        self._known.add(column.key)
        if column.key in self.hidden:
            self.hidden.discard(column.key)
            self.columns_changed.emit()
        self.sort_key, self.rising = column.key, column.rising

    def choose_columns(self, keys: Iterable[str]) -> None:
        """Show these columns and no others; the latent's number always stays."""
        shown = {*keys, LATENT.key}
        self.hidden = {column.key for column in self.columns if column.key not in shown}
        self.columns_changed.emit()

    def sort_by(self, key: str, *, rising: bool) -> None:
        """Order the rows by a column."""
        self.beginResetModel()
        self.sort_key, self.rising = key, rising
        self._sort()
        self.endResetModel()
        self.rearranged.emit()

    def filter(self, mask: NDArray[np.bool_] | None) -> None:
        """Show the latents of a mask (h,) only, or all."""
        if mask is None and self._mask is None:
            return
        self.beginResetModel()
        self._mask = mask
        self._arrange()
        self.endResetModel()
        self.rearranged.emit()

    def _sort(self) -> None:
        self._order = sorted_rows(self.values[self.sort_key], rising=self.rising)
        self._arrange()

    def _arrange(self) -> None:
        self.visible = self._order if self._mask is None else self._order[self._mask[self._order]]
        self._row_of = np.full(self.n_latents, -1, dtype=np.intp)
        self._row_of[self.visible] = np.arange(self.visible.size)

    # What Qt asks for

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, D102
        return 0 if parent.isValid() else self.visible.size

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, D102
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = _ROLES.DisplayRole) -> Any:  # noqa: D102
        if role == _ROLES.DisplayRole:
            column = self.columns[index.column()]
            if self.blind and column.sways:
                return ""
            return column.text(self.values[column.key][self.visible[index.row()]])
        if role == _ROLES.TextAlignmentRole:
            return _ALIGN_NUMBER if self.columns[index.column()].format else _ALIGN_TEXT
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _ROLES.DisplayRole) -> Any:  # noqa: D102
        if orientation == Qt.Orientation.Vertical:
            return f"{section + 1:,}" if role == _ROLES.DisplayRole else None
        column = self.columns[section]
        if role == _ROLES.ToolTipRole:
            return f"{column.tooltip}. Click to sort; right-click to choose columns."
        return column.title if role == _ROLES.DisplayRole else None
