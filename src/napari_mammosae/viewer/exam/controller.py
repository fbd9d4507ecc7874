"""The exam view: all images of a patient's exam at once, the same latent over each of them on one scale."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...core.base.progress import ignore
from ...core.exams.figures import measure_view
from ...core.exams.grouping import find_exam, find_prior, group_exams
from ..app.listening import call_while_alive
from ..canvas.latent_view import shared_maximum
from ..canvas.redraw import controls_later, drawn_once, garbage_later
from ..canvas.texts import write_latent
from ..context import Controller
from ..runs.prefetch import Prefetch
from .layers import ExamLayers
from .tasks import find_nipples, read_exam

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from ...core.annotations.boxes import Findings
    from ...core.base.progress import Report
    from ...core.exams.figures import ViewFigures
    from ...core.exams.grouping import Exam
    from ..context import Context
    from ..runs.browser import RunBrowser
    from .state import Point, ShownExam

_AHEAD = 2
"""Exams kept ready, of up to 100 MB each."""


class ExamView(Controller):
    """Shows exams of the open run; what was on the canvas before is hidden meanwhile and comes back as it was.

    While it is on it follows the session: the latent, its order and colour scale, boxes, and the image, whose exam is
    shown.

    Attributes
    ----------
    shown
        The exam on the canvas; None while a single image is.
    toggled
        Emits whether an exam is shown, after that changed.
    changed
        Emits when another exam is shown, or what is known of this one changed.
    stepped
        Emits when the figures are those of another latent.
    """

    toggled = Signal(bool)
    changed = Signal()
    stepped = Signal()

    def __init__(self, context: Context, browser: RunBrowser) -> None:
        super().__init__(context)
        self.browser = browser
        self.shown: ShownExam | None = None
        self.jobs = self.new_jobs()
        self._layers = ExamLayers(self.scene, browser.actions.dress, browser.actions.ruler)
        self._with_prior = self._placing = False
        self._exams: list[Exam] | None = None
        self._place: int | None = None
        self._nipples: dict[int, Point | None] = {}
        self._before: ExitStack | None = None
        self._hidden: list[Layer] = []
        self._ahead = Prefetch(_AHEAD)
        self._undo.callback(self._ahead.close)
        events = self.session.events
        for event, callback in (
            (events.run, self._on_run),
            (events.model, self._on_model),
            (events.current, self._on_current),
            (events.contrast, self._on_current),
            (events.verdicts, self._on_current),
            (events.maps, self._on_current),
            (events.findings, self._on_boxes),
            (events.blind, self._on_boxes),
            (browser.moved, self._on_moved),
            (browser.actions.ruler.wanted, self._add_rulers),
        ):
            self.listen(event, callback)

    def close(self) -> None:
        """Bring back the single image and stop listening."""
        self.leave()
        super().close()

    # What there is

    @property
    def exams(self) -> list[Exam]:
        """The exams of the open run."""
        if self._exams is None:
            run = self.session.run
            self._exams = [] if run is None else group_exams(run.images)
        return self._exams

    @property
    def place(self) -> int | None:
        """Which of `exams` is shown or asked for, else that of the image on the canvas."""
        if self._place is not None:
            return self._place
        row = self.browser.row
        return None if row is None else find_exam(self.exams, row)

    @property
    def with_prior(self) -> bool:
        """Whether the patient's exam before is shown beside, where dates are known."""
        return self._with_prior

    @with_prior.setter
    def with_prior(self, wanted: bool) -> None:
        if wanted != self._with_prior:
            self._with_prior = wanted
            if self.shown is not None and self._place is not None:
                self.open(self._place)
            self.changed.emit()

    @property
    def has_prior(self) -> bool:
        """Whether an earlier exam of the patient is known."""
        return self.place is not None and find_prior(self.exams, self.place) is not None

    def hides(self, layer: Layer) -> bool:
        """Whether a layer is hidden for as long as an exam is shown."""
        return layer in self._hidden

    def figures(self) -> list[ViewFigures | None]:
        """Figures of the current latent, one a view that is shown; None for a view without latents."""
        latent = self.session.current
        found: list[ViewFigures | None] = []
        for one in self.shown.images if self.shown is not None else ():
            maps, scale, nipple = one.ready.maps, one.ready.image.scale, self._nipples.get(one.row)
            if maps is None or maps.frame is None or latent is None or latent >= len(maps):
                found.append(None)
            else:
                sides = {"laterality": one.laterality, "view": one.view}
                found.append(measure_view(maps, latent, scale=scale, nipple=nipple, **sides))
        return found

    # What the user does

    def toggle(self) -> None:
        """Show the exam of the image on the canvas (the first one, if it is in none), or the single image again."""
        if self.shown is not None:
            self.leave()
        elif self.session.run is None:
            self.status.tell("Open a run to see the images of a patient together.", error=True)
        elif self.exams:
            self.open(self.place or 0)

    def next_exam(self) -> None:
        """Go to the next exam of the run."""
        self.step(1)

    def previous_exam(self) -> None:
        """Go to the previous exam of the run."""
        self.step(-1)

    def step(self, by: int) -> None:
        """Go some exams on, from an image outside the run to the first one."""
        if self.session.run is None:
            self.status.tell("Open a run to go from exam to exam.", error=True)
            return
        place = 0 if self.place is None else self.place + by
        if 0 <= place < len(self.exams):
            self.open(place)
        else:
            self.status.tell("This is the last exam of the run." if by > 0 else "This is the first exam of the run.")

    def open(self, place: int) -> None:
        """Show an exam, read in a thread if need be."""
        if self.scene.owned.with_role("comparison"):
            self.status.tell("Leave the comparison first: Side by side in the Latents dock.", error=True)
            return
        key, work = self._reading(place)
        self._place = place
        if (ready := self._ahead.get(key)) is not None:
            self.jobs.cancel()
            self._show(ready)
            return
        waiting = self._ahead.under_way(key)

        def read(report: Report) -> ShownExam:
            found: ShownExam = waiting.result() if waiting is not None else work(report)
            return found

        def done(shown: ShownExam) -> None:
            if key[0] is self.session.run and key[-1] is self.session.handle:
                self._ahead.keep(key, shown)
                self._show(shown)

        self.status.tell(f"Reading the exam of {self.exams[place].title}.")
        self.jobs.start(f"Reading the exam of {self.exams[place].title}", read, done, self._failed)

    def leave(self) -> None:
        """Remove the exam and bring back the layers, the grid and the camera of before."""
        self._place = None
        self.jobs.cancel()
        if self._before is None:
            return
        undo, self._before = self._before, None
        self.shown, self._nipples = None, {}
        viewer = self.scene.viewer
        with garbage_later(), viewer.layers.batched_update() if viewer is not None else nullcontext():
            self._layers.remove()
            undo.close()
        self.scene.write_texts()
        self.browser.actions.ruler.show()
        self.toggled.emit(False)
        self.changed.emit()

    # How it gets onto the canvas

    def _reading(self, place: int) -> tuple[tuple[Any, ...], Any]:
        """What to read for an exam: under which key it is kept, and the work."""
        run, handle, exam = self.session.run, self.session.handle, self.exams[place]
        prior = find_prior(self.exams, place) if self.with_prior else None
        key = (run, exam, prior, handle)
        return key, partial(read_exam, run, exam, prior, self.browser.files_of(run), handle)

    def _show(self, shown: ShownExam) -> None:
        viewer = self.scene.viewer
        if viewer is None:
            return
        started = self._before is None
        if started:
            self._before = ExitStack()
        try:
            self._put(viewer, shown, started)
        except BaseException:  # never leave the user with every layer hidden
            self.leave()
            raise
        if started:
            self.toggled.emit(True)
        self.changed.emit()
        place = f"exam {self._place + 1:,} of {len(self.exams):,}" if self._place is not None else "exam"
        notes = [one.ready.note for one in shown.images if one.ready.note]
        self.status.tell(f"{shown.exam.title}: {place}. {notes[0] if notes else ''}".rstrip())
        self.jobs.start("Looking for nipples", partial(find_nipples, shown), self._take_nipples, self._failed)
        self._read_ahead()

    def _put(self, viewer: ViewerModel, shown: ShownExam, started: bool) -> None:
        assert self._before is not None
        undo, grid = self._before, viewer.canvas.grid
        camera = viewer.scene.camera
        if started:
            undo.callback(_restore_camera, camera, camera.center, camera.zoom)
        if shown is not self.shown:
            self.shown, self._nipples = shown, {}
        if self.browser.row not in shown.rows:
            self._placing = True  # the image before may go first
            try:
                self.browser.show_ready(shown.images[0].row, shown.images[0].ready)
            finally:
                self._placing = False
        # napari puts its scene together once, not for every layer, and collects garbage then
        with garbage_later(), controls_later(viewer), viewer.layers.batched_update():
            self._hide_others(viewer)
            shape, stride = self._layers.show(viewer, shown, self._findings)
            for name, value in (("stride", stride), ("shape", shape), ("spacing", 2.0), ("enabled", True)):
                if started:
                    undo.callback(setattr, grid, name, getattr(grid, name))
                setattr(grid, name, value)
        if started:
            undo.callback(self._bring_back)
            for event, callback in (
                (viewer.layers.events.inserted, self._on_inserted),
                (viewer.layers.events, self._on_list),
                (viewer.layers.events.removed, self._on_removed),
                (grid.events.enabled, self._on_grid),
            ):
                event.connect(callback)
                undo.callback(event.disconnect, callback)
        self.browser.actions.ruler.show()
        self.scene.write_texts()  # without the prediction, which is about one of the images
        self._on_current()

    def _maps(self) -> list[Any]:
        shown = self.shown.images if self.shown is not None else ()
        return [one.ready.maps for one in shown if one.ready.maps is not None]

    def _hide_others(self, viewer: ViewerModel) -> None:
        """Hide what is not of the exam until it is left: it would take a cell of the grid."""
        for layer in viewer.layers:
            if layer.visible and layer not in self._layers:
                self._hidden.append(layer)
                layer.visible = False

    def _bring_back(self) -> None:
        hidden, self._hidden = self._hidden, []
        for layer in hidden:
            layer.visible = True

    def _on_inserted(self, event: Any) -> None:
        viewer = self.scene.viewer
        if viewer is not None and self.scene.owned.role_of(event.value) != "exam":
            self._hide_others(viewer)

    def _on_list(self, event: Any) -> None:
        """What would show one of our layers of the single image shows it once the exam is left."""
        if event.type != "visible" or self.shown is None:
            return
        for layer in self.scene.owned.drawn:
            if layer.visible and layer not in self._layers and self.scene.owned.role_of(layer) != "exam":
                self._hidden.append(layer)
                layer.visible = False

    def _on_grid(self, *_: object) -> None:
        """Without the grid all views would lie on each other."""
        if (viewer := self.scene.viewer) is not None and not viewer.canvas.grid.enabled:
            self.leave()

    def _on_removed(self, event: Any) -> None:
        if event.value in self._layers:  # by the user: cells would take the layers of others
            QTimer.singleShot(0, call_while_alive(self.leave))  # napari may be about to remove others as well

    def _read_ahead(self) -> None:
        place = self._place
        if place is not None and place + 1 < len(self.exams):
            key, work = self._reading(place + 1)
            self._ahead.want([(key, partial(work, ignore))])

    # What it follows

    def _on_current(self, *_: object) -> None:
        """Show the latent on all views, in one drawing, on one scale."""
        viewer, latent, maps = self.scene.viewer, self.session.current, self._maps()
        if viewer is None or self.shown is None or latent is None or not maps or latent >= len(maps[0]):
            return
        with drawn_once(viewer):
            limits = self._limits(latent, maps)
            self._layers.show_latent(viewer, latent, limits)
            write_latent(viewer, f"latent {latent}\n{limits[0]:.3g} to {limits[1]:.3g} on all views")
        self.stepped.emit()

    def _limits(self, latent: int, maps: list[Any]) -> tuple[float, float]:
        if self.session.contrast == "manual":
            low, high = self.session.manual_limits
            return (low, high) if high > low else (low, low + 1.0)
        shared = self.session.contrast == "shared"
        high = max(shared_maximum(one) if shared else float(one.pooled_max[latent]) for one in maps)
        return (0.0, high) if high > 0 else (0.0, 1.0)

    def _on_boxes(self, *_: object) -> None:
        viewer = self.scene.viewer
        if self.shown is not None and viewer is not None:
            with self.status.telling():
                self._put(viewer, self.shown, False)

    @property
    def _findings(self) -> Findings | None:
        """The boxes to draw; none for a blind judge."""
        return None if self.session.blind else self.session.findings

    def _on_moved(self, row: int | None) -> None:
        """Stay with the exam of the image that the user goes to."""
        viewer = self.scene.viewer
        if self.shown is None or viewer is None or self._placing:
            return
        if row is None:
            self.leave()
            return
        self._hide_others(viewer)  # the exam before stays while the next one is read
        if row not in self.shown.rows and (place := find_exam(self.exams, row)) is not None:
            self.open(place)

    def _on_run(self, *_: object) -> None:
        self.leave()
        self._exams = None
        self._ahead.clear()
        self.changed.emit()

    def _on_model(self, *_: object) -> None:
        self.leave()
        self._ahead.clear()

    def _add_rulers(self) -> None:
        if (viewer := self.scene.viewer) is not None and self.shown is not None:
            self._layers.add_rulers(viewer)

    def _take_nipples(self, found: dict[int, Point | None]) -> None:
        self._nipples = found
        self.stepped.emit()

    def _failed(self, error: Exception) -> None:
        if self.shown is None:
            self._place = None
        elif self.browser.row not in self.shown.rows:
            self.leave()  # for the single image, which could be read
        self.status.report_failure(error)


def _restore_camera(camera: Any, center: tuple[float, ...], zoom: float) -> None:
    camera.center, camera.zoom = center, zoom
