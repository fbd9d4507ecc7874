"""Texts on the canvas stand over the air, colour scales on the side of the chest wall, and neither on the other."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from fakes import INPUT, FakeModel, latent_maps
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.viewer.app.session import Session
from napari_mammosae.viewer.canvas import sides
from napari_mammosae.viewer.canvas.scene import Scene
from napari_mammosae.viewer.canvas.sides import air_side, keep_inside, put_texts
from napari_mammosae.viewer.canvas.texts import PREDICTION, write_latent, write_prediction


def half(side, low=0, high=1000, dtype=np.uint16, shape=INPUT):
    """An image with its breast on one side."""
    pixels = np.full(shape, low, dtype)
    middle = shape[1] // 2
    pixels[:, :middle] = high if side == "left" else low
    pixels[:, middle:] = high if side == "right" else low
    return pixels


@pytest.mark.parametrize(
    ("layer", "laterality", "expected"),
    [
        (Image(half("left")), None, "right"),
        (Image(half("right")), None, "left"),
        (Image(half("left", -3.0, 0.0, np.float32)), None, "right"),
        (Image(half("right")), "L", "left"),  # what is seen counts, as in an image that was turned over
        (Image(half("none")), "L", "right"),
        (Image(half("none")), "R", "left"),
        (Image(half("none")), None, "left"),
        (Image(half("left"), scale=(1, -1)), None, "left"),
        (Image(half("none"), scale=(1, -1)), "L", "left"),
        (Image([half("left"), half("left")[::2, ::2]], multiscale=True), None, "right"),
        (Image(np.repeat(half("left", dtype=np.uint8, high=200)[..., None], 3, axis=2), rgb=True), None, "right"),
        (Image(np.where(half("left", dtype=np.float32) > 0, np.nan, 1.0)), None, "left"),
        (Image(half("none", shape=(8, 1))), None, "left"),
    ],
)
def test_air_is_where_the_image_is_darker_as_it_is_shown(layer, laterality, expected):
    assert air_side(layer, laterality) == expected


@pytest.fixture
def scene(qapp):
    viewer = ViewerModel()
    scene = Scene(viewer, Session())
    scene.viewer_kept = viewer
    yield scene
    scene.cleanup()


def look_at(scene, side):
    image = read_mammogram(half(side), image_id=side)
    layer = scene.viewer.add_layer(Image(image.pixels, name=side))
    scene.look_at(layer)
    scene.session.image = image
    scene.session.handle = scene.session.handle or FakeModel()
    scene.session.maps = latent_maps(scene.session.model, image.frame_for(scene.session.model.preprocessing))
    return layer


@pytest.mark.parametrize(("breast", "air"), [("left", "right"), ("right", "left")])
def test_texts_and_colour_scales_stand_on_sides_of_their_own(scene, qtbot, breast, air):
    viewer, overlays = scene.viewer, scene.viewer.canvas.overlays
    look_at(scene, air)  # another image first
    look_at(scene, breast)
    qtbot.waitUntil(lambda: PREDICTION in overlays and overlays[PREDICTION].visible)
    qtbot.waitUntil(lambda: scene.stack_layer.colorbar.position == f"top_{breast}")
    assert overlays.text.visible
    assert (overlays.text.position, overlays[PREDICTION].position) == (f"top_{air}", f"bottom_{air}")
    assert getattr(viewer.canvas.overlay_tiling, f"top_{air}") == "vertical"  # two texts lie below each other
    scene.image_layer.scale = (1, -1)
    assert (overlays.text.position, overlays[PREDICTION].position) == (f"top_{breast}", f"bottom_{breast}")


def test_a_text_has_a_box_only_while_a_layer_reaches_below_it(scene):
    look_at(scene, "left")
    viewer, camera = scene.viewer, scene.viewer.scene.camera
    text, (rows, cols) = viewer.canvas.overlays.text, INPUT
    camera.center = (0.0, rows / 2, cols / 2)
    camera.zoom = 0.5 * min(np.array(viewer.canvas.size) / INPUT)
    assert not text.box
    camera.zoom *= 8
    assert text.box
    write_latent(viewer, "")
    assert not text.box
    write_prediction(viewer, scene.session)
    assert viewer.canvas.overlays[PREDICTION].box


LONG = "a verdict that three readers gave, each with a reason of several words, and a note"


@pytest.mark.parametrize("breast", ["left", "right"])
@pytest.mark.parametrize("columns", [500, 900], ids=["narrow", "wide"])
def test_long_lines_keep_clear_of_the_image(scene, breast, columns):
    viewer, session = scene.viewer, scene.session
    viewer.canvas.size = (600, columns)
    look_at(scene, breast)
    rows, cols = INPUT
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, (rows - 1) / 2, (cols - 1) / 2), 0.8 * 600 / rows
    session.verdicts = lambda latent: LONG
    scene.write_texts()
    top, beside = np.array((300, columns / 2)) - viewer.scene.camera.zoom * np.array(INPUT) / 2  # it is in the middle
    text = viewer.canvas.overlays.text.text
    first, *others = text.split("\n")
    assert first == f"rank 1 of 64   latent {session.current}"  # above the image nothing is broken
    low = [line for at, line in enumerate(others, start=2) if 10 + 18 * at > top]
    room = beside if beside > 8 * 18 else columns  # next to no room: as few lines as can be
    assert max(map(len, low)) * 7 <= room
    assert LONG[:40] in " ".join(low)
    viewer.scene.camera.zoom *= 3
    scene.write_texts()
    assert viewer.canvas.overlays.text.text == text  # nothing moves with the camera
    viewer.canvas.grid.enabled = True  # an image to a cell: beside it there is another
    assert LONG in viewer.canvas.overlays.text.text.split("\n")


def test_in_a_narrow_canvas_no_line_is_longer_than_it_is_wide(scene):
    viewer = scene.viewer
    viewer.canvas.size = (400, 330)  # beside the image there is next to no room
    look_at(scene, "left")
    scene.write_texts()
    prediction = viewer.canvas.overlays[PREDICTION].text.split("\n")
    latent = viewer.canvas.overlays.text.text.split("\n")
    assert max(map(len, (*prediction, *latent))) * 7 < 330
    assert next(line for line in prediction if "calcification" in line).endswith("),")  # broken between the numbers
    assert len(latent) <= 4  # as few as can be
    edited = keep_inside(
        viewer, "bottom", "Predictions shown are edited: without 5 spurious latents (replace)\nmass 0.5"
    )
    assert edited.count("\n") == 2
    assert max(map(len, edited.split("\n"))) * 7 < 330


@pytest.mark.parametrize(
    ("cell", "covered"), [(None, False), (0, False), (1, True)], ids=["empty grid", "first cell", "second cell"]
)
def test_in_a_grid_a_text_has_a_box_where_a_layer_of_its_cell_lies_below(qapp, cell, covered):
    viewer = ViewerModel()
    viewer.canvas.size = (600, 800)
    for at in range(2):
        # both are centred in their cells of 400 columns; one fills it, the other leaves the corners free
        viewer.add_image(
            np.zeros((1200, 800) if at == cell else (20, 20)), translate=(0, 0) if at == cell else (590, 390)
        )
    viewer.canvas.grid.stride, viewer.canvas.grid.enabled = -1, True
    viewer.layers.reverse()
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, 600.0, 400.0), 0.5
    put_texts(viewer, "right")
    write_latent(viewer, "over air")
    assert viewer.canvas.overlays.text.box == covered
    viewer.canvas.grid.enabled = False
    write_latent(viewer, "over all of them")
    assert not viewer.canvas.overlays.text.box


@pytest.mark.parametrize(
    ("line", "letters", "expected"),
    [
        ("rank 5", 10, ["rank 5"]),
        ("rank 1,205 of 2,048   latent 140", 27, ["rank 1,205 of 2,048", "latent 140"]),
        ("mass 0.712 (1.2, without 0.3)", 20, ["mass 0.712 (1.2,", "without 0.3)"]),
        ("difference for mass of one image", 14, ["difference for", "mass of one", "image"]),
    ],
)
def test_lines_break_where_their_parts_end(line, letters, expected):
    assert sides._break(line, letters) == expected
