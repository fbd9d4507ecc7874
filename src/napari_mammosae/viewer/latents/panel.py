"""The *Latents* dock: all latents of the SAE as a table, and everything about the current one."""

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QMenu, QSplitter, QWidget

from ...core.base.errors import FindingsError, SettingsError
from ...core.models.files.found_again import ENDING
from ..app.session import MOST_PINS
from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Dock, Scrolled, Squeezed
from ..widgets.plain import Label
from ..widgets.table_view import ColumnTableView
from .controller import LatentList
from .detail_panel import LatentDetail
from .filters import FilterPart, LatentFilter
from .gallery.pictures import GalleryPictures
from .pages import LatentPages
from .ranking_panel import RankingPart
from .region import TOOLS
from .side_by_side import SideBySide

_TOP = 20  # latents of a site, as the command writes
NOTHING = "Compute the latents of an image, or open a run, to fill the table."


class LatentsPanel(Dock):
    """Rank, find, compare and inspect latents.

    Attributes
    ----------
    view, table
        The table on the screen and its model.
    """

    def __init__(
        self, latents: LatentList, pictures: GalleryPictures, side_by_side: SideBySide, pages: LatentPages
    ) -> None:
        super().__init__(latents.context)
        self.latents, self.query, self.side_by_side, self.pages = latents, latents.query, side_by_side, pages
        self.ranking, self.filters = RankingPart(latents.ranking), FilterPart()
        self.table = latents.table
        self.view = ColumnTableView(self.table)
        self.view.setAccessibleName("Latents")
        self.detail = LatentDetail(latents.ranking, pictures)
        self.own(self.ranking, self.detail)
        self.count, self.status = Label(), Label()
        self.status.setWordWrap(True)
        self._make_buttons()
        self._lay_out()
        self._connect()
        ui.on_keys(self, QKeySequence.StandardKey.Find, self.filters.focus_text)
        self._on_rearranged()
        self.filters.show_filter(latents.filter)
        self._on_filled(False)

    def _on_filled(self, resorted: bool) -> None:
        """The table has other values."""
        known = self.table.size > 0
        for control in (self.view, self.pin_button, self.region_button):
            control.setEnabled(known)
        self._say("" if known else NOTHING)
        self.view.go_to(self.session.current)
        if resorted:
            self.view.scrollToTop()
        self.clear_action.setEnabled(bool(self.query.columns))

    def _on_filter(self, wanted: LatentFilter) -> None:
        self.latents.filter = wanted

    def _on_rearranged(self) -> None:
        shown, total = self.table.visible.size, self.table.size
        self.count.setText(f"{shown:,} of {total:,}" if shown != total else f"{total:,} latents")
        self.filters.show_columns(self.table.columns, self.table.sort_column)

    # The stack and the current latent

    def _on_follow(self, follows: bool) -> None:
        self.latents.follows = follows

    def _on_followed(self, follows: bool) -> None:
        self.follow_button.setChecked(follows)

    def _choose(self, latent: int) -> None:
        self.session.current = latent

    def _enter(self, latent: int) -> None:
        """Go to a latent, bringing the stack back if it was hidden or deleted."""
        self.session.current = latent
        scene = self.context.scene
        if self.session.maps is not None:
            if scene.stack_layer is None:
                scene.show_stack()
            elif not self.side_by_side.shown:
                scene.stack_layer.visible = True

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
        ui.show_text(self.status, text)

    def _on_told(self, text: str, error: bool) -> None:
        if error:
            self._say(text)

    # Widgets

    def _make_buttons(self) -> None:
        self.follow_button = QCheckBox("Stack in this order")
        self.follow_button.setToolTip("The slider steps through the latents in the table's order, filtered ones last")
        self.follow_button.setChecked(self.latents.follows)
        self.pin_button = ui.button("Pin", f"Keep the selected latents as layers of their own, at most {MOST_PINS}")
        self.side_button = ui.button(
            "Side by side",
            "Compare the pinned latents, each over its own copy of the mammogram; click again to go back",
            self.side_by_side.toggle,
            checkable=True,
        )
        self.region_button = ui.button("Region", "Draw a region on the mammogram to find the latents that fire there")
        menu = QMenu(self.region_button)
        for tool, tip in TOOLS.items():
            menu.addAction(tool.capitalize()).setToolTip(tip)
        menu.addSeparator()
        self.clear_action = menu.addAction("Clear")
        menu.setToolTipsVisible(True)
        menu.triggered.connect(self._on_region_action)
        self.region_button.setMenu(menu)
        self.export_button = ui.button(
            "Export…", "Write what is known about latents as pages to share", self._show_export_menu
        )
        self.exporting = JobBar(self.pages.jobs)
        self.columns_button = ui.button("Columns", "Choose which columns to show", self._show_column_menu)

    def _on_region_action(self, action: Any) -> None:
        tool = action.text().lower()
        if tool in TOOLS:
            self.query.draw(tool)
            self._say(f"{TOOLS[tool]}." if self.query.layer is not None else "")
        else:
            self.query.clear()

    def _show_column_menu(self) -> None:
        menu = self.view.column_menu()
        menu.addSeparator()
        menu.addAction("Open Found again …", self._open_found).setToolTip("Show a table of compare-sae as a column")
        corner = self.columns_button.rect().bottomLeft()
        menu.popup(self.columns_button.mapToGlobal(corner))

    def _show_export_menu(self) -> None:
        self.export_menu().popup(self.export_button.mapToGlobal(self.export_button.rect().bottomLeft()))

    def export_menu(self) -> QMenu:
        """Make the menu of what can be exported now."""
        menu = QMenu(self.export_button)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if obstacle := self.pages.obstacle:
            menu.addAction(obstacle).setEnabled(False)
            return menu
        current, chosen, top = self.session.current, self.view.selected, self.table.visible[:_TOP].tolist()
        if current is not None:
            menu.addAction(f"Page of latent {current}…", partial(self._export, [current], False))
        if len(chosen) > 1:
            menu.addAction(f"Site of the {len(chosen):,} selected latents…", partial(self._export, chosen, True))
        menu.addAction(f"Site of the first {len(top)} in the table…", partial(self._export, top, True))
        return menu

    def _export(self, latents: list[int], site: bool, *_: object) -> None:
        if site:
            name, _ = QFileDialog.getSaveFileName(self, "Export a site into a new folder", self.pages.name)
        else:
            name, _ = QFileDialog.getSaveFileName(
                self, "Export the page", f"latent-{latents[0]}.html", "Web pages (*.html)"
            )
        if name:
            self.pages.export(latents, Path(name), site=site)

    def _open_found(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a table of compare-sae", "", f"Tables (*{ENDING} *.csv)")
        if not name:
            return
        try:
            self.latents.open_found(Path(name))
        except FindingsError as error:
            self._say(str(error))

    def _lay_out(self) -> None:
        buttons, below = QHBoxLayout(), QHBoxLayout()
        buttons.setSpacing(3)
        for button in (self.pin_button, self.side_button, self.region_button, self.columns_button):
            buttons.addWidget(button, 1)
        below.addWidget(self.follow_button)
        below.addStretch(1)
        below.addWidget(self.count)
        below.addWidget(self.export_button)
        top = QWidget()
        ui.column(top, self.view, below, buttons, self.exporting, self.status, grow=self.view, spacing=4)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(top)
        splitter.addWidget(self.detail)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        splitter.setChildrenCollapsible(False)
        self.view.setMinimumHeight(90)
        self.detail.setMinimumHeight(120)
        self.content = Squeezed()  # taller than a small screen
        ui.column(self.content, self.ranking, self.filters, splitter, grow=splitter, spacing=4)
        scrolled = Scrolled(self.content)
        ui.column(self, scrolled, grow=scrolled, spacing=4, margins=(6, 6, 6, 6))

    def _connect(self) -> None:
        self.view.chosen.connect(self._choose)
        self.view.entered.connect(self._enter)
        self.view.sorted_by_user.connect(self.latents.prefer)
        self.view.selectionModel().selectionChanged.connect(self._show_selection)
        self.filters.changed.connect(self._on_filter)
        self.filters.entered.connect(self._into_table)
        self.follow_button.toggled.connect(self._on_follow)
        self.pin_button.clicked.connect(self._pin)
        for event, callback in (
            (self.table.rearranged, self._on_rearranged),
            (self.latents.filled, self._on_filled),
            (self.latents.followed, self._on_followed),
            (self.session.events.current, self.view.go_to),
            (self.session.events.pins, self._show_selection),
            (self.side_by_side.toggled, self._on_side),
            (self.context.status.told, self._on_told),
        ):
            self.listen(event, callback)
        self.listen(self.pages.said, self._say)
        self._on_side(self.side_by_side.shown)
