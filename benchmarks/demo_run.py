"""The demo run of 200 phantoms in the real window: from the press of its button to the ranking of the latents.

The docks are open, the first image of the package's own example is shown, and the cache is empty: the run is made, as
for everyone who presses the button for the first time. The timer of `responsiveness` ticks meanwhile.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from _report import Report
from responsiveness import Heartbeat

AT_MOST_S, FRAME_MS, GIVE_UP_S = 100, 100, 3600
MAKING, OPENING, ELSE = "while images are drawn and computed", "while the run is opened and ranked", "before"


class Watch:
    """What the window says of the work, and when."""

    def __init__(self, pulse: Heartbeat) -> None:
        self.pulse, self.updates, self.with_time_left, self.last = pulse, 0, 0, 0.0
        pulse.phase = ELSE

    def __call__(self, progress: Any) -> None:
        self.pulse.beat()
        if progress.total:
            self.pulse.phase = MAKING
            self.updates += 1
            self.with_time_left += "left" in progress.pace
            self.last = time.perf_counter()
        elif self.updates:
            self.pulse.phase = OPENING


def main() -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_mammosae.viewer.launch import show_demo
    from napari_mammosae.viewer.runs.run_panel import RunPart

    report = Report("Demo run of 200 phantoms", (__doc__ or "").partition("\n\n")[2].replace("\n", " "))
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    app = QApplication.instance()
    assert app is not None
    workspace = show_demo(viewer)
    opener, ranking = workspace.opener, workspace.ranking

    def go_on(until: Any, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while not until() and time.perf_counter() < end:
            app.processEvents()
            time.sleep(0.0005)

    go_on(lambda: ranking.columns and not workspace.jobs.busy, 120)
    go_on(lambda: False, 2)
    button = next(part for part in viewer.window._qt_window.findChildren(RunPart)).large_button
    pulse = Heartbeat()
    watch = Watch(pulse)
    opener.jobs.progressed.connect(watch)
    small = workspace.session.run
    start = time.perf_counter()
    button.click()
    go_on(lambda: not opener.jobs.busy, GIVE_UP_S)
    run = workspace.session.run
    assert run is not None
    assert run is not small, opener.line.last_told
    go_on(lambda: ranking.columns and not ranking.jobs.busy, GIVE_UP_S)
    took = time.perf_counter() - start
    go_on(lambda: False, 2)
    assert len(run) == 200
    report.add("from the button to the ranking", took, "s", at_most=AT_MOST_S)
    report.add("… of it opening the run and ranking", start + took - watch.last, "s")
    report.add("updates of the progress", watch.updates)
    report.add("… with a time left", watch.with_time_left)
    for phase, bound in ((MAKING, FRAME_MS), (OPENING, FRAME_MS), (ELSE, None)):
        longest = 1000 * pulse.longest.get(phase, 0.0)
        report.add(f"longest time without an answer of the window, {phase}", longest, "ms", at_most=bound)
        report.add("… of it on the processor", 1000 * pulse.busiest.get(phase, 0.0), "ms")
    viewer.close()
    report.finish()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        main()
