"""Bad files in the dock: it says what is wrong, everything stays as it was, and work goes on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication, QFileDialog

import fakes
import tiny
from bad_inputs import HEADER, IMAGES, MODELS, TABLES
from layer_kit import owned
from napari_mammosae.viewer.docks import ModelDock
from napari_mammosae.viewer.image import tasks
from napari_mammosae.viewer.image.panels.model import FILES


class Desk:
    """A viewer at work: an image, boxes and a model's latents, and what they were before something went wrong."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.viewer = ViewerModel()
        self.dock = ModelDock(self.viewer)
        self.workspace, self.session = self.dock.workspace, self.dock.workspace.session
        self.dock.model.name_box.setCurrentText(FILES)
        self.dock.model.classifier.set_path(model)
        self.workspace.images.open_image(tiny.write_image(folder / "breast.png"), compute=True)
        self.wait()
        boxes = folder / "boxes.csv"
        boxes.write_text(f"{HEADER}\nbreast,mass,10,20,60,90\n")
        self.workspace.images.load_boxes(boxes)
        self.wait()
        assert self.session.maps is not None, self.status
        self.before = self.state()

    def wait(self) -> None:
        end = time.monotonic() + 60
        while self.workspace.jobs.busy:
            QApplication.processEvents()
            time.sleep(0.002)
            assert time.monotonic() < end, self.status

    @property
    def status(self) -> str:
        return self.dock.job.status.text()

    def state(self) -> list[object]:
        s = self.session
        return [s.image, s.handle, s.maps, s.findings, s.order, s.current, s.pins, *self.viewer.layers]

    def check(self, named: str, words: tuple[str, ...]) -> None:
        """The dock tells; nothing else changed."""
        assert named in self.status
        assert all(word in self.status for word in words), self.status
        assert "Unexpected" not in self.status
        assert str(self.folder) not in self.status
        assert self.dock.job.warning.isVisibleTo(self.dock)
        assert all(was is now for was, now in zip(self.before, self.state(), strict=True))


@pytest.fixture(scope="module")
def desk(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Desk]:
    """One desk for all: each bad file comes upon what the others left."""
    desk = Desk(tmp_path_factory.mktemp("desk"), tiny_model)
    yield desk
    desk.workspace.close()
    desk.dock.deleteLater()


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch):
    return lambda path: monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))


@pytest.mark.parametrize(("name", "write", "words"), IMAGES, ids=[name for name, *_ in IMAGES])
def test_images(desk: Desk, choose, name: str, write, words: tuple[str, ...]):
    write(desk.folder / name)
    choose(desk.folder / name)
    desk.dock.image.open_button.click()
    desk.wait()
    desk.check(name, words)


@pytest.mark.parametrize(("name", "write", "words"), TABLES, ids=[name for name, *_ in TABLES])
def test_tables(desk: Desk, choose, name: str, write, words: tuple[str, ...]):
    write(desk.folder / name)
    choose(desk.folder / name)
    desk.dock.image.boxes_button.click()
    desk.wait()
    desk.check(name, words)


@pytest.mark.parametrize(("named", "write", "words"), [case[1:] for case in MODELS], ids=[case[0] for case in MODELS])
def test_models(desk: Desk, tiny_model: Path, tmp_path: Path, named: str, write, words: tuple[str, ...]):
    write(tmp_path / "model.toml")
    desk.dock.model.classifier.set_path(tmp_path / "model.toml")
    desk.dock.job.compute_button.click()
    desk.wait()
    desk.check(named, words)
    assert str(tmp_path) not in desk.status
    assert not (tmp_path / "trace").exists(), "a pickle's payload was run"


def test_work_goes_on_after_all_that(desk: Desk, tiny_model: Path):
    desk.viewer.dims.set_point(0, 7)
    assert desk.session.current == desk.session.order.latents[7]
    desk.dock.latent.pin_button.click()
    assert desk.session.pins == (desk.session.current,)
    desk.dock.latent.unpin_button.click()
    desk.dock.model.classifier.set_path(tiny_model)
    desk.dock.job.compute_button.click()
    desk.wait()
    assert "fire on this image" in desk.status
    assert desk.session.maps is not desk.before[2]
    assert not desk.dock.job.warning.isVisibleTo(desk.dock)
    assert len(owned(desk.viewer).with_role("truth")) == 1


@pytest.mark.filterwarnings("ignore:Out of memory")  # napari shows warnings as notifications
def test_a_gpu_without_room_is_left_and_the_dock_says_so(qtbot, monkeypatch: pytest.MonkeyPatch):
    model = fakes.install(monkeypatch)
    model.change(device="cuda:0")
    compute = tasks.compute

    def leaves_the_gpu(of, image, report):
        of.change(device="cpu")
        return compute(of, image, report)

    monkeypatch.setattr(tasks, "compute", leaves_the_gpu)
    viewer = ViewerModel()
    dock = ModelDock(viewer)
    qtbot.addWidget(dock)
    viewer.add_image(fakes.phantom())
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy)
    dock.job.compute_button.click()
    qtbot.waitUntil(lambda: not dock.workspace.jobs.busy)
    assert dock.job.status.text().endswith("Out of memory on cuda:0: the model is on the CPU now.")
    dock.workspace.close()
