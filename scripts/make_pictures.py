"""Walk the demo from its start to the AUROC without the marker, and take the pictures of the documentation on the way.

Needs a screen, virtual or not (`make pictures`). Writes docs/images/*.png, and into docs/story.md what a user does and
sees, with the numbers as they came out.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="napari-mammosae-pictures-")  # nobody's verdicts
os.environ["XDG_STATE_HOME"] = os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_DATA_HOME"]
os.environ["NAPARI_CONFIG"] = f"{os.environ['XDG_DATA_HOME']}/napari.yaml"

import numpy as np
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_mammosae import make_phantoms, make_run, read_findings
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.viewer import launch
from napari_mammosae.viewer.docks import ImagesDock, LatentsDock, LocalizeDock, VerdictsDock
from napari_mammosae.viewer.guide.controller import guide_of
from napari_mammosae.viewer.guide.panel import GuidePanel
from napari_mammosae.viewer.widgets.columns import SCORE
from walk_text import Walk, write_walk

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SIZE = (1366, 768)
COLOURS = 256
"""Of a picture: the file has a third of its size."""


class Studio:
    """The demo, and a camera."""

    def __init__(self) -> None:
        self.viewer = launch._viewer()
        self.viewer.theme = "dark"
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.workspace = launch.show_demo(self.viewer)
        self.guide = guide_of(self.workspace)
        self.ready()

    def ready(self) -> None:
        """Wait until the demo is open."""
        self.wait(lambda: self.workspace.over_run.curve is not None and bool(self.workspace.ranking.columns))

    def wait(self, done: Callable[[], bool], seconds: float = 120) -> None:
        """Let the window work until something is the case, and a little longer, so that all is drawn."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"the window is not ready: {self.workspace.status.last_told[0]}")
            self.rest(0.05)
        self.rest(2.5)

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key over the canvas."""
        QTest.keyClick(self.viewer.window._qt_viewer.canvas.native, key, modifier)

    def step(self, key: str) -> None:
        """Click the next step, which is to be this one."""
        assert self.guide.next_key == key, (self.guide.next_key, key)
        QTest.mouseClick(self.window.findChild(GuidePanel).buttons[key], Qt.MouseButton.LeftButton)
        self.wait(lambda: self.guide.is_done(key))

    def show(self, kind: type) -> object:
        """Bring a dock to the front."""
        widget = self.window.findChild(kind)
        next(dock for dock in self.window.findChildren(QDockWidget) if dock.widget() is widget).raise_()
        self.rest(2.0)
        return widget

    def take(self, name: str) -> None:
        """Photograph the window."""
        self.rest(1.0)
        picture = Image.fromarray(np.ascontiguousarray(self.viewer.screenshot(canvas_only=False, flash=False)[..., :3]))
        with write_atomic(IMAGES / f"{name}.png") as temporary:
            small = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
            small.save(temporary, format="png", optimize=True)
        print(f"{name}.png", flush=True)


def main() -> None:
    studio = Studio()
    work, guide = studio.workspace, studio.guide
    walk = Walk.begin(work)
    studio.take("demo")
    studio.press(Qt.Key.Key_Right)
    studio.rest(0.5)
    studio.press(Qt.Key.Key_Left)
    studio.rest(1.5)
    studio.take("latent")
    studio.step("ranking")
    studio.rest(6.0)
    studio.take("latents")
    studio.step("find")
    studio.rest(6.0)
    studio.take("marker")
    studio.step("judge")
    studio.show(VerdictsDock)
    studio.take("verdicts")
    studio.step("remove")
    studio.take("removed")
    studio.step("auroc")
    studio.wait(lambda: work.over_run.move.effect is not None)
    studio.take("intervene")
    write_walk(walk.end(work, guide))

    work.toggle_spurious()
    studio.show(ImagesDock)
    studio.take("images")
    work.intervention.map_kind = "none"
    work.scene.see_latents(True)
    work.latents.follows = True
    work.session.current = walk.latent
    found = studio.show(LocalizeDock)
    found.choice.kind_box.setCurrentText("relative")
    found.choice.kind_box.activated.emit(found.choice.kind_box.currentIndex())
    found.choice.value_box.setValue(0.3)
    studio.rest(2.0)
    studio.take("localize")
    shown = studio.show(LatentsDock)
    studio.wait(shown.concepts.name_button.isEnabled)
    shown.concepts.name_button.click()
    studio.wait(lambda: bool(work.reviewer.book.names))
    work.latents.prefer(SCORE.key)
    work.latents.fill()
    work.session.current = int(shown.table.visible[0])
    studio.rest(6.0)
    studio.take("names")
    take_exam(studio, walk.latent)
    work.close()
    studio.viewer.close()
    shutil.rmtree(os.environ["XDG_DATA_HOME"], ignore_errors=True)


def take_exam(studio: Studio, latent: int) -> None:
    """The four views of a phantom patient under a latent; in the demo's run there is one a patient."""
    work = studio.workspace
    with tempfile.TemporaryDirectory() as temporary:
        phantoms = make_phantoms(Path(temporary) / "phantoms", count=8, seed=0)
        run = make_run(phantoms, "demo", Path(temporary) / "exams", labels=phantoms / "labels.csv", maps=True)
        work.opener.open(run.path)
        studio.wait(lambda: not work.opener.jobs.busy and work.session.run is not None)
        work.session.findings = read_findings(phantoms / "findings.csv")
        dock = studio.show(ImagesDock)
        dock.tabs.setCurrentIndex(dock.tabs.count() - 1)
        work.exam.toggle()
        studio.wait(lambda: work.exam.shown is not None and not work.exam.jobs.busy)
        work.session.current = latent
        studio.rest(4.0)
        studio.take("exam")


if __name__ == "__main__":
    main()
