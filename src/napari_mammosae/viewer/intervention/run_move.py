"""What the present edit does to a run: measures before and after, their intervals, and the decisions that flip."""

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt

from ...core.base.errors import MammoSAEError
from ...core.intervention.edit import Edit
from ..context import Context, Controller
from . import run_effects
from .result import EditView
from .run_effects import RunEffects, Scored

if TYPE_CHECKING:
    import pandas as pd

_WAIT = 400  # milliseconds without a change before intervals are worked out
PENDING = "Computing 95 % intervals by patient …"


class RunMove(Controller):
    """Measures at once, their intervals a moment later, and the flips.

    Attributes
    ----------
    changed
        Emits when anything below changed.
    moved
        Predictions of the run under the edit; None where it cannot be said.
    effect
        Every measure before and after with intervals, as `core.intervention.effect` gives it; None until it is there.
    measures, intervals
        The same in words.
    flips
        The images whose decision changes, as they are listed.
    """

    changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.moved: Scored | None = None
        self.effect: pd.DataFrame | None = None
        self.measures = self.intervals = ""
        self.flips = FlipModel()
        self._effects: RunEffects | None = None
        self._edit: Edit | None = None
        self._start: dict[str, Scored] = {}
        self._later = self.debounced(self._bootstrap, _WAIT)

    def forget(self) -> None:
        """The run or what it is asked changed."""
        self._stop()
        self._effects = self._edit = None
        self._start.clear()
        self._take_move(None, "")

    def follow(self, effects: RunEffects, view: EditView | None) -> None:
        """Work out what an edit does; intervals follow once it has stayed for a moment."""
        edit = view.edit if view is not None else None
        if effects is self._effects and edit is self._edit:
            return
        self._stop()
        if effects is not self._effects:
            self._start.clear()
        self._effects, self._edit = effects, edit
        if edit is None:
            self._take_move(None, "")
            return
        if edit.form not in self._start:
            self._start[edit.form] = Scored.of(effects.cohort, effects.cohort.before(edit.form))
        try:
            self._take_move(Scored.of(effects.cohort, effects.cohort.logits_after(edit)), "")
        except MammoSAEError as error:
            self._take_move(None, f"Not available for this run: {error}")

    def flip_rows(self) -> list[tuple[int, int, int]]:
        """Rows of the run's table whose decision changes, with the decisions before and after."""
        effects = self._effects
        return [(int(effects.rows[place]), int(a), int(b)) for place, a, b in self.flips.rows] if effects else []

    def _take_move(self, moved: Scored | None, problem: str) -> None:
        self.moved, effects, edit = moved, self._effects, self._edit
        if moved is None or effects is None or edit is None:
            self.measures, self.intervals = problem, ""
            self.flips.show([])
        else:
            before, name = self._start[edit.form], effects.measure
            flipped = (before.decided != moved.decided).nonzero()[0]
            self.measures = f"{_title(name)} {before.measures[name]:.4f} → {moved.measures[name]:.4f}"
            if effects.cohort.decides:
                self.measures += f"; {flipped.size:,} of {effects.cohort.n_images:,} predictions flip"
            else:
                flipped = flipped[:0]
            rows = [*zip(flipped, before.decided[flipped], moved.decided[flipped], strict=True)]
            self.flips.show(rows, self._describe)
            self.intervals = PENDING
            self._later()
        self.changed.emit()

    def _describe(self, flip: Any) -> str:
        place, before, after = flip
        effects, run = self._effects, self.session.run
        assert effects is not None
        image = run.images["image_id"].iloc[effects.rows[place]]
        words = effects.ranking.names
        truth = int(effects.cohort.labels[place]) if effects.cohort.labels is not None else -1
        right = " (right)" if after == truth else " (wrong)"
        return f"{image}: {words[before]} → {words[after]}{right}"

    # Intervals

    def _stop(self) -> None:
        """What is being worked out is for another edit."""
        self._later.cancel()
        self.jobs.cancel()
        self.effect = None

    def _bootstrap(self) -> None:
        effects, edit = self._effects, self._edit
        if effects is None or edit is None:
            return
        work = partial(run_effects.effect_of, effects, edit)
        self.jobs.start("Intervals of the edit", work, partial(self._take_effect, edit), self._failed)

    def _take_effect(self, edit: Edit, effect: "pd.DataFrame") -> None:
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
        self.intervals = text
        self.changed.emit()


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


def _title(measure: str) -> str:
    return measure.upper() if measure == "auroc" else measure
