"""An exam on a real canvas: to the pixel where it belongs, drawn once a step, and quick enough to work with."""

import time
from itertools import pairwise

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from fakes import FakeModel, maps_of
from napari_mammosae.core.exams.grouping import Exam
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.viewer.canvas.layers import mammogram_options
from napari_mammosae.viewer.exam.state import ExamImage, ShownExam
from napari_mammosae.viewer.runs.prefetch import Ready
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl

SIDES = [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
HUNG = [3, 1, 2, 0]


def exam(arrays, maps, mirrored=(False,) * 4):
    images = []
    for row, (pixels, (side, view)) in enumerate(zip(arrays, SIDES, strict=True)):
        image = read_mammogram(pixels, image_id=f"image-{row}")
        options = mammogram_options(image) | {"contrast_limits": (0.0, 200.0)}
        images.append(ExamImage(row, Ready(image, image.displayed(), options, maps[row]), side, view, mirrored[row]))
    return ShownExam(Exam("patient", None, (0, 1, 2, 3)), None, tuple(images))


def shown(viewer, monkeypatch, one, model):
    """Show an exam that was read already."""
    workspace = workspace_of(viewer)
    controller = workspace.exam
    controller._exams = [one.exam]
    session = workspace.session
    monkeypatch.setattr(type(controller.browser), "row", property(lambda _: None if session.image is None else 0))
    monkeypatch.setattr(controller.jobs, "start", lambda *_, **__: None)
    session.handle = model
    first = one.images[0].ready
    viewer.add_layer(Image(first.pixels, **first.options))
    session.maps = first.maps
    controller._show(one)
    return workspace


@pytest.mark.slow
def test_mirrored_views_are_registered_to_one_source_pixel(viewer, monkeypatch, qtbot):
    grid, shape = (6, 5), (300, 200)
    model = FakeModel(n_latents=4, grid=grid)
    frame = Frame(shape, (30, 20, 270, 180), (384, 256))  # cells of 40 x 32 source pixels
    values = np.zeros((1, *grid), np.float32)
    values[0, 1, 2] = 1.0  # its centre: row 30 + 60 - 0.5, column 20 + 80 - 0.5
    maps = [maps_of(model, np.array([2], np.int32), values, frame)] * 4
    marks = [(40 + 10 * row, 60 + 20 * row) for row in range(4)]
    arrays = []
    for mark in marks:
        pixels = np.zeros(shape, np.uint8)
        pixels[mark] = 200  # one pixel alone
        arrays.append(pixels)
    workspace = shown(viewer, monkeypatch, exam(arrays, maps, (False, False, True, True)), model)
    layers = workspace.exam._layers
    viewer.canvas.grid.spacing = 0
    viewer.canvas.overlays.text.visible = False
    for cell in layers.cells:
        cell[0].name_overlay.visible = False
        cell[1].visible = False
    gap = layers._fitted[2]
    width = shape[1] + 2 * gap

    def drawn():
        qtbot.wait(50)
        for _, heat in layers.cells:
            heat.colorbar.visible = False
        picture = viewer.export_figure(flash=False)[..., :3].astype(float).sum(axis=2)
        assert picture.shape == (2 * shape[0], 2 * width)
        return [picture[r : r + shape[0], c : c + width] for r in (0, shape[0]) for c in (0, width)]

    for place, picture in zip(HUNG, drawn(), strict=True):
        row, column = marks[place]
        if place >= 2:  # right: mirrored, and at the right border of its cell
            column = 2 * gap + shape[1] - 1 - column
        (found,) = np.argwhere(picture > picture.max() / 2)
        assert np.abs(found - (row, column)).max() <= 1

    for cell in layers.cells:
        cell[0].visible, cell[1].visible = False, True
    workspace.session.current = 2
    for place, picture in zip(HUNG, drawn(), strict=True):
        light = picture / picture.sum()
        rows, cols = np.indices(light.shape)
        column = 20 + 80 - 0.5
        if place >= 2:
            column = 2 * gap + shape[1] - 1 - column
        assert abs((rows * light).sum() - (30 + 60 - 0.5)) <= 1
        assert abs((cols * light).sum() - column) <= 1


@pytest.mark.slow
def test_a_step_shows_what_layers_made_anew_would(viewer, monkeypatch, qtbot):
    grid, shape = (6, 5), (300, 200)
    model, rng = FakeModel(n_latents=4, grid=grid), np.random.default_rng(0)
    frame, live = Frame(shape, (0, 0, *shape), (384, 256)), np.array([0, 1, 3], np.int32)
    maps = [maps_of(model, live, scale * rng.random((3, *grid), np.float32), frame) for scale in (1, 2, 3, 4)]
    workspace = shown(viewer, monkeypatch, exam([np.eye(*shape, dtype=np.uint8)] * 4, maps), model)
    seen = []
    for latent, act in (
        (3, lambda: None),
        (0, lambda: setattr(workspace.session, "contrast", "shared")),
        (1, lambda: setattr(viewer.scene.camera, "zoom", 2 * viewer.scene.camera.zoom)),
        (2, lambda: setattr(workspace.exam._layers.cells[1][1], "visible", False)),
        (3, lambda: setattr(workspace.exam._layers.cells[1][1], "visible", True)),
    ):
        act()
        workspace.session.current = latent
        qtbot.wait(50)
        seen.append(viewer.screenshot(flash=False))
        for heat in (cell[1] for cell in workspace.exam._layers.cells):
            heat.data = heat.data.copy()
            heat.refresh()
        qtbot.wait(50)
        np.testing.assert_array_equal(viewer.screenshot(flash=False), seen[-1])
    assert all((one != other).any() for one, other in pairwise(seen))
    workspace.session.current = 2  # silent
    qtbot.wait(50)
    nothing = viewer.screenshot(flash=False)
    workspace.exam._layers.cells[0][1].colormap = "viridis"  # by the user, who sees zeros then
    qtbot.wait(50)
    assert (viewer.screenshot(flash=False) != nothing).any(axis=2).sum() > 100


@pytest.mark.slow
def test_four_real_images_and_all_latents_open_and_step_quickly(viewer, monkeypatch, qtbot):
    """The ceilings are several times what it takes on a quiet machine: 1.5 s to open, 80 ms a step."""
    shape, grid, latents = (3328, 2560), (48, 29), 16_384
    model = FakeModel(n_latents=latents, grid=grid)
    rng = np.random.default_rng(0)
    frame = Frame(shape, (0, 0, *shape), (1520, 912))
    values = rng.random((300, *grid), np.float32)
    live = [np.sort(rng.choice(latents, 300, replace=False)).astype(np.int32) for _ in range(4)]
    maps = [maps_of(model, one, values, frame) for one in live]
    tile = rng.integers(0, 4000, (104, 80), np.uint16)
    arrays = [np.tile(np.roll(tile, row, 0), (32, 32)) for row in range(4)]
    one = exam(arrays, maps)
    viewer.window._qt_window.resize(1366, 740)
    opening = time.process_time()
    workspace = shown(viewer, monkeypatch, one, model)
    QApplication.processEvents()
    assert time.process_time() - opening < 8
    qtbot.wait(300)
    draws = []
    viewer.window._qt_viewer.canvas.events.draw.connect(lambda event: draws.append(event))
    steps = []
    for step in range(1, 12):
        draws.clear()
        start = time.process_time()
        viewer.dims.set_point(0, step)
        QApplication.processEvents()
        QApplication.processEvents()
        steps.append(time.process_time() - start)
        assert len(draws) == 1  # all views together
        latent = workspace.session.current
        top = max(float(one.pooled_max[latent]) for one in maps)
        assert workspace.exam._layers.cells[0][1].contrast_limits[1] == pytest.approx(top or 1.0)
    assert np.median(steps) < 0.5


@pytest.mark.slow
def test_controls_of_the_views_are_made_once_one_is_selected(viewer, monkeypatch):
    model = FakeModel(n_latents=4, grid=(6, 5))
    frame = Frame((60, 40), (0, 0, 60, 40), (384, 256))
    maps = [maps_of(model, np.array([2], np.int32), np.ones((1, 6, 5), np.float32), frame)] * 4
    workspace = shown(viewer, monkeypatch, exam([np.eye(60, 40, dtype=np.uint8)] * 4, maps), model)
    controls, layers = viewer.window._qt_viewer.controls, workspace.exam._layers
    (mammogram, heat), *others = layers.cells
    assert not [layer for cell in layers.cells for layer in cell if layer in controls.widgets]
    viewer.layers.selection.active = heat
    assert controls.currentWidget() is controls.widgets[heat]
    assert controls.currentWidget().layer is heat
    viewer.layers.selection.active = mammogram
    assert controls.currentWidget().layer is mammogram
    viewer.layers.selection = {mammogram, others[0][0]}
    added = viewer.add_image(np.zeros((4, 4)))
    assert controls.widgets[added].layer is added
    viewer.layers.remove(others[0][0])  # never selected alone; the exam is left
    QApplication.processEvents()
    assert workspace.exam.shown is None
    assert set(controls.widgets) == set(viewer.layers)
