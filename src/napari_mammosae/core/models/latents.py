"""The latents of one image: every one of the h maps, of which only those that fire take memory. Knows no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
Ints = NDArray[np.int32]
Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]
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
        return scale_alarm(self.fvu)

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


@dataclass(frozen=True, slots=True, eq=False)
class Fires:
    """A row for each latent that fires on an image, by image, then latent; columns of one length.

    Attributes
    ----------
    image, latent
        Which; images are counted within the batch.
    mean, max, active_cells
        See `LatentMaps`.
    sized_mean
        For an SAE that normalises each cell, see `LatentMaps`; None for others.
    """

    image: Ints
    latent: Ints
    mean: Singles
    max: Singles
    active_cells: Ints
    sized_mean: Singles | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A row for each cell in which a latent fires, by latent, image and cell; columns of one length."""

    latent: Ints
    image: Ints
    cell: Ints
    value: Singles


@dataclass(frozen=True, slots=True, eq=False)
class LatentBatch:
    """Latents of n images: nothing is kept of what is silent.

    Attributes
    ----------
    shape
        (h, H', W'): latents, cell rows, cell columns.
    finite
        bool (n,): whether all values of an image are numbers; the others are not to be used.
    fires
        Every latent that fires on an image, pooled over its cells.
    cells
        Every cell that is not zero; None where they were not asked for.
    logits, logits_sae
        float64 (n, C): of the images, and of their SAE reconstructions.
    error_norm, fvu
        float64 (n,): see `LatentMaps`.
    features
        float32 (n, d) by name: see `LatentMaps`.
    silent
        float64 (n, d): see `LatentMaps`; None for most SAEs.
    """

    shape: tuple[int, int, int]
    finite: NDArray[np.bool_]
    fires: Fires
    cells: Cells | None
    logits: Doubles
    logits_sae: Doubles
    error_norm: Doubles
    fvu: Doubles
    features: Mapping[str, Singles] = field(default_factory=dict)
    silent: Doubles | None = None

    def __len__(self) -> int:
        return len(self.finite)

    @property
    def counts(self) -> Doubles:
        """Non-zero cells of each image, float64 (n,)."""
        return np.bincount(self.fires.image, self.fires.active_cells, len(self)).astype(np.float64)

    def part(self, start: int, stop: int) -> "LatentBatch":
        """Return the images from `start` to before `stop` alone."""
        if (start, stop) == (0, len(self)):
            return self
        return replace(
            self,
            finite=self.finite[start:stop],
            fires=_rows(self.fires, start, stop),
            cells=None if self.cells is None else _rows(self.cells, start, stop),
            logits=self.logits[start:stop],
            logits_sae=self.logits_sae[start:stop],
            error_norm=self.error_norm[start:stop],
            fvu=self.fvu[start:stop],
            features={name: values[start:stop] for name, values in self.features.items()},
            silent=None if self.silent is None else self.silent[start:stop],
        )

    def maps(self, frame: Frame | None = None) -> LatentMaps:
        """Return the maps of the only image, whose cells were asked for."""
        assert len(self) == 1
        assert self.cells is not None
        (h, *grid), fires, cells = self.shape, self.fires, self.cells
        values = np.zeros((len(fires.latent), grid[0] * grid[1]), np.float32)
        values[np.repeat(np.arange(len(values)), fires.active_cells), cells.cell] = cells.value  # cells are in order
        return LatentMaps(
            shape=self.shape,
            latents=fires.latent,
            values=values.reshape(-1, *grid) if len(values) else values.reshape(0, *grid),
            pooled_mean=_spread(fires.mean, fires.latent, h),
            pooled_max=_spread(fires.max, fires.latent, h),
            active_cells=_spread(fires.active_cells, fires.latent, h),
            logits=self.logits[0],
            logits_sae=self.logits_sae[0],
            error_norm=float(self.error_norm[0]),
            frame=frame,
            fvu=float(self.fvu[0]),
            features={name: values[0] for name, values in self.features.items()},
            sized_mean=None if fires.sized_mean is None else _spread(fires.sized_mean, fires.latent, h),
            silent=None if self.silent is None else self.silent[0],
        )


def scale_alarm(fvu: float) -> str:
    """What to say of a share of the variance that is missed; empty below 1."""
    if not fvu > 1:
        return ""
    return f"The SAE's reconstruction is worse than the mean (FVU {fvu:.3g}): the input scale probably differs."


def _rows(columns: Any, start: int, stop: int) -> Any:
    """Return the rows of some images, which are counted anew."""
    inside = (columns.image >= start) & (columns.image < stop)
    kept = {one.name: getattr(columns, one.name) for one in fields(columns)}
    kept["image"] = columns.image - np.int32(start)
    return type(columns)(**{name: None if values is None else values[inside] for name, values in kept.items()})


def _spread(values: NDArray[Any], latents: Ints, length: int) -> NDArray[Any]:
    full = np.zeros(length, values.dtype)
    full[latents] = values
    return full
