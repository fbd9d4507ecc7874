"""Each of napari's actions on each of the plugin's layers, then the next image: whose a layer is never changes."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from napari._app_model import get_app_model
from napari._app_model.actions._layerlist_context_actions import LAYERLIST_CONTEXT_ACTIONS
from napari.components import ViewerModel
from napari.experimental import link_layers
from napari.layers import Image, Labels, Points
from napari.plugins.io import read_data_with_plugins
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication

import fakes
from napari_mammosae.core.annotations.box_edits import nothing_annotated, with_boxes
from napari_mammosae.viewer.canvas.layers import mammogram_options, tags
from napari_mammosae.viewer.canvas.notes import notes_on
from napari_mammosae.viewer.docks import ModelDock
from napari_mammosae.viewer.workspace import workspace_of

SHAPES = {"first": (500, 400), "second": (460, 420)}
BOXES = {"first": [(60, 50, 120, 110)], "second": [(200, 30, 260, 90), (300, 40, 340, 80)]}
ROLES = ("mammogram", "latents", "pin", "truth", "found", "heatmap", "logit map", "region")
ACTIONS = {action.id.removeprefix("napari.layer."): action for action in LAYERLIST_CONTEXT_ACTIONS}
IMAGES = ("mammogram", "latents", "pin", "heatmap", "logit map")
TAKING = {"split_stack", "split_rgb", "merge_stack", "merge_rgb"}  # napari takes the layer out of the list
CASES = [
    *(("computed", role) for role in ROLES),
    *(("editing", role) for role in ("mammogram", "truth", "region")),
    *(("comparing", role) for role in ("latents", "comparison")),
]

pytestmark = pytest.mark.filterwarnings("ignore:projection mode:UserWarning")  # napari's own, at its conversions


class Desk:
    """A viewer without a window, with all that the plugin draws over one of two images, and layers of the user's."""

    def __init__(self, viewer) -> None:
        self.viewer = viewer
        self.work = workspace_of(self.viewer)
        self.session, self.owned = self.work.session, self.work.scene.owned
        self.images = {name: fakes.mammogram(i, shape, image_id=name) for i, (name, shape) in enumerate(SHAPES.items())}
        self.viewer.add_layer(Points(np.array([[10.0, 20], [30, 40]]), name="marks"))
        self.viewer.add_layer(Labels(np.ones((40, 30), int), name="painted"))
        self.work.images.take_model(self.work.images.choice, fakes.FakeModel())
        findings = nothing_annotated()
        for name, shape in SHAPES.items():
            table = pd.DataFrame(BOXES[name], columns=["row_min", "col_min", "row_max", "col_max"], dtype=float)
            findings, _ = with_boxes(findings, name, shape, table.assign(finding="mass"))
        self.session.findings = findings
        self.work.intervention.map_kind = "difference"
        self.work.localizer.together = replace(self.work.localizer.together, source="pins")

    def show(self, name: str) -> None:
        """Go on as the browser of a run does: into the layer of the image before, or into a new one."""
        image, layer = self.images[name], self.owned.find("mammogram")
        if layer is None:
            layer = self.viewer.add_layer(Image(image.displayed(), **mammogram_options(image)))
            self.work.images.use_layer(layer)
            return
        self.work.scene.put(layer, image.displayed(), mammogram_options(image))
        self.session.image = image

    def compute(self) -> None:
        session, image = self.session, self.session.image
        frame = image.frame_for(session.model.preprocessing)
        session.maps = fakes.latent_maps(session.model, frame, seed=len(image.image_id))
        if not session.pins:
            session.pins = tuple(int(latent) for latent in session.maps.latents[-2:])
        self.work.intervention.change(source="image", k=5)
        self.work.localizer.update()

    def draw_region(self) -> None:
        self.work.query.draw("rectangle")
        self.owned.find("region").add_rectangles(np.array([[50.0, 50], [50, 150], [200, 150], [200, 50]]))
        settle()

    def copy_of(self, layer):
        """Duplicate a layer as the menu does."""
        assert self.apply(ACTIONS["duplicate"], layer)
        return self.viewer.layers[self.viewer.layers.index(layer) + 1]

    def users(self) -> list[object]:
        return [layer for layer in self.viewer.layers if self.owned.role_of(layer) is None]

    def apply(self, action, *layers) -> bool:
        """Do what a menu does with the selected layers; False where napari offers it not."""
        chosen = self.viewer.layers
        chosen.selection.active = layers[-1]
        chosen.selection = set(layers)
        context = {key: value() if callable(value) else value for key, value in dict(chosen._ctx).items()}
        if action.enablement is not None and not action.enablement.eval(context):
            return False
        action.callback(chosen)
        settle()
        return True

    def check_ours(self) -> None:
        """What the plugin draws belongs to the image looked at."""
        image, maps, owned = self.session.image, self.session.maps, self.owned
        assert all(tags(layer)["drawn_over"] == image.image_id for layer in owned.drawn)
        for stack in owned.with_role("latents"):
            wanted = 0 if maps is None else maps[self.session.order.latents[3]]
            assert np.array_equal(stack.data[3], np.broadcast_to(wanted, stack.data.shape[1:]))
        for pin in owned.with_role("pin"):
            wanted = 0 if maps is None else maps[owned.facts(pin)["latent"]]
            assert np.array_equal(pin.data, np.broadcast_to(wanted, pin.data.shape))
        for truth in owned.with_role("truth"):
            corners = np.array([[box.min(axis=0), box.max(axis=0)] for box in truth.data]).reshape(-1, 4)
            assert np.allclose(corners + 0.5, BOXES[image.image_id])
        if maps is None:
            assert not owned.with_role("heatmap", "logit map")
            assert all(found.nshapes == 0 for found in owned.with_role("found"))
        assert not owned.with_role("region") or self.session.image is self.images["first"]

    def check_blank(self) -> None:
        """Nothing of an image before is drawn."""
        assert not any(np.asarray(layer.data).any() for layer in self.owned.with_role("latents", "pin"))
        assert not self.owned.with_role("heatmap", "logit map", "region")
        assert not any(layer.nshapes for layer in self.owned.with_role("truth", "found"))


def settle() -> None:
    """Let what was put off be done."""
    for _ in range(3):
        QApplication.processEvents()


def content(layer, *, visible: bool) -> tuple[object, ...]:
    """What a user would miss if it changed."""
    data = [np.array(part) for part in layer.data] if isinstance(layer.data, list) else [np.array(layer.data)]
    place = np.asarray(layer.affine.affine_matrix).tobytes(), tuple(layer.scale), tuple(layer.translate)
    return (
        [(part.shape, part.dtype.str, part.tobytes()) for part in data],
        layer.name, layer.visible and visible, layer.opacity, place, str(layer.units), list(layer.metadata),
        str(getattr(layer, "contrast_limits", "")),
    )  # fmt: skip


def next_image(desk: Desk) -> None:
    """The second image, then its latents: the user's layers stay, ours are true."""
    seen = not desk.work.side_by_side.shown  # which hides all else, and shows it again
    before = {layer: content(layer, visible=seen) for layer in desk.users()}
    desk.show("second")
    for step in (settle, desk.check_ours, desk.compute, settle, desk.check_ours):
        step()
    assert desk.session.image is desk.images["second"]
    after = desk.users()
    assert [layer for layer in before if layer not in after] == []
    assert [layer.name for layer in before if content(layer, visible=seen) != before[layer]] == []


@pytest.fixture
def desk(qapp):
    desk = Desk(ViewerModel())
    desk.show("first")
    yield desk
    desk.work.close()


def enter(desk: Desk, state: str) -> None:
    if state == "blank":
        return
    desk.compute()
    desk.draw_region()
    if state == "editing":
        desk.work.editor.start()
    if state == "comparing":
        desk.work.side_by_side.show()
    settle()


def test_all_of_our_layers_are_there(desk):
    enter(desk, "computed")
    assert {desk.owned.role_of(layer) for layer in desk.viewer.layers} == {None, *ROLES}


@pytest.mark.parametrize(("state", "role"), CASES)
def test_actions_that_keep_the_layer(desk, state, role):
    """Duplicates, projections, conversions, visibility, locks, overlays: one after the other, then the next image."""
    enter(desk, state)
    names = ACTIONS.keys() - TAKING - ({"convert_to_labels"} if role == "mammogram" else set())
    done = {name for name in sorted(names) if desk.apply(ACTIONS[name], desk.owned.find(role))}
    assert {"duplicate", "toggle_visibility", "toggle_lock"} <= done
    next_image(desk)


TAKEN = [("mammogram", "convert_to_labels"), ("latents", "split_stack"), *((role, "merge_stack") for role in IMAGES)]


@pytest.mark.parametrize(("role", "action"), TAKEN)
def test_actions_that_take_the_layer(desk, role, action):
    enter(desk, "computed")
    layer = desk.owned.find(role)
    chosen = [layer] if action != "merge_stack" else [layer, desk.copy_of(layer)]
    assert desk.apply(ACTIONS[action], *chosen)
    assert layer not in desk.viewer.layers
    next_image(desk)


@pytest.mark.parametrize(("state", "role"), [*CASES[: len(ROLES)], ("editing", "truth"), ("editing", "mammogram")])
def test_deleted_by_the_user(desk, state, role):
    enter(desk, state)
    desk.viewer.layers.selection.active = desk.owned.find(role)
    desk.viewer.layers.remove_selected()
    settle()
    next_image(desk)


def test_put_back_by_the_user(desk):
    """What left the list and comes back is the user's, whatever it was."""
    enter(desk, "computed")
    taken = [layer for layer in desk.viewer.layers if desk.owned.role_of(layer)]
    for layer in taken:
        desk.viewer.layers.remove(layer)
    settle()
    desk.show("first")
    for layer in taken:
        desk.viewer.add_layer(layer)
        assert desk.owned.role_of(layer) is None
    next_image(desk)


@pytest.mark.parametrize("role", ["mammogram", "latents", "truth"])
def test_linked_to_a_copy(desk, role):
    """A step of the slider, another place of the mammogram: none of it reaches a copy that was linked."""
    enter(desk, "computed")
    layer = desk.owned.find(role)
    copy = desk.copy_of(layer)
    before = content(copy, visible=True)
    assert desk.apply(ACTIONS["link_selected_layers"], layer, copy)
    desk.session.current = int(desk.session.maps.latents[0])
    desk.owned.find("mammogram").scale = (0.5, 0.5)
    assert (content(copy, visible=True) == before) == (role != "mammogram")  # which is the user's to link
    assert desk.apply(ACTIONS["unlink_selected_layers"], layer, copy) == (role == "mammogram")
    next_image(desk)


def test_all_linked(desk):
    enter(desk, "computed")
    assert desk.apply(ACTIONS["link_selected_layers"], *desk.viewer.layers)
    next_image(desk)


def test_linked_without_the_menu(desk):
    enter(desk, "computed")
    copy = desk.copy_of(desk.owned.find("latents"))
    link_layers([desk.owned.find("latents"), copy])
    next_image(desk)


def test_a_renamed_copy_of_the_boxes_keeps_a_box_drawn_into_it(desk):
    enter(desk, "computed")
    copy = desk.copy_of(desk.owned.find("truth"))
    copy.name, copy.editable = "my boxes", True
    copy.add_rectangles(np.array([[10.0, 10], [10, 90], [80, 90], [80, 10]]))
    for name in ("second", "first", "second"):
        desk.show(name)
        settle()
    assert copy in desk.viewer.layers
    assert len(copy.data) == 2
    assert copy.name == "my boxes"


def test_renamed_and_reordered(desk):
    enter(desk, "computed")
    roles = {layer: desk.owned.role_of(layer) for layer in desk.viewer.layers}
    for layer, role in roles.items():
        layer.name = "ground truth" if role is None else "SAE latents"
    for layer in roles:
        desk.viewer.layers.move(desk.viewer.layers.index(layer), 0)
    assert {layer: desk.owned.role_of(layer) for layer in desk.viewer.layers} == roles
    next_image(desk)


def test_saved_is_what_is_shown(desk, tmp_path):
    enter(desk, "computed")
    for role in ROLES:
        layer = desk.owned.find(role)
        (path,) = layer.save(str(tmp_path / (f"{role}.tif" if role in IMAGES else f"{role}.csv")))
        ((data, *_),) = read_data_with_plugins([path], stack=False)[0]
        assert all(np.allclose(a, b) for a, b in zip(data, layer.data, strict=True))
    next_image(desk)


# What the canvas shows and the model does not see


def notes(desk) -> str:
    return "\n".join(notes_on(desk.work.scene))


@pytest.mark.parametrize("role", ["latents", "pin", "heatmap", "truth", "mammogram"])
def test_a_copy_over_the_next_image_is_named(desk, role):
    enter(desk, "computed")
    desk.owned.find("latents").visible = True  # beside the heatmap
    copy = desk.copy_of(desk.owned.find(role))
    name = copy.name
    assert notes(desk) == ""
    desk.show("second")
    assert notes(desk) == f"{name} belongs to first, not to second."
    copy.visible = False
    assert notes(desk) == ""


def test_a_projection_is_no_mammogram(desk):
    enter(desk, "computed")
    desk.owned.find("latents").visible = True
    assert desk.apply(ACTIONS["project_max"], desk.owned.find("latents"))
    projection = desk.viewer.layers[-1]
    assert projection not in desk.work.images.candidates()
    desk.show("second")
    assert notes(desk).startswith(f"{projection.name} belongs to first")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": (2.0, 2.0)}, ""),
        ({"scale": (0.1, 0.1), "units": ("mm", "mm"), "translate": (5.0, -3.0)}, ""),
        ({"scale": (2.0, 1.0)}, "stretched"),
        ({"scale": (-1.0, 1.0)}, "mirrored"),
        ({"rotate": 30}, "turned"),
        ({"shear": [0.5]}, "stretched"),
    ],
)
def test_the_mammogram_moved(desk, change, said):
    enter(desk, "computed")
    layer = desk.owned.find("mammogram")
    for name, value in change.items():
        setattr(layer, name, value)
    assert said in notes(desk)
    assert bool(notes(desk)) == bool(said)
    assert all(over.units[-2:] == layer.units for over in desk.owned.drawn)
    assert desk.viewer.layers.get_extent([layer, *desk.owned.drawn]).units is not None
    truth = desk.owned.find("truth")
    assert np.allclose(truth.data_to_world((59.5, 49.5)), layer.data_to_world((59.5, 49.5)))
    next_image(desk)


@pytest.mark.parametrize(
    ("order", "ndisplay", "said"),
    [((0, 2, 1), 2, "swapped"), ((2, 0, 1), 2, "other axes"), ((1, 2, 0), 2, "other axes"), ((0, 1, 2), 3, "3-D")],
)
def test_axes_in_another_order(desk, order, ndisplay, said):
    enter(desk, "computed")
    desk.work.localizer.together = replace(desk.work.localizer.together, source="current")
    desk.work.localizer.update()
    desk.viewer.dims.ndisplay, desk.viewer.dims.order = ndisplay, order
    assert said in notes(desk)
    next_image(desk)
    desk.viewer.dims.ndisplay, desk.viewer.dims.order = 2, (0, 1, 2)
    assert notes(desk) == ""
    assert desk.owned.find("latents").visible


def test_units_that_the_user_set_for_all_layers(desk):
    desk.viewer.layers.units = ("pixel", "pixel")
    enter(desk, "computed")
    next_image(desk)


# Other data in the mammogram's layer


def wait(desk) -> None:
    end = time.monotonic() + 20
    while desk.work.jobs.busy:
        QApplication.processEvents()
        assert time.monotonic() < end


def test_other_pixels_are_another_image(desk):
    enter(desk, "computed")
    layer = desk.owned.find("mammogram")
    changed = fakes.phantom(7, SHAPES["first"])
    layer.data = changed
    assert desk.session.maps is None
    wait(desk)
    assert desk.session.image.image_id == "first (changed)"
    assert np.array_equal(desk.session.image.pixels, changed)
    desk.check_blank()
    layer.data = fakes.phantom(8, SHAPES["second"])
    wait(desk)
    assert desk.session.image.image_id == "first (changed)"
    assert desk.session.image.shape == SHAPES["second"]
    next_image(desk)


def test_pixels_changed_in_place_are_read_when_the_latents_are_computed(desk):
    layer = desk.owned.find("mammogram")
    layer.data = layer.data.copy()
    assert desk.session.image is desk.images["first"]
    layer.data[100:200] //= 2
    desk.work.images.compute()
    wait(desk)
    assert np.array_equal(desk.session.image.pixels, layer.data)
    assert desk.session.image.image_id == "first (changed)"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda a: a[None], "has 3 axes (1 x 500 x 400), a mammogram has 2. Compute latents takes the slice shown"),
        (lambda a: a[..., None], "has 3 axes (500 x 400 x 1), a mammogram has 2. Remove its last axis."),
        (lambda a: np.stack([a, a]), "has 3 axes (2 x 500 x 400), a mammogram has 2. Compute latents takes the slice"),
        (lambda a: a > 9000, "values of type bool"),
        (lambda a: np.where(a > 20000, np.nan, a), "not finite"),
        (lambda a: np.zeros_like(a), "every pixel has the value 0"),
    ],
    ids=["1HW", "HW1", "2HW", "bool", "NaN", "constant"],
)
def test_data_that_cannot_be_a_mammogram(desk, data, said):
    """The same words whether they replace the mammogram's or come with a layer of their own."""
    enter(desk, "computed")
    layer = desk.owned.find("mammogram")
    layer.data = data(fakes.phantom(7))
    wait(desk)
    assert desk.session.image is None
    text, is_error = desk.work.status.last_told
    assert said in text
    assert is_error
    desk.check_blank()
    desk.work.images.compute()
    wait(desk)
    if "slice" in text:
        assert desk.session.image.image_id == "first 1"
        assert desk.session.maps is not None
    else:
        assert desk.session.maps is None
        assert desk.work.status.last_told[1]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64", ">u2"])
def test_data_of_other_types_are_computed_as_they_are_shown(desk, dtype):
    layer = desk.owned.find("mammogram")
    layer.data = (fakes.phantom(7) // 257).astype(dtype)
    wait(desk)
    assert np.array_equal(desk.session.image.pixels, layer.data)


@pytest.mark.parametrize("shape", [(1, 60, 40), (60, 40, 1), (2, 60, 40)])
def test_a_layer_with_more_axes_is_named(qapp, shape):
    viewer = ViewerModel()
    work = workspace_of(viewer)
    viewer.add_image(np.random.default_rng(0).random(shape), name="scan")
    assert work.scene.image_layer is None
    assert notes_on(work.scene)[0].startswith(f"scan has 3 axes ({' x '.join(map(str, shape))}), a mammogram has 2.")
    work.close()


@pytest.mark.slow
@pytest.mark.opengl
def test_in_a_real_window(viewer, qtbot):
    """napari's own commands, the units of the image, the next image: nothing is warned of, and the dock says it."""
    dock = ModelDock(viewer)
    viewer.window.add_dock_widget(dock, name="Model & image")
    desk = Desk(viewer)
    viewer.layers.clear()  # the user's marks lie in pixels, and would not fit millimetres
    desk.show("first")
    enter(desk, "computed")
    commands = get_app_model().commands
    notification_manager.records.clear()
    mammogram = desk.owned.find("mammogram")
    mammogram.units, mammogram.scale = ("mm", "mm"), (0.1, 0.1)
    desk.owned.find("latents").visible = True
    for role in ("latents", "truth", "pin", "region"):
        viewer.layers.selection.active = desk.owned.find(role)
        commands.execute_command("napari.layer.duplicate").result()
    viewer.layers.selection.active = desk.owned.find("latents")
    commands.execute_command("napari.layer.project_max").result()
    settle()
    viewer.screenshot(flash=False)
    assert dock.image.notes.text == ""
    next_image(desk)
    viewer.screenshot(flash=False)
    assert dock.image.notes.text.endswith(" and 2 more belong to first, not to second.")
    assert [str(record) for record in notification_manager.records] == []
