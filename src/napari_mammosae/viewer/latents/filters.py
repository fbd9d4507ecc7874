"""Which latents the table shows: a filter as a value, and the widgets that set it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QLineEdit, QWidget
from superqt.utils import qdebounced

from ..app.listening import call_while_alive
from ..widgets import ui
from ..widgets.columns import BEST_LABEL, CELLS, LATENT, NAME, VERDICT, Column
from ..widgets.parts import row

ANY, UNREVIEWED, REVIEWED = "any verdict", "unreviewed", "reviewed"
VERDICT_CHOICES = (ANY, UNREVIEWED, REVIEWED, "lesion", "anatomy", "spurious", "unsure")
FIRING = "run.firing_images"
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")
_DELAY = 120  # milliseconds after the last key stroke


@dataclass(frozen=True, slots=True)
class LatentFilter:
    """What a latent must be like to be shown.

    Attributes
    ----------
    text
        Start of its number, a range of numbers (``100-250``), or a piece of its verdict, name or best label; several
        words must all fit.
    verdict
        One of `VERDICT_CHOICES`.
    column, low, high
        A numeric column and the range its values must lie in; an open end is None.
    live
        Only those that fire anywhere in the run.
    fires
        Only those that fire on the image shown.
    """

    text: str = ""
    verdict: str = ANY
    column: str = ""
    low: float | None = None
    high: float | None = None
    live: bool = False
    fires: bool = False

    def mask(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_] | None:
        """Which latents pass, (h,); None when nothing is asked for. Missing columns are ignored."""
        parts = []
        if self.text.strip():
            parts.append(self._text_mask(values))
        if self.verdict != ANY and VERDICT.key in values:
            if self.verdict in (UNREVIEWED, REVIEWED):
                parts.append(_where(values[VERDICT.key], lambda text: (text == "") == (self.verdict == UNREVIEWED)))
            else:
                parts.append(_where(values[VERDICT.key], lambda text: text.lower().startswith(self.verdict)))
        numbers = values.get(self.column)
        if numbers is not None:
            if self.low is not None:
                parts.append(numbers >= self.low)
            if self.high is not None:
                parts.append(numbers <= self.high)
        for wanted, key in ((self.live, FIRING), (self.fires, CELLS.key)):
            if wanted and key in values:
                parts.append(values[key] > 0)
        return np.logical_and.reduce(parts) if parts else None

    def _text_mask(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        latents = values[LATENT.key]
        if ends := _RANGE.fullmatch(self.text):
            return (latents >= int(ends[1])) & (latents <= int(ends[2]))
        numbers = _numbers_as_text(latents.size)
        mask = np.ones(latents.size, dtype=np.bool_)
        for word in self.text.lower().split():
            fits = np.char.startswith(numbers, word) if word.isdecimal() else np.zeros(latents.size, dtype=np.bool_)
            for key in (VERDICT.key, NAME.key, BEST_LABEL.key):
                if key in values:
                    fits |= _where(values[key], partial(_holds, word))
            mask &= fits
        return mask


def _holds(word: str, text: str) -> bool:
    return word in text.lower()


def _where(texts: NDArray[Any], wanted: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Which texts are wanted; asked once for each different one, of which there are few."""
    listed = [str(text) for text in texts.tolist()]
    found = {text for text in set(listed) if wanted(text)}
    return np.fromiter((text in found for text in listed), np.bool_, len(listed))


@lru_cache(maxsize=2)
def _numbers_as_text(count: int) -> NDArray[np.str_]:
    return np.arange(count).astype(str)


class FilterPart(QWidget):
    """Two lines of filters above the table."""

    changed = Signal(object)
    """The `LatentFilter` the user set."""
    entered = Signal()
    """Enter or Down was pressed in the text: on to the table."""

    def __init__(self) -> None:
        super().__init__()
        self.text = _FilterEdit(
            "Filter: 12, 100-250, spurious …",
            "Start of a number, a range, or words of verdict, name or label (Ctrl+F)",
        )
        self.text.setClearButtonEnabled(True)
        self.verdict = ui.chooser(6, "Only latents with this verdict")
        self.verdict.addItems(VERDICT_CHOICES)
        self.column = ui.chooser(3, "The column that the range on the right is about")
        self.low, self.high = _NumberEdit("from"), _NumberEdit("to")
        self.fires = ui.tipped(QCheckBox("Fires here"), "Only latents that fire on this image")
        self.live = ui.tipped(QCheckBox("Live"), "Only latents that fire anywhere in the run")
        self._later = qdebounced(call_while_alive(self._announce), timeout=_DELAY)
        self.destroyed.connect(self._later.cancel)

        ui.column(
            self,
            row(self.text, self.verdict),
            row(self.column, self.low, self.high, self.fires, self.live),
            spacing=4,
        )

        for edit in (self.text, self.low, self.high):
            edit.textChanged.connect(self._later)
            edit.returnPressed.connect(self._on_enter)
        self.text.down.connect(self._on_enter)
        self.verdict.activated.connect(self._announce)
        self.column.activated.connect(self._announce)
        self.fires.clicked.connect(self._announce)
        self.live.clicked.connect(self._announce)

    @property
    def filter(self) -> LatentFilter:
        """What the widgets say."""
        return LatentFilter(
            self.text.text(),
            self.verdict.currentText(),
            self.column.currentData() or "",
            self.low.number,
            self.high.number,
            self.live.isChecked() and self.live.isEnabled(),
            self.fires.isChecked() and self.fires.isEnabled(),
        )

    def show_filter(self, wanted: LatentFilter) -> None:
        """Show a filter that is set already."""
        self.text.setText(wanted.text)
        self.verdict.setCurrentText(wanted.verdict)
        if wanted.low is not None or wanted.high is not None:
            self.column.setCurrentIndex(self.column.findData(wanted.column))
        for edit, number in ((self.low, wanted.low), (self.high, wanted.high)):
            edit.setText("" if number is None else f"{number:g}")
        self.live.setChecked(wanted.live)
        self.fires.setChecked(wanted.fires)
        self._later.cancel()

    def show_columns(self, columns: Sequence[Column], sorted_by: Column) -> None:
        """Offer the numeric columns; the range is about the one the table is sorted by unless it is set."""
        keys = [column.key for column in columns if column.format]
        ranged = self.low.number is not None or self.high.number is not None
        chosen = self.column.currentData() if ranged else sorted_by.key
        if [self.column.itemData(i) for i in range(self.column.count())] != keys:
            self.column.clear()
            for column in columns:
                if column.format:
                    self.column.addItem(column.title, column.key)
        if chosen in keys:
            self.column.setCurrentIndex(keys.index(chosen))
        self.live.setEnabled(FIRING in keys)
        self.live.setVisible(FIRING in keys)
        self.fires.setEnabled(CELLS.key in keys)

    def focus_text(self) -> None:
        """Go to the text, to type another filter."""
        self.text.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.text.selectAll()

    def _on_enter(self) -> None:
        self._later.cancel()
        self._announce()
        self.entered.emit()

    def _announce(self) -> None:
        self.changed.emit(self.filter)


class _FilterEdit(QLineEdit):
    """A line from which Down leads on and Escape clears."""

    down = Signal()

    def __init__(self, placeholder: str, tip: str) -> None:
        super().__init__()
        self.setPlaceholderText(placeholder)
        self.setToolTip(tip)

    def keyPressEvent(self, event: Any) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.down.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


class _NumberEdit(QLineEdit):
    """A number or nothing; what is no number yet counts as nothing."""

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.setPlaceholderText(placeholder)
        self.setMaximumWidth(48)
        self.setToolTip("A number; empty means no limit")

    @property
    def number(self) -> float | None:
        """What was typed, as a number."""
        try:
            value = float(self.text().replace(",", "."))
        except ValueError:
            return None
        return value if np.isfinite(value) else None
