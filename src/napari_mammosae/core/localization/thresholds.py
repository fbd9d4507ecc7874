"""Where a heatmap is cut: the threshold a person chooses, and how it is written."""

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args

from ..base.errors import SettingsError

ThresholdKind = Literal["quantile", "relative", "absolute"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rule that turns a heatmap into a level; the mask is what lies *strictly above* it.

    `quantile` is a share of the upsampled heatmap's pixels (the published 0.95), `relative` a share of its maximum (the
    released code's 0.3), `absolute` an activation.
    """

    kind: ThresholdKind
    value: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(ThresholdKind):
            raise SettingsError(f"threshold kind {self.kind!r}: expected quantile, relative or absolute")
        highest = math.inf if self.kind == "absolute" else 1.0
        if not (math.isfinite(self.value) and 0.0 <= self.value <= highest):
            expected = "a number of at least 0" if self.kind == "absolute" else "a number from 0 to 1"
            raise SettingsError(f"threshold {self.kind}:{self.value}: expected {expected}")

    @classmethod
    def parse(cls, text: "str | Threshold") -> "Threshold":
        """Read `kind:value`, for example `quantile:0.95`; a `Threshold` is returned as it is."""
        if isinstance(text, Threshold):
            return text
        kind, _, value = str(text).strip().partition(":")
        try:
            number = float(value)
        except ValueError:
            raise SettingsError(
                f"threshold {text!r}: expected quantile:Q, relative:F or absolute:V, for example quantile:0.95"
            ) from None
        return cls(cast("ThresholdKind", kind.strip().lower()), number)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value:g}"


DEFAULT_THRESHOLD = Threshold("quantile", 0.95)
