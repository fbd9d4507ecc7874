"""From feature maps to latents, pooled values and logits: whole batches in a handful of steps, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..latents import Cells, Fires, LatentBatch
from .devices import fetch
from .precision import arithmetic, widest
from .sums import Sums

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
    with torch.inference_mode(), arithmetic(model.precision, model.device):
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


def _encode(model: MammoSAE, maps: Tensor, *, cells: bool) -> Sums:
    sae = model.autoencoder
    x = maps.movedim(1, -1).flatten(1, 2)  # (n, cells, d), the memory order of the network's output
    sums = Sums(sae, x, widest(model.device), cells=cells)
    for images, places in _blocks(len(x), x.shape[1], model.n_latents * x.element_size()):
        sums.add(images, places, sae.encode(x[images, places]))
    return sums


def _measure_maps(model: MammoSAE, features: Tensor, found: Sums) -> dict[str, Tensor]:
    """Everything that is fetched of a batch, on the device."""
    wide, (n, _, *grid) = widest(model.device), features.shape
    count = grid[0] * grid[1]
    maps, last = model.cells_of(features), model.last_features(features)
    rebuilt = found.rebuilt.unflatten(1, grid).movedim(-1, 1)  # type: ignore[no-untyped-call]
    pooled, out = model.pooled(last), model.backbone.out_channels
    spread = maps.float()
    missed = (spread - rebuilt.float()).square_().sum(1).flatten(1)
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
        "spread": (spread - spread.mean((2, 3), keepdim=True)).square_().sum(1).flatten(1).mean(1, dtype=wide),
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
