"""Boxes of the current latent or of several together, kept true to the session, and what is asked about them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from ...core.annotations.image_boxes import ALL_FINDINGS, Truth, truth_of
from ...core.base.errors import FindingsError, MammoSAEError
from ...core.images.geometry import BOX
from ...core.models.latents import LatentMaps
from ..app.listening import throttle_until
from ..app.order import Order
from ..canvas.boxes.lines import MANY
from ..context import Context, Controller
from .breast_outline import Outline
from .latent_set import LatentSet, Together, latents_of, set_of, weights_of
from .layers import FoundLayers
from .result import Choice, Localization, Scope, likely_finding, localize, scope_of, scope_together
from .tasks import localize_alone, localize_together, overlaps_with_box

Edges: TypeAlias = tuple[float, float, float, float]
THROTTLE = 15  # ms: how long changes are gathered before the boxes follow


class Localizer(Controller):
    """Localisation in one viewer: what was chosen, the boxes of a heatmap, and their layer.

    Attributes
    ----------
    changed
        Emits the new `current`: a `Localization`, or None while there is nothing to cut.
    chosen
        Emits the new `choice`.
    jobs
        Longer work that the user asked for.
    combining
        Several heatmaps being put together.
    problem
        Why there is no `current`, for the user; empty where nothing is wrong.
    several
        The latents that are taken as one; None for the current latent alone.
    box
        Row of the annotated box that is looked at, -1 for none.
    pictured
        How many latents a figure shows.
    verdicts
        Latent -> what the person judging calls it.
    """

    changed = Signal(object)
    chosen = Signal(object)
    toggled = Signal(bool)

    def __init__(self, context: Context, verdicts: Callable[[], Mapping[int, str]]) -> None:
        super().__init__(context)
        self.verdicts = verdicts
        self.jobs, self.combining = self.new_jobs(), self.new_jobs()
        self.problem = ""
        self.current: Localization | None = None
        self.several: LatentSet | None = None
        self.box = -1
        self.pictured = 10
        self.outline = Outline(self._on_outline, self.status.report_failure)
        self._undo.callback(self.outline.jobs.cancel)
        self._choice = Choice()
        self._together = Together()
        self._finding_chosen = False
        self._drawn = True
        self._scope: Scope | None = None
        self._by_box: tuple[Order, Edges] | None = None  # the box that the stack was ordered by
        self._layers = FoundLayers(self.scene)
        self._later = throttle_until(self._undo, self.update, THROTTLE)
        events = self.session.events
        self.listen(events.maps, self._on_maps)
        self.listen(events.findings, self._on_findings)
        self.listen(events.blind, self._on_blind)
        self.listen(events.current, self._on_latent)
        self.listen(events.pins, self._on_pins)
        self.listen(events.order, self._on_order)
        self.listen(events.verdicts, self._on_verdicts)
        self.listen(self.scene.owned.deleted, self._on_deleted)
        if (viewer := self.scene.viewer) is not None:
            self.listen(viewer.dims.events.ndisplay, self._on_ndisplay)
        self._choose_finding()
        self._on_maps()

    @property
    def choice(self) -> Choice:
        """How boxes are made and compared."""
        return self._choice

    @choice.setter
    def choice(self, choice: Choice) -> None:
        if choice == self._choice:
            return
        if choice.finding != self._choice.finding:
            self._finding_chosen = True
            self._scope = None
        self._choice = choice
        self.chosen.emit(choice)
        self._later()

    @property
    def together(self) -> Together:
        """Whether the current latent is looked at, or which others as one heatmap."""
        return self._together

    @together.setter
    def together(self, together: Together) -> None:
        if together != self._together:
            self._together = together
            self._scope = None
            self.chosen.emit(self._choice)
            self._later()

    @property
    def drawn(self) -> bool:
        """Whether the boxes are drawn over the image."""
        return self._drawn

    @drawn.setter
    def drawn(self, drawn: bool) -> None:
        if drawn != self._drawn:
            self._drawn = drawn
            self.toggled.emit(drawn)
            if drawn:
                self._layers.draw(self.current)
            else:
                self._layers.remove()

    def update(self) -> None:
        """Find the boxes now."""
        self._later.cancel()
        self.problem, self.several = "", None
        self.combining.cancel()
        try:
            current = self._localize_current() if self._together.is_alone else self._localize_several()
        except MammoSAEError as error:
            self.problem, current = str(error), None
        self._take(current)

    def _take(self, current: Localization | None) -> None:
        self.current, several = current, self.several
        if self._drawn:
            self._layers.draw(current)
        if several is None:
            self._layers.show_heatmap(None, "")
        elif current is not None:
            what = "class activation map" if several.how == "logit" else several.how
            self._layers.show_heatmap(current, f"{what} of {len(several.latents):,} latents")
        self.changed.emit(current)

    def _localize_current(self) -> Localization | None:
        """Boxes of the current latent: at once, or in a worker, None until then, where many are annotated."""
        maps, image, latent = self.session.maps, self.session.image, self.session.current
        if maps is None or image is None or latent is None or maps.frame is None:
            return None
        if self._scope is None:
            truth, anatomy = self._truth(), self.outline.anatomy(image, maps.shape[1:])
            if len(truth.finding) > MANY:
                work = partial(localize_alone, maps, latent, image, truth, anatomy, self._choice)
                take = partial(self._take_alone, maps, latent)
                self.combining.start("Comparing boxes", work, take, self.status.report_failure)
                return None
            self._scope = scope_of(maps, latent, image, truth, anatomy)
        return localize(self._scope, self._choice)

    def _take_alone(self, maps: LatentMaps, latent: int, current: Localization) -> None:
        if (maps, latent) == (self.session.maps, self.session.current):
            self._scope = current.scope
            self._take(current)

    def _localize_several(self) -> Localization | None:
        """Boxes of several latents together: at once where that is quick, else in a worker, None until then.

        While a worker moves the threshold the boxes of the one before stay.
        """
        session, choice = self.session, self._choice
        maps, image, model = session.maps, session.image, session.model
        if maps is None or image is None or model is None or maps.frame is None:
            return None
        latents = latents_of(self._together, session, self.verdicts)
        several = set_of(self._together, latents, model, maps, choice.finding)
        self.several = several
        truth, anatomy = self._truth(), self.outline.anatomy(image, maps.shape[1:])
        if several.how in ("maximum", "logit"):
            if self._scope is None:
                weights = weights_of(several, model)
                self._scope = scope_together(maps, several, weights, image, truth, anatomy)
            return localize(self._scope, choice)
        work = partial(localize_together, self._scope, model, maps, several, image, truth, anatomy, choice)
        self.combining.start(
            "Combining heatmaps", work, partial(self._take_several, several), self.status.report_failure
        )
        return self.current if self._scope is not None else None

    def _take_several(self, several: LatentSet, current: Localization) -> None:
        if several is self.several:  # else something changed meanwhile
            self._scope = current.scope
            self._take(current)

    def order_by_box(self, edges: Edges, name: str) -> None:
        """Put the latents first whose boxes overlap most with a box (source edges)."""
        maps = self.session.maps
        if maps is None or maps.frame is None:
            return
        box = maps.frame.boxes_to_input([edges])[0]
        work = partial(overlaps_with_box, maps, box, self._choice)
        done = partial(self._take_order, maps, self.session.image, edges, name)
        self.jobs.start(f"Finding latents that hit {name}", work, done, self.status.report_failure)

    def _take_order(self, maps: Any, image: Any, edges: Edges, name: str, overlaps: NDArray[np.float64]) -> None:
        if maps is not self.session.maps or self.session.blind:
            return
        hits = int((overlaps >= self._choice.iou).sum())
        self._by_box = Order.by_score(overlaps, f"IoU with {name}", image), edges
        self.session.order = self._by_box[0]
        if hits:
            self.session.current = int(self.session.order.latents[0])
        what = f"{hits:,} latents hit {name} at IoU {self._choice.iou:g}" if hits else f"no latent hits {name}"
        self.status.tell(f"{what}; the stack is in the order of their overlap.")

    def _leave_box(self) -> None:
        """The overlap with a box that is there no longer is no order for the stack."""
        image, findings = self.session.image, self.session.findings
        if self._by_box is None or image is None:
            return
        order, edges = self._by_box
        there = False
        if findings is not None and order is self.session.order:
            with suppress(FindingsError):  # boxes for an image of another size
                boxes = findings.boxes(image.full_name, shape=image.shape)[list(BOX)].to_numpy(float)
                there = bool(np.isclose(boxes, edges, rtol=0, atol=1e-3).all(axis=1).any())
        if not there:
            self.session.give_up(order)
            self._by_box = None

    # What the session says

    def _on_maps(self, *_: object) -> None:
        self._scope = None
        session = self.session
        if session.maps is None or session.image is None or session.model is None:
            self.outline.jobs.cancel()
            self.update()
            return
        self._choose_finding()
        if not self.outline.look(session.image, session.model):
            self._later()

    def _on_outline(self) -> None:
        self._scope = None
        self._later()

    def _on_findings(self, *_: object) -> None:
        self._scope = None
        self._leave_box()
        self._choose_finding()
        self._later()

    def _on_blind(self, *_: object) -> None:
        """A blind judge sees what was found, and nothing of what is annotated: at once, not a moment later."""
        self._scope = None
        self._choose_finding()
        self.update()

    def _on_latent(self, *_: object) -> None:
        if self._together.is_alone:
            self._scope = None
            self._layers.hide()  # boxes of the latent before have no place over the heatmap of this one
            self._later()

    def _on_pins(self, *_: object) -> None:
        self._on_set("pins")

    def _on_order(self, *_: object) -> None:
        self._on_set("first")

    def _on_verdicts(self, *_: object) -> None:
        self._on_set("lesion", "anatomy", "spurious")

    def _on_set(self, *sources: str) -> None:
        """What a set of latents comes from changed."""
        if self._together.source in sources:
            self._scope = None
            self._later()

    def _choose_finding(self) -> None:
        """Begin with a finding that is there, until the user chooses."""
        findings, model = self.session.findings, self.session.model
        if self.session.blind:
            return  # the finding to begin with would say what is annotated
        known = findings.names if findings is not None else ()
        if self._finding_chosen and self._choice.finding in (*known, ALL_FINDINGS):
            return
        finding = likely_finding(findings, self.session.image, model.classes if model is not None else ())
        if finding != self._choice.finding:
            self._choice = replace(self._choice, finding=finding)
            self.chosen.emit(self._choice)

    def _truth(self) -> Truth:
        """The annotated boxes that count."""
        image, maps = self.session.image, self.session.maps
        assert image is not None
        assert maps is not None
        assert maps.frame is not None
        if self.session.blind:
            return replace(truth_of(None, image, maps.frame), hidden=True)
        return truth_of(self.session.findings, image, maps.frame, self._choice.finding)

    # The layers

    def _on_ndisplay(self, *_: object) -> None:
        if self._drawn:
            self._layers.draw(self.current)

    def _on_deleted(self, layer: Any, role: str, facts: dict[str, Any]) -> None:
        if role == "found":
            self.drawn = False
        elif role == "heatmap":
            self._layers.bring_back(facts)
            self.together = replace(self._together, source="current")
