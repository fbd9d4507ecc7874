"""The dock without a window: buttons are pressed, the session and the layers are looked at."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

import fakes
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import ImageError, ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.facts import Domain
from napari_mammosae.process.handle import MemoryUse
from napari_mammosae.viewer.canvas.texts import PREDICTION
from napari_mammosae.viewer.docks import LatentsDock, ModelDock
from napari_mammosae.viewer.image import tasks
from napari_mammosae.viewer.image.panels.model import FILES


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def model(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def dock(qtbot, viewer, model):
    dock = ModelDock(viewer)
    qtbot.addWidget(dock)
    yield dock
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy, timeout=5000)
    dock.workspace.close()


@pytest.fixture
def session(dock):
    return dock.workspace.session


def idle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy, timeout=5000)


def computed(qtbot, viewer, dock, seed=0, name="phantom"):
    viewer.add_image(fakes.phantom(seed), name=name)
    idle(qtbot, dock)
    dock.job.compute_button.click()
    idle(qtbot, dock)


def choose_file(monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))


def test_any_grayscale_layer_can_be_the_image(qtbot, viewer, dock, session):
    viewer.add_points(np.zeros((1, 2)))
    viewer.add_image(np.zeros((3, 40, 40)))
    viewer.add_labels(np.zeros((40, 40), int))
    viewer.add_image(fakes.phantom(), name="a")
    viewer.add_image(fakes.phantom(1), name="b")
    idle(qtbot, dock)
    box = dock.image.layer_box
    assert [box.itemText(i) for i in range(box.count())] == ["a", "b"]
    assert session.image.image_id == "a"
    viewer.layers["b"].name = "renamed"
    box.setCurrentIndex(1)
    box.activated.emit(1)
    idle(qtbot, dock)
    assert session.image.image_id == "renamed"
    np.testing.assert_array_equal(session.image.pixels, viewer.layers["renamed"].data)


def test_compute_loads_the_model_and_stacks_the_latents(qtbot, viewer, dock, session, model):
    computed(qtbot, viewer, dock)
    assert session.handle is model
    assert owned(viewer).find("latents") is not None
    assert "64 latents; 20 fire" in dock.job.status.text()
    assert not dock.job.progress.isVisibleTo(dock)
    assert dock.prediction.isVisibleTo(dock)
    assert dock.latent.isEnabled()


@pytest.mark.parametrize(
    ("memory", "text"),
    [
        (MemoryUse("cuda:0", 10, 0, 78_000_000_000, 80_000_000_000, 1_200_000_000, "A Card"),
         "cuda:0 (A Card), float16, 1.2 GB in use, 78.0 GB free"),
        (MemoryUse("cpu", 245_000_000, 0), "cuda:0, float16"),  # it has moved since
        (None, "cuda:0, float16"),
    ],
)  # fmt: skip
def test_the_dock_says_where_the_model_computes(qtbot, viewer, dock, session, model, monkeypatch, memory, text):
    model.change(device="cuda:0", precision="float16")
    monkeypatch.setattr(model, "memory", lambda: memory)
    assert not dock.model.place.isVisibleTo(dock)
    computed(qtbot, viewer, dock)
    assert dock.model.place.isVisibleTo(dock)
    assert dock.model.place.text() == text


def test_compute_without_an_image_says_what_to_do(dock):
    dock.job.compute_button.click()
    assert "Open a mammogram" in dock.job.status.text()


def test_the_model_is_loaded_once_and_again_when_the_choice_changes(qtbot, viewer, dock, session, monkeypatch):
    loads = []
    load = tasks.load
    monkeypatch.setattr(
        tasks, "load", lambda models, choice, report: loads.append(choice) or load(models, choice, report)
    )
    computed(qtbot, viewer, dock)
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert len(loads) == 1
    monkeypatch.setattr(
        tasks, "load", lambda models, choice, report: loads.append(choice) or fakes.FakeModel(name="second")
    )
    dock.model.precision_box.setCurrentText("bfloat16")
    first = session.handle
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert [choice.precision for choice in loads] == ["float32", "bfloat16"]
    assert first.unloaded
    assert session.model.name == "second"
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert len(loads) == 2
    monkeypatch.setattr(tasks, "stamps", lambda choice: "other files")
    dock.job.compute_button.click()
    idle(qtbot, dock)
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert len(loads) == 3


def test_files_of_one_s_own(dock, monkeypatch, tmp_path):
    assert not dock.model.files.isVisibleTo(dock)
    dock.model.name_box.setCurrentText(FILES)
    assert dock.model.files.isVisibleTo(dock)
    for row, name in ((dock.model.classifier, "c.pth"), (dock.model.sae, "s.pt"), (dock.model.backbone, "b.tar")):
        choose_file(monkeypatch, tmp_path / name)
        row.choose_button.click()
    dock.model.classes.setText("birads_1, birads_2 ,birads_3")
    dock.model.classes.editingFinished.emit()
    choice = dock.workspace.images.choice
    assert choice.name is None
    assert [p.name for p in (choice.classifier, choice.sae, choice.backbone)] == ["c.pth", "s.pt", "b.tar"]
    assert choice.classes == ("birads_1", "birads_2", "birads_3")
    assert dock.model.classifier.name.text() == "c.pth"


@pytest.mark.parametrize("error", [ModelError("no SAE: give `sae` a file"), ImageError("x.png: no breast found")])
def test_an_error_is_shown_and_the_state_kept(qtbot, viewer, dock, session, monkeypatch, error):
    computed(qtbot, viewer, dock)
    maps = session.maps

    def fail(*_):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(tasks, "compute", fail)
        dock.job.compute_button.click()
        idle(qtbot, dock)
    assert dock.job.status.text() == str(error)
    assert session.maps is maps
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert "fire on this image" in dock.job.status.text()


def test_an_error_of_no_type_of_ours_is_shown_too(qtbot, viewer, dock, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(tasks, "load", fail)
    computed(qtbot, viewer, dock)
    assert dock.job.status.text() == "Unexpected ZeroDivisionError: by zero"


def test_a_layer_that_is_no_mammogram_is_refused_in_words(qtbot, viewer, dock, session):
    viewer.add_image(np.full((50, 40), np.nan), contrast_limits=(0, 1), name="empty")
    idle(qtbot, dock)
    assert session.image is None
    assert "empty" in dock.job.status.text()


def test_cancel_drops_the_result(qtbot, viewer, dock, session, monkeypatch):
    fakes.install(monkeypatch, seconds=0.2)
    viewer.add_image(fakes.phantom())
    idle(qtbot, dock)
    dock.job.compute_button.click()
    assert not dock.job.compute_button.isEnabled()
    dock.job.progress.cancel_button.click()
    idle(qtbot, dock)
    assert session.maps is None
    assert "Cancelled" in dock.job.status.text()
    assert dock.job.compute_button.isEnabled()


def test_switching_images_during_a_computation_gives_the_new_image_s_latents(qtbot, viewer, dock, session, monkeypatch):
    fakes.install(monkeypatch, seconds=0.2)
    viewer.add_image(fakes.phantom(), name="first")
    second = viewer.add_image(fakes.phantom(1, (700, 500)), name="second")
    idle(qtbot, dock)
    seen = []
    session.events.maps.connect(lambda maps: seen.append(None if maps is None else maps.frame.source_shape))
    dock.job.compute_button.click()
    qtbot.waitUntil(lambda: "Computing" in dock.job.status.text(), timeout=5000)
    dock.workspace.images.use_layer(second)
    idle(qtbot, dock)
    assert session.image.image_id == "second"
    assert [shape for shape in seen if shape] == [(700, 500)]


def test_deleting_the_image_during_a_computation_shows_nothing(qtbot, viewer, dock, session, monkeypatch):
    fakes.install(monkeypatch, seconds=0.2)
    layer = viewer.add_image(fakes.phantom())
    idle(qtbot, dock)
    dock.job.compute_button.click()
    qtbot.waitUntil(lambda: "Computing" in dock.job.status.text(), timeout=5000)
    viewer.layers.remove(layer)
    idle(qtbot, dock)
    assert session.maps is None
    assert len(viewer.layers) == 0


def test_unloading_frees_the_model(qtbot, viewer, dock, session, model):
    computed(qtbot, viewer, dock)
    alive = weakref.ref(session.maps.values)
    dock.job.unload_button.click()
    assert model.unloaded
    assert (session.model, session.maps) == (None, None)
    gc.collect()
    assert alive() is None
    assert not dock.job.unload_button.isEnabled()
    assert len(viewer.layers) == 1
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert session.maps is not None


def test_pinning_and_letting_go(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    dock.latent.pin_button.click()
    assert session.pins == (session.current,)
    assert dock.latent.pin_button.text() == "Unpin"
    viewer.dims.set_point(0, 4)
    assert dock.latent.pin_button.text() == "Pin"
    dock.latent.pin_button.click()
    assert len(owned(viewer).with_role("pin")) == 2
    dock.latent.unpin_button.click()
    assert not owned(viewer).with_role("pin")


def test_the_thirteenth_pin_is_refused_in_words(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    session.pins = session.order.latents[:12].tolist()
    viewer.dims.set_point(0, 20)
    dock.latent.pin_button.click()
    assert "At most 12" in dock.job.status.text()
    assert len(session.pins) == 12


def test_going_to_a_latent_by_number(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    dock.latent.latent_box.setValue(33)
    assert session.current == 33
    assert round(viewer.dims.point[0]) == session.rank


def test_contrast_by_hand(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    dock.latent.contrast_box.setCurrentIndex(2)
    dock.latent.contrast_box.activated.emit(2)
    assert session.contrast == "manual"
    assert dock.latent.limits.isVisibleTo(dock)
    dock.latent.high_box.setValue(1.25)
    assert owned(viewer).find("latents").contrast_limits[1] == 1.25


def test_the_deleted_stack_is_offered_again(qtbot, viewer, dock):
    computed(qtbot, viewer, dock)
    assert not dock.latent.show_button.isVisibleTo(dock)
    viewer.layers.remove(owned(viewer).find("latents"))
    assert dock.latent.show_button.isVisibleTo(dock)
    dock.latent.show_button.click()
    assert owned(viewer).find("latents") is not None
    assert not dock.latent.show_button.isVisibleTo(dock)


def test_inverting_and_windowing_change_the_screen_only(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    layer, maps = dock.workspace.scene.image_layer, session.maps
    dock.image.invert_button.click()
    assert layer.colormap.name == "gray_r"
    dock.image.window_box.textActivated.emit("Dense tissue")
    assert dock.image.window_box.currentText() == "Dense tissue"
    assert session.maps is maps
    np.testing.assert_array_equal(session.image.pixels, fakes.phantom())


def test_opening_a_file_makes_it_the_image(qtbot, viewer, dock, session, monkeypatch, tmp_path):
    choose_file(monkeypatch, fakes.write_png(tmp_path, "case.png"))
    dock.image.open_button.click()
    idle(qtbot, dock)
    assert session.image.image_id == "case"
    assert viewer.layers["case"].metadata["image_id"] == "case"


def test_a_file_that_is_no_image_is_refused_in_words(qtbot, viewer, dock, session, monkeypatch, tmp_path):
    bad = tmp_path / "notes.dcm"
    bad.write_text("not an image")
    choose_file(monkeypatch, bad)
    dock.image.open_button.click()
    idle(qtbot, dock)
    assert "notes.dcm" in dock.job.status.text()
    assert str(tmp_path) not in dock.job.status.text()
    assert session.image is None
    assert len(viewer.layers) == 0


def test_boxes_from_a_table(qtbot, viewer, dock, session, monkeypatch, tmp_path):
    table = tmp_path / "boxes.csv"
    table.write_text("image,finding,xmin,ymin,xmax,ymax\nphantom,Mass,50,100,120,200\nother,Mass,0,0,9,9\n")
    viewer.add_image(fakes.phantom(), name="phantom")
    idle(qtbot, dock)
    choose_file(monkeypatch, table)
    dock.image.boxes_button.click()
    idle(qtbot, dock)
    truth = owned(viewer).find("truth")
    np.testing.assert_array_equal(truth.data[0][[0, 2]], [[99.5, 49.5], [199.5, 119.5]])
    assert dock.image.boxes_label.text() == "1 on this image"


@pytest.mark.parametrize(("patient", "said"), [("P1", "1 on"), ("P2", "2 on"), ("P3", "none on")])
def test_boxes_of_another_patient_s_image_of_this_name_are_not_drawn(dock, session, tmp_path, patient, said):
    table = tmp_path / "boxes.csv"
    rows = "P1/1-1.dcm,Mass,50,100,120,200\nP2/1-1.dcm,Mass,0,0,9,9\nP2/1-1.dcm,Mass,20,30,40,50\n"
    table.write_text("image,finding,xmin,ymin,xmax,ymax\n" + rows)
    session.findings = read_findings(table)
    session.image = read_mammogram(fakes.phantom(), image_id="1-1", path=tmp_path / patient / "1-1.dcm")
    assert dock.image.boxes_label.text() == f"{said} this image"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("image,finding\nphantom,Mass\n", "xmin"),
        ("image,finding,xmin,ymin,xmax,ymax\nother,Mass,0,0,9,9\n", "phantom"),
        ("image,finding,xmin,ymin,xmax,ymax\nphantom,Mass,0,0,9000,9000\n", "clip"),
    ],
)
def test_boxes_that_do_not_fit_are_reported(qtbot, viewer, dock, monkeypatch, tmp_path, content, word):
    table = tmp_path / "boxes.csv"
    table.write_text(content)
    viewer.add_image(fakes.phantom(), name="phantom")
    idle(qtbot, dock)
    choose_file(monkeypatch, table)
    dock.image.boxes_button.click()
    idle(qtbot, dock)
    assert word in dock.job.status.text()


def test_a_second_dock_shows_the_same_state(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    second = ModelDock(viewer)
    qtbot.addWidget(second)
    assert second.workspace is dock.workspace
    assert second.latent.latent_box.value() == session.current
    assert second.image.layer_box.currentText() == "phantom"
    assert second.job.status.text() == dock.job.status.text()


def test_a_destroyed_dock_hears_nothing_more(qtbot, viewer, dock, session):
    computed(qtbot, viewer, dock)
    second = ModelDock(viewer)
    second.deleteLater()
    qtbot.wait(50)
    viewer.dims.set_point(0, 3)
    session.pins = (session.current,)
    viewer.add_image(fakes.phantom(2), name="another")
    dock.image.invert_button.click()
    assert session.current == session.order.latents[3]


def test_choices_are_remembered(qtbot, viewer, dock):
    dock.model.precision_box.setCurrentText("bfloat16")
    dock.latent.colormap_box.textActivated.emit("viridis")
    other = ModelDock(ViewerModel())
    qtbot.addWidget(other)
    assert other.workspace.images.choice.precision == "bfloat16"
    assert other.latent.colormap_box.currentText() == "viridis"
    other.workspace.close()


def test_the_notice_is_there(dock):
    from qtpy.QtWidgets import QLabel

    from napari_mammosae.viewer.widgets.parts import NOTICE

    assert NOTICE in [label.text() for label in dock.findChildren(QLabel)]


def test_every_key_is_listed_in_the_dock(dock):
    from qtpy.QtWidgets import QPushButton

    from napari_mammosae.viewer.app.keymap import help_rows

    table = next(button for button in dock.findChildren(QPushButton) if button.text() == "Keys ?").toolTip()
    assert all(f"<b>{key}</b>" in table and meaning in table for key, meaning in help_rows())


def test_the_dock_fits_a_laptop(dock):
    assert dock.minimumSizeHint().height() <= 480
    assert dock.minimumSizeHint().width() <= 400


def test_paths_of_a_chosen_file_are_not_shown(dock):
    dock.model.classifier.set_path(Path("/home/someone/secret/c.pth"))
    assert dock.model.classifier.name.text() == "c.pth"


# Stacks, long names, the order of opening docks


def test_the_slice_shown_of_a_stack_is_computed(qtbot, viewer, dock, session):
    """As `napari FOLDER` opens one."""
    images = np.stack([fakes.phantom(seed) for seed in range(3)])
    viewer.add_image(images, name="folder")
    assert "folder" in dock.image.layer_box.placeholderText()
    assert dock.image.notes.text.startswith("folder has 3 axes")
    assert "New… in the Images dock" in dock.image.notes.text
    viewer.dims.set_current_step(0, 1)
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert session.image.image_id == "folder 2"
    np.testing.assert_array_equal(session.image.pixels, images[1])
    assert session.maps is not None
    assert not viewer.layers["folder"].visible
    assert viewer.layers["folder 2"].visible
    viewer.layers["folder"].visible = True
    viewer.dims.set_current_step(0, 40)  # of the latents, which share the slider
    assert dock.workspace.images.use_slice()
    assert dock.workspace.scene.image_layer.name == "folder 3"


def test_the_table_of_latents_does_not_choose_the_first_latent(qtbot, viewer, dock, session):
    """The Latents dock is opened before anything is computed."""
    viewer.add_image(fakes.phantom(), name="case")
    latents = LatentsDock(viewer)
    qtbot.addWidget(latents)
    idle(qtbot, dock)
    dock.job.compute_button.click()
    idle(qtbot, dock)
    assert session.rank == 0
    assert session.current == int(np.argmax(session.maps.pooled_mean))
    latents.cleanup()


def test_a_long_name_makes_no_dock_wider(qtbot, viewer, dock, session):
    width = dock.minimumSizeHint().width()
    viewer.add_image(fakes.phantom(), name="x" * 300)
    idle(qtbot, dock)
    assert "x" * 300 in dock.job.status.text()
    assert dock.minimumSizeHint().width() == width


def test_an_image_that_the_model_is_not_made_for_stays_amber(qtbot, viewer, dock, session, model):
    model.change(domain=Domain("synthetic phantoms of mammograms"))
    computed(qtbot, viewer, dock, name="case")
    said = "fake is made for synthetic phantoms of mammograms; this is another image."
    assert said in dock.image.notes.text
    overlay = viewer.canvas.overlays[PREDICTION]
    assert overlay.visible
    assert overlay.box
    assert " ".join(overlay.text.split()).startswith(said)
    session.current = 3
    assert overlay.visible
    viewer.layers["case"].visible = False
    viewer.add_image(fakes.phantom(1), name="phantom-900001")
    dock.image.images.use_layer(viewer.layers["phantom-900001"])
    idle(qtbot, dock)
    assert said not in " ".join(overlay.text.split())
    assert not overlay.box
    assert said not in dock.image.notes.text
