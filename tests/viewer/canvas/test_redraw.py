import gc

import numpy as np
import pytest
from napari.components import ViewerModel

from fakes import FakeModel, latent_maps, mammogram
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.app.session import Session
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.canvas.redraw import (
    controls_later,
    drawn_once,
    garbage_later,
    pictured_later,
    refilled,
    remember_cells,
    remember_shaders,
)
from napari_mammosae.viewer.canvas.scene import Scene


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def placed(viewer):
    """Grows whenever the canvas is told to place its texts."""
    found = []
    viewer.canvas.overlay_tiling.events.connect(found.append)
    return found


def test_texts_are_placed_once_at_the_end(viewer, placed):
    with drawn_once(viewer):
        with drawn_once(viewer):
            pass
        assert not placed
    assert len(placed) == 1
    assert not viewer.canvas.events.blocked()


def test_what_is_drawn_can_fail(viewer, placed):
    with pytest.raises(ValueError, match="boom"), drawn_once(viewer):
        raise ValueError("boom")
    assert not viewer.canvas.events.blocked()
    with drawn_once(viewer):
        pass
    assert placed


def test_layers_tell_of_their_changes_meanwhile(viewer):
    layer, told = viewer.add_image(np.zeros((4, 4))), []
    layer.events.connect(lambda event: told.append(event.type))
    with drawn_once(viewer):
        layer.contrast_limits = (0, 3)
        assert "contrast_limits" in told


def scene_of(viewer):
    session, image = Session(), mammogram()
    scene = Scene(viewer, session)
    scene.look_at(viewer.add_layer(layers.mammogram_layer(image)))
    session.image, session.handle = image, FakeModel()
    session.maps = latent_maps(session.model, image.frame_for(session.model.preprocessing))
    return scene


def test_a_step_an_order_and_a_choice_place_the_texts_once_each(viewer, placed):
    scene = scene_of(viewer)
    session = scene.session
    for change in (
        lambda: viewer.dims.set_point(0, 5),
        lambda: setattr(session, "current", int(session.order.latents[20])),
        lambda: setattr(session, "order", Order.by_score(np.arange(64), "number")),
    ):
        placed.clear()
        change()
        assert len(placed) == 1
    scene.cleanup()


@pytest.mark.parametrize("moves", [True, False])
def test_an_order_reads_the_stack_once(viewer, moves, monkeypatch):
    scene = scene_of(viewer)
    session, order = scene.session, scene.session.order
    latents = order.latents[::-1] if moves else order.latents.copy()
    if not moves:
        latents[-2:] = latents[[-1, -2]]
    stack = type(scene.stack_layer.data)
    read, reads = stack.__getitem__, []
    monkeypatch.setattr(stack, "__getitem__", lambda self, key: reads.append(key) or read(self, key))
    session.order = Order.of(latents, order.scores, "other")
    assert len(reads) == 1
    assert round(viewer.dims.point[0]) == session.rank
    scene.cleanup()


def test_without_a_window_layers_are_added_as_ever(viewer):
    with controls_later(viewer):
        viewer.add_image(np.zeros((4, 4)))
    assert len(viewer.layers) == 1


def test_no_garbage_is_collected_meanwhile_and_some_is_afterwards():
    collected = []
    gc.callbacks.append(lambda phase, info: collected.append(phase))
    try:
        with garbage_later():
            kept = [[] for _ in range(50_000)]
            assert not collected
        kept += [[] for _ in range(50_000)]
    finally:
        gc.callbacks.pop()
    assert collected
    with pytest.raises(ValueError, match="boom"), garbage_later():
        raise ValueError("boom")
    assert gc.isenabled()


def test_an_array_filled_with_other_values_is_shown(viewer):
    layer, told = viewer.add_image(np.zeros((4, 4), np.float32)), []
    layer.events.set_data.connect(told.append)
    layer.data[...] = 3
    refilled(viewer, layer)
    assert told
    assert layer.get_value((1, 1)) == 3


def test_a_thumbnail_is_made_once_after_the_last_of_several_changes(viewer, qtbot):
    layer, told = viewer.add_image(np.ones((4, 4))), []
    pictured_later(layer)
    layer.events.thumbnail.connect(told.append)
    for top in (8, 4, 2):
        layer.contrast_limits = (0, top)
    assert not told
    qtbot.waitUntil(lambda: bool(told))
    qtbot.wait(400)
    assert len(told) == 1
    assert layer.thumbnail[16, 16, 0] == pytest.approx(128, abs=1)  # 1 of 0 to 2


def test_the_cells_of_a_grid_are_those_that_napari_finds(viewer):
    remember_cells()
    remember_cells()
    grid = viewer.canvas.grid
    layers = [viewer.add_image(np.zeros((4, 4))) for _ in range(5)]
    for enabled, stride, shape, hidden in (
        (False, 1, (-1, -1), ()),
        (True, 1, (-1, -1), ()),
        (True, 2, (-1, -1), ()),
        (True, -2, (-1, -1), ()),
        (True, -2, (1, 3), (4,)),
        (True, 2, (2, 2), (0, 1)),
    ):
        grid.enabled, grid.stride, grid.shape = enabled, stride, shape
        for at, layer in enumerate(layers):
            layer.visible = at not in hidden
        for _ in range(2):
            found = list(grid.iter_viewboxes(viewer.layers))
            assert found == list(type(grid).iter_viewboxes.__wrapped__(grid, viewer.layers))
            assert [grid.contents_at(place, viewer.layers) for place, _ in found] == [inside for _, inside in found]


FRAGMENT = "uniform vec4 u_color;\nvoid main() { gl_FragColor = u_color; }  // varying vec2 no\n"


def test_shaders_that_were_seen_are_not_read_again(monkeypatch):
    from vispy.gloo import Program, program

    remember_shaders()
    remember_shaders()

    def made(uniform):
        vertex = f"uniform float {uniform}[2];\nattribute vec2 a_position;\nvoid main() {{}}\n"
        return Program(vertex, FRAGMENT)

    names = [
        ("attribute", "vec2", "a_position"),
        ("uniform", "float", "u_size[0]"),
        ("uniform", "float", "u_size[1]"),
        ("uniform", "vec4", "u_color"),
        ("uniform_array", "float", "u_size"),
    ]
    first = made("u_size")
    assert sorted(first.variables) == names
    first["u_color"] = 1, 0, 0, 1
    monkeypatch.setattr(program, "REGEX_VAR", {})  # nothing can be read any more
    second = made("u_size")
    assert sorted(second.variables) == names
    second["u_color"] = 0, 0, 0, 1
    assert (first["u_color"][0], second["u_color"][0]) == (1, 0)
    with pytest.raises(KeyError):
        made("u_width")
