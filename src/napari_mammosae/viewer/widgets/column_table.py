"""A table over numpy columns that sorts and filters itself: latents, images of a run, what two models differ in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor

from .columns import Column
from .plain import plain

_ROLES = Qt.ItemDataRole
_ALIGN_NUMBER = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
LIGHT_GREY, DARK_GREY = QColor(160, 160, 160), QColor(92, 92, 92)
"""Of what matters less, on dark and on light."""
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


class ColumnTable(QAbstractTableModel):
    """Rows over shared arrays of one length, in an order and with a filter of its own.

    `visible[row of the view]` is the *entry*: the place in the arrays, which for latents is the latent's number. In
    blind mode, columns that could sway a reviewer are left empty. `hidden` are the keys of the columns that are not
    shown.

    Parameters
    ----------
    natural
        Key of the column that numbers the entries, sorted by when the column sorted by goes; empty where none does.
    numbered_by_entry
        Whether rows are numbered by their entry, not by their place on the screen.
    """

    rearranged = Signal()
    """The order or the filter changed."""
    columns_changed = Signal()
    """Other columns are there, or other ones are shown."""

    def __init__(self, natural: str = "", *, numbered_by_entry: bool = False) -> None:
        super().__init__()
        self.columns: tuple[Column, ...] = ()
        self.hidden: set[str] = set()
        self._known: set[str] = set()
        self.values: dict[str, NDArray[Any]] = {}
        self.sort_key, self.rising = natural, True
        self.blind, self.grey = False, DARK_GREY
        self._natural, self._numbered_by_entry = natural, numbered_by_entry
        self._mask: NDArray[np.bool_] | None = None
        self._order: NDArray[np.intp] = np.arange(0)
        self.visible: NDArray[np.intp] = self._order
        self._row_of: NDArray[np.intp] = self._order

    @property
    def size(self) -> int:
        """All entries, hidden ones included."""
        return len(next(iter(self.values.values()), ()))

    @property
    def sort_column(self) -> Column:
        """The column whose values decide the order; the first one in the order of the arrays."""
        return next((column for column in self.columns if column.key == self.sort_key), self.columns[0])

    @property
    def order(self) -> NDArray[np.intp]:
        """Every entry once, those that pass the filter first, each part in the order of the sorting column."""
        if self._mask is None:
            return self._order
        return np.concatenate([self.visible, self._order[~self._mask[self._order]]])

    def row_of(self, entry: int) -> int:
        """Row of an entry, -1 when the filter hides it or there is none."""
        return int(self._row_of[entry]) if 0 <= entry < self._row_of.size else -1

    def show(
        self, columns: Sequence[Column], values: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Take other columns or other values, and show the entries of a mask only, or all.

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
            self.sort_key, self.rising = self._natural, True
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
        """Show these columns and no others; the first always stays."""
        shown = {*keys, *(column.key for column in self.columns[:1])}
        self.hidden = {column.key for column in self.columns if column.key not in shown}
        self.columns_changed.emit()

    def replace(self, column: Column, values: NDArray[Any]) -> None:
        """Take other values for one column; the rows stay where they are until they are sorted again."""
        keys = [one.key for one in self.columns]
        if column.key not in keys:
            return
        at = keys.index(column.key)
        self.columns = (*self.columns[:at], column, *self.columns[at + 1 :])
        self.values[column.key] = values
        if self.visible.size:
            self.dataChanged.emit(self.index(0, at), self.index(self.visible.size - 1, at))

    def sort_by(self, key: str, *, rising: bool) -> None:
        """Order the rows by a column."""
        self.beginResetModel()
        self.sort_key, self.rising = key, rising
        self._sort()
        self.endResetModel()
        self.rearranged.emit()

    def filter(self, mask: NDArray[np.bool_] | None) -> None:
        """Show the entries of a mask only, or all."""
        if mask is None and self._mask is None:
            return
        self.beginResetModel()
        self._mask = mask
        self._arrange()
        self.endResetModel()
        self.rearranged.emit()

    def _sort(self) -> None:
        values = self.values.get(self.sort_key)
        self._order = np.arange(self.size) if values is None else sorted_rows(values, rising=self.rising)
        self._arrange()

    def _arrange(self) -> None:
        self.visible = self._order if self._mask is None else self._order[self._mask[self._order]]
        self._row_of = np.full(self.size, -1, dtype=np.intp)
        self._row_of[self.visible] = np.arange(self.visible.size)

    # What Qt asks for

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, D102
        return 0 if parent.isValid() else self.visible.size

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, D102
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = _ROLES.DisplayRole) -> Any:  # noqa: D102
        if role == _ROLES.DisplayRole:
            return self.text(self.columns[index.column()], int(self.visible[index.row()]))
        column = self.columns[index.column()]
        if role == _ROLES.ToolTipRole and not column.format:  # all of a text that has no room
            return plain(self.text(column, int(self.visible[index.row()])))
        if role == _ROLES.TextAlignmentRole:
            return _ALIGN_NUMBER if column.format else _ALIGN_TEXT
        if role == _ROLES.ForegroundRole and column.dim and self.values[column.dim][self.visible[index.row()]]:
            return self.grey
        return None

    def text(self, column: Column, entry: int) -> str:
        """What a cell says."""
        if self.blind and column.sways:
            return ""
        return column.write(entry) if column.write is not None else column.text(self.values[column.key][entry])

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _ROLES.DisplayRole) -> Any:  # noqa: D102
        if orientation == Qt.Orientation.Vertical:
            number = self.visible[section] if self._numbered_by_entry else section
            return f"{number + 1:,}" if role == _ROLES.DisplayRole else None
        column = self.columns[section]
        if role == _ROLES.ToolTipRole:
            return f"{plain(column.tooltip)}. Click to sort; right-click to choose columns."
        return column.title if role == _ROLES.DisplayRole else None
