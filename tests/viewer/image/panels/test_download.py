"""A published model in the dock: its size, what is accepted, the download with progress, and cancelling it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QMessageBox

import published_kit as kit
from hub_server import Hub, reaching, serving
from napari_mammosae.core.models.published.places import is_ready
from napari_mammosae.viewer.docks import ModelDock
from napari_mammosae.viewer.image import tasks
from napari_mammosae.viewer.image.panels.model import FILES


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serving() as hub, reaching(hub.url, tmp_path / "hub"):
        hub.put(kit.B2, kit.pretrained())
        yield hub


@pytest.fixture
def dock(qtbot, hub):
    dock = ModelDock(ViewerModel())
    qtbot.addWidget(dock)
    yield dock
    dock.workspace.close()
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy, timeout=5000)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda parent, title, text: said.append(text) or answers.pop(0))
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    return said


def press(qtbot, dock):
    dock.model.download.button.click()
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy, timeout=5000)


def test_from_the_list_to_the_files(qtbot, dock, hub, asked):
    part, box = dock.model.download, dock.model.name_box
    names = [box.itemText(at) for at in range(box.count())]
    assert names[:2] == ["demo", "suspicious-calcification-finetuned"]
    assert names[-1] == FILES
    assert not part.isVisibleTo(dock)
    box.setCurrentText("mass-finetuned")
    assert part.isVisibleTo(dock)
    assert part.text.text() == "not downloaded: part of an archive of 849 MB"
    assert "CC BY-NC-SA" in part.text.toolTip()
    box.setCurrentText("mammo-clip-b2")
    press(qtbot, dock)
    assert asked[0].startswith("b2-model-best-epoch-10.tar: 2.5 MB from shawn24/Mammo-CLIP, licence CC BY-NC-SA")
    assert (is_ready("mammo-clip-b2"), hub.gets) == (False, [])  # not accepted
    press(qtbot, dock)
    assert is_ready("mammo-clip-b2")
    assert dock.job.status.text() == "mammo-clip-b2 is ready."
    assert not part.isVisibleTo(dock)


def test_cancelling_stops_the_download(qtbot, dock, asked, monkeypatch):
    def slow(name, report):
        while True:
            report(f"Downloading {name} (MB)", 1, 2)
            time.sleep(0.005)

    monkeypatch.setattr(tasks, "download", slow)
    dock.model.name_box.setCurrentText("mammo-clip-b2")
    press(qtbot, dock)
    dock.model.download.button.click()
    qtbot.waitUntil(lambda: "Downloading mammo-clip-b2 (MB): 1 of 2" in dock.job.status.text(), timeout=5000)
    assert not dock.model.download.button.isEnabled()
    dock.job.progress.cancel_button.click()
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy, timeout=5000)
    assert dock.model.download.button.isEnabled()
    assert not is_ready("mammo-clip-b2")


def test_no_network_is_said_in_the_dock(qtbot, dock, tmp_path):
    dock.model.name_box.setCurrentText("mammo-clip-b2")
    with reaching("http://127.0.0.1:9", tmp_path / "other"):
        press(qtbot, dock)
    assert "no connection to the Hugging Face hub" in dock.job.status.text()
