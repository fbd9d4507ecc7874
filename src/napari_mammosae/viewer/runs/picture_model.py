"""The images of the run as a table of pictures: a row a patient's study, as many rows as it needs."""

from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QImage, QPixmap

from ...core.exams.grouping import Exam, group_exams
from ...core.exams.hanging import hang_views
from ..widgets.plain import plain
from .thumbnails import RunThumbnails

COLUMNS = 4
SHORT = 10
"""Letters of a patient's name that fit beside the pictures; the tooltip has all of them."""
_ROOT = QModelIndex()


class PictureModel(QAbstractTableModel):
    """Rows of up to four images of one study, right before left and MLO before CC where views are known.

    Nothing is decoded for it: a cell shows the picture that is there, and none until then.

    Attributes
    ----------
    rows
        Rows of the run's table in each row of pictures; -1 where there is none.
    """

    def __init__(self, thumbnails: RunThumbnails) -> None:
        super().__init__()
        self.thumbnails = thumbnails
        self.rows = np.full((0, COLUMNS), -1)
        self._exams: list[Exam] = []
        self._of_row: list[int] = []
        self._place: dict[int, tuple[int, int]] = {}
        self._captions: list[str] = []
        self._names: list[str] = []

    def show(self, run: Any) -> None:
        """List the images of a run; None lists nothing."""
        self.beginResetModel()
        self._exams = [] if run is None else group_exams(run.images)
        sides, views, names = _facts(run)
        self._names = names
        self._captions = [
            f"{side} {view}".strip() or name for side, view, name in zip(sides, views, names, strict=True)
        ]
        rows: list[list[int]] = []
        self._of_row = []
        for number, exam in enumerate(self._exams):
            hanging = hang_views([sides[row] or None for row in exam.rows], [views[row] or None for row in exam.rows])
            hung = [exam.rows[at] for line in hanging for at in line if at is not None]
            for start in range(0, len(hung), COLUMNS):
                part = hung[start : start + COLUMNS]
                rows.append(part + [-1] * (COLUMNS - len(part)))
                self._of_row.append(number)
        self.rows = np.array(rows, int).reshape(-1, COLUMNS)
        self._place = {int(row): (at // COLUMNS, at % COLUMNS) for at, row in enumerate(self.rows.ravel()) if row >= 0}
        self.endResetModel()

    def index_of(self, row: int | None) -> QModelIndex:
        """Where an image of the run is; an invalid index where it is not."""
        place = self._place.get(row) if row is not None else None
        return QModelIndex() if place is None else self.index(*place)

    def row_at(self, index: QModelIndex) -> int | None:
        """Row of the run's table of a picture; None beside all of them."""
        row = int(self.rows[index.row(), index.column()]) if index.isValid() else -1
        return row if row >= 0 else None

    def refresh(self, row: int) -> None:
        """Show the picture of an image that came."""
        if (index := self.index_of(row)).isValid():
            self.dataChanged.emit(index, index, [Qt.ItemDataRole.DecorationRole])

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Rows of pictures."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Pictures in a row."""
        return 0 if parent.isValid() else COLUMNS

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Picture, caption, and the image's name when pointed at."""
        row = self.row_at(index)
        if row is None:
            return None
        if role == Qt.ItemDataRole.DecorationRole:
            picture = self.thumbnails.get(row)
            return _pixmap(picture) if isinstance(picture, np.ndarray) else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._captions[row]
        if role == Qt.ItemDataRole.ToolTipRole:
            missing = self.thumbnails.get(row)
            return plain("\n".join([self._names[row], *([missing] if isinstance(missing, str) else [])]))
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Patient and day of a row of pictures."""
        if orientation != Qt.Orientation.Vertical or section >= len(self._of_row):
            return None
        exam = self._exams[self._of_row[section]]
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain(exam.title)
        if role != Qt.ItemDataRole.DisplayRole or (section and self._of_row[section - 1] == self._of_row[section]):
            return None
        patient = exam.patient if len(exam.patient) <= SHORT else f"…{exam.patient[1 - SHORT :]}"
        return patient if exam.day is None else f"{patient}\nday {exam.day:,}"

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Places without an image cannot be chosen."""
        return super().flags(index) if self.row_at(index) is not None else Qt.ItemFlag.NoItemFlags


def _facts(run: Any) -> tuple[list[str], list[str], list[str]]:
    """Side, view and name of each image; empty where not known."""
    if run is None:
        return [], [], []
    images = run.images
    texts = [
        images[name].fillna("").astype(str).tolist() if name in images else [""] * len(images)
        for name in ("laterality", "view", "image_id")
    ]
    return texts[0], texts[1], texts[2]


def _pixmap(picture: Any) -> QPixmap:
    """A grey picture as Qt draws it."""
    rows, cols = picture.shape
    return QPixmap.fromImage(QImage(picture.tobytes(), cols, rows, cols, QImage.Format.Format_Grayscale8))
