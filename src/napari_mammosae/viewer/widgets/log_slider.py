"""A slider over every k from 0 to the number of latents, on a logarithmic scale, beside a box with the number."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QSlider, QSpinBox, QWidget
from superqt.utils import signals_blocked

_POSITIONS = 1_000


class KSlider(QWidget):
    """Emits `moved` with k at every move of the user, and `released` at the end of one.

    The mouse goes over the scale; arrow keys go through every single k.
    """

    moved = Signal(int)
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._most = 1
        self.slider, self.box = _Slider(self), QSpinBox()
        self.slider.setRange(0, _POSITIONS)
        self.box.setRange(0, 1)
        self.box.setKeyboardTracking(False)
        self.box.setToolTip("k, the number of latents")
        self.slider.setToolTip("k on a logarithmic scale; the arrow keys go one by one")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.box)
        self.slider.valueChanged.connect(self._on_slider)
        self.slider.sliderReleased.connect(self.released)
        self.box.valueChanged.connect(self._on_box)

    @property
    def k(self) -> int:
        """The number chosen."""
        return int(self.box.value())

    def set_most(self, most: int) -> None:
        """Say how many latents there are."""
        self._most = max(most, 1)
        with signals_blocked(self.box):
            self.box.setMaximum(self._most)

    def show_k(self, k: int) -> None:
        """Show a k that was set elsewhere."""
        for widget, value in ((self.box, k), (self.slider, self._position(k))):
            # where several positions mean the same k the slider stays under the mouse
            if widget is self.box or self._k(self.slider.value()) != k:
                with signals_blocked(widget):
                    widget.setValue(value)

    def step(self, by: int) -> None:
        """Go some latents up or down."""
        self.box.setValue(self.k + by)

    def _k(self, position: int) -> int:
        return round(float(np.expm1(position / _POSITIONS * np.log1p(self._most))))

    def _position(self, k: int) -> int:
        return round(float(np.log1p(k) / np.log1p(self._most)) * _POSITIONS)

    def _on_slider(self, position: int) -> None:
        k = self._k(position)
        if k != self.k:
            with signals_blocked(self.box):
                self.box.setValue(k)
            self.moved.emit(k)

    def _on_box(self, k: int) -> None:
        self.show_k(k)
        self.moved.emit(k)


class _Slider(QSlider):
    def __init__(self, owner: KSlider) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._owner = owner

    def keyPressEvent(self, event: Any) -> None:
        """Let the arrow keys go one k at a time, whatever the scale."""
        steps = {Qt.Key.Key_Right: 1, Qt.Key.Key_Up: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Down: -1}
        if event.key() in steps:
            self._owner.step(steps[event.key()])
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the dock, which it scrolls, unless the slider has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
