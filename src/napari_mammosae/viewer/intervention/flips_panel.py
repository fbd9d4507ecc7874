"""What the present edit does to a run: measures before and after with their intervals, and the decisions that flip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, QTimer
from qtpy.QtWidgets import QAbstractItemView, QLabel, QListView, QVBoxLayout

from ...core.base.errors import MammoSAEError
from ..app.jobs import Jobs
from ..runs.browser import show_image
from ..widgets.parts import Part, hint
from . import run_effects

if TYPE_CHECKING:
    import pandas as pd

    from ...core.intervention.edit import Edit
    from ..image.controller import Controller
    from .result import EditView
    from .run_effects import RunEffects, Scored

_WAIT = 400  # milliseconds without a change before intervals are worked out
PENDING = "95 % intervals by patient: being worked out …"


class MovePart(Part):
    """Measures at once, their intervals a moment later, and the list of flips.

    Attributes
    ----------
    moved
        Predictions of the run under the edit; None where it cannot be said.
    effect
        Every measure before and after with intervals, as `core.intervention.effect` gives it; None until it is there.
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.moved: Scored | None = None
        self.effect: pd.DataFrame | None = None
        self._effects: RunEffects | None = None
        self._edit: Edit | None = None
        self._start: dict[str, Scored] = {}
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self._later = QTimer(self, singleShot=True, interval=_WAIT)
        self._later.timeout.connect(self._bootstrap)
        self.measures, self.intervals = QLabel(), hint(QLabel())
        for label in (self.measures, self.intervals):
            label.setWordWrap(True)
        self.intervals.setToolTip(
            "Patients are drawn anew 1,000 times; before, after and their change are measured on the same draws"
        )
        self.flips, self.list = FlipModel(), _Flips()
        self.list.setModel(self.flips)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.measures, self.intervals, self.list):
            layout.addWidget(widget, 1 if widget is self.list else 0)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)

    def forget(self) -> None:
        """The run or what it is asked changed."""
        self._stop()
        self._effects = self._edit = None
        self._start.clear()
        self._show(None, "")

    def show_edit(self, effects: RunEffects, view: EditView | None) -> None:
        """Show what an edit does; intervals follow once it has stayed for a moment."""
        edit = view.edit if view is not None else None
        if effects is self._effects and edit is self._edit:
            return
        self._stop()
        if effects is not self._effects:
            self._start.clear()
        self._effects, self._edit = effects, edit
        if edit is None:
            self._show(None, "")
            return
        if edit.form not in self._start:
            self._start[edit.form] = run_effects.before_edit(effects, edit.form)
        try:
            self._show(run_effects.after_edit(effects, edit), "")
        except MammoSAEError as error:
            self._show(None, f"The run cannot say: {error}")

    def _show(self, moved: Scored | None, problem: str) -> None:
        self.moved, effects, edit = moved, self._effects, self._edit
        if moved is None or effects is None or edit is None:
            self.measures.setText(problem)
            self._say("")
            self.flips.show([])
            return
        before, name = self._start[edit.form], effects.measure
        flipped = (before.decided != moved.decided).nonzero()[0]
        self.measures.setText(
            f"{_title(name)} {before.measures[name]:.4f} → {moved.measures[name]:.4f}; "
            f"{flipped.size:,} of {effects.cohort.n_images:,} predictions flip"
        )
        self.flips.show([*zip(flipped, before.decided[flipped], moved.decided[flipped], strict=True)], self._describe)
        self._say(PENDING)
        self._later.start()

    # Intervals

    def _stop(self) -> None:
        """What is being worked out is for another edit."""
        self._later.stop()
        self.jobs.cancel()
        self.effect = None

    def _bootstrap(self) -> None:
        effects, edit = self._effects, self._edit
        if effects is None or edit is None:
            return
        work = partial(run_effects.effect_of, effects, edit)
        self.jobs.start("Intervals of the edit", work, partial(self._take, edit), self._failed)

    def _take(self, edit: Edit, effect: pd.DataFrame) -> None:
        if edit is not self._edit or self._effects is None:
            return
        self.effect = effect
        row = effect.set_index("measure").loc[self._effects.measure]
        if row["note"]:
            self._say(f"No intervals: {row['note']}.")
            return
        before, after = (f"[{row[f'{side}_lo']:.3f}, {row[f'{side}_hi']:.3f}]" for side in ("before", "after"))
        change = f"{row['change']:+.4f} [{row['change_lo']:+.3f}, {row['change_hi']:+.3f}]"
        self._say(f"95 % by patient: {before} → {after}\nchange {change}".replace("-", "−"))

    def _failed(self, error: Exception) -> None:
        self._say(f"No intervals: {error}")

    def _say(self, text: str) -> None:
        self.intervals.setText(text)
        self.intervals.setVisible(bool(text))

    # Flips

    def flip_rows(self) -> list[tuple[int, int, int]]:
        """Rows of the run's table whose decision changes, with the decisions before and after."""
        effects = self._effects
        return [(int(effects.rows[place]), int(a), int(b)) for place, a, b in self.flips.rows] if effects else []

    def _describe(self, flip: Any) -> str:
        place, before, after = flip
        effects, run = self._effects, self.session.run
        assert effects is not None
        image = run.images["image_id"].iloc[effects.rows[place]]
        words = ("negative", "positive") if effects.cohort.constant.size == 1 else run.classes
        truth = int(effects.cohort.labels[place]) if effects.cohort.labels is not None else -1
        right = " (right)" if after == truth else " (wrong)"
        return f"{image}: {words[before]} → {words[after]}{right}"

    def _open(self, index: QModelIndex) -> None:
        if self._effects is not None:
            show_image(self.controller, self.session.run, self.flip_rows()[index.row()][0])


class FlipModel(QAbstractListModel):
    """Images whose decision changes; each line is worded only when it comes into sight."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Any] = []
        self._describe: Any = str

    def show(self, rows: list[Any], describe: Any = str) -> None:
        """List other images."""
        if rows == self.rows:
            return
        self.beginResetModel()
        self.rows, self._describe = rows, describe
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many there are."""
        return len(self.rows)

    def data(self, index: QModelIndex, role: int = 0) -> str | None:
        """Text of a line."""
        return self._describe(self.rows[index.row()]) if role == Qt.ItemDataRole.DisplayRole else None


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


def _title(measure: str) -> str:
    return measure.upper() if measure == "auroc" else measure
