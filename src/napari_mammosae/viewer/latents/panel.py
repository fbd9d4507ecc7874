"""The *Latents* dock: all latents of the SAE as a table, and everything about the current one."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QMenu, QPushButton, QSplitter, QVBoxLayout, QWidget

from ...core.base.errors import SettingsError
from ..app.order import BY_IMAGE, Order
from ..app.session import MOST_PINS
from ..widgets.columns import ENERGY, LATENT, default_sort
from ..widgets.parts import Dock
from ..widgets.table_view import LatentTableView
from ..workspace import controller_of
from .detail_panel import LatentDetail
from .filters import FilterPart, LatentFilter, focus_on_ctrl_f
from .ranking_panel import RankingPart
from .region import TOOLS, RegionQuery
from .side_by_side import SideBySide
from .values import collect

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING = "Compute the latents of an image, or open a run, to fill the table."


class LatentsDock(Dock):
    """Rank, find, compare and inspect latents.

    The state lives in the viewer's session; the table has its own order, which the stack takes while *Stack in this
    order* is checked.

    Attributes
    ----------
    view, table
        The table on the screen and its model.
    verdict_place
        Layout below the table, empty here, for a form to judge the current latent.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = controller_of(napari_viewer)
        self.session = self.controller.session
        self._undo = ExitStack()
        self.destroyed.connect(self._undo.close)
        self._order: Order | None = None
        self._filter = LatentFilter()
        self._sorts: list[str] = []
        self.ranking, self.filters = RankingPart(self.controller), FilterPart()
        self.view = LatentTableView()
        self.table = self.view.table
        self.detail = LatentDetail(self.controller)
        self.query, self.side_by_side = RegionQuery(self.controller), SideBySide(self.controller)
        for part in (self.ranking, self.detail, self.query, self.side_by_side):
            self._undo.callback(part.cleanup)
        self.verdict_place = QVBoxLayout()
        self.count, self.status = QLabel(), QLabel()
        self.status.setWordWrap(True)
        self._make_buttons()
        self._lay_out()
        self._connect()
        focus_on_ctrl_f(self, self.filters)
        self.refresh()

    def cleanup(self) -> None:
        """End what runs and stop listening; destroying the widget does the same."""
        self._undo.close()

    # What the table holds

    def refresh(self, *_: object) -> None:
        """Fill the table with what is known: of the run's ranking, of this image, of the drawn region."""
        self._fill()

    def _fill(self, sort_by: str = "") -> None:
        columns, values = collect(self.session, self.query.columns, self.ranking.columns)
        known = len(values[LATENT.key]) > 0
        self.view.setEnabled(known)
        self._say("" if known else NOTHING)
        if sort_by:
            self._sorted_by_user(sort_by)
        by_key = {column.key: column for column in columns}
        wanted = next((by_key[key] for key in reversed(self._sorts) if key in by_key), default_sort(columns))
        changed = wanted.key != self.table.sort_key
        if changed:
            self.view.reveal(wanted)
        self.table.blind = self.session.blind
        self.view.show_columns(columns, values, self._filter.mask(values) if known else None)
        self.view.go_to(self.session.current)
        if changed:
            self.view.scrollToTop()

    def _sorted_by_user(self, key: str) -> None:
        """Remember what the table is to be sorted by: the last of these columns that is there."""
        self._sorts = [*(one for one in self._sorts if one != key), key]

    def _on_ranked(self) -> None:
        """A ranking is there, or gone: the table takes its order."""
        self.detail.use_label(self.ranking.choice.label)
        self._fill(self.ranking.sort_key)

    def _on_region(self) -> None:
        self._fill(ENERGY.key)
        self.clear_action.setEnabled(bool(self.query.columns))

    def _on_filter(self, wanted: LatentFilter) -> None:
        self._filter = wanted
        if self.table.n_latents:
            self.table.filter(wanted.mask(self.table.values))

    def _on_rearranged(self) -> None:
        shown, total = self.table.visible.size, self.table.n_latents
        self.count.setText(f"{shown:,} of {total:,}" if shown != total else f"{total:,} latents")
        self.filters.show_columns(self.table.columns, self.table.sort_column)
        self._push_order()

    # The stack and the current latent

    def _push_order(self, *_: object) -> None:
        """Let the stack take the table's order."""
        if not self.follow_button.isChecked() or not self.table.n_latents:
            return
        column = self.table.sort_column
        scores = self.table.values[column.key] if column.format else np.full(self.table.n_latents, np.nan)
        name = column.order_name
        if column.source == "run" and (label := self.ranking.choice.label):
            name = f"{name} for {label.replace('_', ' ')}"
        before, order = self.session.order, Order.of(self.table.order, scores, name)
        if before is None or before is not self._order or not order.same_as(before):  # a verdict re-orders nothing
            self._order = self.session.order = order

    def _on_order(self, order: Order | None) -> None:
        """Somebody else ordered the stack: it is no longer in the table's order."""
        if order is not None and order is not self._order:
            self.follow_button.setChecked(False)

    def _choose(self, latent: int) -> None:
        self.session.current = latent

    def _enter(self, latent: int) -> None:
        """Go to a latent, bringing the stack back if it was hidden or deleted."""
        self.session.current = latent
        if self.session.maps is not None:
            if self.controller.scene.stack_layer is None:
                self.controller.scene.show_stack()
            elif not self.side_by_side.shown:
                self.controller.scene.stack_layer.visible = True

    def _into_table(self) -> None:
        """Enter or Down in the filter: on to the first row, or to the current one if it is shown."""
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)
        if self.table.visible.size and not self.view.currentIndex().isValid():
            self.view.selectRow(0)

    # Pins

    def _pin(self) -> None:
        """Pin the selected latents, or unpin them if all are pinned already."""
        chosen, pins = self.view.selected, self.session.pins
        if not chosen:
            self._say("Select rows first: click, or Shift and Ctrl for several.")
            return
        try:
            if set(chosen) <= set(pins):
                self.session.pins = tuple(pin for pin in pins if pin not in chosen)
            else:
                self.session.pins = (*pins, *(latent for latent in chosen if latent not in pins))
        except SettingsError as error:
            self._say(str(error))
        else:
            self._say("")

    def _show_selection(self, *_: object) -> None:
        chosen = self.view.selected if len(self.view.selectionModel().selection()) else []
        pinned = bool(chosen) and set(chosen) <= set(self.session.pins)
        self.pin_button.setText(f"{'Unpin' if pinned else 'Pin'}{f' {len(chosen)}' if len(chosen) > 1 else ''}")
        self.side_button.setEnabled(bool(self.session.pins) or self.side_by_side.shown)

    def _on_side(self, shown: bool) -> None:
        self.side_button.setChecked(shown)
        self._show_selection()

    def _say(self, text: str, error: bool = False) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _on_told(self, text: str, error: bool) -> None:
        if error:
            self._say(text)

    # Widgets

    def _make_buttons(self) -> None:
        self.follow_button = QCheckBox("Stack in this order")
        self.follow_button.setToolTip("The slider steps through the latents in the table's order, filtered ones last")
        order = self.session.order
        self.follow_button.setChecked(order is None or order.name == BY_IMAGE)
        self.pin_button = _button("Pin", f"Keep the selected latents as layers of their own, at most {MOST_PINS}")
        self.side_button = _button(
            "Side by side",
            "Compare the pinned latents, each over its own copy of the mammogram; click again to go back",
        )
        self.side_button.setCheckable(True)
        self.region_button = _button("Region", "Draw a region on the mammogram: which latents look there?")
        menu = QMenu(self.region_button)
        for tool, tip in TOOLS.items():
            menu.addAction(tool.capitalize()).setToolTip(tip)
        menu.addSeparator()
        self.clear_action = menu.addAction("Clear")
        menu.setToolTipsVisible(True)
        menu.triggered.connect(self._on_region_action)
        self.region_button.setMenu(menu)
        self.columns_button = _button("Columns", "Choose which columns to show")
        self.columns_button.clicked.connect(self._show_column_menu)

    def _on_region_action(self, action: Any) -> None:
        tool = action.text().lower()
        if tool in TOOLS:
            self.query.draw(tool)
        else:
            self.query.clear()

    def _show_column_menu(self) -> None:
        corner = self.columns_button.rect().bottomLeft()
        self.view.column_menu().popup(self.columns_button.mapToGlobal(corner))

    def _lay_out(self) -> None:
        buttons, below = QHBoxLayout(), QHBoxLayout()
        buttons.setSpacing(3)
        for button in (self.pin_button, self.side_button, self.region_button, self.columns_button):
            buttons.addWidget(button, 1)
        below.addWidget(self.follow_button)
        below.addStretch(1)
        below.addWidget(self.count)
        top = QWidget()
        above = QVBoxLayout(top)
        above.setContentsMargins(0, 0, 0, 0)
        above.setSpacing(4)
        above.addWidget(self.view, 1)
        above.addLayout(below)
        above.addLayout(buttons)
        above.addWidget(self.status)
        above.addLayout(self.verdict_place)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(top)
        splitter.addWidget(self.detail)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        splitter.setChildrenCollapsible(False)
        self.view.setMinimumHeight(90)
        self.detail.setMinimumHeight(120)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.ranking)
        layout.addWidget(self.filters)
        layout.addWidget(splitter, 1)

    def _connect(self) -> None:
        self.view.chosen.connect(self._choose)
        self.view.entered.connect(self._enter)
        self.view.sorted_by_user.connect(self._sorted_by_user)
        self.view.selectionModel().selectionChanged.connect(self._show_selection)
        self.table.rearranged.connect(self._on_rearranged)
        self.filters.changed.connect(self._on_filter)
        self.filters.entered.connect(self._into_table)
        self.ranking.ranked.connect(self._on_ranked)
        self.follow_button.toggled.connect(self._push_order)
        self.pin_button.clicked.connect(self._pin)
        self.side_button.clicked.connect(self.side_by_side.toggle)
        events = self.session.events
        for event, callback in (
            (events.maps, self.refresh),
            (events.model, self.refresh),
            (events.run, self.refresh),
            (events.verdicts, self.refresh),
            (events.blind, self.refresh),
            (events.order, self._on_order),
            (events.current, self.view.go_to),
            (events.pins, self._show_selection),
            (self.query.changed, self._on_region),
            (self.side_by_side.toggled, self._on_side),
            (self.controller.told, self._on_told),
        ):
            self._listen(event, callback)
        self._show_selection()
        self.clear_action.setEnabled(False)

    def _listen(self, event: Any, callback: Callable[..., None]) -> None:
        event.connect(callback)
        self._undo.callback(event.disconnect, callback, missing_ok=True)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
