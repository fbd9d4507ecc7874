"""Latents that go with how an image was taken and push a prediction, and what the prediction is worth without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from ...core.base.text import readable
from ..widgets import ui
from ..widgets.parts import Part, hint
from ..widgets.plain import Label

if TYPE_CHECKING:
    import pandas as pd

    from .controller import ConceptTable

TITLES = ("Latent", "Goes with", "Pushes", "by", "AUROC", "without")
_ROLE = Qt.ItemDataRole.UserRole
_LINES = 5  # shown at once


class ShortcutsPart(Part):
    """The report of shortcuts, one line a latent and class; a click goes to the latent."""

    def __init__(self, concepts: ConceptTable) -> None:
        super().__init__(concepts.context)
        self.concepts = concepts
        self._shown: pd.DataFrame | None = None
        self.note = hint(Label("Shortcuts: confounders that push a prediction"))
        self.table = QTableWidget(0, len(TITLES))
        self.table.setAccessibleName("Shortcuts")
        self.table.setHorizontalHeaderLabels(list(TITLES))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.table.setMinimumHeight((self.fontMetrics().height() + 6) * (_LINES + 1))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.itemClicked.connect(self._go_to)
        self.table.itemActivated.connect(self._go_to)
        ui.column(self, self.note, self.table, spacing=2)
        self.listen(concepts.changed, self.follow)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the report; nothing is shown without one, or to a blind judge."""
        table = self.concepts.shortcuts
        self.setVisible(table is not None)
        if table is self._shown:
            return
        self._shown = table
        found = [] if table is None else table.astype({"latent": object}).to_dict("records")
        self.table.setRowCount(len(found))
        for line, shortcut in enumerate(found):
            for place, text in enumerate(_cells(shortcut)):
                item = QTableWidgetItem(text)
                item.setData(_ROLE, _latent(shortcut))
                self.table.setItem(line, place, item)
        self.table.resizeColumnsToContents()

    def _go_to(self, item: QTableWidgetItem) -> None:
        if (latent := item.data(_ROLE)) is not None:
            self.session.current = int(latent)


def _latent(shortcut: dict[Any, Any]) -> int | None:
    """The latent of a line; None for all of a class together."""
    import pandas as pd

    return None if pd.isna(shortcut["latent"]) else int(shortcut["latent"])


def _cells(shortcut: dict[Any, Any]) -> list[str]:
    latent = _latent(shortcut)
    figures = [(shortcut["push"], "+.3f"), (shortcut["auroc"], ".3f"), (shortcut["auroc_without"], ".3f")]
    return [
        "" if latent is None else str(latent),
        readable(str(shortcut["label"])),
        readable(str(shortcut["class"])),
        *("" if value != value else format(value, how) for value, how in figures),
    ]
