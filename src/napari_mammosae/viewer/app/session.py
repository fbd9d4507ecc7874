"""The state of one viewer, as plain values that announce their changes. Knows neither Qt nor layers."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from psygnal import Signal, SignalGroup

from ...core.base.errors import SettingsError
from ...core.images.mammogram import Mammogram
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ...process.handle import ModelHandle
from .order import BY_IMAGE, Order

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings
    from ...core.verdicts.suggestions import Suggestion
    from .best_labels import BestLabels

ContrastMode: TypeAlias = Literal["shared", "latent", "manual"]
MOST_PINS = 12
HIDDEN = "Hidden in blind mode."
"""What stands in the place of all that could sway a blind judge."""
Value = TypeVar("Value")


class SessionEvents(SignalGroup):
    """One signal for each part of the state, emitted after it changed, with the new value."""

    image = Signal(object)
    model = Signal(object)
    maps = Signal(object)
    findings = Signal(object)
    order = Signal(object)
    current = Signal(object)
    pins = Signal(tuple)
    verdicts = Signal(object)
    run = Signal(object)
    best_labels = Signal(object)
    contrast = Signal(str)
    blind = Signal(bool)
    hidden_heads = Signal(tuple)


class Announced(Generic[Value]):
    """A part of the state of a `Session`: assigning another value emits the signal of its name."""

    def __init__(self, default: Value) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, session: "Session", owner: type) -> Value:
        value: Value = session.__dict__.get(self._name, self._default)
        return value

    def __set__(self, session: "Session", value: Value) -> None:
        if value != self.__get__(session, type(session)):
            session.__dict__[self._name] = value
            session.events[self._name].emit(value)


class Session:
    """What one viewer is looking at: an image, a model, its latents in some order, one of them current.

    Assigning a property changes the state, keeps the invariants below, and emits the signal of the same name from
    `events`; `handle` emits `model`. Assigning what is already there emits nothing.

    - Another image or model drops `maps`; another model drops `order` as well, and `pins` and `current` unless
      its SAE is the same (only then do latent numbers keep their meaning).
    - `current` is a latent number, never a rank; a change of order keeps it.
    - `generation` grows whenever results under way would no longer fit; whoever computes remembers it and asks
      `is_stale` before handing in a result.
    """

    findings: "Announced[Findings | None]" = Announced(None)
    """Ground-truth boxes of this and other images."""
    order: Announced[Order | None] = Announced(None)
    """The order the latents are stacked in."""
    current: Announced[int | None] = Announced(None)
    """The latent shown."""
    run: Announced[Any] = Announced(None)
    """The open run over a data set."""
    best_labels: "Announced[BestLabels | None]" = Announced(None)
    """The label that each latent of the run goes with best, where that was measured."""
    blind = Announced(False)
    """Whether scores, labels, predictions and other people's verdicts are hidden while judging."""
    hidden_heads: Announced[tuple[str, ...]] = Announced(())
    """Names of the model's heads whose predictions are not shown."""
    contrast: Announced[ContrastMode] = Announced("latent")
    """How the colour scale of the latents is chosen: one for all, one for each, or by hand (`manual_limits`)."""

    def __init__(self) -> None:
        self.events = SessionEvents(self)
        self.generation = 0
        self._manual_limits: tuple[float, float] = (0.0, 1.0)
        self._image: Mammogram | None = None
        self._handle: ModelHandle | None = None
        self._maps: LatentMaps | None = None
        self._sae: str | None = None  # the one that latents were numbered by last
        self._pins: tuple[int, ...] = ()
        self._verdicts: Callable[[int], str | None] | None = None
        self.names: Mapping[int, Suggestion] = {}
        """Suggested names by latent, those that may be shown; `events.verdicts` says when they change."""
        self.called: Callable[[int], str] = lambda _: ""
        """What a latent is called in a few words, by people or by a method; as `names`."""
        self._afterwards: list[Callable[[], object]] | None = None

    def open_run(self, run: Any) -> Generator[None]:
        """Assign `run` step by step: between two of them, whoever shows a run in many places lets the window answer."""
        waiting: list[Callable[[], object]] = []
        self._afterwards = waiting
        try:
            self.run = run
        finally:
            self._afterwards = None
        for follow in waiting:
            yield
            follow()

    def afterwards(self, follow: Callable[[], object]) -> None:
        """Do what takes long after a change of `run`: at once, or as a step of its own while `open_run` goes on."""
        if self._afterwards is None:
            follow()
        else:
            self._afterwards.append(follow)

    def is_stale(self, generation: int) -> bool:
        """Whether a result begun at `generation` belongs to an earlier image, model or setting."""
        return generation != self.generation

    def supersede(self) -> int:
        """Make everything under way stale; return the new generation."""
        self.generation += 1
        return self.generation

    @property
    def image(self) -> Mammogram | None:
        """The mammogram looked at."""
        return self._image

    @image.setter
    def image(self, image: Mammogram | None) -> None:
        if image is self._image:
            return
        self.supersede()
        self._image = image
        self.maps = None
        self.events.image.emit(image)

    def show(self, image: Mammogram, maps: LatentMaps) -> None:
        """Look at another image whose latents are there already: `maps` changes once, not to nothing and back."""
        if image is not self._image:
            self.supersede()
            self._image, self._maps = image, None
            self.events.image.emit(image)
        self.maps = maps

    @property
    def model(self) -> ModelFacts | None:
        """What is known of the loaded model, as of its last answer; None before loading and after unloading."""
        return None if self._handle is None else self._handle.facts

    @property
    def handle(self) -> ModelHandle | None:
        """The loaded model as what computes; assign it to change the model."""
        return self._handle

    @handle.setter
    def handle(self, handle: ModelHandle | None) -> None:
        if handle is self._handle:
            return
        self.supersede()
        self._handle = handle
        model = self.model
        self.maps = None
        self.order = None
        if model is not None:
            self._number_by(model.sae_sha256)
        self.events.model.emit(model)

    def _number_by(self, sae: str) -> None:
        """Give up latents that were numbered by another SAE, whether or not its model was unloaded meanwhile."""
        before, self._sae = self._sae, sae
        if before not in (None, sae):
            self.pins = ()
            self.current = None

    @property
    def maps(self) -> LatentMaps | None:
        """All latents of `image` under `model`, with the logits of heads that were added since."""
        model = self.model
        if self._maps is not None and model is not None:
            self._maps = self._maps.with_heads(model)
        return self._maps

    @maps.setter
    def maps(self, maps: LatentMaps | None) -> None:
        """Without an order, or with one made from an image before, the new maps come ordered by their mean.

        `order` and `current` fit the new maps already when the first signal is emitted.
        """
        if maps is self._maps:
            return
        if maps is not None and self._handle is None and self.run is not None:
            self._number_by(self.run.info["sae_sha256"])
        self._maps = maps
        before = order, current = self.order, self.current
        if maps is not None:
            self.pins = tuple(pin for pin in self._pins if pin < maps.shape[0])
            if order is None or self.is_foreign(order) or order.latents.size != maps.shape[0]:
                order = Order.by_score(maps.pooled_mean, BY_IMAGE)
            if current is None or current >= maps.shape[0]:
                first = int(order.latents[0])
                silent = maps.row(first) is None
                current = int(np.argmax(maps.pooled_mean)) if silent else first  # begin with something to see
        self.__dict__.update(order=order, current=current)  # not announced yet
        self.events.maps.emit(maps)
        if self.order is not before[0]:
            self.events.order.emit(self.order)
        if self.current != before[1]:
            self.events.current.emit(self.current)

    def renew_maps(self, order: Order | None = None) -> None:
        """Announce that `maps` have other logits; with an order, that and its first latent, as one change."""
        current = self.current
        if order is not None:
            self.__dict__.update(order=order, current=int(order.latents[0]))
            self.events.order.emit(order)
        self.events.maps.emit(self.maps)
        if self.current != current:
            self.events.current.emit(self.current)

    def give_up(self, order: Order | None) -> None:
        """Order the stack by this image again if it is in an order whose scores hold no longer."""
        if order is not None and order is self.order and self._maps is not None:
            self.order = Order.by_score(self._maps.pooled_mean, BY_IMAGE, self._image)

    def is_foreign(self, order: Order) -> bool:
        """Whether the scores of an order were measured on another image than this one, or over another run."""
        on = order.measured_on
        return order.name == BY_IMAGE or not (on is None or on is self._image or on is self.run)

    @property
    def rank(self) -> int | None:
        """Where the current latent stands in the order, from 0."""
        if self.order is None or self.current is None or self.current >= self.order.latents.size:
            return None
        return int(self.order.ranks[self.current])

    @property
    def pins(self) -> tuple[int, ...]:
        """Latents kept as layers of their own, in the order they were pinned."""
        return self._pins

    @pins.setter
    def pins(self, pins: Sequence[int]) -> None:
        """Raise `SettingsError` for more than a dozen."""
        unique = tuple(dict.fromkeys(pins))
        if len(unique) > MOST_PINS:
            raise SettingsError(f"At most {MOST_PINS} latents can be pinned; unpin one first.")
        if unique != self._pins:
            self._pins = unique
            self.events.pins.emit(unique)

    @property
    def verdicts(self) -> Callable[[int], str | None] | None:
        """What people decided about a latent, as a line to show; emit `events.verdicts` when answers change."""
        return self._verdicts

    @verdicts.setter
    def verdicts(self, lookup: Callable[[int], str | None] | None) -> None:
        self._verdicts = lookup
        self.events.verdicts.emit(lookup)

    @property
    def manual_limits(self) -> tuple[float, float]:
        """Limits of the colour scale when it is set by hand; changes are announced as changes of `contrast`."""
        return self._manual_limits

    @manual_limits.setter
    def manual_limits(self, limits: tuple[float, float]) -> None:
        if limits != self._manual_limits:
            self._manual_limits = limits
            if self.contrast == "manual":
                self.events.contrast.emit(self.contrast)
