"""Edits of models whose SAE reads an inner layer: each needs a pass through the network. Knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.images.mammogram import Mammogram
    from ..core.intervention.edit import Edit
    from ..core.models.model import MammoSAE
    from ..core.stats.measures import FloatArray
    from .app.jobs import Report

_KEPT = 64


class Passes:
    """Logits of the edits that were passed through for one image; `forget` before another one.

    Attributes
    ----------
    features
        The image's features at the SAE's layer, as they came from the first pass; None until then.
    """

    def __init__(self) -> None:
        self.features: Any = None
        self._logits: dict[tuple[Any, ...], FloatArray] = {}

    def forget(self) -> None:
        """Another image or model: nothing holds."""
        self.features = None
        self._logits.clear()

    def logits(self, edit: Edit) -> FloatArray | None:
        """Return the logits (C,) of exactly this edit; None where it was not passed through yet."""
        return self._logits.get(_key(edit))

    def take(self, edit: Edit, features: Any, logits: FloatArray) -> None:
        """Keep what came of a pass."""
        while len(self._logits) >= _KEPT:
            self._logits.pop(next(iter(self._logits)))
        self.features = features
        self._logits[_key(edit)] = logits


def pass_edit(model: MammoSAE, image: Mammogram, features: Any, edit: Edit, report: Report) -> tuple[Any, FloatArray]:
    """Pass an image through the network with its latents edited; return its features, and the logits (C,).

    `features` are those of a pass before, None for the first.

    Raises
    ------
    SettingsError
        If the edit does not fit the model.
    ModelError
        If the image does not fit into the memory.
    """
    from ..core.intervention.masked_pass import masked_logits
    from ..core.models.memory import within_memory

    edit.check(model.n_latents, model.grid)

    def work(_: object) -> tuple[Any, FloatArray]:
        known = features
        if known is None:
            report(f"Passing {image.image_id} up to {model.layer}", 0, 2)
            known = model.features(image.to_input(model.preprocessing))
        report(f"Passing the edited latents from {model.layer} on", 1, 2)
        return known, masked_logits(model, known, [edit])[0, 0]

    found = within_memory(model, [image], work)[0]
    report("Showing the prediction", 2, 2)
    return found


def _key(edit: Edit) -> tuple[Any, ...]:
    region = None if edit.region is None else edit.region.tobytes()
    return edit.mask.tobytes(), edit.mode, edit.form, edit.value, region
