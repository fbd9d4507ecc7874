"""Several latents as one heatmap in the *Localise* dock, without a window."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

import fakes
from intervene_kit import TailModel
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.combination import CombinedMap, combine_maps
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import LocalizeDock
from napari_mammosae.viewer.localization.found_boxes import MOST
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

SHAPE, GRID = (384, 256), (12, 8)
LEFT, RIGHT, WIDE, SILENT = 3, 5, 7, 9


def maps(model):
    """Latent 3 in one corner, 5 weaker in another, 7 everywhere; 9 is silent."""
    values = np.zeros((3, *GRID), np.float32)
    values[0, 1:3, 1:3] = 4.0
    values[1, 8:10, 5:7] = [[1, 1], [1, 0.9]]
    values[2] = 0.2
    return fakes.maps_of(model, np.array([LEFT, RIGHT, WIDE], np.int32), values)


@pytest.fixture
def model():
    model = TailModel(preprocessing=Preprocessing(size=SHAPE))
    model.facts.attribution[0, [LEFT, RIGHT, WIDE]] = -2.0, 1.0, 0.1
    return model


@pytest.fixture
def dock(qtbot, qapp, tmp_path, model):
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax\ncase,mass,160,256,224,320\n")
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    workspace.viewer_for_test = viewer  # a scene holds its viewer weakly
    workspace.images.use_layer(viewer.add_layer(layers.mammogram_layer(fakes.mammogram(1, SHAPE, image_id="case"))))
    workspace.session.handle = model
    workspace.session.maps = maps(model)
    workspace.session.current = WIDE
    workspace.session.findings = read_findings(path)
    dock = LocalizeDock(viewer)
    qtbot.addWidget(dock)
    settled(qtbot, dock)
    yield dock
    dock.cleanup()
    settled(qtbot, dock)
    workspace.close()


def settled(qtbot, dock):
    one = dock.localizer
    qtbot.waitUntil(
        lambda: not one.outline.jobs.busy and not is_due(one._later) and not one.combining.busy, timeout=10_000
    )


def choose(qtbot, dock, source, how=None):
    part = dock.choice.together
    for box, key in ((part.source_box, source), (part.how_box, how)):
        if key is not None:
            box.setCurrentIndex(box.findData(key))
            box.activated.emit(box.currentIndex())
    settled(qtbot, dock)


def found(dock):
    return dock.localizer.current.boxes.regions.boxes.tolist()


def layer(dock, role):
    return dock.workspace.scene.owned.find(role)


def test_pinned_latents_in_every_way(qtbot, dock, model):
    dock.workspace.session.pins = (LEFT, RIGHT)
    stack = np.stack([maps(model)[LEFT], maps(model)[RIGHT]])
    weights = model.facts.attribution[0, [LEFT, RIGHT]]
    for how in ("maximum", "union", "logit"):
        choose(qtbot, dock, "pins", how)
        expected = CombinedMap.of(stack, SHAPE, how, weights).regions("quantile:0.95")
        assert found(dock) == expected.boxes.tolist()
        assert layer(dock, "found").nshapes >= len(expected)
    assert "What supports mass in the weighted sum of 2 latents: 3, 5." in dock.boxes.note.text()


@pytest.mark.parametrize("how", ["maximum", "union"])
def test_the_threshold_moves_live(qtbot, dock, how):
    dock.workspace.session.pins = (LEFT, RIGHT)
    choose(qtbot, dock, "pins", how)
    at = dock.choice.kind_box.findData("relative")
    dock.choice.kind_box.setCurrentIndex(at)
    dock.choice.kind_box.activated.emit(at)
    seen = set()
    for step in (100, 600):
        dock.choice.slider.setValue(step)
        settled(qtbot, dock)
        stack = np.stack([dock.workspace.session.maps[i] for i in (LEFT, RIGHT)])
        assert found(dock) == CombinedMap.of(stack, SHAPE, how).regions(f"relative:{step / 1000}").boxes.tolist()
        seen.add(str(found(dock)))
    assert len(seen) == 2


def test_measures_of_a_class_map_are_those_of_its_positive_part(qtbot, dock, model):
    dock.workspace.session.pins = (LEFT, RIGHT)
    choose(qtbot, dock, "pins", "logit")
    cells = combine_maps(
        np.stack([maps(model)[LEFT], maps(model)[RIGHT]]), "logit", model.facts.attribution[0, [LEFT, RIGHT]]
    )
    positive = np.maximum(cells, 0)
    energy = positive[8:10, 5:7].sum() / positive.sum()
    assert energy == 1.0
    assert dock.boxes.values["energy"].text() == "1.00"
    assert dock.boxes.values["pointing"].text() == "1.00"
    np.testing.assert_array_equal(layer(dock, "heatmap").data, positive)


def test_the_heatmap_takes_the_place_of_the_stack_and_gives_it_back(qtbot, dock):
    stack = dock.workspace.scene.stack_layer
    dock.workspace.session.pins = (LEFT, RIGHT)
    choose(qtbot, dock, "pins", "maximum")
    heatmap = layer(dock, "heatmap")
    assert heatmap.name == "maximum of 2 latents"
    assert not stack.visible
    np.testing.assert_allclose(heatmap.affine.affine_matrix, layer(dock, "pin").affine.affine_matrix)
    choose(qtbot, dock, "current")
    assert layer(dock, "heatmap") is None
    assert stack.visible
    assert found(dock) == find_regions(dock.workspace.session.maps[WIDE], SHAPE).boxes.tolist()


def test_hiding_what_lies_over_the_image_leaves_the_stack_hidden(qtbot, dock):
    dock.workspace.session.pins = (LEFT, RIGHT)
    choose(qtbot, dock, "pins", "maximum")
    dock.workspace.actions.toggle_overlays()
    assert not layer(dock, "heatmap").visible
    dock.workspace.actions.toggle_overlays()
    assert layer(dock, "heatmap").visible
    assert not dock.workspace.scene.stack_layer.visible


def test_deleting_the_heatmap_goes_back_to_the_current_latent(qtbot, dock):
    dock.workspace.session.pins = (LEFT, RIGHT)
    choose(qtbot, dock, "pins", "maximum")
    dock.workspace.scene.viewer.layers.remove(layer(dock, "heatmap"))
    settled(qtbot, dock)
    assert dock.choice.together.source_box.currentData() == "current"
    assert dock.workspace.scene.stack_layer.visible
    assert layer(dock, "heatmap") is None


def test_closing_the_dock_keeps_the_heatmap_and_the_current_latent_brings_the_stack_back(qtbot, dock):
    dock.workspace.session.pins = (LEFT,)
    choose(qtbot, dock, "pins", "union")
    dock.cleanup()
    assert layer(dock, "heatmap") is not None
    assert not dock.workspace.scene.stack_layer.visible
    choose(qtbot, dock, "current")
    assert layer(dock, "heatmap") is None
    assert dock.workspace.scene.stack_layer.visible


def test_the_first_of_the_stack_follow_order_and_number(qtbot, dock):
    part, session = dock.choice.together, dock.workspace.session
    choose(qtbot, dock, "first", "maximum")
    assert part.count_box.isVisibleTo(dock)
    part.count_box.setValue(2)
    settled(qtbot, dock)
    assert dock.localizer.several.latents == tuple(session.order.latents[:2].tolist())
    session.order = type(session.order).by_score(np.arange(64.0), "number")
    settled(qtbot, dock)
    assert dock.localizer.several.latents == (63, 62)
    assert dock.localizer.several.live == ()
    assert "None of these latents fires on this image: no boxes." in dock.boxes.note.text()
    assert "2 silent here" in dock.boxes.note.text()
    assert "nan" not in " ".join(label.text() for label in dock.boxes.values.values())


def test_latents_of_a_verdict_follow_what_is_judged(qtbot, dock, monkeypatch):
    mine = {LEFT: SimpleNamespace(verdict="lesion")}
    monkeypatch.setattr(type(dock.workspace.reviewer.book), "mine", mine)
    dock.workspace.session.verdicts = lambda latent: None
    part = dock.choice.together
    assert part.source_box.itemText(part.source_box.findData("lesion")) == "marked lesion (1)"
    choose(qtbot, dock, "lesion", "union")
    assert dock.localizer.several.latents == (LEFT,)
    mine[RIGHT] = SimpleNamespace(verdict="lesion")
    dock.workspace.session.verdicts = lambda latent: ""
    settled(qtbot, dock)
    assert dock.localizer.several.latents == (LEFT, RIGHT)


def test_an_empty_set_cannot_be_chosen_and_one_that_gets_empty_says_so(qtbot, dock):
    part, session = dock.choice.together, dock.workspace.session
    pinned = part.source_box.model().item(part.source_box.findData("pins"))
    assert not pinned.isEnabled()
    session.pins = (LEFT,)
    assert pinned.isEnabled()
    choose(qtbot, dock, "pins", "maximum")
    session.pins = ()
    settled(qtbot, dock)
    assert "No latent is pinned" in dock.boxes.note.text()
    assert layer(dock, "heatmap") is None
    assert layer(dock, "found").nshapes == 0


def test_without_a_linear_tail_there_is_no_class_map(qtbot, dock):
    model = TailModel(preprocessing=Preprocessing(size=SHAPE), layer="blocks.3")
    dock.workspace.session.handle = model
    dock.workspace.session.maps = maps(model)
    part = dock.choice.together
    assert not part.how_box.model().item(part.how_box.findData("logit")).isEnabled()
    dock.workspace.session.pins = (LEFT,)
    choose(qtbot, dock, "pins", "logit")
    assert "the layers after it are not linear" in dock.boxes.note.text()


def test_another_image_drops_what_is_being_worked_out(qtbot, dock):
    dock.workspace.session.pins = (LEFT, RIGHT)
    choose(qtbot, dock, "pins", "union")
    dock.choice.slider.setValue(500)
    dock.localizer.update()
    dock.workspace.session.image = None
    settled(qtbot, dock)
    assert dock.localizer.current is None
    assert layer(dock, "found").nshapes == 0


def test_boxes_that_are_not_drawn_are_mentioned(qtbot, dock):
    values = np.zeros((1, 48, 48), np.float32)
    values[0, ::3, ::3] = 1 + np.arange(256).reshape(16, 16)
    fine = TailModel(preprocessing=Preprocessing(size=SHAPE), grid=(48, 48))
    dock.workspace.session.handle = fine
    dock.workspace.session.maps = fakes.maps_of(fine, np.array([LEFT], np.int32), values)
    dock.workspace.session.current = LEFT
    settled(qtbot, dock)
    dock.localizer.choice = type(dock.localizer.choice)(kind="absolute", value=0.5, finding="mass", min_area=0)
    settled(qtbot, dock)
    count = len(dock.localizer.current.found)
    assert count > MOST
    assert f"{MOST} of {count} found boxes are drawn, the most confident" in dock.boxes.note.text()
    missed = 2  # annotated boxes that no box hit are drawn in the same layer
    assert len(layer(dock, "found").data) == 4 * (MOST + missed)
    dock.choice.drawn_box.setChecked(False)
    assert "are drawn" not in dock.boxes.note.text()
