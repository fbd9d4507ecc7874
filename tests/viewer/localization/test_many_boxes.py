"""Thousands of annotated boxes on one image: drawn as lines, compared in the background, still drawn into by hand."""

import time

import numpy as np
import pytest
from napari.layers import Shapes, Vectors

import fakes
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.images.cells import box_shares
from napari_mammosae.core.images.geometry import BOX
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.canvas.boxes.lines import MANY
from napari_mammosae.viewer.docks import LocalizeDock
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

SHAPE = (384, 256)


def findings_of(count, folder):
    places = np.random.default_rng(count).uniform(5, 200, (count, 2)).round(1)
    lines = [f"case,mass,{x},{y},{x + 20},{y + 30}" for x, y in places]
    path = folder / f"{count}.csv"
    path.write_text("\n".join(["image,finding,xmin,ymin,xmax,ymax", *lines]) + "\n")
    return read_findings(path)


@pytest.fixture
def dock(viewer, qtbot):
    session = workspace_of(viewer).session
    viewer.add_layer(layers.mammogram_layer(fakes.mammogram(1, SHAPE, image_id="case")))
    session.handle = fakes.FakeModel(preprocessing=Preprocessing(size=SHAPE))
    session.maps = fakes.latent_maps(session.model)
    dock = LocalizeDock(viewer)
    qtbot.addWidget(dock)
    settled(qtbot, dock.localizer)
    yield dock
    dock.cleanup()


def settled(qtbot, localizer):
    qtbot.waitUntil(
        lambda: not (localizer.outline.jobs.busy or localizer.combining.busy or is_due(localizer._later)),
        timeout=30_000,
    )


def shown(viewer, role):
    """Corners (n, 4) of the boxes that a layer of lines draws."""
    starts = owned(viewer).find(role).data[:, 0].reshape(-1, 4, 2)
    return np.concatenate([starts.min(axis=1), starts.max(axis=1)], axis=1) + 0.5


def test_thousands_are_drawn_as_lines_and_compared_in_the_background(dock, viewer, qtbot, tmp_path):
    session, localizer = dock.session, dock.localizer
    findings = findings_of(3_000, tmp_path)
    session.findings = findings_of(2_000, tmp_path)  # a layer's first drawing takes its time in napari
    settled(qtbot, localizer)
    begin = time.thread_time()
    session.findings = findings
    assert time.thread_time() - begin < 2  # a tenth of it where nothing else runs; as shapes it took 12 s
    layer = owned(viewer).find("truth")
    assert isinstance(layer, Vectors)
    wanted = findings.boxes("case", shape=SHAPE)[list(BOX)].to_numpy()
    np.testing.assert_allclose(shown(viewer, "truth"), wanted, atol=1e-3)
    settled(qtbot, localizer)
    missed = sum(row.annotated and row.fate == "missed" for row in localizer.current.rows)
    assert 2_000 < missed <= 3_000
    assert len(dock.boxes.list.rows) == len(localizer.current.rows)
    found = min(len(localizer.current.found), 100)
    assert len(shown(viewer, "found")) == 2 * missed + found  # a missed box has two frames


def test_few_boxes_after_many_are_shapes_with_texts_again(dock, viewer, qtbot, tmp_path):
    for count, kind in ((MANY + 1, Vectors), (MANY, Shapes), (MANY + 1, Vectors)):
        dock.session.findings = findings_of(count, tmp_path)
        settled(qtbot, dock.localizer)
        assert isinstance(owned(viewer).find("truth"), kind)
        assert len(owned(viewer).with_role("truth")) == len(owned(viewer).with_role("found")) == 1


def test_many_boxes_can_be_drawn_into(dock, viewer, qtbot, tmp_path):
    dock.session.findings = findings_of(MANY + 1, tmp_path)
    dock.editor.start()
    layer = owned(viewer).find("truth")
    assert isinstance(layer, Shapes)
    layer.add_rectangles([[10, 10], [40, 60]])
    qtbot.waitUntil(lambda: len(dock.session.findings.boxes("case", shape=SHAPE)) == MANY + 2)
    dock.editor.stop()
    assert owned(viewer).find("truth") is layer


@pytest.mark.parametrize("grid", [(7, 5), (1, 3), (48, 29)])
def test_shares_of_many_boxes_are_those_of_a_picture_of_them(grid):
    shape = (7 * 48, 5 * 3 * 29)
    edges = np.random.default_rng(1).integers(-20, 420, (300, 4)).astype(float)
    edges[:, 2:] = edges[:, :2] + np.abs(edges[:, 2:]) % 40  # some empty, some beyond the edge
    picture = np.zeros(shape)
    for top, left, bottom, right in edges.astype(int).clip(0):
        picture[top:bottom, left:right] = 1
    rows, columns = (np.repeat(np.arange(n), size // n) for n, size in zip(grid, shape, strict=True))
    wanted = np.zeros(grid)
    np.add.at(wanted, (rows[:, None], columns[None, :]), picture)
    wanted *= grid[0] * grid[1] / picture.size
    np.testing.assert_allclose(box_shares(edges, shape, grid), wanted, atol=1e-12)
