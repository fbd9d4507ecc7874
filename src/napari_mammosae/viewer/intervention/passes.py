"""What came of passing edits through the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.intervention.edit import Edit
    from ...core.stats.measures import FloatArray

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


def _key(edit: Edit) -> tuple[Any, ...]:
    region = None if edit.region is None else edit.region.tobytes()
    return edit.mask.tobytes(), edit.mode, edit.form, edit.value, region
