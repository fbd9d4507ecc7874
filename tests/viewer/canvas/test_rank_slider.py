"""The numbers beside the slider: those of the text and the table."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

import fakes
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl


def test_slider_text_and_table_count_alike(viewer, qtbot):
    work = workspace_of(viewer)
    session = work.session
    viewer.add_layer(layers.mammogram_layer(fakes.mammogram(shape=fakes.INPUT)))
    session.handle = fakes.FakeModel()
    session.maps = fakes.latent_maps(session.model, Frame.identity(fakes.INPUT))
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    (slider,) = [one for one in viewer.window._qt_viewer.dims.slider_widgets if one.isVisibleTo(one.parent())]
    number, last = slider.curslice_label, slider.totslice_label
    assert slider.axis_label.text() == "rank"
    for step in (0, 7, 63):
        viewer.dims.set_current_step(0, step)
        shown = viewer.canvas.overlays.text.text.split()
        assert (int(number.text()), int(last.text())) == (step + 1, 64) == (int(shown[1]), int(shown[3]))
        assert dock.table.headerData(dock.table.row_of(session.current), Qt.Orientation.Vertical) == number.text()
    number.setText("12")
    number.editingFinished.emit()
    assert session.rank == 11
    assert number.text() == "12"
    for typed, rank in (("0", 0), ("99", 63)):
        number.setText(typed)
        number.editingFinished.emit()
        assert (session.rank, number.text()) == (rank, str(rank + 1))
    viewer.layers.clear()  # another axis counts as napari does
    viewer.add_image(np.zeros((5, 4, 4)), axis_labels=("slice", "row", "column"))
    (slider,) = [one for one in viewer.window._qt_viewer.dims.slider_widgets if one.isVisibleTo(one.parent())]
    assert slider.totslice_label.text() == "4"
    dock.cleanup()
