"""The latents of one image: every one of the h maps, of which only those that fire take memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..base.errors import MissingPackageError, ModelError, SettingsError
from ..images.geometry import Frame, cell_affine
from .memory import within_memory

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import ArrayLike
    from torch import Tensor

    from ..images.mammogram import Mammogram
    from .model import MammoSAE

Map = NDArray[np.float32]
Index: TypeAlias = int | slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LatentMaps:
    """All latents of one image.

    Attributes
    ----------
    shape
        (h, H', W'): latents, cell rows, cell columns.
    latents
        int32 (L,), ascending: the latents that fire in at least one cell.
    values
        float32 or float16 (L, H', W'): their maps, in the same order.
    pooled_mean, pooled_max
        float32 (h,): mean and maximum over all H' W' cells, summed in float64.
    active_cells
        int32 (h,): cells above zero.
    logits, logits_sae
        float64 (C,): of the image, and of its SAE reconstruction; C is 0 for a model without a classifier.
    error_norm
        Root of the mean over cells of the squared Euclidean norm of feature minus reconstruction.
    frame
        Where the model's input lies in the source image; None when the input did not come from an image.
    """

    shape: tuple[int, int, int]
    latents: NDArray[np.int32]
    values: NDArray[np.floating[Any]]
    pooled_mean: NDArray[np.float32]
    pooled_max: NDArray[np.float32]
    active_cells: NDArray[np.int32]
    logits: NDArray[np.float64]
    logits_sae: NDArray[np.float64]
    error_norm: float
    frame: Frame | None = None

    def __getitem__(self, index: Index) -> Map:
        """Map (H', W') of a latent as float32, zeros when it is silent here; (n, H', W') of a slice, list or mask.

        Negative numbers count from the end, as in numpy.

        Raises
        ------
        IndexError
            If there is no such latent.
        """
        chosen = np.arange(self.shape[0])[index]
        if chosen.ndim > 1:
            raise IndexError(f"one index is expected, a number, slice, list or mask of latents; {index!r} was given")
        rows = np.minimum(np.searchsorted(self.latents, chosen), max(len(self.latents) - 1, 0))
        found = np.zeros((*chosen.shape, *self.shape[1:]), np.float32)
        if len(self.latents):
            live = self.latents[rows] == chosen
            found[live] = self.values[rows[live]]
        return found

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        h, rows, cols = self.shape
        return f"<LatentMaps {h} x {rows} x {cols}: {len(self.latents)} latents fire>"

    def table(self, sort: str | None = None) -> "pd.DataFrame":
        """Return one row a latent, all h of them: `latent`, `mean` and `max` over the cells, `active_cells`.

        Parameters
        ----------
        sort
            Column to sort by, highest first, equal ones by number; by default in the order of the numbers.

        Examples
        --------
        >>> import napari_mammosae as ms
        >>> image = ms.read_mammogram("phantoms/phantom-000001.png")
        >>> maps = ms.compute_latents(ms.load_model("demo"), image)
        >>> maps.table(sort="mean")["mean"].is_monotonic_decreasing
        True
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "latent": np.arange(self.shape[0]),
                "mean": self.pooled_mean.astype(np.float64),
                "max": self.pooled_max.astype(np.float64),
                "active_cells": self.active_cells,
            }
        )
        if sort is None:
            return table
        if sort not in table:
            raise SettingsError(f"there is no column {sort!r}; sort by one of {', '.join(map(str, table.columns))}.")
        order = np.argsort(-table[sort].to_numpy(np.float64), kind="stable") if sort != "latent" else slice(None)
        return table.iloc[order].reset_index(drop=True)

    def to_xarray(self, latents: "ArrayLike | None" = None) -> "xr.DataArray":
        """Return maps as an xarray (latent, row, column) with labelled axes; by default of the latents that fire.

        The coordinates `row` and `column` are the centres of the cells, in pixels of the source image; of latents
        that did not come from an image, the numbers of the cells.

        Raises
        ------
        MissingPackageError
            If xarray is not installed.
        """
        try:
            import xarray as xr
        except ImportError:
            raise MissingPackageError("xarray is not installed: pip install xarray.") from None
        chosen = self.latents if latents is None else np.atleast_1d(np.asarray(latents, np.int64))
        rows, cols = (np.arange(n, dtype=np.float64) for n in self.shape[1:])
        if self.frame is not None:
            affine = cell_affine(self.frame, self.shape[1:])
            rows, cols = rows * affine[0, 0] + affine[0, 2], cols * affine[1, 1] + affine[1, 2]
        coords = {"latent": chosen, "row": rows, "column": cols}
        return xr.DataArray(self[chosen], coords, ("latent", "row", "column"), name="activation")

    def row(self, latent: int) -> int | None:
        """Row of `values` that holds a latent, None when it is silent.

        Raises
        ------
        IndexError
            If there is no such latent.
        """
        if not 0 <= latent < self.shape[0]:
            raise IndexError(f"latent {latent} of {self.shape[0]}")
        row = int(np.searchsorted(self.latents, latent))
        return row if row < len(self.latents) and self.latents[row] == latent else None


def compute_latents(model: "MammoSAE", image: "Mammogram") -> LatentMaps:
    """Features, all latents and the prediction of one mammogram.

    Where the model's GPU runs out of memory, the model moves to the CPU for good, and a `UserWarning` says so.

    Raises
    ------
    ModelError
        If the model has no SAE, a computed value is not finite, or the CPU's memory does not suffice.
    ImageError
        If the image cannot be made into the model's input.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> image = ms.read_mammogram("phantoms/phantom-000001.png")
    >>> ms.compute_latents(ms.load_model("demo"), image).shape
    (2048, 48, 29)
    """
    import torch

    x, frame = image.to_input(model.preprocessing), image.frame_for(model.preprocessing)

    def compute(frames: Sequence[Frame]) -> LatentMaps:
        with torch.inference_mode():
            return latents_of_features(model, model.features(x), list(frames))[0]

    return within_memory(model, [frame], compute)[0]


def latents_of_features(model: "MammoSAE", features: "Tensor", frames: "list[Frame] | None" = None) -> list[LatentMaps]:
    """Latents of a batch of feature maps, image by image, so that memory does not grow with the batch.

    Parameters
    ----------
    model
        Gives the SAE and the head.
    features
        (N, d, H', W') as `model.features` returns them.
    frames
        One an image, kept with the result.
    """
    import torch

    results = []
    with torch.inference_mode():
        for index in range(features.shape[0]):
            one = features[index : index + 1]
            z = model.encode(one)[0].permute(1, 2, 0).flatten(0, 1)  # (cells, h): the memory order the encoder writes
            peak = z.amax(0).float()
            if not torch.isfinite(peak).all():
                raise ModelError(
                    "the latents of this image are not finite; the weights and the SAE do not fit each other, "
                    "or the precision overflows: try precision float32"
                )
            live = torch.nonzero(peak > 0).squeeze(1)
            columns = z[:, live]
            reconstruction = model.decode(columns.T.reshape(1, -1, *one.shape[2:]), live)
            error = (one.float() - reconstruction.float()).square().sum(1).double().mean().sqrt().item()
            live_ids = live.cpu().numpy().astype(np.int32)
            values = columns.T.float().contiguous().cpu().numpy()
            results.append(
                LatentMaps(
                    shape=(z.shape[1], *one.shape[2:]),
                    latents=live_ids,
                    values=values.reshape(len(live_ids), *one.shape[2:]),
                    pooled_mean=_spread(values.mean(1, dtype=np.float64), live_ids, z.shape[1], np.float32),
                    pooled_max=_spread(peak[live].cpu().numpy(), live_ids, z.shape[1], np.float32),
                    active_cells=_spread((values > 0).sum(1), live_ids, z.shape[1], np.int32),
                    logits=_numbers(model, one),
                    logits_sae=_numbers(model, reconstruction),
                    error_norm=error,
                    frame=frames[index] if frames else None,
                )
            )
    return results


def _spread(values: NDArray[Any], ids: NDArray[np.int32], length: int, dtype: type[Any]) -> NDArray[Any]:
    full = np.zeros(length, dtype)
    full[ids] = values
    return full


def _numbers(model: "MammoSAE", features: "Tensor") -> NDArray[np.float64]:
    return model.logits(features)[0].numpy() if model.classes else np.zeros(0)
