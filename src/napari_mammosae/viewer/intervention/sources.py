"""Where the sets of an edit come from in a viewer: rankings, this image's contributions, the drawn region, verdicts."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.base.errors import SettingsError
from ...core.models.contributions import Contributions
from ...core.stats.measures import FloatArray, IntArray
from .state import Direction, Sets, Source, entry_of

if TYPE_CHECKING:
    from ..context import Context


class EditSources:
    """Looks sets up, and keeps what is dear until the image or the region changes.

    Attributes
    ----------
    contributions
        What latents add to the logits of this image by gradients; None while that was not asked for.
    run_entry
        (direction, logit) -> the k at which each latent enters the set by the open run's ranking; None until it is
        there.
    """

    def __init__(self, context: "Context", verdicts: Callable[[], Mapping[int, str]]) -> None:
        self._scene, self._session, self._verdicts = context.scene, context.session, verdicts
        self._entries: dict[tuple[str, str, int], IntArray] = {}
        self._region: Any = None
        self.contributions: Contributions | None = None
        self.run_entry: Callable[[Direction, int], IntArray] | None = None

    def sets(self, n_latents: int) -> Sets:
        """Return what a state can choose from."""
        pins, current = self._session.pins, self._session.current
        return Sets(n_latents, self._entry, lambda: self.spurious, pins, current, lambda: self.region)

    def forget(self) -> None:
        """Another image or model: nothing that was kept holds."""
        self._entries.clear()
        self._region = self.contributions = None

    def take(self, contributions: Contributions) -> None:
        """Order the latents of this image by what they add."""
        self.contributions = contributions
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] != "image"}

    def forget_region(self) -> None:
        """Another region."""
        self._region = None
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] != "region"}

    @property
    def spurious(self) -> tuple[int, ...]:
        """Latents that the person judging calls spurious."""
        return tuple(latent for latent, verdict in self._verdicts().items() if verdict == "spurious")

    @property
    def region_layer(self) -> Any:
        """The layer of the drawn region, None where there is none."""
        return self._scene.owned.find("region")

    @property
    def region(self) -> Any:
        """Cells (H', W') of which at least half is in the drawn region, as bool; None where none is drawn."""
        maps, layer = self._session.maps, self.region_layer
        if layer is None or maps is None or maps.frame is None:
            return None
        if self._region is None:
            from ...core.anatomy.query import cell_weights

            painted = layer._type_string == "labels"
            if not painted and not len(layer.data):
                return None
            drawn = np.asarray(layer.data) != 0 if painted else (layer.shape_type[-1], np.asarray(layer.data[-1]))
            share = cell_weights(drawn, maps.frame, maps.shape[1:])
            if not share.any():
                return None
            self._region = share >= min(0.5, float(share.max()))
        return self._region

    def _entry(self, source: Source, direction: Direction, logit: int) -> IntArray:
        if source == "run":
            if self.run_entry is None:
                raise SettingsError("The run is not ranked yet. Open a run, or choose another set.")
            return self.run_entry(direction, logit)
        key = source, direction, logit
        if key not in self._entries:
            self._entries[key] = entry_of(self._contributions(source, logit), direction)
        return self._entries[key]

    def _contributions(self, source: Source, logit: int) -> FloatArray:
        """What every latent adds to a logit of this image, (h,); in the drawn region only for "region".

        Where what follows the SAE is not linear: its mean activation instead, while there are no contributions.
        """
        model, maps = self._session.model, self._session.maps
        assert model is not None
        assert maps is not None
        if source == "image" and self.contributions is not None:
            return np.asarray(self.contributions.spread(maps.shape[0])[logit])
        weight = model.linear_tail()[0][logit] if model.linear else np.ones(maps.shape[0])
        if source == "image":
            return np.asarray(weight * maps.pooled_mean.astype(np.float64))
        region = self.region
        if region is None:
            raise SettingsError("No region is drawn; draw one in the Latents dock, or choose another set.")
        scores = np.zeros(maps.shape[0])
        inside = maps.values[:, region].sum(axis=1, dtype=np.float64) / region.size
        scores[maps.latents] = weight[maps.latents] * inside
        return scores
