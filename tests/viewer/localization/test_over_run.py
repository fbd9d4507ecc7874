"""The current latent over a run, in the dock: measured when asked, stopped, kept, never shown for another choice."""

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

import localize_kit
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import Cancelled
from napari_mammosae.core.localization import over_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.viewer.docks import LocalizeDock
from napari_mammosae.viewer.workspace import workspace_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return localize_kit.write_localized_run(tmp_path_factory.mktemp("dock-run"), tiny_model)


@pytest.fixture
def dock(qtbot, qapp, folder):
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    workspace.session.findings = read_findings(folder / "boxes.csv")
    workspace.session.current = 3
    dock = LocalizeDock(viewer)
    dock.viewer_for_test = viewer
    qtbot.addWidget(dock)
    yield dock
    dock.cleanup()
    idle(qtbot, dock)
    workspace.close()


def idle(qtbot, dock):
    jobs = (dock.run.measures.jobs, dock.workspace.opener.jobs, dock.workspace.jobs)
    qtbot.waitUntil(lambda: not any(one.busy for one in jobs), timeout=60_000)


def measured(qtbot, dock):
    dock.run.measure_button.click()
    idle(qtbot, dock)
    return dock.run.measures.result


def test_a_run_is_opened_measured_and_kept(qtbot, dock, folder, monkeypatch):
    part, session = dock.run, dock.workspace.session
    assert "Open a run" in part.note.text()
    assert part.open_button.isVisibleTo(part)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder / "run"))
    part.open_button.click()
    idle(qtbot, dock)
    assert session.run is not None
    assert session.image.image_id == session.run.images["image_id"].iloc[0]  # its first image is shown
    session.current = 3
    assert "not measured with these settings yet" in part.note.text()
    assert not part.bars.isVisibleTo(part)
    result = measured(qtbot, dock)
    assert result.latent == 3
    assert result.row["boxes"] == localize_kit.WITH + 1
    assert part.bars.isVisibleTo(part)
    assert part.froc.isVisibleTo(part)
    assert f"AP {result.row['ap']:.3f}" in part.numbers.text()
    assert "nan" not in part.numbers.text() + part.note.text()
    assert not part.measure_button.isEnabled()

    session.current = 5  # another latent: nothing of the former is shown
    assert part.measures.result is None
    assert not part.bars.isVisibleTo(part)
    assert part.measure_button.isEnabled()
    session.current = 3
    assert part.measures.result is result
    dock.choice.iou_box.setValue(0.5)
    assert part.measures.result is None
    dock.choice.iou_box.setValue(0.25)
    assert part.measures.result is result
    session.findings = read_findings(folder / "boxes.csv")
    assert part.measures.result is None


def test_the_protocol_of_the_paper_measures_on_test_images(qtbot, dock, folder):
    session = dock.workspace.session
    dock.workspace.opener.open(folder / "run")
    idle(qtbot, dock)
    session.run.images["split"] = ["training"] * 6 + ["test"] * 8
    session.current = 3
    assert measured(qtbot, dock).row["images"] == localize_kit.WITH
    assert "9 of 14 images used, 5 left out: 5 without mass." in dock.run.note.text()
    dock.run.protocol_box.click()
    assert dock.run.measures.result is None
    assert measured(qtbot, dock).row["images"] == localize_kit.WITH - 6
    assert "3 of 14 images used, 11 left out: 6 not of split test, 5 without mass." in dock.run.note.text()
    dock.run.protocol_box.click()
    assert dock.run.measures.result.row["images"] == localize_kit.WITH


def test_a_folder_that_is_no_run_is_told_in_the_dock(qtbot, dock, tmp_path, monkeypatch):
    part = dock.run
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    part.open_button.click()
    assert not part.open_button.isEnabled()
    idle(qtbot, dock)
    assert part.note.text() == dock.workspace.opener.line.last_told[0]
    assert "run.json" in part.note.text()
    assert part.open_button.isEnabled()


def test_the_kept_result_survives_the_dock(qtbot, dock, folder):
    dock.workspace.session.run = open_run(folder / "run")
    result = measured(qtbot, dock)
    dock.cleanup()
    again = LocalizeDock(dock.viewer_for_test)
    qtbot.addWidget(again)
    assert again.run.measures.result is result
    assert again.run.bars.isVisibleTo(again.run)
    again.cleanup()


def test_measuring_can_be_cancelled(qtbot, dock, folder, monkeypatch):
    dock.workspace.session.run = open_run(folder / "run")
    started, asked = threading.Event(), threading.Event()

    def slow(*_, progress, **__):
        started.set()
        asked.wait(20)
        progress("Finding boxes", 1, 2)
        raise AssertionError("it went on")

    monkeypatch.setattr(over_run, "measure_latent", slow)
    dock.run.measure_button.click()
    qtbot.waitUntil(started.is_set)
    assert dock.run.progress.cancel_button.isEnabled()
    assert not dock.run.measure_button.isEnabled()
    dock.run.progress.cancel_button.click()
    asked.set()
    idle(qtbot, dock)
    assert dock.run.measures.result is None
    assert dock.run.measure_button.isEnabled()
    assert Cancelled.__name__ not in dock.actions_part.status.text()


def test_a_result_of_another_run_is_dropped(qtbot, dock, folder, monkeypatch):
    session = dock.workspace.session
    session.run = open_run(folder / "run")
    dock.run.measure_button.click()
    session.run = open_run(folder / "run")
    idle(qtbot, dock)
    assert dock.run.measures.result is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda session, folder: setattr(session, "run", open_run(folder / "pooled")), "keeps pooled values only"),
        (lambda session, folder: setattr(session, "findings", None), "Load the annotated boxes"),
        (lambda session, folder: setattr(session, "current", 64), "made with another SAE"),
    ],
)
def test_what_stands_in_the_way_is_said(qtbot, dock, folder, change, words):
    dock.workspace.session.run = open_run(folder / "run")
    change(dock.workspace.session, folder)
    assert words in dock.run.note.text()
    assert not dock.run.measure_button.isEnabled()


def test_one_finding_at_a_time(qtbot, dock, folder):
    dock.workspace.session.run = open_run(folder / "run")
    box = dock.choice.finding_box
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert "Choose a finding" in dock.run.note.text()
    box.setCurrentIndex(box.findData("suspicious_calcification"))
    box.activated.emit(box.currentIndex())
    result = measured(qtbot, dock)
    assert np.isnan(result.row["ap_lo"])
    assert "too few patients" in dock.run.note.text()


def test_boxes_of_other_images_are_an_error_that_is_told(qtbot, dock, folder, tmp_path):
    path = tmp_path / "others.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax\nelse,mass,1,2,30,40\n")
    dock.workspace.session.run = open_run(folder / "run")
    dock.workspace.session.findings = read_findings(path)
    assert measured(qtbot, dock) is None
    assert "names none of the 14 images" in dock.actions_part.status.text()
