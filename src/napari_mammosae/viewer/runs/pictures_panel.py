"""The images of the run as pictures, by patient and study; made only for what is on the screen."""

from typing import Any

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt, QTimer
from qtpy.QtGui import QKeyEvent, QPainter, QPen
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QStyle, QStyledItemDelegate, QTableView

from ..widgets import ui
from ..widgets.parts import Part
from .picture_model import SHORT, PictureModel
from .thumbnails import RunThumbnails

_SIZE = QSize(62, 104)
_MS = 30  # after the last move of the scroll bar; what passes by is not decoded


class RunPictures(Part):
    """Shows thumbnails, a row a study; choosing one opens the image."""

    def __init__(self, thumbnails: RunThumbnails) -> None:
        super().__init__(thumbnails.context)
        self.browser, self.thumbnails = thumbnails.browser, thumbnails
        self.model = PictureModel(thumbnails)
        self.view = PictureView(self.model)
        ui.column(self, self.view, grow=self.view)
        self._timer = QTimer(self, singleShot=True, interval=_MS)
        self._timer.timeout.connect(self._want)
        self.view.verticalScrollBar().valueChanged.connect(self._later)
        self.view.verticalScrollBar().rangeChanged.connect(self._later)
        self.view.clicked.connect(self._open)
        self.view.activated.connect(self._open)
        self.listen(thumbnails.arrived, self.model.refresh)
        self.listen(thumbnails.forgotten, self._later)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.browser.moved, self._on_moved)
        self._on_run()

    def showEvent(self, event: Any) -> None:
        """Make what is seen now."""
        super().showEvent(event)
        self._later()

    def _on_run(self, *_: object) -> None:
        if (run := self.session.run) is not None:
            self.listen(self.browser.files_of(run).changed, self.thumbnails.forget)
        self.follow()

    def refresh(self) -> None:
        """List the run's images."""
        self.model.show(self.session.run)
        self.view.fit()
        self._on_moved(self.browser.row)
        self._later()

    def _on_moved(self, row: int | None) -> None:
        index = self.model.index_of(row)
        if index.isValid() and index != self.view.currentIndex():
            self.view.setCurrentIndex(index)

    def _later(self, *_: object) -> None:
        self._timer.start()

    def _want(self) -> None:
        if self.isVisible():
            self.thumbnails.want(self.view.seen())

    def _open(self, index: QModelIndex) -> None:
        if (row := self.model.row_at(index)) is not None and row != self.browser.row:
            self.browser.show(row)


class PictureView(QTableView):
    """A table of pictures, which asks for those that are seen."""

    def __init__(self, model: PictureModel) -> None:
        super().__init__()
        self.setModel(model)
        self._model = model
        self.setAccessibleName("Pictures of the run's images")
        self.setItemDelegate(_Painter(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(90)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        for header, size in ((rows, _SIZE.height() + self.fontMetrics().height() + 8), (columns, _SIZE.width() + 6)):
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setDefaultSectionSize(size)
        columns.hide()
        rows.setDefaultAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        rows.setSectionsClickable(False)
        rows.setTextElideMode(Qt.TextElideMode.ElideNone)  # which would take two lines for one
        rows.setFixedWidth(self.fontMetrics().horizontalAdvance("m" * (SHORT - 3)))

    def fit(self) -> None:
        """Begin at the top."""
        self.scrollToTop()

    def seen(self) -> list[int]:
        """Rows of the run's table whose pictures are seen, and those of a screen below."""
        height = self.verticalHeader().defaultSectionSize()
        first = max(0, self.rowAt(0))
        count = 2 * (self.viewport().height() // height + 2)
        return [int(row) for row in self._model.rows[first : first + count].ravel() if row >= 0]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Letters and digits are keys of the viewer, not a search in the table."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.activated.emit(self.currentIndex())
        elif event.text().isalnum():
            event.ignore()
        else:
            super().keyPressEvent(event)


class _Painter(QStyledItemDelegate):
    """Paints a picture above its caption, with a frame around the chosen one."""

    def paint(self, painter: QPainter, option: Any, index: QModelIndex) -> None:
        """Paint a cell."""
        text = index.data(Qt.ItemDataRole.DisplayRole)
        if text is None:
            return
        room = option.rect.adjusted(3, 3, -3, -3)
        line = option.fontMetrics.height()
        place = QRect(room.left(), room.top(), room.width(), room.height() - line - 2)
        pixmap = index.data(Qt.ItemDataRole.DecorationRole)
        if pixmap is None:
            painter.setPen(QPen(option.palette.mid().color(), 1, Qt.PenStyle.DotLine))
            painter.drawRect(place.adjusted(8, 8, -8, -8))
        else:
            size = pixmap.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
            at = QRect(place.topLeft(), size)
            at.moveCenter(place.center())
            painter.drawPixmap(at, pixmap)
        painter.setPen(option.palette.text().color())
        elided = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideMiddle, room.width())
        below = QRect(room.left(), room.bottom() - line, room.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, elided)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(option.palette.highlight().color(), 2))
            painter.drawRect(option.rect.adjusted(1, 1, -2, -2))
