"""The intervention of one viewer: what is edited, its undo, and what comes of it; stays on when the dock is closed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from psygnal import Signal

from ...core.base.errors import MammoSAEError, SettingsError
from ...core.base.text import text_of
from ...core.intervention.edit import Edit
from ...core.intervention.smallest_flip import FlipSet
from ...core.models.contributions import Contributions, Method
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ..app.history import History
from ..canvas.latent_view import shown_logits
from ..canvas.texts import caution_lines
from ..context import Context, Controller
from . import layers as logit_map
from .layers import EditOverlay, MapKind, edited_text
from .result import EditView, Passes, flip_of, passed_view, view_of
from .sources import EditSources
from .state import EditState, changes_something, edit_of
from .tasks import find_contributions, pass_edit

_AFTER_STROKE = 150  # milliseconds after the last stroke of a region


class Intervention(Controller):
    """The edit of latents: chosen, undone, worked out, drawn.

    Attributes
    ----------
    changed
        Emits after the state or its result changed.
    passing
        The pass of an edit through the network.
    problem
        Why there is no edit although one was asked for, in words; empty otherwise.
    view
        What the edit does to the image shown; None without image, model, or a valid edit.
    awaited
        The edit asked for where it needs a pass through the network that was not made yet; None otherwise.
    remark
        What there is to say about the edit as it stands, besides what follows from it; `pass_note` about the pass.
    sources
        Where its sets come from.
    passes
        What came of the passes so far.
    """

    changed = Signal()

    def __init__(self, context: Context, verdicts: Callable[[], Mapping[int, str]]) -> None:
        super().__init__(context)
        self.passing = self.new_jobs()
        self._overlay = EditOverlay()
        self._history = History(EditState())
        self.sources, self.passes = EditSources(context, verdicts), Passes()
        self._map: MapKind = "none"
        self._sae = ""
        self._redrawn = self.debounced(self.forget_region, _AFTER_STROKE)
        self.problem = self.remark = self.pass_note = ""
        self.view: EditView | None = None
        self.awaited: Edit | None = None
        events = self.session.events
        self.listen(events.model, self._on_model)
        self.listen(events.maps, self._on_maps)
        self.listen(events.verdicts, self._on_verdicts)
        self.listen(events.blind, self._draw)
        self.listen(events.hidden_heads, self._draw)
        self.listen(self.scene.arranged, self._write)
        self.listen(events.pins, self._on_pins)
        self.listen(events.current, self._on_current)
        if (viewer := self.scene.viewer) is not None:
            self.listen(viewer.layers.events.inserted, self._on_inserted)
        self.listen(self.scene.owned.deleted, self._on_deleted)
        for layer in self.scene.owned.with_role("region"):
            self._watch(layer)
        self._on_model(self.session.model)

    # The state and its undo

    @property
    def state(self) -> EditState:
        """What the user chose."""
        return self._history.state

    @property
    def is_on(self) -> bool:
        """Whether predictions shown are edited."""
        return self.view is not None and changes_something(self.view.edit)

    @property
    def can_undo(self) -> bool:
        """Whether there is a state to go back to."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone."""
        return self._history.can_redo

    def change(self, **fields: Any) -> None:
        """Change parts of the state; quick changes of the same part are one step of undo."""
        if self._history.change(**fields):
            self.update()

    def settle(self) -> None:
        """End a move: what follows is a step of undo of its own."""
        self._history.settle()

    def undo(self) -> None:
        """Go back one step."""
        if self._history.undo():
            self.update()

    def redo(self) -> None:
        """Take back an undo."""
        if self._history.redo():
            self.update()

    def reset(self) -> None:
        """Reset, as a step that can be undone."""
        self.settle()
        ranked = replace(self.state, without_spurious=False).is_ranked
        source = self.state.source if ranked else "image"
        self.change(source=source, mode="zero", k=0, inside_region=False, without_spurious=False)

    def restore(self, state: EditState) -> None:
        """Make a state that was saved the present one; not a step of undo."""
        self._history = History(state)
        self.update()

    def use_run(self) -> None:
        """Take sets from the run's ranking from now on: what one expects once a run is open, not a step of undo."""
        self._history.state = replace(self.state, source="run")
        self.update()

    def leave_run(self) -> None:
        """Take no more sets from a run's ranking, which is there no longer; not a step of undo."""
        if self.state.source == "run":
            self._history.state = replace(self.state, source="image", k=0)
        self.update()

    @property
    def rests_on_run(self) -> bool:
        """Whether the set that is edited is the best of the run's ranking."""
        return self.state.is_ranked and self.state.source == "run" and self.state.k > 0

    def toggle_spurious(self) -> None:
        """Switch to predictions without the latents marked spurious, or back."""
        self.change(without_spurious=not self.state.without_spurious)
        if self.state.without_spurious and self.problem:
            self.status.tell(self.problem, error=True)

    # What comes of it

    @property
    def map_kind(self) -> MapKind:
        """Which logit map lies over the image."""
        return self._map

    @map_kind.setter
    def map_kind(self, kind: MapKind) -> None:
        self._map = kind
        self._draw()
        self.changed.emit()

    def forget_region(self) -> None:
        """Another region was drawn."""
        self.sources.forget_region()
        if self.state.inside_region or self.state.source == "region":
            self.update()
        else:
            self.changed.emit()

    def edit(self) -> Edit:
        """Return the edit asked for.

        Raises
        ------
        SettingsError
            If there is none: the set is empty, out of range, or nothing is computed yet.
        """
        model = self.session.model
        if model is None:
            raise SettingsError("Load a model first.")
        return edit_of(self.state, self.sources.sets(model.n_latents))

    def smallest_flip(self) -> FlipSet:
        """Find the fewest latents whose edit changes the decision for the class looked at, and make them the set.

        Raises
        ------
        SettingsError
            If nothing is computed yet.
        """
        model, maps, state = self.session.model, self.session.maps, self.state
        if model is None or maps is None:
            raise SettingsError("Compute the latents of an image first.")
        if not model.linear:
            raise SettingsError(f"{model.obstacle}, so the set cannot be found.")
        factor = state.factor if state.mode == "scale" and state.factor != 1 else 0.0
        flip = flip_of(model, maps, state, factor)
        if flip.found:
            self.settle()
            self.change(
                source="list", numbers=text_of(flip.latents), mode="scale" if factor else "zero",
                inside_region=False, without_spurious=False,
            )  # fmt: skip
        return flip

    def update(self) -> None:
        """Work out the edit anew and show it."""
        self.problem, self.remark, self.view, self.awaited = "", "", None, None
        if self.session.model is not None and self.session.maps is not None:
            try:
                self.view = self._new_view(self.session.model, self.session.maps)
            except MammoSAEError as error:
                self.problem = str(error)
        self._draw()
        self.changed.emit()

    def say(self, text: str) -> None:
        """Remark something about the edit as it stands."""
        self.remark = text
        self.changed.emit()

    def compute_pass(self) -> None:
        """Pass the image with its edited latents through the network; dropped where another image is shown by then."""
        handle, image, maps, edit = self.session.handle, self.session.image, self.session.maps, self.awaited
        if handle is None or image is None or maps is None or edit is None:
            return
        self.pass_note = ""
        work = partial(pass_edit, handle, image, self.passes.key, edit)
        take = partial(self._take_pass, maps, edit)
        self.passing.start("Running the network with the edit", work, take, self._pass_failed)

    def compute_contributions(self, method: Method) -> None:
        """Find out by gradients what latents add to the logits of the image; dropped where another one is shown."""
        handle, image, maps = self.session.handle, self.session.image, self.session.maps
        if handle is None or image is None or maps is None:
            return
        self.pass_note = ""
        work = partial(find_contributions, handle, image, self.passes.key, method)
        self.passing.start(
            "Computing gradients of the logits", work, partial(self._take_contributions, maps), self._pass_failed
        )

    def _take_contributions(self, maps: object, found: tuple[str, Contributions]) -> None:
        if maps is self.session.maps:
            self.passes.key, contributions = found
            self.sources.take(contributions)
            self.update()

    def _take_pass(self, maps: object, edit: Edit, found: tuple[Any, Any]) -> None:
        if maps is self.session.maps:
            self.passes.take(edit, *found)
            self.pass_note = ""
            self.update()

    def _pass_failed(self, error: Exception) -> None:
        self.pass_note = str(error) or type(error).__name__
        self.changed.emit()

    def _new_view(self, model: ModelFacts, maps: LatentMaps) -> EditView | None:
        if not model.classes:
            raise SettingsError(f"{model.name} has no classifier, so there is no prediction to edit.")
        edit = self.edit()
        if model.linear:
            return view_of(model, maps, edit, min(self.state.logit, len(model.classes) - 1))
        after = maps.logits_sae if edit.form == "replace" else maps.logits
        if changes_something(edit):
            passed = self.passes.logits(edit)
            if passed is None:
                self.awaited = edit
                return None
            after = passed
        logit = min(self.state.logit, len(model.classes) - 1)
        return passed_view(model, maps, edit, after, logit, self.sources.contributions)

    def _write(self, *_: object) -> None:
        """Write what the edit does onto the canvas; over the views of an exam no prediction of one of them."""
        viewer, model, view = self.scene.viewer, self.session.model, self.view
        if viewer is None:
            return
        alone = self.scene.owned.find("exam") is None
        told = model is not None and alone and not self.session.blind
        shown = shown_logits(model, self.session.hidden_heads) if model is not None and told else []
        titles = {} if model is None else {place: model.titles[place] for place in shown}
        caution = caution_lines(self.session, decisions=alone)
        text = edited_text(titles, self.state, view, caution) if view is not None and self.is_on else ""
        self._overlay.show(viewer, text)

    def _draw(self, *_: object) -> None:
        scene, maps, view = self.scene, self.session.maps, self.view
        if scene.viewer is None:
            return
        self._write()
        known = view is not None and maps is not None and maps.frame is not None and scene.image_layer is not None
        cells = scene.cells_to_pixels(maps) if known and maps is not None else None
        kind: MapKind = "none" if self.session.blind else self._map
        logit_map.show(scene.owned, view, cells, self.state.logit, kind)

    # What happens elsewhere

    def _on_model(self, model: Any) -> None:
        if model is not None and model.sae_sha256 != self._sae:
            self._sae = model.sae_sha256
            self._history = History(EditState())  # latent numbers mean something else now
            self.sources.run_entry = None
        self._forget()

    def _on_maps(self, maps: Any) -> None:
        self.passing.cancel()  # a pass of another image is of no use
        self.pass_note = ""
        self._forget()

    def _forget(self) -> None:
        self.sources.forget()
        self.passes.forget("" if self.session.maps is None else self.session.maps.key)
        self.update()

    def _on_verdicts(self, *_: object) -> None:
        if self.state.without_spurious or self.state.source == "spurious":
            self.update()
        else:
            self.changed.emit()

    def _on_pins(self, *_: object) -> None:
        if self.state.source == "pins":
            self.update()

    def _on_current(self, *_: object) -> None:
        if self.state.source == "current":
            self.update()

    def _on_inserted(self, event: Any) -> None:
        """A region can be drawn on by whoever made its layer; every stroke counts here."""
        layer = event.value
        if self.scene.owned.role_of(layer) == "region":
            self._watch(layer)
            self.changed.emit()

    def _watch(self, layer: Any) -> None:
        (layer.events.paint if layer._type_string == "labels" else layer.events.data).connect(self._on_drawn)

    def _on_drawn(self, *_: object) -> None:
        self._redrawn()

    def _on_deleted(self, layer: Any, role: str) -> None:
        if role == "logit map":
            self._map = "none"
            self.changed.emit()
        elif role == "region":
            self.forget_region()
