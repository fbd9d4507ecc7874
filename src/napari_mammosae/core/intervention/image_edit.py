"""An edit on one image from its latent maps: logits and logit maps before and after, regions and clipping included."""

from dataclasses import dataclass

import numpy as np

from ..base.errors import SettingsError
from ..models.latents import LatentMaps
from ..stats.measures import FloatArray, IntArray
from .edit import Edit


@dataclass(frozen=True, slots=True, eq=False)
class ImageEdit:
    """What an edit does to one image.

    Attributes
    ----------
    before, after : (C,) float64
        Logits of the unedited and the edited latents, in the edit's form.
    maps : (2, C, H', W') float64 or None
        What all latents add to each logit at each cell, before and after; the sums differ by `after - before`. None
        where what follows the latents is not linear, so that no cell has a share of its own.
    """

    before: FloatArray
    after: FloatArray
    maps: FloatArray | None = None

    @property
    def map_before(self) -> FloatArray:
        """What all latents add at each cell before the edit, (C, H', W'); SettingsError where there is no such map."""
        return self._map(0)

    @property
    def map_after(self) -> FloatArray:
        """The same after the edit."""
        return self._map(1)

    def _map(self, side: int) -> FloatArray:
        if self.maps is None:
            raise SettingsError("what follows the SAE is not linear, so there is no map of what each position adds.")
        return np.asarray(self.maps[side])


def edit_image(maps: LatentMaps, attribution: FloatArray, constant: FloatArray, edit: Edit) -> ImageEdit:
    """Apply an edit to one image in closed form; what follows the latents must be pooling and a linear layer.

    Parameters
    ----------
    maps
        The image's latents.
    attribution, constant
        (C, h) and (C,), of the model.
    edit
        What to do.

    Raises
    ------
    SettingsError
        If the sizes do not fit.
    """
    h, *grid = maps.shape
    edit.check(h, (grid[0], grid[1]))
    if attribution.shape != (constant.size, h):
        raise SettingsError(f"the image has {h} latents, the model {attribution.shape[1]}; they are of different SAEs.")
    cells = grid[0] * grid[1]
    live = np.asarray(maps.latents, dtype=np.int64)
    share = attribution[:, live] / cells
    flat = maps.values.reshape(live.size, cells).astype(np.float64)
    before = _summed(share, flat)
    change = _change(flat, share, edit, live)
    if edit.mode == "clamp" and edit.value:  # silent latents are set as well
        change = change + attribution[:, edit.targets].sum(axis=1, keepdims=True) * (edit.value / cells)
    if edit.region is not None:
        change = change * edit.region.ravel()
    start = constant + before.sum(axis=1) if edit.form == "replace" else maps.logits
    after = before + change
    stop = constant + after.sum(axis=1) if edit.form == "replace" else maps.logits + change.sum(axis=1)
    return ImageEdit(start, stop, np.stack([before, after]).reshape(2, -1, *grid))


def change_of_means(maps: LatentMaps, edit: Edit) -> FloatArray:
    """Return how an edit changes the mean of each latent over the cells of one image, (h,) float64.

    Raises
    ------
    SettingsError
        If the sizes do not fit.
    """
    h, *grid = maps.shape
    edit.check(h, (grid[0], grid[1]))
    cells, live = grid[0] * grid[1], np.asarray(maps.latents, dtype=np.int64)
    inside = np.ones(cells, np.bool_) if edit.region is None else edit.region.ravel()
    chosen = edit.targets[live]
    found = np.zeros(h)
    if edit.mode == "clamp" and edit.value:
        found[edit.targets] = edit.value * inside.sum() / cells
        found[live[chosen]] = 0.0
    values = maps.values.reshape(live.size, cells)[chosen][:, inside].astype(np.float64)
    found[live[chosen]] += (edit.new_values(values) - values).sum(axis=1) / cells
    return found


def _change(flat: FloatArray, share: FloatArray, edit: Edit, live: IntArray) -> FloatArray:
    """Change (C, cells) of what the latents that fire add at each cell."""
    targets = edit.targets[live]
    share, chosen = share[:, targets], flat[targets]
    if edit.mode == "clip":
        return _summed(share, edit.new_values(chosen) - chosen)
    return _summed(share * (edit.factor - 1.0), chosen)


def _summed(share: FloatArray, flat: FloatArray) -> FloatArray:
    # not BLAS: on a busy machine its threads wait for each other longer than this small product takes
    return np.asarray(np.einsum("cl,lj->cj", share, flat))
