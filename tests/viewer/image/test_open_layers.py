"""Several layers of one network open at once, over one image, in a viewer without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

import layer_models
import tiny
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.process.local import LocalModel
from napari_mammosae.viewer.docks import InterveneDock, LatentsDock, ModelDock
from napari_mammosae.viewer.image import tasks
from napari_mammosae.viewer.image.tasks import ModelChoice

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def handles(monkeypatch):
    loaded = []

    def load(models, choice, report):
        loaded.append(LocalModel(load_model(choice.name, device="cpu", engine="torch")))
        return loaded[-1]

    monkeypatch.setattr(tasks, "load", load)
    return loaded


@pytest.fixture
def dock(qtbot, qapp, tiny_model, handles):
    viewer = ViewerModel()
    dock = ModelDock(viewer)
    dock.viewer_for_test = viewer
    qtbot.addWidget(dock)
    dock.workspace.images.use_layer(viewer.add_image(tiny.picture(), name="phantom"))
    idle(qtbot, dock)
    choose(dock, ModelChoice(str(tiny_model), device="cpu"))
    dock.workspace.images.compute()
    idle(qtbot, dock)
    yield dock
    idle(qtbot, dock)
    dock.workspace.close()


@pytest.fixture
def inner(tmp_path, tiny_model):
    return layer_models.write_inner_model(tiny_model, tmp_path / "inner", "blocks.7")


def idle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy, timeout=20_000)


def choose(dock, choice):
    dock.workspace.images.choice = choice
    dock.model.refresh()


def open_beside(qtbot, dock, toml):
    choose(dock, ModelChoice(str(toml), device="cpu"))
    qtbot.mouseClick(dock.model.beside_button, LEFT)
    idle(qtbot, dock)


def switch(qtbot, dock, at):
    dock.layers.box.setCurrentIndex(at)
    dock.layers.box.activated.emit(at)
    idle(qtbot, dock)


def stacks(dock):
    return {layer.name: layer for layer in dock.viewer_for_test.layers if layer.name.startswith("SAE latents")}


def test_a_second_layer_has_a_stack_of_its_own(qtbot, dock, inner):
    session = dock.workspace.session
    assert dock.layers.isHidden()
    first, shown = session.maps, stacks(dock)["SAE latents"]
    session.current, session.pins = 7, (3, 9)
    open_beside(qtbot, dock, inner)
    assert session.model.layer == "blocks.7"
    assert dock.workspace.status.last_told[1] is False
    model = load_model(inner, device="cpu", engine="torch")
    expected = compute_latents(model, session.image)
    np.testing.assert_allclose(session.maps.pooled_mean, expected.pooled_mean, rtol=1e-5)
    found = stacks(dock)
    assert set(found) == {"SAE latents head", "SAE latents blocks.7"}
    assert found["SAE latents head"] is shown
    assert not shown.visible
    assert found["SAE latents blocks.7"].visible
    np.testing.assert_array_equal(np.asarray(shown.data[0]), first[int(np.argmax(first.pooled_mean))])  # still its own
    assert found["SAE latents blocks.7"].data.shape == session.maps.shape
    assert [dock.layers.box.itemText(i) for i in range(2)] == [
        f"head: 64 latents, {first.latents.size} fire",
        f"blocks.7: 40 latents, {session.maps.latents.size} fire",
    ]
    assert session.pins == ()

    switch(qtbot, dock, 0)
    assert session.maps is first
    assert (session.current, session.pins) == (7, (3, 9))
    assert session.model.layer == "head"
    assert dock.workspace.scene.stack_layer is shown
    assert shown.visible
    assert not stacks(dock)["SAE latents blocks.7"].visible


def test_the_slider_stays_within_the_chosen_stack(qtbot, dock, inner):
    open_beside(qtbot, dock, inner)
    viewer, session = dock.viewer_for_test, dock.workspace.session
    viewer.dims.set_point(0, 60)  # the other stack has 64 latents, this one 40
    assert session.rank == 39
    assert viewer.dims.point[0] == 39


def test_edits_and_tables_act_on_the_chosen_layer(qtbot, dock, inner):
    viewer, session = dock.viewer_for_test, dock.workspace.session
    edits, table = InterveneDock(viewer), LatentsDock(viewer)
    for one in (edits, table):
        qtbot.addWidget(one)
    edits.set.k_slider.box.setValue(4)
    assert edits.intervention.is_on
    open_beside(qtbot, dock, inner)
    assert not table.layers.isHidden()
    assert table.table.size == 40
    assert not edits.intervention.is_on
    edits.set.k_slider.box.setValue(4)
    qtbot.mouseClick(edits.passing.compute_button, LEFT)
    qtbot.waitUntil(lambda: not edits.intervention.passing.busy, timeout=20_000)
    assert edits.intervention.is_on
    table.layers.box.activated.emit(0)
    idle(qtbot, dock)
    assert session.model.layer == "head"
    assert table.table.size == 64
    assert dock.layers.box.currentIndex() == 0


def test_another_image_is_computed_for_a_layer_when_it_is_chosen(qtbot, dock, inner):
    session = dock.workspace.session
    open_beside(qtbot, dock, inner)
    dock.workspace.images.use_layer(dock.viewer_for_test.add_image(tiny.picture(1), name="other"))
    idle(qtbot, dock)
    assert not np.asarray(stacks(dock)["SAE latents head"].data[0]).any()
    switch(qtbot, dock, 0)
    assert session.model.layer == "head"
    assert session.image.image_id == "other"
    expected = compute_latents(load_model(dock.workspace.images.choice.name, device="cpu"), session.image)
    np.testing.assert_allclose(session.maps.pooled_mean, expected.pooled_mean, rtol=1e-4, atol=1e-7)


def test_a_layer_is_closed_and_its_model_unloaded(qtbot, dock, inner, handles):
    open_beside(qtbot, dock, inner)
    qtbot.mouseClick(dock.layers.close_button, LEFT)
    idle(qtbot, dock)
    assert dock.workspace.session.model.layer == "head"
    assert dock.layers.isHidden()
    assert [handle.memory().weights > 0 for handle in handles] == [True, False]
    assert len(stacks(dock)) == 1


def test_unloading_ends_all_of_them(qtbot, dock, inner, handles):
    open_beside(qtbot, dock, inner)
    dock.workspace.images.unload()
    assert [handle.memory().weights for handle in handles] == [0, 0]
    assert stacks(dock) == {}
    assert dock.layers.isHidden()


def test_another_network_is_refused(qtbot, dock, handles, tmp_path):
    other = tiny.write_model(tmp_path / "other", seed=5)
    open_beside(qtbot, dock, other)
    assert "is not the network of" in dock.workspace.status.last_told[0]
    assert dock.workspace.session.handle is handles[0]
    assert handles[1].memory().weights == 0


def test_the_same_layer_is_not_opened_twice(qtbot, dock, tiny_model, handles, tmp_path):
    again = tmp_path / "again.toml"
    text = tiny_model.read_text()
    for name in ("classifier.safetensors", "sae.safetensors"):
        text = text.replace(f'"{name}"', f'"{tiny_model.parent / name}"')
    again.write_text(text)
    open_beside(qtbot, dock, again)
    assert "is open already" in dock.workspace.status.last_told[0]
    assert len(stacks(dock)) == 1


def test_the_model_part_shows_the_chosen_layer(qtbot, dock, inner, tiny_model):
    open_beside(qtbot, dock, inner)
    assert dock.model.name_box.currentText() == str(inner)
    assert dock.model.beside_button.isHidden()
    switch(qtbot, dock, 0)
    assert dock.model.name_box.currentText() == str(tiny_model)
