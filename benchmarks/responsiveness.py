"""How long the window stands still while a model loads and computes: a timer in the event loop, in a fresh process.

The real code with a small network of random weights at the published input size, so that torch is imported, weights
are read, an image is cropped and resized, and every latent computed, all while the timer ticks.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from _report import Report

TESTS = Path(__file__).parent.parent / "tests" / "support"
sys.path.insert(0, str(TESTS))

WRITER = (
    "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import tiny; tiny.write_model(pathlib.Path(sys.argv[2]))"
)
TICK_MS, SETTLE_S, SOURCE = 2, 0.7, (3328, 2560)
IMPORTING, ADDING, ELSE = "first import of torch", "adding the layer of the latents", "everything else"


class Heartbeat:
    """The longest time that the event loop was away from its post, by what went on meanwhile.

    `busiest` is the most time on the processor that the window's own thread took for it, whatever else the machine did.
    """

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.phase = ELSE
        self.longest: dict[str, float] = {}
        self.busiest: dict[str, float] = {}
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.beat)
        self._timer.start()

    def follow(self, progress) -> None:
        """Take the phase from what the job says it does next; what came before counts for the phase before."""
        self.beat()
        text = progress.text
        self.phase = IMPORTING if text.startswith("Starting") else ADDING if text.startswith("Showing") else ELSE

    def beat(self) -> None:
        """Take note of the time since the last tick."""
        now, worked = time.perf_counter(), time.thread_time()
        self.longest[self.phase] = max(self.longest.get(self.phase, 0.0), now - self._last)
        self.busiest[self.phase] = max(self.busiest.get(self.phase, 0.0), worked - self._worked)
        self._last, self._worked = now, worked


def write_model(folder: Path) -> Path:
    """Write a model by another process: torch must not be imported in this one yet."""
    subprocess.run([sys.executable, "-c", WRITER, str(TESTS), str(folder)], check=True)
    path = folder / "model.toml"
    path.write_text(path.read_text().replace("[190, 114]", "[1520, 912]"))
    return path


def main() -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    from fakes import phantom
    from napari_mammosae.viewer.workspace import workspace_of

    report = Report(
        "Responsiveness",
        f"Longest gap between the ticks of a {TICK_MS} ms timer while a model loads and computes the latents of a "
        f"{SOURCE[0]:,} x {SOURCE[1]:,} image, in a fresh process.",
    )
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    app = QApplication.instance()

    def settle(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            app.processEvents()
            time.sleep(0.0005)

    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        viewer.window.add_plugin_dock_widget("napari-mammosae", "Model & image")
        workspace = workspace_of(viewer)
        workspace.images.choice = replace(workspace.images.choice, name=str(model), device="cpu")
        viewer.add_image(phantom(shape=SOURCE), name="image")
        settle(2)
        assert "torch" not in sys.modules
        pulse = Heartbeat()
        workspace.jobs.progressed.connect(pulse.follow)
        start = time.perf_counter()
        workspace.images.compute()
        while workspace.jobs.busy:
            app.processEvents()
            time.sleep(0.0005)
        took = time.perf_counter() - start
        settle(SETTLE_S)
    assert workspace.session.maps is not None, workspace.status.last_told
    report.add("load and compute", took, "s")
    report.add(ELSE, 1000 * pulse.longest[ELSE], "ms", at_most=100)
    report.add(IMPORTING, 1000 * pulse.longest[IMPORTING], "ms")
    report.add(ADDING, 1000 * pulse.longest[ADDING], "ms")
    viewer.close()
    report.finish()


if __name__ == "__main__":
    main()
