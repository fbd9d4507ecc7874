"""The intervention of one viewer: what is edited, its undo, and what comes of it; stays on when the dock is closed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..core.errors import MammoSAEError, SettingsError
from . import keymap, layers, logit_map
from .edit_overlay import EditOverlay, edited_text
from .edits import EditState, EditView, Sets, changes_something, edit_of, entry_of, text_of, view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.intervention import Edit, FlipSet
    from ..core.metrics import FloatArray, IntArray
    from .controller import Controller
    from .edits import Direction, Source
    from .logit_map import MapKind

_ONE_MOVE = 0.8
"""Seconds within which changes of the same control are one step of undo."""
_AFTER_STROKE = 150  # milliseconds after the last stroke of a region


class Intervention:
    """Made by `intervention_of`.

    Attributes
    ----------
    changed
        Emits after the state or its result changed.
    problem
        Why there is no edit although one was asked for, in words; empty otherwise.
    view
        What the edit does to the image shown; None without image, model, or a valid edit.
    run_entry
        (direction, logit) -> the k at which each latent enters the set by the open run's ranking; None until it is
        there.
    """

    changed = Signal()

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._session = controller.session
        self._overlay = EditOverlay()
        self._state = EditState()
        self._undone: list[EditState] = []
        self._done: list[EditState] = []
        self._last_change: tuple[frozenset[str], float] = (frozenset(), 0.0)
        self._map: MapKind = "none"
        self._entries: dict[tuple[str, str, int], IntArray] = {}
        self._region: Any = None
        self._sae = ""
        self._redrawn = QTimer(singleShot=True, interval=_AFTER_STROKE)
        self._redrawn.timeout.connect(self.forget_region)
        self.problem = ""
        self.view: EditView | None = None
        self.run_entry: Callable[[Direction, int], IntArray] | None = None
        events = self._session.events
        events.model.connect(self._on_model)
        events.maps.connect(self._on_maps)
        events.verdicts.connect(self._on_verdicts)
        events.blind.connect(self._draw)
        events.pins.connect(self._on_pins)
        events.current.connect(self._on_current)
        viewer = controller.scene.viewer
        if viewer is not None:
            viewer.layers.events.removed.connect(self._on_removed)
            viewer.layers.events.inserted.connect(self._on_inserted)
            keymap.bind(viewer, self, keymap.EDIT_KEYS)
        self._on_model(self._session.model)

    # The state and its undo

    @property
    def state(self) -> EditState:
        """What the user chose."""
        return self._state

    @property
    def is_on(self) -> bool:
        """Whether predictions shown are edited."""
        return self.view is not None and changes_something(self.view.edit)

    @property
    def can_undo(self) -> bool:
        """Whether there is a state to go back to."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone."""
        return bool(self._undone)

    def change(self, **fields: Any) -> None:
        """Change parts of the state; quick changes of the same part are one step of undo."""
        state = replace(self._state, **fields)
        if state == self._state:
            return
        now, parts = time.monotonic(), frozenset(fields)
        if parts != self._last_change[0] or now - self._last_change[1] > _ONE_MOVE or not self._done:
            self._done.append(self._state)
        self._last_change = parts, now
        self._undone.clear()
        self._state = state
        self.update()

    def settle(self) -> None:
        """End a move: what follows is a step of undo of its own."""
        self._last_change = frozenset(), 0.0

    def undo(self) -> None:
        """Go back one step."""
        self._step(self._done, self._undone)

    def redo(self) -> None:
        """Take back an undo."""
        self._step(self._undone, self._done)

    def reset(self) -> None:
        """Edit nothing, as a step that can be undone."""
        self.settle()
        fresh = EditState(source=self._state.source, form=self._state.form, logit=self._state.logit)
        self.change(**{name: getattr(fresh, name) for name in ("mode", "k", "inside_region", "without_spurious")}
                    | ({} if fresh.is_ranked else {"source": "image"}))  # fmt: skip

    def use_run(self) -> None:
        """Take sets from the run's ranking from now on: what one expects once a run is open, not a step of undo."""
        self._state = replace(self._state, source="run")
        self.update()

    def toggle_spurious(self) -> None:
        """Switch to predictions without the latents called spurious, or back."""
        self.change(without_spurious=not self._state.without_spurious)
        if self._state.without_spurious and self.problem:
            self._controller.tell(self.problem, error=True)

    def _step(self, taken: list[EditState], given: list[EditState]) -> None:
        if taken:
            given.append(self._state)
            self._state = taken.pop()
            self.settle()
            self.update()

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

    @property
    def spurious(self) -> tuple[int, ...]:
        """Latents that the person judging calls spurious."""
        return tuple(
            latent for latent, event in self._controller.reviewer.book.mine.items() if event.verdict == "spurious"
        )

    @property
    def region(self) -> Any:
        """Cells (H', W') of which at least half is in the drawn region, as bool; None where none is drawn."""
        maps = self._session.maps
        layer = self.region_layer
        if layer is None or maps is None or maps.frame is None:
            return None
        if self._region is None:
            from .query import cell_weights

            if not isinstance(layer.data, np.ndarray) and not len(layer.data):
                return None
            drawn = np.asarray(layer.data) != 0 if layer._type_string == "labels" else (
                layer.shape_type[-1], np.asarray(layer.data[-1])
            )  # fmt: skip
            share = cell_weights(drawn, maps.frame, maps.shape[1:])
            if not share.any():
                return None
            self._region = share >= min(0.5, float(share.max()))
        return self._region

    @property
    def region_layer(self) -> Any:
        """The layer of the drawn region, None where there is none."""
        viewer = self._controller.scene.viewer
        return layers.find(viewer.layers, "region") if viewer is not None else None

    def forget_region(self) -> None:
        """Another region was drawn."""
        self._region = None
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] != "region"}
        if self._state.inside_region or self._state.source == "region":
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
        return edit_of(self._state, self._sets())

    def smallest_flip(self) -> FlipSet:
        """Find the fewest latents whose edit changes the decision for the class looked at, and make them the set.

        Raises
        ------
        SettingsError
            If nothing is computed yet.
        """
        from ..core.intervention import smallest_flip

        model, maps, state = self._session.model, self._session.maps, self._state
        if model is None or maps is None:
            raise SettingsError("Compute the latents of an image first.")
        logits = slice(None) if model.task == "multiclass" else slice(state.logit, state.logit + 1)
        live = np.asarray(maps.latents, dtype=np.int64)
        parts = model.attribution[logits, live] * maps.pooled_mean[live].astype(np.float64)
        start = maps.logits_sae if state.form == "replace" else maps.logits
        factor = state.factor if state.mode == "scale" and state.factor != 1 else 0.0
        flip = smallest_flip(live, parts, start[logits], factor=factor, original=maps.logits[logits])
        if flip.found:
            self.settle()
            self.change(
                source="list", numbers=text_of(flip.latents), mode="scale" if factor else "zero",
                inside_region=False, without_spurious=False,
            )  # fmt: skip
        return flip

    def update(self) -> None:
        """Work out the edit anew and show it."""
        model, maps = self._session.model, self._session.maps
        self.problem, self.view = "", None
        if model is not None and maps is not None and is_ready(model):
            try:
                self.view = view_of(model, maps, self.edit(), min(self._state.logit, len(model.classes) - 1))
            except MammoSAEError as error:
                self.problem = str(error)
        elif model is not None and maps is not None:
            self.problem = why_not(model)
        edit = self.view.edit if self.view is not None else None
        self._session.mask = ~edit.targets if edit is not None and changes_something(edit) else None
        self._draw()
        self.changed.emit()

    def _draw(self, *_: object) -> None:
        scene, model, maps = self._controller.scene, self._session.model, self._session.maps
        viewer = scene.viewer
        if viewer is None:
            return
        view = self.view
        classes = model.classes if model is not None and not self._session.blind else ()
        text = edited_text(classes, self._state, view) if view is not None and self.is_on else ""
        self._overlay.show(viewer, text)
        known = view is not None and maps is not None and maps.frame is not None and scene.image_layer is not None
        affine = scene.cells_to_world(maps) if known and maps is not None else None
        logit_map.show(viewer, view, affine, self._state.logit, self._map)

    def _sets(self) -> Sets:
        model = self._session.model
        assert model is not None
        return Sets(
            model.n_latents,
            self._entry,
            lambda: self.spurious,
            self._session.pins,
            self._session.current,
            lambda: self.region,
        )

    def _entry(self, source: Source, direction: Direction, logit: int) -> IntArray:
        if source == "run":
            if self.run_entry is None:
                raise SettingsError("The run's ranking is not there yet; open a run, or take another set.")
            return self.run_entry(direction, logit)
        key = source, direction, logit
        if key not in self._entries:
            self._entries[key] = entry_of(self._contributions(source, logit), direction)
        return self._entries[key]

    def _contributions(self, source: Source, logit: int) -> FloatArray:
        """What every latent adds to a logit of this image, (h,); in the drawn region only for "region"."""
        model, maps = self._session.model, self._session.maps
        assert model is not None
        assert maps is not None
        if source == "image":
            return model.attribution[logit] * maps.pooled_mean.astype(np.float64)
        region = self.region
        if region is None:
            raise SettingsError("No region is drawn; draw one in the Latents dock, or choose another set.")
        scores = np.zeros(maps.shape[0])
        inside = maps.values[:, region].sum(axis=1, dtype=np.float64) / region.size
        scores[maps.latents] = model.attribution[logit, maps.latents] * inside
        return scores

    # What happens elsewhere

    def _on_model(self, model: Any) -> None:
        if model is not None and model.sae_sha256 != self._sae:
            self._sae = model.sae_sha256
            self._state = EditState()  # latent numbers mean something else now
            self._done, self._undone = [], []
            self.run_entry = None
        self._forget()

    def _on_maps(self, maps: Any) -> None:
        self._forget()

    def _forget(self) -> None:
        self._entries.clear()
        self._region = None
        self.update()

    def _on_verdicts(self, *_: object) -> None:
        if self._state.without_spurious or self._state.source == "spurious":
            self.update()
        else:
            self.changed.emit()

    def _on_pins(self, *_: object) -> None:
        if self._state.source == "pins":
            self.update()

    def _on_current(self, *_: object) -> None:
        if self._state.source == "current":
            self.update()

    def _on_inserted(self, event: Any) -> None:
        """A region can be drawn on by whoever made its layer; every stroke counts here."""
        layer = event.value
        if layers.role_of(layer) == "region":
            (layer.events.paint if layer._type_string == "labels" else layer.events.data).connect(self._on_drawn)
            self.changed.emit()

    def _on_drawn(self, *_: object) -> None:
        self._redrawn.start()

    def _on_removed(self, event: Any) -> None:
        role = layers.role_of(event.value)
        if role == "logit map" and self._map != "none" and event.value is not None:
            self._map = "none"
            self.changed.emit()
        elif role == "region":
            self.forget_region()


def is_ready(model: Any) -> bool:
    """Whether what latents add to the logits is known already: working it out takes too long for the GUI thread."""
    return model.layer == "head" and bool(model.classes) and {"attribution", "constant"} <= set(vars(model))


def prepare(model: Any) -> None:
    """Work out what latents add to the logits; for a worker thread.

    Raises
    ------
    ModelError
        If what follows the SAE is not linear, or there is no classifier.
    """
    _ = model.attribution, model.constant


def why_not(model: Any) -> str:
    """Say why there is no live edit with a model, or that it is being prepared."""
    if model.layer != "head":
        return (
            f"The SAE reads {model.layer}, and what follows is not linear: edits need a pass through the network, "
            "`core.intervention.masked_logits`."
        )
    if not model.classes:
        return f"{model.name} has no classifier, so there is no prediction to edit."
    return "Preparing …"


_interventions: WeakKeyDictionary[Any, Intervention] = WeakKeyDictionary()


def intervention_of(controller: Controller) -> Intervention:
    """Return the one intervention of a controller's viewer, made on first call."""
    viewer = controller.scene.viewer
    if viewer is None:
        raise RuntimeError("the viewer is gone")
    if viewer not in _interventions:
        _interventions[viewer] = Intervention(controller)
    return _interventions[viewer]
