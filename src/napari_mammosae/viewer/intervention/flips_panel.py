"""Measures before and after the present edit, and a list of the images whose decision it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QSize
from qtpy.QtWidgets import QAbstractItemView, QLabel, QListView, QVBoxLayout

from ..widgets.parts import Part, hint

if TYPE_CHECKING:
    from ..runs.browser import RunBrowser
    from .run_move import RunMove


class MovePart(Part):
    """What the edit does to the run, in words; a click on an image opens it."""

    def __init__(self, move: RunMove, browser: RunBrowser) -> None:
        super().__init__(move.context)
        self.run_move, self.browser = move, browser
        self.measures, self.intervals = QLabel(), hint(QLabel())
        for label in (self.measures, self.intervals):
            label.setWordWrap(True)
        self.intervals.setToolTip(
            "Patients are drawn anew 1,000 times; before, after and their change are measured on the same draws"
        )
        self.list = _Flips()
        self.list.setModel(move.flips)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.measures, self.intervals, self.list):
            layout.addWidget(widget, 1 if widget is self.list else 0)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.listen(move.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow what the edit does."""
        self.measures.setText(self.run_move.measures)
        self.intervals.setText(self.run_move.intervals)
        self.intervals.setVisible(bool(self.run_move.intervals))

    def _open(self, index: QModelIndex) -> None:
        if self.session.run is not None and (rows := self.run_move.flip_rows()):
            self.browser.show(rows[index.row()][0])


class _Flips(QListView):
    def __init__(self) -> None:
        super().__init__()
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setToolTip("Images whose decision the edit changes, right or wrong by their label; click to open one")
        self.setMinimumHeight(60)

    def sizeHint(self) -> QSize:
        """A few lines: it takes what room is left, but does not make the dock scroll."""
        return QSize(super().sizeHint().width(), 80)
