"""What is done to which latents: the one description that the closed form, the sweep and the masked pass share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..base.errors import SettingsError
from ..stats.measures import BoolArray

Mode = Literal["keep", "zero", "scale", "clamp", "clip"]
Form = Literal["replace", "delta"]
MODES: tuple[Mode, ...] = get_args(Mode)
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A set of latents and what becomes of them.

    Attributes
    ----------
    mask : (h,) bool
        The latents of the set.
    mode
        "keep": all *others* become zero (Mammo-SAE eq. 3); "zero": they become zero (eq. 4); "scale": they are
        multiplied by `value`; "clamp": they are set to `value` in every cell; "clip": they are limited to `value`.
    form
        "replace": the reconstruction takes the feature map's place (the paper's); "delta": the change is added to the
        feature map, so that the SAE's own error stays in and an edit that does nothing leaves the prediction as it was.
    value
        Factor or level, not negative; only for the last three modes.
    region : (H', W') bool, optional
        Cells that are edited; all by default.

    Raises
    ------
    SettingsError
        If mode, form, value, mask or region make no sense together.
    """

    mask: BoolArray
    mode: Mode = "zero"
    form: Form = "replace"
    value: float | None = None
    region: BoolArray | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise SettingsError(f"mode {self.mode!r} is unknown; choose one of {', '.join(MODES)}.")
        if self.form not in FORMS:
            raise SettingsError(f"form {self.form!r} is unknown; choose one of {', '.join(FORMS)}.")
        if self.mask.dtype != np.bool_ or self.mask.ndim != 1:
            raise SettingsError("a mask is one True or False per latent; use `mask_of` for a list of latents.")
        if self.mode in ("keep", "zero"):
            if self.value is not None:
                raise SettingsError(f"mode {self.mode!r} takes no value.")
        elif self.value is None or not (np.isfinite(self.value) and self.value >= 0):
            raise SettingsError(f"mode {self.mode!r} needs a value of at least 0; {self.value} was given.")
        if self.region is not None:
            if self.region.dtype != np.bool_ or self.region.ndim != 2:
                raise SettingsError("a region is one True or False per cell, (rows, columns).")
            if not self.region.any():
                raise SettingsError("the region holds no cell; draw it over the image.")

    @property
    def targets(self) -> BoolArray:
        """Latents whose activation changes, (h,): the set itself, or for "keep" all others."""
        return ~self.mask if self.mode == "keep" else self.mask

    @property
    def factor(self) -> float:
        """What targets are multiplied by in the modes that do so."""
        return self.value if self.mode == "scale" and self.value is not None else 0.0

    @property
    def remark(self) -> str:
        """What to tell the user about a set that leaves nothing or everything, or an empty string."""
        if not self.targets.any():
            return "no latent is edited: the prediction is that of the unedited latents"
        if self.targets.all() and self.region is None and self.mode in ("keep", "zero"):
            rest = "only the SAE error is left" if self.form == "delta" else "every image gets the same logit"
            return f"all latents are removed: {rest}"
        return ""

    def new_values(self, values: Any) -> Any:
        """Return what activations of targets become, of the same shape (numpy array or torch tensor)."""
        if self.mode == "clamp":
            return values * 0 + self.value
        if self.mode == "clip":
            return values.clip(max=self.value)
        return values * self.factor

    def check(self, n_latents: int, grid: tuple[int, int] | None = None) -> None:
        """Raise SettingsError unless mask and region fit a model of so many latents and such a grid of cells."""
        if self.mask.size != n_latents:
            raise SettingsError(
                f"the set is for {self.mask.size} latents, the model or run has {n_latents}; "
                "was it made with another SAE?"
            )
        if grid is not None and self.region is not None and self.region.shape != grid:
            raise SettingsError(f"the region has {self.region.shape} cells, the maps have {grid}.")

    def describe(self) -> dict[str, Any]:
        """Return the edit as plain values, for the record beside an export."""
        return {
            "mode": self.mode,
            "form": self.form,
            "value": self.value,
            "n_latents": int(self.mask.size),
            "latents": np.flatnonzero(self.mask).tolist(),
            "region": None if self.region is None else np.argwhere(self.region).tolist(),
        }


def mask_of(latents: Iterable[int] | int, n_latents: int) -> BoolArray:
    """Mark the latents of a list or selection, (h,) bool; a mask of them is taken as it is.

    Raises
    ------
    SettingsError
        If the list is empty, or a latent is out of range or no whole number.
    """
    chosen = np.atleast_1d(np.asarray(latents if isinstance(latents, np.ndarray | int) else list(latents)))
    if chosen.dtype == np.bool_ and chosen.size == n_latents and chosen.any():
        return chosen
    if not chosen.size:
        raise SettingsError("the set of latents is empty; choose at least one.")
    if chosen.dtype.kind not in "iu":
        raise SettingsError("latents are named by whole numbers.")
    outside = chosen[(chosen < 0) | (chosen >= n_latents)]
    if outside.size:
        raise SettingsError(f"there is no latent {outside[0]}; they go from 0 to {n_latents - 1}.")
    mask = np.zeros(n_latents, dtype=np.bool_)
    mask[chosen] = True
    return mask
