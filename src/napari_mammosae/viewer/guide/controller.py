"""The demo's first minute: the picture it opens on, and the steps from there to the marker's removal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from ...core.base.text import counted
from ...core.runs.making.demo import demo_hashes
from ..app import keymap
from ..app.listening import call_while_alive
from ..app.order import BY_IMAGE, Order
from ..app.session import HIDDEN
from ..context import Controller
from ..image.tasks import ModelChoice
from ..intervention.panel import IntervenePanel
from ..sessions.window import raise_dock, window_of
from .hint import show_hint
from .marker_latents import pushes_of_markers
from .steps import STEPS, TAKEN

if TYPE_CHECKING:
    from ..intervention.layers import MapKind
    from ..workspace import Workspace

CONCEPT = "view marker"
_LATENTS, _INTERVENE = "napari-mammosae.latents_dock", "napari-mammosae.intervene_dock"
_CLASS = 0
"""The logit of the story: mass."""


class Guide(Controller):
    """Opens the demo, and leads from its first picture to what the removal of the marker does.

    Attributes
    ----------
    changed
        Emits when a step was done, or something else is to be said.
    said
        What the last step showed, in words.
    marker_latents
        Latents found to carry markers into the logit for mass, the strongest first.
    """

    changed = Signal()

    def __init__(self, work: Workspace) -> None:
        super().__init__(work.context)
        self._work = work
        self.said = ""
        self.marker_latents: tuple[int, ...] = ()
        self._opening = self._covered = self._placing = self._finding = False
        self._taken: set[str] = set()
        events = self.session.events
        self.listen(events.run, self._on_run)
        self.listen(events.maps, self._on_maps)
        self.listen(events.order, self._on_order)
        self.listen(events.current, self._on_current)
        self.listen(events.image, self._on_image)
        self.listen(work.images.prompts.asked, self._on_asked)
        self.listen(events.verdicts, self._announce)
        self.listen(events.blind, self._on_blind)
        self.listen(work.suspects.changed, self._on_found)
        self.listen(work.suspects.jobs.ended, self._on_searched)
        self.listen(work.intervention.changed, self._announce)
        self.listen(work.over_run.move.changed, self._on_moved)
        if (viewer := self.scene.viewer) is not None:
            self._undo.callback(keymap.bind(viewer, self, keymap.GUIDE_KEYS))
            self.listen(viewer.layers.events.inserted, self._on_inserted)
            steps = viewer.dims.events.current_step
            steps.connect(self._on_step, position="first")  # before the scene takes the slider's place for the latent
            self._undo.callback(steps.disconnect, self._on_step)

    def start(self) -> None:
        """Open the embedded model's run at its first image, under the map of what makes the model say mass."""
        work = self._work
        model = self.session.model
        if model is not None and (model.model_sha256, model.sae_sha256) != demo_hashes():
            work.images.unload()
        work.images.choice = replace(ModelChoice(name="demo"), device=work.images.choice.device)
        self._opening = True
        self.status.tell("Opening the example …")
        work.opener.open_demo()

    # The steps

    def is_done(self, key: str) -> bool:
        """Whether a step was taken, or what it leads to was done in another way."""
        if key == "judge":
            return "spurious" in self._work.reviewer.book.verdicts().values()
        if key == "remove":
            return self._work.intervention.state.without_spurious
        return key in self._taken

    @property
    def next_key(self) -> str:
        """The first step that is not done; empty when all are."""
        return next((step.key for step in STEPS if not self.is_done(step.key)), "")

    def next_step(self) -> None:
        """Take the first step that is not done."""
        if key := self.next_key:
            self.take(key)
        else:
            self._say("All steps are done.")

    def take(self, key: str) -> None:
        """Take a step; without a run the example is opened first."""
        if self.session.run is None:
            self.start()
            return
        if self.session.blind and key in ("ranking", "find", "judge"):
            self._say(HIDDEN)
            return
        getattr(self, f"_take_{key}")()

    def _take_latent(self) -> None:
        self._reveal()
        self._taken.add("latent")
        self._say(
            "A latent is one of the 2,048 patterns that the SAE knows. The colours show where this one fires; Left and "
            "Right show others."
        )

    def _take_ranking(self) -> None:
        self._reveal()
        raise_dock(window_of(self.scene.viewer), _LATENTS)
        latents = self._work.latents
        latents.follows = True
        latents.fill(sort_by=latents.ranking.sort_key)
        order = self.session.order
        self._taken.add("ranking")
        first = ", ".join(map(str, order.latents[:4])) if order is not None else ""
        self._say(
            f"{first} fire most on images with {self._what}. What they add to the logit is another matter: see Logit "
            "in the Latents dock."
        )

    def _take_find(self) -> None:
        self._reveal()
        self._finding = True
        self._work.suspects.find()
        self._on_found()

    def _take_judge(self) -> None:
        if not self.marker_latents:
            self._take_find()
            return
        judged = self._work.reviewer.judge_all(self.marker_latents, "spurious", CONCEPT)
        if judged:
            self._say(f"Your verdict on {counted(judged, 'latent')}: spurious, {CONCEPT}. Shift-U undoes the last one.")

    def _take_remove(self) -> None:
        work = self._work
        raise_dock(window_of(self.scene.viewer), _INTERVENE)
        if not work.intervention.state.without_spurious:
            work.toggle_spurious()
        if work.intervention.is_on:
            self._cover("after")
            self._say("Predictions are made without them. The red on the marker fades, the ring on the mass stays.")
        else:
            self._say(work.intervention.problem)

    def _take_auroc(self) -> None:
        dock = raise_dock(window_of(self.scene.viewer), _INTERVENE)
        if isinstance(dock, IntervenePanel):
            dock.tabs.setCurrentIndex(dock.tabs.count() - 1)
        self._taken.add("auroc")
        self._on_moved()

    @property
    def _what(self) -> str:
        """What the steps are about."""
        model = self.session.model
        return model.titles[_CLASS] if model is not None and model.titles else "the class"

    # What comes of them

    def _on_found(self) -> None:
        """The suspects are there: those that carry markers into the logit come first in the stack."""
        run, model, suspects = self.session.run, self.session.model, self._work.suspects.suspects
        if not self._finding or suspects is None or run is None or model is None or model.attribution is None:
            return
        self._finding = False
        pushes = pushes_of_markers(run, model.attribution[_CLASS], suspects)
        order = Order.by_score(pushes, "logit added on markers", run)
        self.marker_latents = tuple(int(one) for one in order.latents[:TAKEN] if pushes[one] > 0)
        self.session.order = order
        if self.marker_latents:
            self.session.current = self.marker_latents[0]
        self._taken.add("find")
        listed = ", ".join(map(str, self.marker_latents))
        self._say(
            f"{listed} fire on burned-in letters and so raise the logit for {self._what}: a shortcut. Left and Right "
            "show them."
            if listed
            else f"No latent raises the logit for {self._what} by firing on burned-in letters."
        )

    def _on_searched(self) -> None:
        if self._finding:
            self._finding = False
            self._say(self._work.suspects.note)

    def _on_moved(self) -> None:
        measures = self._work.over_run.move.measures
        if "auroc" in self._taken and self._work.intervention.state.without_spurious and measures:
            used = len(self.session.run) if self.session.run is not None else 0
            self._say(
                f"{measures}. On most of these {used} images the marker disagrees with the mass and misleads the model."
                if not self.session.blind
                else HIDDEN
            )

    # The picture

    def _on_run(self, run: Any) -> None:
        """Where another image is open, its place is taken; else the opener shows the first one."""
        if self._opening and run is not None and self.session.image is not None:
            self._work.browser.show(0)

    def _on_maps(self, maps: Any) -> None:
        if not self._opening or maps is None or self.session.run is None:
            return
        self._opening, self._placing = False, True
        self._taken.clear()
        self.said, self.marker_latents = "", ()
        self._work.latents.follows = True  # opened anew, the stack is in the order of the latents that read markers
        self._cover("before")
        show_hint(self.scene.viewer, self._covered)
        QTimer.singleShot(0, call_while_alive(self._settle))
        self._announce()

    def _settle(self) -> None:
        """The maps are shown; a ranking that was there already places its first latent now."""
        self._placing = False
        self._on_order(self.session.order)

    def _on_order(self, order: Order | None) -> None:
        """Behind the picture waits the first latent of the ranking."""
        if not self._covered or self._placing or order is None or order.name == BY_IMAGE:
            return
        if order.measured_on is self.session.image:  # asked for: the latents that hit a box, a region, a prompt
            self._reveal()
        else:
            self._placing = True
            self.session.current = int(np.asarray(order.latents)[0])
            self._placing = False

    def _on_current(self, *_: object) -> None:
        if self._placing:
            self._placing = False  # the latent that new maps begin with, or the one placed here: no step of the user's
        elif self._covered:
            self._take_latent()

    def _on_step(self, *_: object) -> None:
        """The first step from the picture goes to the latent that waits behind it, not past it."""
        viewer, rank = self.scene.viewer, self.session.rank
        if not self._covered or self._placing or viewer is None or rank is None or self.scene.stack_layer is None:
            return
        axis = viewer.dims.ndim - 3
        if abs(round(viewer.dims.point[axis]) - rank) == 1:
            self._take_latent()
            viewer.dims.set_point(axis, rank)

    def _on_inserted(self, event: Any) -> None:
        """Boxes found for a latent are seen over its heatmap."""
        if self.scene.owned.role_of(event.value) == "found":
            self._reveal()

    def _on_image(self, image: Any) -> None:
        if not self._covered or self._opening:
            return
        show_hint(self.scene.viewer, False)
        if image is None:  # what the picture was of is gone; another image comes with its latents
            self._reveal()

    def _on_asked(self, *_: object) -> None:
        """Who types a text wants to see the latents of it."""
        self._reveal()

    def _reveal(self) -> None:
        """Show the latents in place of the picture; it stays away then."""
        if self._covered:
            self._covered = False
            show_hint(self.scene.viewer, False)
            self._work.intervention.map_kind = "none"
            self.scene.see_latents(True)

    def _cover(self, kind: MapKind) -> None:
        """Show a logit map in place of the latents until they are asked for; not to a blind judge."""
        if self.session.blind:
            return
        self._covered = True
        self.scene.see_latents(False)
        self._work.intervention.map_kind = kind

    def _on_blind(self, *_: object) -> None:
        self._reveal()
        self._say("")

    def _say(self, text: str) -> None:
        self.said = text
        self._announce()

    def _announce(self, *_: object) -> None:
        self.changed.emit()


def guide_of(work: Workspace) -> Guide:
    """Return the guide of a viewer, made on first call."""
    guide: Any = work.companions.get("guide")
    if guide is None:
        guide = work.companions["guide"] = work.own(Guide(work))
    return guide  # type: ignore[no-any-return]
