"""How long a prompt takes from Enter to the new order of the latents, with a text tower of the published size.

The real docks and the model's own process; a small network of random weights, an SAE of 16,384 latents, and a BERT of
twelve layers of 768. It is worked out beside the window, whose longest pause is measured as well.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
from _report import Report

TESTS = Path(__file__).parent.parent / "tests" / "support"
sys.path.insert(0, str(TESTS))

LATENTS, LAYERS, WIDTH = 16_384, 12, 768
PROMPTS = ("mass", "no mass", "view marker", "skin fold in the right breast", "spiculated mass", "clip")
PAIRS = (
    "mass | view marker",
    "spiculated mass | no mass",
    "clip | mass in the left breast",
    "skin fold | no skin fold",
)


def write_model(folder: Path) -> Path:
    """Write the model; the process that measures has imported torch then, which the window need not."""
    import text_kit
    import tiny

    tiny.LATENTS = LATENTS
    text_kit.WIDTH, text_kit.HEADS, text_kit.LAYERS, text_kit.INNER = WIDTH, WIDTH // 64, LAYERS, 4 * WIDTH
    text_kit.SHARED = 512
    return text_kit.write_model(folder)


def main() -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    import tiny
    from napari_mammosae.viewer.docks import LatentsDock, ModelDock
    from napari_mammosae.viewer.workspace import workspace_of

    report = Report(
        "Prompts",
        f"From Enter in the Prompt field to the latents in their new order: {LATENTS:,} latents, a text tower of "
        f"{LAYERS} layers of {WIDTH} in the model's process, warm, every text a new one.",
    )
    viewer = napari.Viewer()
    dock, table = ModelDock(viewer), LatentsDock(viewer)
    for widget in (dock, table):
        viewer.window.add_dock_widget(widget)
    app, workspace = QApplication.instance(), workspace_of(viewer)
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        workspace.images.choice = replace(workspace.images.choice, name=str(model), device="cpu")
        viewer.add_image(tiny.picture(3), name="image")
        wait(app, lambda: not workspace.jobs.busy)
        workspace.images.compute()
        wait(app, lambda: workspace.session.maps is not None and not workspace.jobs.busy)
        ask(app, workspace, dock, "mass in the breast")  # reads the tower
        single = [ask(app, workspace, dock, text) for text in PROMPTS]
        pairs = [ask(app, workspace, dock, text) for text in PAIRS]
        workspace.images.unload()
    for what, asked in (("a text", single), ("a pair of texts", pairs)):
        took, drawn, gap, busy = (1000 * statistics.median(column) for column in zip(*asked, strict=True))
        report.add(what, took, "ms", at_most=300)
        report.add(f"{what}: drawn as well (software OpenGL)", drawn, "ms")
        report.add(f"{what}: processor time of window and model", busy, "ms")
        report.add(f"{what}: the window stands still meanwhile", gap, "ms")
    viewer.close()
    report.finish()


def ask(app, workspace, dock, text: str) -> tuple[float, float, float, float]:
    """Seconds until the latents are in a prompt's order, until drawn, of the longest absence, of processor time."""
    orders, draws = [], []
    canvas = workspace.context.scene.viewer.window._qt_viewer.canvas._scene_canvas
    settled = time.perf_counter() + 0.5  # nobody asks while the last answer is being drawn
    wait(app, lambda: time.perf_counter() > settled)
    before = processor_time()
    workspace.session.events.order.connect(orders.append)
    dock.prompt.field.setText(text)
    start = last = time.perf_counter()
    gap = 0.0
    dock.prompt.field.returnPressed.emit()
    while not orders or workspace.images.prompts.jobs.busy:
        app.processEvents()
        now = time.perf_counter()
        last, gap = now, max(gap, now - last)
        time.sleep(0.005)  # a window that waits takes nothing from the model
        if now - start > 60:
            raise TimeoutError(dock.prompt.note.text())
    took, busy = time.perf_counter() - start, processor_time() - before
    workspace.session.events.order.disconnect(orders.append)
    canvas.events.draw.connect(draws.append, position="last")
    wait(app, lambda: bool(draws))
    canvas.events.draw.disconnect(draws.append)
    return took, time.perf_counter() - start, gap, busy


def processor_time() -> float:
    """Seconds that this process and those it started have worked: what a busy machine does not change much."""
    own = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (own, *own.children(recursive=True)))


def wait(app, done) -> None:
    """Let the window work until something holds."""
    while not done():
        app.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
