"""From feature maps to latents, pooled values and logits: whole batches in a handful of steps, on any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..latents import Cells, Fires, LatentBatch
from .devices import fetch
from .precision import arithmetic, widest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ..model import MammoSAE

_ROOM = 2**30
"""Bytes of latents that are held at once; the encoder takes cells in blocks that give no more."""


def measure(model: MammoSAE, features: Tensor, *, cells: bool = True) -> LatentBatch:
    """Encode feature maps and pool what fires, all images at once; sums are taken in double precision.

    Parameters
    ----------
    model
        With an SAE.
    features
        (n, D, H', W') as `model.features` returns them.
    cells
        Whether every cell that is not zero is wanted too, and not only what is pooled over them.
    """
    with torch.inference_mode(), arithmetic(model.precision):
        features = features.to(model.device, model.dtype)
        found = _encode(model, model.cells_of(features), cells=cells)
        made = fetch(_measure_maps(model, features, found))
    rows, cols = features.shape[2:]
    fires = Fires(
        made["image"], made["latent"], made["mean"], made["max"], made["active_cells"], made.get("sized_mean")
    )
    finite = np.isfinite(made["peak"]) & np.isfinite(made["feature.mean"]).all(1)
    return LatentBatch(
        (model.n_latents, rows, cols),
        finite,
        fires,
        Cells(*(made[f"cell.{name}"] for name in ("latent", "image", "cell", "value"))) if cells else None,
        made["logits"].astype(np.float64),
        made["logits_sae"].astype(np.float64),
        np.sqrt(made["missed"], dtype=np.float64),
        _ratios(made["missed"], made["spread"]),
        {name.partition(".")[2]: values for name, values in made.items() if name.startswith("feature.")},
        made["silent"].astype(np.float64) if "silent" in made else None,
    )


@dataclass(slots=True)
class _Encoded:
    """Sums over the cells of n images, latent by latent.

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

    peak: Tensor
    total: Tensor
    count: Tensor
    rebuilt: Tensor
    columns: list[tuple[Tensor, ...]]
    sized: Tensor | None = None
    silent: Tensor | None = None


def _encode(model: MammoSAE, maps: Tensor, *, cells: bool) -> _Encoded:
    sae, wide = model.autoencoder, widest(model.device)
    x = maps.movedim(1, -1).flatten(1, 2)  # (n, cells, d), the memory order of the network's output
    n, h = len(x), model.n_latents
    found = _Encoded(
        peak=x.new_zeros(n, h, dtype=torch.float32),
        total=x.new_zeros(n, h, dtype=wide),
        count=x.new_zeros(n, h, dtype=torch.int32),
        rebuilt=torch.empty_like(x),
        columns=[],
    )
    if sae.norm is not None:
        found.sized, found.silent = torch.zeros_like(found.total), x.new_zeros(n, x.shape[2], dtype=wide)
    for images, places in _blocks(n, x.shape[1], h * x.element_size()):
        of = x[images, places]
        z = sae.encode(of)
        top = z.amax(1)
        found.peak[images] = torch.maximum(found.peak[images], top.float())
        live = torch.nonzero((top != 0).any(0)).squeeze(1)
        columns = z[..., live]
        del z, top
        found.total[images].index_add_(1, live, columns.sum(1, dtype=wide))
        found.count[images].index_add_(1, live, (columns > 0).sum(1, dtype=torch.int32))
        found.rebuilt[images, places] = sae.decode(columns, live, of)
        if sae.norm is not None and found.sized is not None and found.silent is not None:
            mean, size = sae.norm.moments(of)
            found.sized[images].index_add_(1, live, (columns.to(wide) * size).sum(1))
            found.silent[images] += (sae.tied_bias.to(wide) * size + mean).sum(1)
        if cells:
            latent, image, cell = torch.nonzero(columns.permute(2, 0, 1)).unbind(1)
            values = columns[image, cell, latent].float()
            first_image, first_cell = images.start, places.start
            whole = (live[latent], image + first_image, cell + first_cell)
            found.columns.append((*(one.int() for one in whole), values))
    return found


def _measure_maps(model: MammoSAE, features: Tensor, found: _Encoded) -> dict[str, Tensor]:
    """Everything that is fetched of a batch, on the device."""
    wide, (n, _, *grid) = widest(model.device), features.shape
    count = grid[0] * grid[1]
    maps, last = model.cells_of(features), model.last_features(features)
    rebuilt = found.rebuilt.unflatten(1, grid).movedim(-1, 1)  # type: ignore[no-untyped-call]
    pooled, out = model.pooled(last), model.backbone.out_channels
    missed = (maps.float() - rebuilt.float()).square_().sum(1).flatten(1)
    image, latent = torch.nonzero(found.peak > 0).unbind(1)
    made = {
        "peak": found.peak.amax(1),
        "image": image.int(),
        "latent": latent.int(),
        "mean": (found.total[image, latent] / count).float(),
        "max": found.peak[image, latent],
        "active_cells": found.count[image, latent],
        "logits": model.logits_of_pooled(pooled),
        "logits_sae": model.logits_of_pooled(model.pooled(model.last_features(model.carry(rebuilt, features)))),
        "missed": missed.mean(1, dtype=wide),
        "spread": maps.float().var((2, 3), correction=0).sum(1, dtype=wide),
        "feature.mean": pooled.float(),
        "feature.max": last[:, :out].amax((2, 3)).float(),
    }
    if model.block is not None:
        made["feature.layer_mean"] = maps.mean((2, 3), dtype=wide).float()
        made["feature.layer_max"] = maps.amax((2, 3)).float()
    if found.sized is not None and found.silent is not None:
        made["sized_mean"] = (found.sized[image, latent] / count).float()
        made["silent"] = found.silent / count
    if found.columns:
        made |= zip(("cell.latent", "cell.image", "cell.cell", "cell.value"), _in_order(found.columns, n), strict=True)
    return made


def _in_order(blocks: list[tuple[Tensor, ...]], n: int) -> Iterator[Tensor]:
    """Join the columns of cells of several blocks, by latent, image and cell; each block is in order."""
    if len(blocks) == 1:
        yield from blocks[0]
        return
    latent, image, cell, value = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    order = torch.argsort(latent.long() * n + image, stable=True)
    yield from (column[order] for column in (latent, image, cell, value))


def _blocks(images: int, cells: int, bytes_a_cell: int) -> Iterator[tuple[slice, slice]]:
    """Yield images and cells that are encoded at once: several whole images, or a part of one."""
    together = _ROOM // (cells * bytes_a_cell)
    if together:
        for start in range(0, images, together):
            yield slice(start, min(start + together, images)), slice(0, cells)
        return
    step = max(_ROOM // bytes_a_cell, 1)
    for image in range(images):
        for start in range(0, cells, step):
            yield slice(image, image + 1), slice(start, min(start + step, cells))


def _ratios(missed: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the shares of the variance that are missed, NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, missed / spread, np.nan).astype(np.float64)
