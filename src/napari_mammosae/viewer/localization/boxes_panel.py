"""What was found on this image: a list of boxes to jump to, and the figures of the current latent."""

from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QGridLayout, QHeaderView, QLabel, QTreeWidget, QTreeWidgetItem
from superqt.utils import signals_blocked

from ...core.base.text import listed, sentence
from ...core.localization.one_image import Fate, Measure
from ..widgets import ui
from ..widgets.parts import Part, hint
from ..widgets.plain import Label, plain
from .controller import Localizer
from .found_boxes import MOST, STYLES
from .result import BoxRow, Localization


@dataclass(frozen=True, slots=True)
class Title:
    """What a measure is called, and what it means."""

    title: str
    tooltip: str
    name: str = ""

    @property
    def in_words(self) -> str:
        """What a sentence calls it."""
        return self.name or self.title.lower()


MEASURES = {
    "recall": Title("Recall", "Share of the annotated boxes that a true positive meets"),
    "precision": Title("Precision", "Share of the found boxes that are true positives"),
    "mean_best_iou": Title(
        "Best IoU", "Highest overlap of a found box with an annotated one, mean over the annotated", "best IoU"
    ),
    "pointing": Title("Pointing", "Whether the heatmap's maximum is in an annotated box; a share where maxima tie"),
    "energy": Title("Energy in box", "Share of the heatmap's sum inside annotated boxes", "energy in the boxes"),
    "lift": Title(
        "Lift",
        "Energy in the boxes over the boxes' share of the area, both within the breast; 1 is chance",
        "lift in the breast",
    ),
    "lift_image": Title(
        "Lift, image", "The same over the whole image: for structures outside the breast", "lift over the image"
    ),
    "share_outside": Title("Outside breast", "Share of the heatmap's sum outside the breast"),
    "share_skin": Title("Skin line", "Share of the heatmap's sum on the skin line"),
    "share_pectoral": Title("Pectoral", "Share of the heatmap's sum on the pectoral muscle"),
    "share_border": Title("Border", "Share of the heatmap's sum on the image's border"),
    "share_marker": Title("Markers", "Share of the heatmap's sum on markers and tags"),
}


OF_A_BREAST = ("lift", "share_outside", "share_skin", "share_pectoral", "share_marker")
"""Measures that make no sense on other images."""


_COLUMNS = ("0.00", 12), ("0.000", 12), ("888 × 888 px", 12), ("To nipple", 12)
"""What the columns but the first have room for, and pixels around it."""


class BoxList(QTreeWidget):
    """Annotated and found boxes, each with what became of it.

    Attributes
    ----------
    rows
        What is shown, from top to bottom.
    """

    jumped = Signal(object)
    """The user chose a box (a `BoxRow`)."""
    zoomed = Signal(object)
    """The user double-clicked one, or pressed Enter on it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[BoxRow] = []
        self.setColumnCount(5)
        self.setHeaderLabels(["Box", "IoU", "Conf.", "Size", "To nipple"])
        self.headerItem().setToolTip(3, "Height and width; point at those of a found box for the area of its region")
        self.headerItem().setToolTip(4, "From the middle of the box to the nipple, whose place is estimated")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setToolTip("Click a box to go there; double-click to zoom in")
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)  # what it says gives way to the figures
        for column, (sample, room) in enumerate(_COLUMNS, 1):
            self.header().setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            self.header().resizeSection(column, self.fontMetrics().horizontalAdvance(sample) + room)
        self._icons: dict[Fate, QIcon] = {fate: line_icon(fate) for fate in STYLES}
        self.itemSelectionChanged.connect(self._on_selected)
        self.itemClicked.connect(self._on_selected)  # also on the selected one: the view may have moved away since
        self.itemActivated.connect(self._on_activated)

    def sizeHint(self) -> QSize:
        """A few lines: it takes what room is left, but does not make the dock scroll."""
        return QSize(super().sizeHint().width(), 110)

    @property
    def chosen(self) -> BoxRow | None:
        """The selected box."""
        at = [self.indexOfTopLevelItem(item) for item in self.selectedItems()]
        return self.rows[at[0]] if at and at[0] < len(self.rows) else None

    def show_rows(self, rows: list[BoxRow]) -> None:
        """Show other boxes; an annotated one stays selected."""
        if rows == self.rows:
            return
        before = self.chosen
        self.rows = rows
        with signals_blocked(self):
            while self.topLevelItemCount() > len(rows):
                self.takeTopLevelItem(self.topLevelItemCount() - 1)
            for _ in range(len(rows) - self.topLevelItemCount()):
                self.addTopLevelItem(QTreeWidgetItem())
            for at, row in enumerate(rows):
                self._fill(self.topLevelItem(at), row)
            self.setColumnHidden(4, not any(row.away for row in rows))
            self.clearSelection()
            if before is not None and before.annotated:
                self._select(next((at for at, row in enumerate(rows) if row.annotated and row.row == before.row), -1))

    def choose_row(self, row: int) -> None:
        """Select an annotated box by its row among the image's boxes, without going there."""
        with signals_blocked(self):
            self.clearSelection()
            self._select(next((at for at, one in enumerate(self.rows) if one.annotated and one.row == row), -1))

    def _select(self, at: int) -> None:
        if at >= 0:
            self.setCurrentItem(self.topLevelItem(at))

    def _fill(self, item: QTreeWidgetItem, row: BoxRow) -> None:
        what = {"hit": "found", "missed": "missed"}.get(row.fate, "") if row.annotated else STYLES[row.fate].title
        texts = (
            f"{row.title}: {what}" if row.annotated else what,
            f"{row.iou:.2f}" if np.isfinite(row.iou) else "",
            f"{row.score:.3g}" if np.isfinite(row.score) else "",
            row.size,
            row.away,
        )
        tips = *texts[:3], f"{row.size}, {row.area}" if row.area else row.size, row.away
        item.setIcon(0, self._icons[row.fate] if row.fate == "missed" or not row.annotated else QIcon())
        for column, (text, tip) in enumerate(zip(texts, tips, strict=True)):
            item.setText(column, text)
            item.setToolTip(column, plain(tip))
        font = item.font(0)
        font.setBold(row.annotated)
        item.setFont(0, font)

    def _on_selected(self, *_: object) -> None:
        if (row := self.chosen) is not None:
            self.jumped.emit(row)

    def _on_activated(self, *_: object) -> None:
        if (row := self.chosen) is not None:
            self.zoomed.emit(row)


class BoxesPart(Part):
    """Notes, the list of boxes, and the figures of this image."""

    def __init__(self, localizer: Localizer) -> None:
        super().__init__(localizer.context)
        self.localizer = localizer
        self.note = ui.wrapped()
        self.list = BoxList()
        self.list.setMinimumHeight(90)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(3, 1)
        self.values: dict[str, QLabel] = {}
        self._of_breast: list[QLabel] = []
        for at, (key, title) in enumerate(MEASURES.items()):
            name, value = Label(title.title), Label()
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for label in (name, value):
                label.setToolTip(title.tooltip)
            self._grid.addWidget(name, at // 2, 2 * (at % 2))
            self._grid.addWidget(value, at // 2, 2 * (at % 2) + 1)
            self.values[key] = value
            self._of_breast += [name, value] if key in OF_A_BREAST else []
        self.reasons = hint(ui.wrapped())
        ui.column(self, self.note, self.list, self._grid, self.reasons, grow=self.list, spacing=4, margins=(0, 4, 0, 0))

        self.list.jumped.connect(lambda row: self._look(row, close=False))
        self.list.zoomed.connect(lambda row: self._look(row, close=True))
        self.listen(localizer.changed, self.follow)
        self.listen(localizer.toggled, self._on_toggled)
        self.refresh()
        self.list.choose_row(localizer.box)

    def refresh(self) -> None:
        """Show what was found."""
        current = self.localizer.current
        model = self.session.model
        for label in self._of_breast:
            label.setVisible(model is None or model.preprocessing.breast)
        notes = [*current.notes, self._not_drawn(current)] if current is not None else [self._what_to_do()]
        ui.show_text(self.note, " ".join(f"{sentence(note)}" for note in notes if note))
        self.list.show_rows(current.rows if current is not None else [])
        known = {measure.key: measure for measure in current.measures} if current is not None else {}
        for key, label in self.values.items():
            label.setText(_number(known.get(key)))
        missing: dict[str, list[str]] = {}
        for key, title in MEASURES.items():
            if (measure := known.get(key)) is not None and measure.reason:
                missing.setdefault(measure.reason, []).append(title.in_words)
        self.reasons.setText(" ".join(f"No {listed(names)}: {why}." for why, names in missing.items()))
        self.reasons.setVisible(bool(missing) and not self.session.blind)

    def _not_drawn(self, current: Localization) -> str:
        found = len(current.found)
        if found <= MOST or not self.localizer.drawn:
            return ""
        return f"{MOST} of {found:,} found boxes are drawn, the most confident; the list has all"

    def _what_to_do(self) -> str:
        if self.localizer.problem:
            return self.localizer.problem
        if self.localizer.combining.busy:
            return "Comparing boxes …" if self.localizer.together.is_alone else "Combining heatmaps …"
        if self.session.image is None:
            return "Open a mammogram first (dock Model & image)."
        return "Compute the latents of the image first (dock Model & image)."

    def _on_toggled(self, _: bool) -> None:
        self.refresh()

    def _look(self, row: BoxRow, *, close: bool) -> None:
        viewer, layer = self.context.scene.viewer, self.context.scene.image_layer
        if viewer is None or layer is None:
            return
        top, left, bottom, right = row.edges
        centre = layer.data_to_world(((top + bottom - 1) / 2, (left + right - 1) / 2))
        viewer.scene.camera.center = (0.0, *(float(x) for x in centre[-2:]))
        if close:
            corner, other = (np.asarray(layer.data_to_world(p)) for p in ((top, left), (bottom, right)))
            side = max(float(np.abs(other - corner)[-2:].max()), 1e-6)
            viewer.scene.camera.zoom = min(viewer.canvas.size) / (3.0 * side)


def line_icon(fate: Fate) -> QIcon:
    """A piece of line as it is drawn over the image."""
    style = STYLES[fate]
    pixmap = QPixmap(18, 14)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    width = max(1.5, 2.2 * style.width)
    painter.setPen(QPen(QColor(style.color), width))
    for y in (4.5, 9.5) if style.double else (7.0,):
        painter.drawLine(QPointF(1, y), QPointF(17, y))
    painter.end()
    return QIcon(pixmap)


def _number(measure: Measure | None) -> str:
    if measure is None:
        return ""
    return f"{round(measure.value, 2) + 0.0:.2f}" if np.isfinite(measure.value) else "none"
