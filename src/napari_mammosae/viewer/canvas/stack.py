"""All latents of an image as one array-like in the session's order, read a map at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from ...core.models.latents import LatentMaps


class LatentStack:
    """An (h, H', W') float32 view of `LatentMaps`, its first axis in an order that can be replaced in place.

    napari slices it in the GUI thread or in worker threads. Maps and order are swapped together in one assignment, so
    a reader sees either both old or both new.
    """

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, maps: LatentMaps, order: NDArray[np.intp]) -> None:
        self.shape = maps.shape
        self._content: tuple[LatentMaps, NDArray[np.intp]] | None = None
        self.show(maps, order)

    def show(self, maps: LatentMaps, order: NDArray[np.intp]) -> None:
        """Take other maps of the same shape, another order, or both."""
        if maps.shape != self.shape or order.size != self.shape[0]:
            raise ValueError(f"A stack of shape {self.shape} cannot show maps of shape {maps.shape}.")
        self._content = maps, order

    def shows(self, maps: LatentMaps, order: NDArray[np.intp]) -> bool:
        """Whether it shows just these maps in just this order."""
        return self._content is not None and self._content[0] is maps and self._content[1] is order

    def clear(self) -> None:
        """Be zero everywhere: what belongs to an earlier image is never shown over the next."""
        self._content = None

    @property
    def size(self) -> int:
        """Number of values, silent ones included."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        if self._content is None:
            return np.asarray(np.broadcast_to(np.float32(0), self.shape)[key])
        maps, order = self._content
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key:
            at = key.index(Ellipsis)
            key = (*key[:at], *(slice(None),) * (self.ndim + 1 - len(key)), *key[at + 1 :])
        ranks, cells = key[0], key[1:]
        if isinstance(ranks, int | np.integer):
            return np.asarray(maps[int(order[ranks])][cells])
        return self._gather(maps, order[ranks], cells)

    def _gather(self, maps: LatentMaps, wanted: NDArray[np.intp], cells: tuple[Any, ...]) -> NDArray[np.float32]:
        """Several latents at once: zeros, and the live ones among them filled in."""
        shape = np.broadcast_to(np.float32(0), self.shape[1:])[cells].shape
        out = np.zeros((wanted.size, *shape), dtype=self.dtype)
        if maps.latents.size:
            at = np.searchsorted(maps.latents, wanted)
            at[at == maps.latents.size] = 0
            live = maps.latents[at] == wanted
            out[live] = maps.values[(slice(None), *cells)][at[live]]
        return out

    def astype(self, dtype: DTypeLike, copy: bool = True) -> NDArray[Any]:
        """All of it in another type, for napari's conversions."""
        return self[:].astype(dtype, copy=copy)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)
