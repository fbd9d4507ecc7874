import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from qtpy.QtWidgets import QApplication, QLabel, QPushButton

from napari_mammosae.core.base import diagnosis
from napari_mammosae.core.base.caches import cache_folder, register_cache
from napari_mammosae.viewer.image.panels.diagnosis import DiagnosisPanel, opengl_renderer


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(diagnosis, "gpus", lambda: ["stand-in"])


@pytest.fixture
def demo() -> Path:
    run = cache_folder() / "demo-1" / "run"
    run.mkdir(parents=True)
    (run / "a").write_bytes(bytes(3000))
    return run


def texts(panel: DiagnosisPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel)]


def empty_button(panel: DiagnosisPanel) -> QPushButton:
    return next(button for button in panel.findChildren(QPushButton) if button.text() == "Empty")


def test_the_report_is_put_on_the_clipboard(qtbot):
    panel = DiagnosisPanel()
    qtbot.addWidget(panel)
    QApplication.clipboard().setText("before")
    panel.copy_button.click()
    assert not panel.copy_button.isEnabled()
    qtbot.waitUntil(panel.copy_button.isEnabled, timeout=20_000)
    report = QApplication.clipboard().text()
    assert report.startswith("napari-mammosae ")
    assert "stand-in" in report
    assert panel.status.text() == "The report is on the clipboard. Read it before you send it."


def test_a_report_that_fails_says_so_and_can_be_asked_for_again(qtbot, monkeypatch: pytest.MonkeyPatch):
    def fail() -> list[str]:
        raise RuntimeError("no answer")

    monkeypatch.setattr(diagnosis, "gpus", fail)
    panel = DiagnosisPanel()
    qtbot.addWidget(panel)
    panel.copy_button.click()
    qtbot.waitUntil(panel.copy_button.isEnabled, timeout=20_000)
    assert panel.status.text() == "The report could not be made: no answer."


def test_a_report_that_comes_after_the_panel_is_gone_reaches_nothing(qtbot, monkeypatch: pytest.MonkeyPatch):
    going = threading.Event()

    def wait() -> list[str]:
        going.wait(20)
        return []

    monkeypatch.setattr(diagnosis, "gpus", wait)
    QApplication.clipboard().setText("before")
    panel = DiagnosisPanel()
    panel.copy_button.click()
    finished = []
    panel._worker.finished.connect(lambda: finished.append(True))
    with qtbot.waitSignal(panel.destroyed):
        panel.deleteLater()
    going.set()
    qtbot.waitUntil(lambda: bool(finished), timeout=20_000)
    assert QApplication.clipboard().text() == "before"


def test_caches_are_listed_with_their_sizes_and_emptied(qtbot, demo: Path):
    panel = DiagnosisPanel()
    qtbot.addWidget(panel)
    panel.show()
    assert "Cache: demo runs and their synthetic phantoms" in texts(panel)
    assert "3.0 kB" in texts(panel)
    empty_button(panel).click()
    assert not demo.exists()
    assert panel.status.text() == "3.0 kB freed."
    qtbot.waitUntil(lambda: "0 bytes" in texts(panel) and "3.0 kB" not in texts(panel))
    assert not empty_button(panel).isEnabled()


def test_the_cache_of_the_open_run_is_kept(qtbot, demo: Path):
    panel = DiagnosisPanel(SimpleNamespace(run=SimpleNamespace(path=demo)))
    qtbot.addWidget(panel)
    panel.show()
    empty_button(panel).click()
    assert demo.exists()
    assert panel.status.text() == "This cache holds the open run. Close the run first."


def test_pictures_in_memory_are_listed_too(qtbot):
    class Pictures:
        name, holds = "pictures", "small pictures"
        taken = 12_000_000

        def size(self) -> int:
            return self.taken

        def empty(self) -> None:
            self.taken = 0

    held = Pictures()
    register_cache(held)
    panel = DiagnosisPanel()
    qtbot.addWidget(panel)
    panel.show()
    assert "12.0 MB" in texts(panel)
    panel.empty(held)
    assert held.taken == 0


@pytest.mark.opengl
def test_the_renderer_is_that_of_the_window(make_napari_viewer):
    make_napari_viewer(show=True)
    QApplication.processEvents()
    assert opengl_renderer()


def test_without_a_window_there_is_no_renderer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vispy.gloo.context.get_current_canvas", lambda: None)
    assert opengl_renderer() == ""
