"""Runs opened, made and looked through; the real model code with tiny weights, no OpenGL."""

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt, QTimer

import tiny
from fake_run import FakeRun
from fakes import FakeModel
from in_process import handle_of
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.base.remembered import state_folder
from napari_mammosae.core.runs.classes import logits_of_label
from napari_mammosae.core.runs.files.images import ImageFiles
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.process.tasks import RunJob
from napari_mammosae.viewer.docks import ImagesDock, ModelDock
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.runs.image_columns import ImageFilter, finding_choices, wrong_predictions
from napari_mammosae.viewer.runs.tasks import RunEntries
from review_kit import COUNT, idle, make_tiny_run, open_run_in
from runs_kit import write_images


@pytest.fixture(autouse=True)
def _no_verdicts(run_path):
    yield
    (run_path / "verdicts.sqlite").unlink(missing_ok=True)


@pytest.fixture
def dock(qtbot, viewer):
    dock = ImagesDock(viewer)
    qtbot.addWidget(dock)
    dock.resize(340, 480)
    dock.show()
    return dock


@pytest.fixture
def opened(qtbot, dock, run_path):
    open_run_in(qtbot, dock.workspace, run_path)
    return dock


def listed(dock):
    return dock.list.table.visible.tolist()


def cell(dock, row, title):
    table = dock.list.table
    column = next(i for i, one in enumerate(table.columns) if one.title == title)
    return table.index(row, column).data()


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_before_there_is_a_run(qtbot, dock):
    assert "No run is open" in dock.run.status.text()
    assert not dock.list.isEnabled()
    dock.workspace.browser.next_image()
    assert "Open a run" in dock.workspace.status.last_told[0]
    assert dock.minimumSizeHint().height() <= 480


def test_the_list_says_what_the_run_knows(opened, run_path):
    run = open_run(run_path)
    assert listed(opened) == list(range(COUNT))
    assert cell(opened, 0, "Image") == "image-000"
    assert [cell(opened, row, "mass") for row in range(3)] == ["yes", "–", "–"]
    assert cell(opened, 9, "density") == "b"
    assert cell(opened, 1, "Split") == "training"
    live = len(run.latents(0).latents)
    assert cell(opened, 0, "Reviewed") == f"0 / {live:,}"
    chance = 1 / (1 + np.exp(-run.logits[0, 0]))
    wrong = (chance > 0.5) != bool(run.label("mass")[0])
    assert cell(opened, 0, "p mass") == f"{chance:.2f}{' ✗' if wrong else ''}"
    assert "12 images, with maps" in opened.run.status.text()


def test_the_first_image_comes_with_its_latents_from_the_kept_maps(opened, run_path):
    session, expected = opened.workspace.session, open_run(run_path).latents(0)
    assert session.model is None
    assert session.image.image_id == "image-000"
    np.testing.assert_array_equal(session.maps.values, expected.values)
    assert session.maps.frame == session.image.frame_for(tiny_preprocessing())


def tiny_preprocessing():
    from napari_mammosae.core.images.preprocessing import Preprocessing

    return Preprocessing(size=tiny.SIZE)


def test_steps_keep_latent_and_order_and_use_one_layer(qtbot, opened, viewer):
    workspace, session = opened.workspace, opened.workspace.session
    from napari_mammosae.viewer.app.order import Order

    session.order = Order.by_score(np.random.default_rng(0).random(tiny.LATENTS), "some score")
    session.current = int(session.order.latents[5])
    order, latent = session.order, session.current
    for row in (1, 2, 3):
        click(qtbot, opened.list.next_button)
        idle(qtbot, workspace)
        assert workspace.browser.row == row
        assert (session.order, session.current) == (order, latent)
        assert session.image.image_id == f"image-{row:03d}"
        stack = owned(viewer).find("latents")
        np.testing.assert_array_equal(stack.data[5], session.maps[latent])
    click(qtbot, opened.list.previous_button)
    idle(qtbot, workspace)
    assert workspace.browser.row == 2
    assert len(owned(viewer).with_role("mammogram")) == 1
    assert len(viewer.layers) == 2
    assert opened.list.view.currentIndex().row() == 2
    assert opened.list.count.text() == "3 of 12"


def test_a_neighbour_is_there_at_once(qtbot, opened):
    workspace = opened.workspace
    key = (workspace.session.run, 1, None)
    qtbot.waitUntil(lambda: workspace.browser._ahead.get(key) is not None)
    workspace.browser.next_image()
    assert workspace.browser.row == 1  # in the same call: nothing was waited for
    assert workspace.session.maps is not None


def test_of_quick_steps_only_the_last_is_shown(qtbot, opened):
    workspace, shown = opened.workspace, []
    workspace.browser._ahead.clear()
    workspace.session.events.image.connect(lambda image: shown.append(image.image_id))
    for _ in range(5):
        workspace.browser.next_image()
    idle(qtbot, workspace)
    assert workspace.session.image.image_id == "image-005"
    assert shown == ["image-005"]


def test_the_ends_of_the_list_are_told(qtbot, opened):
    workspace = opened.workspace
    workspace.browser.previous_image()
    assert "first image" in workspace.status.last_told[0]
    workspace.browser.show(COUNT - 1)
    idle(qtbot, workspace)
    workspace.browser.next_image()
    assert "last image" in workspace.status.last_told[0]


def test_filters_and_steps_go_through_what_is_listed(qtbot, opened, run_path):
    run, part = open_run(run_path), opened.list
    part.finding_box.setCurrentIndex(part.finding_box.findText("mass"))
    part.finding_box.activated.emit(part.finding_box.currentIndex())
    assert listed(opened) == [0, 3, 6, 9]
    click(qtbot, part.next_button)
    idle(qtbot, opened.workspace)
    assert opened.workspace.browser.row == 3
    assert part.count.text() == "2 of 4 (12)"
    part.split_box.setCurrentIndex(part.split_box.findText("test"))
    part.split_box.activated.emit(part.split_box.currentIndex())
    assert listed(opened) == [0, 6]
    part.finding_box.setCurrentIndex(0)
    part.split_box.setCurrentIndex(0)
    qtbot.keyClicks(part.text, "p2 image")
    qtbot.waitUntil(lambda: listed(opened) == [4, 5])
    part.text.clear()
    click(qtbot, part.wrong)
    expected = np.flatnonzero((run.logits[:, 0] > 0) != (run.label("mass") == 1))
    assert listed(opened) == expected.tolist()
    qtbot.keyClicks(part.text, "nothing like this")
    qtbot.keyClick(part.text, Qt.Key.Key_Return)
    assert listed(opened) == []
    opened.workspace.browser.next_image()
    assert "No image matches the filters" in opened.workspace.status.last_told[0]


def test_a_click_on_the_header_sorts_and_steps_follow(qtbot, opened, run_path):
    view = opened.list.view
    section = [column.title for column in opened.list.table.columns].index("p mass")
    view.horizontalHeader().sectionClicked.emit(section)
    expected = np.argsort(-open_run(run_path).logits[:, 0], kind="stable").tolist()
    assert listed(opened) == expected
    at = expected.index(0)
    opened.workspace.browser.step(1 if at + 1 < COUNT else -1)
    idle(qtbot, opened.workspace)
    assert opened.workspace.browser.row == expected[at + 1 if at + 1 < COUNT else at - 1]


def test_a_row_is_opened_by_click_and_by_enter(qtbot, opened):
    view = opened.list.view
    rect = view.visualRect(opened.list.table.index(4, 0))
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    idle(qtbot, opened.workspace)
    assert opened.workspace.browser.row == 4
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    idle(qtbot, opened.workspace)
    assert opened.workspace.browser.row == 5


def test_letters_in_the_table_are_left_to_the_viewer(opened):
    from qtpy.QtGui import QKeyEvent

    event = QKeyEvent(QKeyEvent.Type.KeyPress, Qt.Key.Key_J, Qt.KeyboardModifier.NoModifier, "j")
    opened.list.view.keyPressEvent(event)
    assert not event.isAccepted()


def test_verdicts_count_on_every_image(opened, run_path):
    run = open_run(run_path)
    latent = int(run.latents(0).latents[0])
    opened.workspace.session.current = latent
    opened.workspace.reviewer.judge_spurious()
    fires = run.pooled("mean").toarray()[:, latent] > 0
    assert [cell(opened, row, "Reviewed").split(" / ")[0] == "1" for row in range(COUNT)] == fires.tolist()


def test_blind_hides_labels_and_predictions(opened):
    section = [column.title for column in opened.list.table.columns].index("p mass")
    opened.list.view.horizontalHeader().sectionClicked.emit(section)
    opened.list.wrong.click()
    opened.workspace.session.blind = True
    assert [column.title for column in opened.list.table.columns] == ["Image", "Reviewed", "FVU", "Split"]
    assert listed(opened) == list(range(COUNT))
    assert not opened.list.finding_box.isEnabled()
    opened.workspace.session.blind = False
    assert "mass" in [column.title for column in opened.list.table.columns]
    assert len(listed(opened)) < COUNT


@pytest.mark.parametrize("images", [3, 24])
def test_another_run_of_any_length_takes_the_place_of_the_one_before(opened, tmp_path, images):
    opened.list.view.viewport().grab()  # the view has drawn cells of the run before
    other = FakeRun(tmp_path, images=images, latents=opened.workspace.session.run.n_latents, write=False)
    other.images[["laterality", "view"]] = "L", "CC"
    other.logits = np.zeros((images, len(other.classes)), np.float32)
    opened.workspace.session.run = other
    assert listed(opened) == list(range(images))
    assert [cell(opened, row, "Image") for row in (0, images - 1)] == [
        other.images["image_id"][i] for i in (0, images - 1)
    ]
    assert all(cell(opened, row, "Reviewed") == f"0 / {(other.pooled().toarray()[row] > 0).sum()}" for row in (0, 2))


def test_a_run_of_another_model_is_refused_until_that_is_unloaded(qtbot, dock, run_path):
    dock.workspace.session.handle = model = FakeModel()
    dock.workspace.opener.open(run_path)
    idle(qtbot, dock.workspace)
    assert dock.workspace.session.run is None
    assert "another model" in dock.run.status.text()
    assert dock.run.warning.isVisible()
    click(qtbot, dock.run.unload_button)
    idle(qtbot, dock.workspace)
    assert model.unloaded
    assert len(dock.workspace.session.run) == COUNT
    assert not dock.run.unload_button.isVisible()


def test_a_model_loaded_later_that_is_another_is_told(qtbot, opened):
    opened.workspace.session.handle = FakeModel()
    assert "another model" in opened.run.status.text()
    assert opened.run.warning.isVisible()


def test_kept_maps_of_another_model_are_not_shown(qtbot, opened, tiny_model, tmp_path, monkeypatch):
    other = handle_of(tiny.write_model(tmp_path / "other", seed=5))
    workspace = opened.workspace
    workspace.images.take_model(workspace.images.choice, other)
    workspace.browser.next_image()
    idle(qtbot, workspace)
    computed = workspace.session.maps
    assert not computed.rounded  # computed, not the run's
    other.unload()


def test_what_is_no_run_is_told(qtbot, dock, tmp_path):
    dock.workspace.opener.open(tmp_path)
    idle(qtbot, dock.workspace)
    assert "is not a run" in dock.run.status.text()
    assert dock.run.warning.isVisible()


def test_images_that_are_elsewhere(qtbot, dock, run_path, tmp_path, monkeypatch):
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(run_path, moved / "deep" / "down" / "run")
    dock.workspace.opener.open(moved / "deep" / "down" / "run")
    idle(qtbot, dock.workspace)
    assert dock.list.root_row.isVisible()
    assert "was not found" in dock.workspace.status.last_told[0]
    folders = iter([str(tmp_path), str(run_path.parent / "images")])
    monkeypatch.setattr(
        "napari_mammosae.viewer.runs.list_panel.QFileDialog.getExistingDirectory", lambda *_: next(folders)
    )
    click(qtbot, dock.list.root_button)
    assert "choose the folder above" in dock.list.root_note.text()
    click(qtbot, dock.list.root_button)
    assert not dock.list.root_row.isVisible()
    dock.workspace.browser.show(3)
    idle(qtbot, dock.workspace)
    assert dock.workspace.session.image.image_id == "image-003"


def test_a_broken_image_is_told_and_the_next_one_works(qtbot, dock, tiny_model, tmp_path):
    path = make_tiny_run(tmp_path, tiny_model, maps=False)
    (tmp_path / "images" / "image-001.png").write_bytes(b"")
    open_run_in(qtbot, dock.workspace, path)
    dock.workspace.browser.next_image()
    idle(qtbot, dock.workspace)
    text, error = dock.workspace.status.last_told
    assert error
    assert text.startswith("image-001.png: the file is empty")
    assert dock.workspace.session.image.image_id == "image-000"
    dock.workspace.browser.show(2)
    idle(qtbot, dock.workspace)
    assert dock.workspace.session.maps is None
    assert "keeps no maps" in dock.workspace.status.last_told[0]


def test_closing_a_run(qtbot, opened):
    click(qtbot, opened.run.close_button)
    assert opened.workspace.session.run is None
    assert listed(opened) == []
    assert not opened.run.close_button.isVisible()


def test_closing_a_run_while_it_is_being_shown(qtbot, dock, run_path):
    work = dock.workspace
    work.session.events.run.connect(
        lambda run: QTimer.singleShot(0, work.opener.close_run) if run is not None else None
    )
    work.opener.open(run_path)
    idle(qtbot, work)
    assert work.session.run is None
    assert work.session.image is None


@pytest.fixture
def form(qtbot, dock, tiny_model, tmp_path):
    write_images(tmp_path / "pictures", 6)
    pd.DataFrame({"image": [f"image-{i:03d}" for i in range(6)], "mass": [0, 1, 0, 1, 0, 1]}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    dock.workspace.images.choice = ModelChoice(name=str(tiny_model))
    click(qtbot, dock.run.new_button)
    dock.form.images.value = tmp_path / "pictures"
    dock.form.labels.value = [tmp_path / "labels.csv"]
    dock.form.out.value = tmp_path / "made"
    dock.form.workers.value = 0
    return dock.form


def test_a_run_is_made_by_the_form(qtbot, dock, form, tiny_model, tmp_path):
    from napari_mammosae.core.runs.making.make import write_run

    assert form.model.text().startswith("model.toml")
    said = []
    dock.workspace.opener.jobs.progressed.connect(lambda progress: said.append(progress.describe()))
    click(qtbot, form.start_button)
    assert dock.pages.currentIndex() == 0
    assert dock.run.progress.cancel_button.isVisible()
    idle(qtbot, dock.workspace)
    run = dock.workspace.session.run
    assert len(run) == 6, dock.run.status.text()
    assert run.has_maps
    assert any("Computing latents: 6 of 6" in text for text in said)
    assert dock.workspace.session.model.name == "tiny"  # loaded for the run, there to go on with
    assert dock.workspace.browser.files_of(run).root == tmp_path / "pictures"
    assert dock.workspace.session.image.image_id == "image-000"
    plain = write_run(tmp_path / "pictures", tiny_model, tmp_path / "plain", labels=tmp_path / "labels.csv", maps=True)
    other = open_run(plain.path)
    assert run.images["image_id"].tolist() == other.images["image_id"].tolist()
    # another thread may sum in another order
    np.testing.assert_allclose(run.logits, other.logits, rtol=1e-4)
    np.testing.assert_allclose(run.pooled("mean").toarray(), other.pooled("mean").toarray(), rtol=1e-4, atol=1e-5)


def test_a_run_is_cancelled_and_gone_on_with(qtbot, dock, form, tmp_path):
    workspace = dock.workspace
    workspace.opener.jobs.progressed.connect(lambda _: workspace.opener.jobs.cancel())
    click(qtbot, form.start_button)
    idle(qtbot, workspace)
    assert workspace.session.run is None
    assert "Start it again to resume" in dock.run.status.text()
    workspace.opener.jobs.progressed.disconnect()
    click(qtbot, dock.run.new_button)
    if (tmp_path / "made" / "run.json").exists():
        assert form.start_button.text() == "Resume this run"
    click(qtbot, form.start_button)
    idle(qtbot, workspace)
    assert len(workspace.session.run) == 6


def test_what_is_missing_in_the_form_is_said(qtbot, dock, form):
    form.out.line_edit.value = ""
    click(qtbot, form.start_button)
    assert "a folder for the run" in form.note.text()
    assert dock.pages.currentIndex() == 1
    form.images.value = "/nowhere/at/all"
    form.out.value = "/nowhere/run"
    click(qtbot, form.start_button)
    idle(qtbot, dock.workspace)
    assert "does not exist" in dock.run.status.text()


def test_images_are_chosen_with_a_dialog_and_the_run_lies_beside_them(qtbot, dock, tmp_path, monkeypatch):
    form, asked = dock.form, []

    def choose(mode, *_, **__):
        asked.append(mode)
        return str(tmp_path / ("list.csv" if mode == "r" else "pictures"))

    monkeypatch.setattr("napari_mammosae.viewer.runs.form_panel.show_file_dialog", choose)
    folder, table = form.images.choose_btn.native.menu().actions()
    folder.trigger()
    assert form.images.value == tmp_path / "pictures"
    assert form.out.value == tmp_path / "pictures-run"
    table.trigger()
    assert asked == ["d", "r"]
    assert dock.workspace.opener.entries == RunEntries(str(tmp_path / "list.csv"), out=str(tmp_path / "pictures-run"))


def test_several_tables_of_labels(dock, tmp_path):
    dock.form.images.line_edit.value = "images/*.png"
    dock.form.out.value = tmp_path / "run"
    dock.form.labels.value = [tmp_path / "a.csv", tmp_path / "b.csv"]
    dock.form.batch.value = 4
    order = dock.workspace.opener.entries.job
    assert order == RunJob("images/*.png", tmp_path / "run", (tmp_path / "a.csv", tmp_path / "b.csv"), batch=4)


def test_the_form_asks_for_positive_and_uncertain_values(dock, tmp_path):
    dock.form.images.line_edit.value = "images"
    dock.form.out.value = tmp_path / "run"
    dock.form.positive.value = "shape=round, finding=suspect"
    dock.form.uncertain.value = "negative"
    job = dock.workspace.opener.entries.job
    assert (job.positive, job.uncertain) == (("shape=round", "finding=suspect"), "negative")


@pytest.mark.parametrize(("value", "positives"), [("round", [0, 3, 6, 9]), ("oval", [1, 2, 4, 5, 7, 8, 10, 11])])
def test_the_positive_text_is_chosen_in_the_dock(qtbot, dock, tmp_path, tiny_model, value, positives):
    images = write_images(tmp_path / "images", COUNT)
    table = {"image": [f"image-{i:03d}" for i in range(COUNT)], "mass": [i % 2 for i in range(COUNT)]}
    table["shape"] = ["oval" if i % 3 else "round" for i in range(COUNT)]
    table["side"] = ["outer" if i % 2 else "inner" for i in range(COUNT)]
    pd.DataFrame(table).to_csv(tmp_path / "labels.csv", index=False)
    write_run(images, tiny_model, tmp_path / "run", labels=tmp_path / "labels.csv", workers=0)
    run, part = open_run_in(qtbot, dock.workspace, tmp_path / "run"), dock.run
    assert part.positive.isVisibleTo(dock)
    assert [part.label_box.itemData(at) for at in range(part.label_box.count())] == ["shape", "side"]
    assert part.value_box.currentText() == "not known"
    root = dock.workspace.browser.files_of(run).root
    part.value_box.setCurrentText(value)
    part.value_box.activated.emit(part.value_box.currentIndex())
    idle(qtbot, dock.workspace)
    again = dock.workspace.session.run
    assert np.flatnonzero(again.label("shape") == 1).tolist() == positives
    assert again.info["categories"]["side"] == ["inner", "outer"]
    assert dock.workspace.browser.files_of(again).root == root
    assert part.value_box.currentText() == value
    with pytest.raises(SettingsError, match="in the Images dock"):
        logits_of_label(run, "shape", "mass")
    assert logits_of_label(again, "shape", "mass").places == (0,)
    dock.workspace.opener.close_run()
    assert not part.positive.isVisibleTo(dock)


# The parts that know no Qt


def small_run(**facts):
    images = pd.DataFrame({"image_id": ["a", "b", "c"], "label.density": [0.0, 1.0, np.nan], "label.mass": [1, 0, 1.0]})
    labels = ("density", "mass")
    return SimpleNamespace(
        images=images,
        labels=labels,
        label=lambda name: images[f"label.{name}"].to_numpy(float),
        info={"categories": {"density": ["a", "b"]}},
        path=Path("run"),
        task="multiclass",
        classes=("density_a", "density_b"),
        logits=np.array([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]]),
        **facts,
    )


def test_wrong_predictions_of_a_category():
    run = small_run()
    assert wrong_predictions(run)["density"].tolist() == [False, True, False]
    assert list(wrong_predictions(run)) == ["density"]  # nothing predicts the mass
    words = [words for words, _, _ in finding_choices(run)]
    assert words == ["density b", "density a", "mass", "no mass"]


def test_a_label_that_says_no_itself_is_not_negated_twice():
    run = SimpleNamespace(labels=("no_finding",), label=lambda name: np.array([0.0, 1.0, 0.0]), info={})
    assert [words for words, _, _ in finding_choices(run)] == ["no finding", "finding"]


@pytest.mark.parametrize(("image", "kept"), [("elsewhere", True), ("image-000", False)])
def test_boxes_of_none_of_the_run_s_images_do_not_replace_those_there(qtbot, opened, tmp_path, image, kept):
    images, before = opened.workspace.images, None
    for name, of in (("own.csv", "image-001"), ("other.csv", image)):
        (tmp_path / name).write_text(f"image,finding,xmin,ymin,xmax,ymax\n{of},mass,1,1,9,9\n")
        before = opened.workspace.session.findings
        images.load_boxes(tmp_path / name)
        idle(qtbot, opened.workspace)
    assert (opened.workspace.session.findings is before) == kept
    assert ("names none of the 12 images" in opened.workspace.status.last_told[0]) == kept


def test_filters_of_labels_that_are_not_known():
    run = small_run(__len__=lambda: 3)
    assert ImageFilter().mask(run) is None
    assert ImageFilter(label="density", value=1.0).mask(run).tolist() == [False, True, False]
    assert ImageFilter(label="gone").mask(run) is None
    assert ImageFilter(text="B").mask(run).tolist() == [False, True, False]


# What is remembered, and what is kept


@pytest.mark.parametrize("named", ["when it was made", "by hand"])
def test_a_run_reopened_knows_where_its_images_lie(qtbot, viewer, tmp_path, tiny_model, named):
    """They lie neither beside the run nor around it."""
    images = write_images(tmp_path / "far" / "away" / "pictures", 3)
    path = write_run(images, tiny_model, tmp_path / "elsewhere" / "deep" / "below" / "run", workers=0).path
    if named == "by hand":
        for file in state_folder().iterdir():
            file.unlink()
        assert ImageFiles(open_run(path)).path(0) is None
        ImageFiles(open_run(path)).root = images
    assert ImageFiles(open_run(path)).path(2) == images / "image-002.png"
    assert "pictures" not in (path / "run.json").read_text()


def test_back_to_the_run_s_boxes(qtbot, dock, run_path, tmp_path):
    open_run_in(qtbot, dock.workspace, run_path)
    session, images = dock.session, dock.workspace.images
    own, other = (tmp_path / name for name in ("own.csv", "other.csv"))
    for path, size in ((own, 50), (other, 70)):
        path.write_text(f"image,finding,xmin,ymin,xmax,ymax\nimage-000,mass,20,30,{20 + size},{30 + size}\n")
    session.findings = before = read_findings(own)
    model_dock = ModelDock(dock.workspace.scene.viewer)  # held: its parts end with it
    part = model_dock.image
    assert not part.run_boxes_button.isVisibleTo(part)
    images.load_boxes(other)
    idle(qtbot, dock.workspace)
    assert session.findings is not before
    assert part.run_boxes_button.isVisibleTo(part)
    part.run_boxes_button.click()
    assert session.findings is before
    assert not part.run_boxes_button.isVisibleTo(part)
    part.cleanup()


def test_a_run_is_opened_in_turns_between_which_the_window_answers(qtbot, dock, run_path):
    work, filled, turns = dock.workspace, {}, []
    for name, table in (("images", work.image_list.table), ("latents", work.latents.table)):
        table.rearranged.connect(partial(lambda name: filled.setdefault(name, len(turns)), name))
    timer = QTimer(interval=0)
    timer.timeout.connect(lambda: turns.append(time.thread_time()))
    work.session.events.run.connect(lambda run: filled.setdefault("run", len(turns)))
    timer.start()
    open_run_in(qtbot, work, run_path)
    timer.stop()
    assert filled["run"] < filled["images"] < filled["latents"]  # a turn each
    assert max(np.diff(turns)) < 1  # seconds of the processor, whatever else the machine does
