"""The images of the run that activate the current latent most, as pictures to click on."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QKeySequence, QPixmap
from qtpy.QtWidgets import QFileDialog, QListView, QListWidget, QListWidgetItem, QShortcut

from ....core.reports.latent_pictures import Cell
from ...app.keymap import tooltip
from ...widgets import ui
from ...widgets.parts import Part, hint, row
from ...widgets.plain import ElidedLabel, plain
from .pictures import GalleryPictures
from .thumbnails import make_pictures

NO_RUN = "Open a run to see the images that activate a latent most."
_ICON = QSize(76, 116)


class Gallery(Part):
    """Pictures of the strongest images, made off the GUI thread; clicking one opens that image at this latent."""

    _arrived = Signal(int, int, object)

    def __init__(self, pictures: GalleryPictures) -> None:
        super().__init__(pictures.context)
        self.pictures, self.browser = pictures, pictures.browser
        self.jobs = pictures.jobs
        self._undo.callback(self.jobs.cancel)
        self._request = 0
        self._latent: int | None = None
        self._cells: list[Cell] = []
        self.list = QListWidget()
        self.list.setAccessibleName("Images that excite the latent most")
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(_ICON)
        self.list.setSpacing(3)
        self.note = hint(ui.wrapped())
        self.root_button = ui.button("Find images…", "Choose the folder of the run's images", self._choose_root)
        self.verdict = ElidedLabel()
        walk = pictures.top_images
        self.previous_button, self.strongest_button, self.next_button = (
            ui.button(text, tooltip(tip, act.__name__), act)
            for text, tip, act in (
                ("◀", "Previous of the images that excite the latent most", walk.previous_top_image),
                ("Strongest", "Go to the image of the run that excites the latent most", walk.strongest_image),
                ("▶", "Next of the images that excite the latent most", walk.next_top_image),
            )
        )
        self.previous_button.setAccessibleName("Previous top image")
        self.next_button.setAccessibleName("Next top image")
        self.walk = row(self.verdict, self.previous_button, self.strongest_button, self.next_button)
        ui.column(self, self.walk, self.list, row(self.note, self.root_button), grow=self.list, spacing=2)
        enter = QShortcut(QKeySequence(Qt.Key.Key_Return), self.list, context=Qt.ShortcutContext.WidgetShortcut)
        enter.activated.connect(self._open_current)
        self.list.itemClicked.connect(self._open)
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)
        self.listen(self.session.events.run, self._forget)
        self.listen(self.session.events.findings, self._forget)
        self.listen(self.session.events.blind, self._forget)
        self.listen(self.session.events.verdicts, self._show_verdict)
        self.listen(self.browser.moved, self._mark)
        self.show_latent(None)

    def show_latent(self, latent: int | None) -> None:
        """Fill the gallery for a latent of the open run; empty it without either."""
        run = self.session.run
        self.jobs.cancel()
        self._request += 1
        self._latent = latent
        self._show_verdict()
        if run is None or latent is None or latent >= run.n_latents:
            self.list.clear()
            self._cells = []
            self.root_button.setVisible(False)
            self.note.setText(NO_RUN)
            return
        files, colormap = self.browser.files_of(run), self.context.scene.colormap
        if (kept := self.pictures.of(latent, colormap)) is not None:
            for place, what in kept.items():
                self._on_arrived(self._request, place, what)
            return
        made: dict[int, Any] = {}
        request = self._request

        def arrived(place: int, what: object) -> None:
            made[place] = what
            self._arrived.emit(request, place, what)

        def done(_: object) -> None:
            if files.root is not None:
                self.pictures.keep(latent, colormap, made)

        findings = None if self.session.blind else self.session.findings
        greys = self.pictures.greys
        work = partial(make_pictures, run, latent, files, findings, greys, arrived, colormap=colormap)
        self.jobs.start(f"Gallery of latent {latent}", work, done, self._failed)

    def _show_verdict(self, *_: object) -> None:
        """Say above the pictures what people decided about the latent they are of, and what it may be called."""
        lookup, latent = self.session.verdicts, self._latent
        verdict = lookup(latent) if lookup is not None and latent is not None else None
        name = self.session.names.get(latent) if latent is not None else None
        said = "; ".join(part for part in (verdict, f"{name.title} ({name.evidence})" if name else "") if part)
        self.verdict.setText(f"Latent {latent}: {said}" if said else "")

    def _on_arrived(self, request: int, place: int, what: Any) -> None:
        """The cells first (place -1), then their pictures, or why there is none."""
        if request != self._request:
            return
        if place < 0:
            self._show_cells(what)
            return
        item = self.list.item(place)
        if isinstance(what, str):
            self._describe(item, place, what)
        else:
            item.setIcon(QIcon(pixmap_of(what)))

    def _describe(self, item: QListWidgetItem, place: int, missing: str = "") -> None:
        """Say what a cell shows, and why there is no picture."""
        cell = self._cells[place]
        labels = "" if self.session.blind else f"\n{cell.caption or 'no label present'}"
        item.setToolTip(plain(f"{cell.image_id}\nmean activation {cell.activation:.4g}{labels}\n{missing}".strip()))

    def _show_cells(self, cells: list[Cell]) -> None:
        run = self.session.run
        self._cells = cells
        self.list.clear()
        blank = QPixmap(_ICON)
        blank.fill(Qt.GlobalColor.transparent)
        height = _ICON.height() + self.fontMetrics().height() + 8
        for cell in cells:
            item = QListWidgetItem(QIcon(blank), f"{cell.activation:.3g}")
            item.setSizeHint(QSize(_ICON.width() + 8, height))
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            self.list.addItem(item)
            self._describe(item, self.list.count() - 1)
        lost = self.browser.files_of(run).root is None
        self.root_button.setVisible(lost and bool(cells))
        for button in (self.previous_button, self.strongest_button, self.next_button):
            button.setEnabled(bool(cells))
        self._mark(self.browser.row)
        if not cells:
            self.note.setText(f"Latent {self._latent} is silent on every image of the run.")
        elif lost:
            self.note.setText("Choose the image folder to see thumbnails.")
        else:
            heat = "" if run.has_maps else " Heatmaps need a run with maps (run --maps)."
            self.note.setText(f"Click to open at latent {self._latent}. One image per patient.{heat}")

    def _mark(self, shown: int | None) -> None:
        """Mark the picture of the image on the canvas."""
        rows = [cell.row for cell in self._cells]
        if shown in rows:
            self.list.setCurrentRow(rows.index(shown))
        else:
            self.list.clearSelection()

    def _forget(self, *_: object) -> None:
        self.show_latent(self._latent)

    def _failed(self, error: Exception) -> None:
        self.note.setText(str(error))

    def _open_current(self) -> None:
        if (item := self.list.currentItem()) is not None:
            self._open(item)

    def _open(self, item: QListWidgetItem) -> None:
        run = self.session.run
        if run is not None:
            self.browser.show(self._cells[self.list.row(item)].row)

    def _choose_root(self) -> None:
        run = self.session.run
        name = QFileDialog.getExistingDirectory(self, "Folder of the run's images")
        if name and run is not None:
            self.browser.files_of(run).root = Path(name)
            self.pictures.forget()
            self._forget()


def pixmap_of(picture: NDArray[np.uint8]) -> QPixmap:
    """A picture (rows, cols, 3) as Qt draws it."""
    rows, cols, _ = picture.shape
    return QPixmap.fromImage(QImage(picture.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888).copy())
