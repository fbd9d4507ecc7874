"""The slider of ranks, counted as everything else counts them: from 1.

napari writes the numbers beside a slider from 0, and has no public way to have them written otherwise. Where its
widgets are not as expected, they stay as they are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...app.listening import call_while_alive
from ..layers import RANK

if TYPE_CHECKING:
    from napari.components import ViewerModel

_MARGIN = 10


def count_from_one(viewer: ViewerModel) -> None:
    """Have the sliders of a viewer number ranks from 1, also in the box where one is typed."""
    dims = getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "dims", None)
    if dims is not None and hasattr(dims, "_resize_slice_labels"):
        dims._resize_slice_labels = partial(_make_room, dims)
        dims._resize_slice_labels()
    for slider in getattr(dims, "slider_widgets", ()):
        if not hasattr(slider, "_mammosae") and hasattr(slider, "_set_slice_from_label"):
            slider._mammosae = _Numbers(slider)
            slider._update_slice_labels()


def _make_room(dims: Any) -> None:
    """Give the numbers the width that they need in their own letters, which napari does in smaller ones."""
    type(dims)._resize_slice_labels(dims)
    digits = "8" * len(str(max(dims.dims.nsteps)))
    for slider in dims.slider_widgets:
        for label in (slider.curslice_label, slider.totslice_label):
            needed = label.fontMetrics().horizontalAdvance(digits) + _MARGIN
            label.setFixedWidth(max(label.minimumWidth(), needed))


class _Numbers:
    """Writes and reads the numbers beside one slider."""

    def __init__(self, slider: Any) -> None:
        self._slider, self._write = slider, type(slider)._update_slice_labels
        slider.curslice_label.editingFinished.disconnect(slider._set_slice_from_label)
        slider.curslice_label.editingFinished.connect(call_while_alive(self.read))
        slider._update_slice_labels = self.write

    @property
    def _first(self) -> int:
        """What the first position is called."""
        dims, axis = self._slider.dims, self._slider.axis
        return int(axis < dims.ndim and dims.axis_labels[axis] == RANK)

    def write(self) -> None:
        """Show where the slider is, and how many positions there are."""
        slider = self._slider
        self._write(slider)
        if slider.axis < slider.dims.ndim and self._first:
            slider.curslice_label.setText(str(slider.dims.current_step[slider.axis] + 1))
            slider.totslice_label.setText(str(slider.dims.nsteps[slider.axis]))

    def read(self) -> None:
        """Go to the position that was typed."""
        slider = self._slider
        slider.curslice_label.setText(str(max(int(slider.curslice_label.text() or 0) - self._first, 0)))
        type(slider)._set_slice_from_label(slider)
        slider._update_slice_labels()
