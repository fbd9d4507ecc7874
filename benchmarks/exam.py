"""Opening an exam of four views whose latents are there, and a step of the slider over all of them."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from types import MethodType
from typing import Any

from _report import Report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))  # the fake model

H, GRID, SOURCE, LIVE, STEPS, SIZE = 16_384, (48, 29), (1520, 912), 850, 40, (1366, 740)
SIDES = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def main() -> None:
    report = Report(
        "Exam",
        f"Four images of {SOURCE[0]:,} x {SOURCE[1]:,} pixels, {H:,} latents, {LIVE} of them live on each, in a window "
        f"of {SIZE[0]:,} x {SIZE[1]:,}; medians of {STEPS} slider steps until nothing is left to draw.",
    )
    viewer, exam, shown = prepared()
    report.add("slider step over one image", 1000 * step_seconds(viewer), "ms")
    draws: list[Any] = []
    viewer.window._qt_viewer.canvas.events.draw.connect(draws.append)
    report.add("opening the exam, once its latents are there", seconds(lambda: exam._show(shown)), "s", at_most=1.5)
    settle()
    draws.clear()
    report.add("slider step over the exam", 1000 * step_seconds(viewer), "ms", at_most=80)
    report.add("… drawings a step", len(draws) / STEPS, at_most=1)
    report.add("leaving the exam", seconds(exam.leave), "s")
    settle()
    report.add("opening it again", seconds(lambda: exam._show(shown)), "s", at_most=1.5)
    viewer.close()
    report.finish()


def prepared() -> tuple[Any, Any, Any]:
    """A viewer at one of the images, its exam view, and the exam as it is read."""
    import napari

    from fakes import FakeModel, latent_maps, phantom
    from napari_mammosae.core.exams.grouping import Exam
    from napari_mammosae.core.images.mammogram import read_mammogram
    from napari_mammosae.core.images.preprocessing import Preprocessing
    from napari_mammosae.viewer.canvas.layers import mammogram_layer, mammogram_options
    from napari_mammosae.viewer.exam.state import ExamImage, ShownExam
    from napari_mammosae.viewer.runs.prefetch import Ready
    from napari_mammosae.viewer.workspace import workspace_of

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*SIZE)
    workspace = workspace_of(viewer)
    model = workspace.session.handle = FakeModel(n_latents=H, grid=GRID, preprocessing=Preprocessing(size=SOURCE))
    images = []
    for row, (side, view) in enumerate(SIDES):
        pixels = phantom(row, SOURCE)
        image = read_mammogram(pixels[:, ::-1] if side == "R" else pixels, image_id=f"image-{row}")
        maps = latent_maps(model, image.frame_for(model.facts.preprocessing), seed=row, live=LIVE)
        images.append(
            ExamImage(row, Ready(image, image.displayed(), mammogram_options(image), maps), side, view, False)
        )
    shown = ShownExam(Exam("patient", None, (0, 1, 2, 3)), None, tuple(images))
    exam = workspace.exam
    exam._exams, exam._place = [shown.exam], 0
    exam.jobs.start = MethodType(lambda *_, **__: None, exam.jobs)  # nipples are looked for in a thread
    exam.browser._ids = {one.ready.image.image_id: one.row for one in images}
    exam.browser._names.find = lambda name: exam.browser._ids.get(name)
    viewer.add_layer(mammogram_layer(images[0].ready.image))
    settle()
    workspace.session.maps = images[0].ready.maps
    settle(2)
    return viewer, exam, shown


def settle(rest: float = 0.5) -> None:
    """Let the window draw what it has to."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + rest
    while time.perf_counter() < end:
        QApplication.processEvents()


def seconds(act: Any) -> float:
    """Seconds until an act is done and everything drawn."""
    from qtpy.QtWidgets import QApplication

    start = time.perf_counter()
    act()
    QApplication.processEvents()
    QApplication.processEvents()  # what a drawing leaves to be drawn again
    return time.perf_counter() - start


def step_seconds(viewer: Any) -> float:
    """Median of the steps of the slider."""
    at = round(viewer.dims.point[0])
    return statistics.median(seconds(lambda rank=at + by: viewer.dims.set_point(0, rank)) for by in range(1, STEPS + 1))


if __name__ == "__main__":
    main()
