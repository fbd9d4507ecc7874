"""Sums over the cells of encoded feature maps, latent by latent, and what the latents reconstruct."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ..sae.autoencoder import SparseAutoencoder

Few: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
"""Cell, latent and value of what is not zero, (n,) each, latent by latent and within one cell by cell."""

_FEW = 0.1
"""Share of the values of live latents that are not zero, below which the CPU goes from one to the next of these."""


class Sums:
    """Adds up blocks of latents.

    Parameters
    ----------
    sae
        Encoded the features.
    x
        (n, cells, d): features of n images.
    wide
        Format of the sums.
    cells
        Whether every cell that is not zero is kept.

    Attributes
    ----------
    peak, total, count
        (n, h): maximum, sum, and number of cells above zero.
    rebuilt
        (n, cells, d): features that the latents stand for.
    columns
        Latent, image, cell and value of every cell that is not zero, block by block.
    sized, silent
        (n, h) and (n, d): see `LatentMaps`, summed; None unless the SAE normalises each cell.
    """

    def __init__(self, sae: SparseAutoencoder, x: Tensor, wide: torch.dtype, *, cells: bool) -> None:
        n, h = len(x), sae.n_latents
        self._sae, self._x, self._cells = sae, x, cells
        self.peak = x.new_zeros(n, h, dtype=torch.float32)
        self.total = x.new_zeros(n, h, dtype=wide)
        self.count = x.new_zeros(n, h, dtype=torch.int32)
        self.rebuilt = torch.empty_like(x)
        self.columns: list[tuple[Tensor, ...]] = []
        self.sized = self.silent = None
        if sae.norm is not None:
            self.sized, self.silent = torch.zeros_like(self.total), x.new_zeros(n, x.shape[2], dtype=wide)

    def add(self, images: slice, places: slice, z: Tensor) -> None:
        """Add the latents (images, cells, h) of some images and places."""
        top, wide = z.amax(1), self.total.dtype
        self.peak[images] = torch.maximum(self.peak[images], top.float())
        live = torch.nonzero((top != 0).any(0)).squeeze(1)
        size: Tensor | None = None
        if self._sae.norm is not None and self.silent is not None:
            mean, size = self._sae.norm.moments(self._x[images, places])
            self.silent[images] += (self._sae.tied_bias.to(wide) * size + mean).sum(1)
        few = _few(z, len(live))
        if few is not None:
            self._add_few(images, places, z, few, live, size)
            return
        columns = z[..., live]
        del z, top  # as large as what follows
        self.total[images].index_add_(1, live, columns.sum(1, dtype=wide))
        self.count[images].index_add_(1, live, (columns > 0).sum(1, dtype=torch.int32))
        if self.sized is not None and size is not None:
            self.sized[images].index_add_(1, live, (columns.to(wide) * size).sum(1))
        self.rebuilt[images, places] = self._sae.decode(columns, live, self._x[images, places])
        if self._cells:
            latent, image, cell = torch.nonzero(columns.permute(2, 0, 1)).unbind(1)
            self._keep(images, places, live[latent], image, cell, columns[image, cell, latent])

    def _add_few(self, images: slice, places: slice, z: Tensor, few: Few, live: Tensor, size: Tensor | None) -> None:
        """Do the same from value to value: no matrix product, and no column of zeros is read twice."""
        n, count, h = z.shape
        cell, latent, values = few
        row = cell // count * h + latent
        wide = values.to(self.total.dtype)
        self.total[images] += torch.bincount(row, wide, n * h).view(n, h)
        self.count[images] += torch.bincount(row, minlength=n * h).view(n, h)
        if self.sized is not None and size is not None:
            self.sized[images] += torch.bincount(row, wide * size.flatten()[cell], n * h).view(n, h)
        if self._cells:
            self._keep(images, places, latent, cell // count, cell % count, values)
        order = torch.argsort(cell, stable=True)
        cell, latent, values = cell[order], latent[order], values[order]
        starts = torch.searchsorted(cell, torch.arange(n * count))
        of = self._x[images, places]
        self.rebuilt[images, places] = self._sae.decode_few(live, latent, values, starts, of)

    def _keep(self, images: slice, places: slice, latent: Tensor, image: Tensor, cell: Tensor, values: Tensor) -> None:
        whole = (latent, image + images.start, cell + places.start)
        self.columns.append((*(one.int() for one in whole), values.float()))


def _few(z: Tensor, live: int) -> Few | None:
    """Cell, latent and value wherever `z` is not zero, latent by latent; None where these are many.

    None off the CPU and in other formats than float32 too.
    """
    if z.device.type != "cpu" or z.dtype != torch.float32:
        return None
    by_latent = z.permute(2, 0, 1).reshape(z.shape[2], -1)
    fires = by_latent.numpy() != 0  # torch takes several times as long
    if np.count_nonzero(fires) >= _FEW * live * by_latent.shape[1]:
        return None
    at = torch.from_numpy(np.flatnonzero(fires))
    return at % by_latent.shape[1], at // by_latent.shape[1], by_latent.flatten()[at]
