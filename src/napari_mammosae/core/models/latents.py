"""The latents of one image: every one of the h maps, of which only those that fire take memory. Knows no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import MissingPackageError, SettingsError
from ..images.geometry import Frame, cell_affine
from .heads import places_of, stacked

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from .facts import ModelFacts

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
        float32 (L, H', W'): their maps, in the same order.
    pooled_mean, pooled_max
        float32 (h,): mean and maximum over all H' W' cells, summed in float64.
    active_cells
        int32 (h,): cells above zero.
    logits, logits_sae
        float64 (C,): of the image, and of its SAE reconstruction; C is 0 for a model without a classifier.
    error_norm
        Root of the mean over cells of the squared Euclidean norm of feature minus reconstruction.
    fvu
        Share of the features' variance over the cells that the reconstruction misses; NaN for an image of a run of a
        format before 3, and where the features do not vary.
    frame
        Where the model's input lies in the source image; None when the input did not come from an image.
    rounded
        Whether `values` come from a run, which keeps them in half precision, and so are less exact than the means.
    features
        float32 (d,) each: `mean` and `max` over the cells of the last layer's channels, and, where the SAE reads
        another layer, `layer_mean` and `layer_max` of that one's. Where heads read something else than means, `mean` is
        what they read. An image of a run has the first two, or none where
        the run is of an early format.
    classes
        Names of the logits of an image of a run; empty where they are those of the model's heads, in order.
    sized_mean
        float32 (h,): mean over the cells of a latent times the size of its cell, for an SAE that normalises each cell;
        None for other SAEs, and for an image of a run.
    silent
        float64 (d,): mean over the cells of the features that such an SAE reconstructs where no latent fires.
    key
        Names the image and model under which the model keeps what an edit of an inner layer starts from; "" where
        nothing is kept, as for the last layer.
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
    fvu: float = float("nan")
    rounded: bool = False
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    sized_mean: NDArray[np.float32] | None = None
    silent: NDArray[np.float64] | None = None
    key: str = ""

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

    @property
    def scale_alarm(self) -> str:
        """What to say where the SAE explains less than the mean does; empty where it explains more."""
        if not self.fvu > 1:
            return ""
        return (
            f"The SAE's reconstruction is worse than the mean (FVU {self.fvu:.3g}): the input scale probably differs."
        )

    def __repr__(self) -> str:
        h, rows, cols = self.shape
        return f"<LatentMaps {h} x {rows} x {cols}: {len(self.latents)} latents fire>"

    def ledger(self, facts: "ModelFacts") -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return what each latent adds to each logit, (C, h), and the logits without any latent, (C,).

        Their sum is `logits_sae`. None where what follows the SAE is not linear, without a classifier, and for an image
        of a run whose SAE normalises each cell.
        """
        if facts.attribution is not None and facts.constant is not None:
            return facts.attribution * self.pooled_mean, facts.constant
        if facts.cell_attribution is None or self.sized_mean is None or self.silent is None:
            return None
        weight, bias = stacked(facts.heads, self.silent.size)
        return facts.cell_attribution * self.sized_mean, weight @ self.silent + bias

    def with_heads(self, facts: "ModelFacts") -> "LatentMaps":
        """Return a copy with the logits of the heads of a model, in their order.

        Those that are not there yet come from the pooled features and the means; NaN where these are not kept, or what
        follows the latents is not linear.
        """
        known = self.classes or facts.classes[: self.logits.size]
        if facts.classes == known and self.logits.size == len(known):
            return self
        kept = places_of(facts.classes, known)
        logits, logits_sae = (
            np.array([np.nan if place is None else values[place] for place in kept], np.float64)
            for values in (self.logits, self.logits_sae)
        )
        new = [place for place, own in enumerate(kept) if own is None]
        if new and "mean" in self.features:
            weight, bias = stacked(facts.heads, facts.heads[0].width)
            logits[new] = weight[new] @ self.features["mean"].astype(np.float64) + bias[new]
        if new and facts.attribution is not None and facts.constant is not None:
            live = self.latents
            added = facts.attribution[new][:, live] @ self.pooled_mean[live].astype(np.float64)
            logits_sae[new] = facts.constant[new] + added
        return replace(self, logits=logits, logits_sae=logits_sae, classes=facts.classes)

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

    def to_xarray(self, latents: ArrayLike | None = None) -> "xr.DataArray":
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
        wanted = self.latents if latents is None else np.atleast_1d(np.asarray(latents, np.int64))
        chosen = np.arange(self.shape[0])[wanted]
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
