import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from fakes import FakeModel, latent_maps, mammogram
from napari_mammosae.core.base.errors import FindingsError
from napari_mammosae.core.images.geometry import cell_affine
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.app.session import Session
from napari_mammosae.viewer.canvas.camera import fit
from napari_mammosae.viewer.canvas.pins import pin_layer
from napari_mammosae.viewer.canvas.scene import Scene
from napari_mammosae.viewer.canvas.texts import PREDICTION


class Boxes:
    """Findings of one image."""

    def __init__(self, image_id="phantom", rows=((100, 50, 200, 120, "mass"),), error=None):
        self.image_id, self.error = image_id, error
        self.table = pd.DataFrame(rows, columns=["row_min", "col_min", "row_max", "col_max", "finding"])

    def boxes(self, image_id, finding=None, *, shape=None):
        if self.error:
            raise self.error
        return self.table if image_id == self.image_id else self.table.iloc[:0]


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def scene(viewer, session):
    scene = Scene(viewer, session)
    yield scene
    scene.cleanup()


def show(viewer, session, scene, image=None, **layer_options):
    image = image or mammogram()
    layer = viewer.add_layer(Image(image.pixels, name=image.image_id, **layer_options))
    scene.look_at(layer)
    session.image = image
    if session.model is None:
        session.handle = FakeModel()
    session.maps = latent_maps(session.model, image.frame_for(session.model.preprocessing))
    return layer


def shown_map(scene):
    layer, viewer = scene.stack_layer, scene.viewer
    return np.asarray(layer.data[round(viewer.dims.point[0])])


def test_the_stack_lies_right_above_the_mammogram(viewer, session, scene):
    viewer.add_image(np.zeros((10, 10)), name="below")
    show(viewer, session, scene)
    viewer.add_points(np.zeros((1, 2)), name="above")
    assert [layer.name for layer in viewer.layers] == ["below", "phantom", "SAE latents", "above"]
    assert viewer.layers.selection.active is viewer.layers["above"]


@pytest.mark.parametrize("zoomed_in", [True, False])
def test_latents_come_without_a_jump(viewer, session, scene, zoomed_in):
    """What was zoomed in on stays; a mammogram that was in view as a whole stays so."""
    viewer.add_image(np.zeros((9000, 9000)), name="larger", visible=False)
    image = mammogram()
    layer = viewer.add_layer(Image(image.pixels))
    scene.look_at(layer)
    fit(viewer, layer)
    camera = viewer.scene.camera
    if zoomed_in:
        camera.center, camera.zoom = (0.0, 30.0, 40.0), 5 * camera.zoom
    center, zoom = camera.center[-2:], camera.zoom
    session.image, session.handle = image, FakeModel()
    session.maps = latent_maps(session.model, image.frame_for(session.model.preprocessing))
    assert scene.stack_layer is not None
    assert (camera.center[-2:], camera.zoom) == (pytest.approx(center), pytest.approx(zoom))


def test_the_slider_moves_the_latent_and_the_latent_the_slider(viewer, session, scene):
    show(viewer, session, scene)
    viewer.dims.set_point(0, 5)
    assert session.current == session.order.latents[5]
    session.current = int(session.order.latents[40])
    assert round(viewer.dims.point[0]) == 40
    np.testing.assert_array_equal(shown_map(scene), session.maps[session.current])


def test_the_overlay_follows(viewer, session, scene):
    show(viewer, session, scene)
    viewer.dims.set_point(0, 3)
    overlay = viewer.canvas.overlays.text
    assert overlay.visible
    assert f"rank 4 of 64   latent {session.order.latents[3]}" in overlay.text
    session.verdicts = lambda latent: "spurious"
    assert overlay.text.endswith("spurious")


def test_the_prediction_is_always_there(qtbot, viewer, session, scene):
    show(viewer, session, scene)
    overlay = viewer.canvas.overlays[PREDICTION]
    qtbot.waitUntil(lambda: overlay.visible)
    assert "mass 0.269" in overlay.text
    session.image = mammogram(1)
    assert not overlay.visible


def test_reordering_keeps_the_latent_in_view(viewer, session, scene):
    show(viewer, session, scene)
    session.current = int(session.maps.latents[7])
    layer = scene.stack_layer
    session.order = Order.by_score(np.arange(64), "number")
    assert scene.stack_layer is layer
    assert round(viewer.dims.point[0]) == 63 - session.current
    np.testing.assert_array_equal(shown_map(scene), session.maps[session.current])


def test_nothing_of_the_image_before_stays_over_the_next(viewer, session, scene):
    first = show(viewer, session, scene)
    session.pins = (int(session.maps.latents[0]),)
    second = viewer.add_layer(Image(mammogram(1).pixels, name="second"))
    scene.look_at(second)
    session.image = mammogram(1, image_id="second")
    assert not np.asarray(scene.stack_layer.data).any()
    assert not any(layer.data.any() for layer in scene.owned.with_role("pin"))
    assert not viewer.canvas.overlays.text.visible
    assert not first.visible
    roles = [scene.owned.role_of(layer) for layer in viewer.layers]
    assert roles == [None, "mammogram", "latents", "pin"]


def test_the_next_image_s_latents_come_into_the_same_layer_where_it_lies(viewer, session, scene):
    show(viewer, session, scene)
    stack = scene.stack_layer
    stack.opacity = 0.5
    show(viewer, session, scene, mammogram(1, shape=(700, 420), image_id="second"))
    assert scene.stack_layer is stack
    assert stack.opacity == 0.5
    expected = cell_affine(session.maps.frame, session.maps.shape[1:])
    np.testing.assert_allclose(stack.affine.affine_matrix[1:, 1:], expected)


def test_the_stack_follows_scale_and_translation_of_the_image_layer(viewer, session, scene):
    layer = show(viewer, session, scene, scale=(0.07, 0.05), translate=(3, -2), rotate=10)
    cells = cell_affine(session.maps.frame, session.maps.shape[1:])

    def check():
        for cell in ((0, 0), (11, 7), (4, 2)):
            source = (cells @ [*cell, 1])[:2]
            in_stack = scene.stack_layer.data_to_world((0, *cell))[-2:]
            np.testing.assert_allclose(in_stack, layer.data_to_world(source), atol=1e-9)

    check()
    layer.scale, layer.translate = (1, 2), (0, 0)
    check()


def test_boxes_are_drawn_at_their_edges_with_name_and_colour(viewer, session, scene):
    show(viewer, session, scene)
    session.findings = Boxes()
    truth = scene.owned.find("truth")
    np.testing.assert_array_equal(truth.data[0][[0, 2]], [[99.5, 49.5], [199.5, 119.5]])
    assert truth.features["finding"].tolist() == ["mass"]
    assert viewer.layers[-1] is truth
    session.image = mammogram(1, image_id="other")
    assert scene.owned.find("truth") is truth  # empty: removing a layer would take long
    assert len(truth.data) == 0
    session.image = mammogram(0)
    np.testing.assert_array_equal(truth.data[0][[0, 2]], [[99.5, 49.5], [199.5, 119.5]])
    assert truth.features["finding"].tolist() == ["mass"]
    session.blind = True
    assert scene.owned.find("truth") is None


def test_boxes_that_do_not_fit_are_told_and_nothing_breaks(viewer, session):
    told = []

    class Telling:
        def __enter__(self):
            return None

        def __exit__(self, kind, error, trace):
            if error is not None:
                told.append(str(error))
            return True

    scene = Scene(viewer, session, Telling)
    show(viewer, session, scene)
    session.findings = Boxes(error=FindingsError("boxes of another size"))
    assert told == ["boxes of another size"]
    assert scene.stack_layer is not None


def test_renamed_layers_are_still_known(viewer, session, scene):
    show(viewer, session, scene)
    for layer in viewer.layers:
        layer.name = "x"
    session.pins = (int(session.maps.latents[0]),)
    session.current = int(session.maps.latents[4])
    np.testing.assert_array_equal(shown_map(scene), session.maps[session.current])
    assert len(viewer.layers) == 3


def test_a_deleted_stack_can_be_shown_again(viewer, session, scene):
    show(viewer, session, scene)
    viewer.layers.remove(scene.stack_layer)
    assert scene.stack_layer is None
    assert not viewer.canvas.overlays.text.visible
    session.current = int(session.order.latents[9])
    scene.show_stack()
    np.testing.assert_array_equal(shown_map(scene), session.maps[session.current])
    assert viewer.canvas.overlays.text.visible


def test_a_deleted_mammogram_takes_what_was_drawn_over_it_along(qtbot, viewer, session, scene):
    layer = show(viewer, session, scene)
    session.findings, session.pins = Boxes(), (int(session.maps.latents[0]),)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: session.image is None)
    assert session.maps is None
    assert len(viewer.layers) == 0


def test_all_layers_deleted_at_once(qtbot, viewer, session, scene):
    show(viewer, session, scene)
    session.findings, session.pins = Boxes(), tuple(session.maps.latents[:3].tolist())
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    qtbot.waitUntil(lambda: session.image is None)
    assert len(viewer.layers) == 0
    show(viewer, session, scene)
    assert scene.stack_layer is not None


def test_deleting_a_pin_unpins_it(viewer, session, scene):
    show(viewer, session, scene)
    a, b = (int(i) for i in session.maps.latents[:2])
    session.pins = (a, b)
    pin = next(layer for layer in scene.owned.with_role("pin") if scene.owned.facts(layer)["latent"] == a)
    viewer.layers.remove(pin)
    assert session.pins == (b,)
    session.pins = ()
    assert not scene.owned.with_role("pin")


def test_in_3d_the_stack_is_hidden_and_comes_back(viewer, session, scene):
    show(viewer, session, scene)
    viewer.dims.ndisplay = 3
    assert not scene.stack_layer.visible
    viewer.dims.ndisplay = 2
    assert scene.stack_layer.visible
    scene.stack_layer.visible = False
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    assert not scene.stack_layer.visible


def test_the_order_axis_cannot_be_rolled_into_view(viewer, session, scene):
    show(viewer, session, scene)
    assert viewer.dims.rollable == (False, True, True)


def test_contrast_moved_by_hand_stays_while_latents_change(viewer, session, scene):
    show(viewer, session, scene)
    scene.stack_layer.contrast_limits = (0.1, 0.4)
    assert session.contrast == "manual"
    viewer.dims.set_point(0, 6)
    assert tuple(scene.stack_layer.contrast_limits) == (0.1, 0.4)
    session.contrast = "latent"
    assert scene.stack_layer.contrast_limits[1] == pytest.approx(session.maps[session.current].max())


def test_silent_latents_do_not_upset_napari(viewer, session, scene):
    show(viewer, session, scene)
    viewer.dims.set_point(0, 63)
    assert session.maps.row(session.current) is None
    assert tuple(scene.stack_layer.contrast_limits) == (0, 1)


def test_other_layers_with_more_axes_do_not_shift_the_ranks(viewer, session, scene):
    show(viewer, session, scene)
    viewer.add_image(np.zeros((2, 3, 4, 5)), name="video")
    viewer.dims.set_point(1, 2)
    assert session.current == session.order.latents[2]
    session.current = int(session.order.latents[30])
    assert round(viewer.dims.point[1]) == 30


def test_a_model_with_another_number_of_latents_gets_a_new_layer(viewer, session, scene):
    show(viewer, session, scene)
    session.current = 60
    session.handle = FakeModel(n_latents=32, sae_sha256="other")
    session.maps = latent_maps(session.model, session.image.frame_for(session.model.preprocessing))
    assert scene.stack_layer.data.shape[0] == 32
    assert len(scene.owned.with_role("latents")) == 1
    assert session.current == session.order.latents[0]


def test_all_that_lies_over_a_deleted_mammogram_is_hidden_before_any_of_it_is_removed(viewer, session, scene, qtbot):
    layer = show(viewer, session, scene)
    session.pins = [int(latent) for latent in session.maps.latents[:2]]
    seen = []
    viewer.layers.events.removing.connect(lambda event: seen.append([one.visible for one in scene.owned.drawn]))
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not viewer.layers)
    assert len(seen) > 1
    assert not any(map(any, seen[1:]))


def test_unloading_takes_the_stack_away(viewer, session, scene):
    show(viewer, session, scene)
    session.handle = None
    assert scene.stack_layer is None
    assert len(viewer.layers) == 1


def test_a_scene_does_not_keep_its_viewer_alive(qapp):
    viewer = ViewerModel()
    scene = Scene(viewer, Session())
    show(viewer, scene.session, scene)
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None
    assert scene.viewer is None


def test_the_colourbar_has_a_box_only_where_an_image_lies_behind(viewer, session, scene, qtbot):
    layer = show(viewer, session, scene)
    qtbot.waitUntil(lambda: scene.stack_layer.colorbar.visible)
    rows, cols = layer.data.shape
    camera, (height, width) = viewer.scene.camera, viewer.canvas.size
    camera.center, camera.zoom = (0.0, rows / 2, cols / 2), 0.5 * (width - 300) / cols
    assert not scene.stack_layer.colorbar.box
    camera.zoom = 2 * max(height / rows, width / cols)
    assert scene.stack_layer.colorbar.box
    camera.center = (0.0, rows / 2, cols / 2 - width / camera.zoom * 2)  # the image lies far to the right
    assert not scene.stack_layer.colorbar.box


def test_every_map_that_is_shown_has_its_colour_bar_in_a_place_of_its_own(viewer, session, scene, qtbot):
    show(viewer, session, scene)
    live = [int(latent) for latent in session.maps.latents[:3]]
    session.pins = live
    logits = pin_layer(session.maps[live[0]], live[0], 0)
    scene.owned.add(logits, "logit map")
    pins = scene.owned.with_role("pin")
    maps = [scene.stack_layer, logits, *pins]

    def shown():
        return [layer.colorbar.position if layer.visible and layer.colorbar.visible else None for layer in maps]

    two = ["bottom_left", "bottom_left", None]  # a third one would lie over the breast
    qtbot.waitUntil(lambda: shown() == ["top_left", "middle_left", *two])
    pins[0].visible = False
    qtbot.waitUntil(lambda: shown() == ["top_left", "middle_left", *reversed(two)])
