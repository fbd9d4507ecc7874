"""Going through a run in a real viewer: how long the window stands still at a step, and when verdicts come in.

A timer ticks in the event loop; its longest gap is what a user feels. Without a GPU most of it is OpenGL in software,
so the time that a step itself takes, until the event loop runs again, is told apart. The embedded model's run over a
few phantoms, and a verdict file of 50,000 decisions by three people on a model of 16,384 latents.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "napari.yaml")
os.environ["XDG_CACHE_HOME"] = os.environ.get("REVIEW_CACHE") or tempfile.mkdtemp()
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import napari
import numpy as np
from _report import Report
from qtpy.QtCore import QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import fakes
from in_process import InProcess
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.runs.making import demo
from napari_mammosae.core.verdicts.events import INSERT_EVENT, VERDICTS, Event
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.process import batch
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.workspace import workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PHANTOMS, STEPS, EVENTS, LATENTS, GRID = 12, 10, 50_000, 16_384, (48, 29)
DOCKS = ("Images", "Latents", "Verdicts")


class Heartbeat:
    """The gaps between the ticks of a timer in the event loop, without the drawing of napari's canvas in them.

    Without a GPU OpenGL is software: a drawing of the canvas may then take longer than all else, and is counted apart.
    """

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.drawn: list[float] = []
        self._drawing = self._began = 0.0
        self._last = time.perf_counter()
        self._timer = QTimer(interval=2)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def watch(self, viewer: napari.Viewer) -> None:
        """Tell the drawing of a viewer's canvas from the rest."""
        draw = viewer.window._qt_viewer.canvas._scene_canvas.events.draw
        draw.connect(self._on_begin, position="first")
        draw.connect(self._on_end, position="last")

    def _on_begin(self, _: object) -> None:
        self._began = time.perf_counter()

    def _on_end(self, _: object) -> None:
        self._drawing += time.perf_counter() - self._began
        self.drawn.append(1000 * (time.perf_counter() - self._began))

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last - self._drawing)
        self._last, self._drawing = now, 0.0

    @contextmanager
    def longest(self, into: list[float], settle: int = 1_500) -> Iterator[None]:
        """Add the longest gap within the block, and within what it has set going, in milliseconds."""
        QTest.qWait(50)
        self.gaps.clear()
        yield
        QTest.qWait(settle)
        into.append(1000 * max(self.gaps))


def viewer_with_docks() -> napari.Viewer:
    """A viewer with the docks of a review."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1366, 768)
    for name in DOCKS:
        viewer.window.add_plugin_dock_widget("napari-mammosae", name)
    return viewer


def idle(workspace) -> None:
    """Wait until nothing is worked on."""
    while workspace.jobs.busy or workspace.opener.jobs.busy:
        QTest.qWait(20)


def steps(report: Report, pulse: Heartbeat) -> None:
    """Go from image to image by the key's action."""
    demo_run = demo.demo_run
    demo_run(count=PHANTOMS)
    batch.Child = InProcess  # another process would make the whole run
    viewer = viewer_with_docks()
    pulse.watch(viewer)
    workspace = workspace_of(viewer)
    demo.demo_run = partial(demo_run, count=PHANTOMS)
    workspace.opener.open_large_demo()
    idle(workspace)
    QTest.qWait(3_000)
    gaps: list[float] = []
    itself: list[float] = []
    workspace.browser.next_image()  # the first one adds the layer of boxes
    QTest.qWait(1_500)
    for go in [workspace.browser.next_image] * STEPS + [workspace.browser.previous_image] * STEPS:
        with pulse.longest(gaps):
            start = time.perf_counter()
            go()
            itself.append(1000 * (time.perf_counter() - start))
    quick: list[float] = []
    with pulse.longest(quick, settle=3_000):
        for _ in range(STEPS):
            workspace.browser.next_image()
            QTest.qWait(100)
    report.add("step to the next or previous image, itself, median", statistics.median(itself), "ms", at_most=100)
    report.add("step, itself, longest", max(itself), "ms", at_most=100)
    report.add("step, longest gap, drawing apart, median", statistics.median(gaps), "ms")
    report.add("step, longest gap, drawing apart", max(gaps), "ms")
    report.add(f"{STEPS} steps, ten a second, longest gap, drawing apart", max(quick), "ms")
    viewer.close()
    workspace.close()


def write_verdicts(path: Path, subject: Subject) -> None:
    """Write decisions of three people, each a microsecond after the one before."""
    draw = np.random.default_rng(0)
    latents, people = draw.integers(0, LATENTS, EVENTS).tolist(), draw.integers(0, 3, EVENTS).tolist()
    events = [
        Event(f"{i:032x}", f"2026-01-01T00:00:00.{i:06d}Z", ("anna", "ben", "carla")[people[i]], subject.model,
              subject.sae, latents[i], VERDICTS[i % 4], "view marker", "", "image-000123", '{"zoom": 1.0}', "")
        for i in range(EVENTS)
    ]  # fmt: skip
    with VerdictStore(path) as store, store.transaction() as connection:
        connection.executemany(INSERT_EVENT, [astuple(event) for event in events])


def verdicts(report: Report, pulse: Heartbeat) -> None:
    """Open a long verdict file, and let others write into it."""
    viewer = viewer_with_docks()
    pulse.watch(viewer)
    workspace = workspace_of(viewer)
    model = fakes.FakeModel(n_latents=LATENTS, grid=GRID, preprocessing=Preprocessing(size=(1520, 912)))
    image = fakes.mammogram(shape=(3000, 1800))
    viewer.add_layer(mammogram_layer(image))
    workspace.session.handle = model
    workspace.session.maps = fakes.latent_maps(model, image.frame_for(model.facts.preprocessing), live=1_500)
    book = workspace.reviewer.book
    path = Path(tempfile.mkdtemp()) / "long.sqlite"
    write_verdicts(path, book.subject)
    gc.collect()  # of what was made for writing, which is usually done by another process
    QTest.qWait(2_000)
    opened: list[float] = []
    start = time.perf_counter()
    with pulse.longest(opened, settle=10):
        book.use_path(path)
        while book.reading:
            QApplication.processEvents()
            time.sleep(0.0005)
        took = time.perf_counter() - start
    assert len(book.mine) + len(book.others) > 10_000
    other: list[float] = []
    with VerdictStore(path, "dora") as dora:
        for latent in range(5):
            with pulse.longest(other, settle=500):
                dora.decide(book.subject, latent, "unsure")
                workspace.reviewer._poll()
    assert "dora" in book.line(4)
    own: list[float] = []
    itself: list[float] = []
    for latent in range(5):
        workspace.session.current = latent
        QTest.qWait(500)
        with pulse.longest(own, settle=500):
            start = time.perf_counter()
            workspace.reviewer.judge_spurious()
            itself.append(1000 * (time.perf_counter() - start))
    report.add(f"{EVENTS:,} verdicts are there", took, "s")
    report.add("while they are read, longest", max(opened), "ms", at_most=100)
    report.add("somebody else's verdict comes in, longest", max(other), "ms", at_most=100)
    report.add("own verdict on the disk and in all docks, longest", max(itself), "ms", at_most=100)
    report.add("own verdict, longest gap, drawing apart", max(own), "ms")
    viewer.close()
    workspace.close()


def main() -> None:
    report = Report(
        "Review",
        "Longest gaps between the ticks of a 2 ms timer in the event loop; the docks Images, Latents, Verdicts open.",
    )
    napari.Viewer(show=False).close()
    pulse = Heartbeat()
    wanted = sys.argv[1:] or ["steps", "verdicts"]
    if "steps" in wanted:
        steps(report, pulse)
    if "verdicts" in wanted:
        verdicts(report, pulse)
    report.add("drawing the canvas, longest", max(pulse.drawn), "ms")
    report.finish()


if __name__ == "__main__":
    main()
