"""Take the pictures of the documentation: docs/images/*.png. Needs a screen, virtual or not (`make pictures`).

A sample and the embedded model's run are shown, the run being made on first use (a minute or two).
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

import napari
import numpy as np
from qtpy.QtWidgets import QApplication, QWidget

from napari_mammosae.core.anatomy.query import rectangle_weights
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.runs.making.demo import demo_run
from napari_mammosae.viewer.canvas.camera import fit
from napari_mammosae.viewer.launch import open_dock
from napari_mammosae.viewer.widgets.columns import SCORE
from napari_mammosae.viewer.workspace import workspace_of

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SIZE = (1400, 850)
DOCK_WIDTH = 430
PLUGIN = "napari-mammosae"


class Studio:
    """A viewer with a sample in it, one dock at a time."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer(title="Mammo-SAE: research use only, not for diagnosis")
        self.viewer.theme = "dark"
        self.viewer.window.resize(*SIZE)
        self.viewer.window._qt_viewer.dockLayerControls.setMaximumWidth(260)
        self.viewer.window._qt_viewer.dockLayerList.setMaximumWidth(260)
        self.workspace = workspace_of(self.viewer)
        self.workspace.images.choice = replace(self.workspace.images.choice, name="demo")
        self.viewer.open_sample(PLUGIN, "mass_without_marker")
        self.workspace.images.compute()
        self.wait(lambda: self.workspace.session.maps is not None)

    def wait(self, done: Callable[[], bool], seconds: float = 600) -> None:
        """Let the window work until something is the case, and a little longer, so that all is drawn."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"the window is not ready: {self.workspace.status.last_told[0]}")
            self.rest(0.05)
        self.rest(1.5)

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def latent_of_mass(self) -> int:
        """A latent with much of its activation, and much activation, inside the annotated mass."""
        session = self.workspace.session
        maps, image, findings = session.maps, session.image, session.findings
        box = findings.boxes(image.image_id, "mass")[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float)[0]
        inside = rectangle_weights(box, maps.frame.input_shape, maps.shape[1:], maps.frame)
        values = maps.values.astype(np.float64)
        energy = (values * inside).sum(axis=(1, 2))
        share = energy / values.sum(axis=(1, 2))
        return int(maps.latents[(energy * share).argmax()])

    def take(self, name: str, dock: str, prepare: Callable[[QWidget], None] | None = None) -> None:
        """Photograph the window with one dock open."""
        outer = open_dock(self.viewer, dock)
        widget = outer.inner_widget()
        self.viewer.window._qt_window.resizeDocks([outer], [DOCK_WIDTH], _horizontal())
        self.rest(1.0)
        if prepare is not None:
            prepare(widget)
        fit(self.viewer, self.workspace.scene.image_layer)
        self.rest(2.0)
        with write_atomic(IMAGES / f"{name}.png") as temporary:
            self.viewer.screenshot(path=str(temporary), canvas_only=False, flash=False)
        print(f"{name}.png", flush=True)
        if hasattr(widget, "cleanup"):
            widget.cleanup()
        self.viewer.window.remove_dock_widget(outer)
        self.rest(0.2)


def _horizontal() -> object:
    from qtpy.QtCore import Qt

    return Qt.Orientation.Horizontal


def main() -> None:
    demo_run(lambda text, done, total: print(f"{text}: {done} of {total}", end="\r", flush=True))
    studio = Studio()
    session = studio.workspace.session
    latent = studio.latent_of_mass()

    def choose(_: QWidget) -> None:
        session.current = latent

    studio.take("demo", "Model & image", choose)

    def cut(widget: QWidget) -> None:
        choose(widget)
        studio.rest(1.0)
        widget.choice.kind_box.setCurrentText("relative")
        widget.choice.kind_box.activated.emit(widget.choice.kind_box.currentIndex())
        widget.choice.value_box.setValue(0.3)

    studio.take("localize", "Localise", cut)
    studio.workspace.localizer.drawn = False  # found boxes stay when their dock is closed

    studio.workspace.opener.open_demo()
    studio.wait(lambda: session.run is not None)

    def ranked(widget: QWidget) -> None:
        studio.wait(lambda: bool(studio.workspace.ranking.columns))
        choose(widget)
        studio.rest(8.0)

    studio.take("latents", "Latents", ranked)

    def named(widget: QWidget) -> None:
        book = studio.workspace.reviewer.book
        book.use_path(Path(folder.name) / "verdicts.sqlite")  # not the user's own
        tabs = widget.detail.tabs
        tabs.setCurrentWidget(widget.concepts)
        studio.wait(widget.concepts.name_button.isEnabled)
        widget.concepts.name_button.click()
        studio.wait(lambda: bool(book.names))
        studio.workspace.latents.prefer(SCORE.key)
        studio.workspace.latents.fill()
        session.current = int(widget.table.visible[0])
        tabs.setCurrentIndex(0)
        studio.rest(6.0)

    folder = TemporaryDirectory()
    studio.take("names", "Latents", named)
    studio.workspace.reviewer.book.use_path(None)
    folder.cleanup()

    studio.take("images", "Images")

    def judged(widget: QWidget) -> None:
        choose(widget)
        widget.suspects.find_button.click()
        studio.wait(lambda: not widget.suspects.jobs.busy)

    studio.take("verdicts", "Verdicts", judged)

    def removed(widget: QWidget) -> None:
        choose(widget)
        studio.rest(5.0)
        widget.intervention.change(mode="zero", form="delta", source="image", direction="up", k=5)
        studio.rest(3.0)

    studio.take("intervene", "Intervene", removed)
    studio.workspace.close()
    studio.viewer.close()


if __name__ == "__main__":
    main()
