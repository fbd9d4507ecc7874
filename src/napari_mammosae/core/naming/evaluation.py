"""Units against concepts, whatever the units are: correlations, chance, acceptance, entropies, monosemanticity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..base.progress import ignore
from ..stats.bootstrap import benjamini_hochberg
from .concepts import FEWEST_IMAGES
from .correlation import Correlations, correlate, correlate_by_chance
from .entropy import by_label, margin_to_next, share_entropy
from .intervals import auroc_intervals
from .monosemanticity import clarity_and_redundancy, monosemanticity
from .permutation import LEVEL, family_p, threshold_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..base.progress import Report
    from ..stats.measures import BoolArray, FloatArray, IntArray
    from .concepts import Concepts
    from .permutation import Permutations
    from .units import Pool, Units


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """U units against C concepts in P poolings.

    Attributes
    ----------
    units, concepts
        What was measured against what.
    pools
        The poolings, in the order of the first axis.
    r, r_max, phi, phi_max, auroc, auroc_lo, auroc_hi, p, q
        (P, U, C); see `Correlations`, `auroc_intervals`, `Chance`. `q` is the false discovery rate (Benjamini and
        Hochberg) over all of these. Intervals are NaN where none were asked for.
    threshold
        What the largest |r| of all units, concepts and poolings exceeds by chance in 5 % of cases.
    maxima
        (B,) that largest |r| in each permutation.
    firing
        (U,) images on which a unit is not zero in the first pooling.
    fewest
        With fewer of them a unit is not tested.
    ms, ms_null, clarity, redundancy
        (U,), from the first pooling.
    """

    units: Units
    concepts: Concepts
    pools: tuple[Pool, ...]
    r: FloatArray
    r_max: FloatArray
    phi: FloatArray
    phi_max: FloatArray
    auroc: FloatArray
    auroc_lo: FloatArray
    auroc_hi: FloatArray
    p: FloatArray
    q: FloatArray
    threshold: float
    maxima: FloatArray
    firing: IntArray
    ms: FloatArray
    ms_null: FloatArray
    clarity: FloatArray
    redundancy: FloatArray
    fewest: int = FEWEST_IMAGES

    @property
    def tested(self) -> BoolArray:
        """(U,) units that are active on enough images for a test."""
        return np.asarray(self.firing >= self.fewest)

    @property
    def best(self) -> tuple[IntArray, IntArray]:
        """(U,) each: the pooling and the concept of the largest |r|."""
        size = np.nan_to_num(np.abs(self.r), nan=-1.0)
        by_unit = size.transpose(1, 0, 2).reshape(len(self.firing), -1)
        flat = by_unit.argmax(axis=1) if by_unit.shape[1] else np.zeros(len(by_unit), np.int64)
        pool, concept = np.divmod(flat, max(self.r.shape[2], 1))
        return pool, concept

    def at_best(self, values: FloatArray) -> FloatArray:
        """(U,) one of the arrays (P, U, C) at each unit's best pooling and concept."""
        pool, concept = self.best
        return values[pool, np.arange(len(pool)), concept]

    @property
    def accepted(self) -> BoolArray:
        """(U,) units whose largest |r| is beyond the threshold of chance."""
        return np.asarray(self.tested & (family_p(self.at_best(self.r), self.maxima) <= LEVEL))

    @property
    def strength(self) -> FloatArray:
        """(U, G): the largest |r| with each label, in the best pooling of each unit."""
        pool, _ = self.best
        return by_label(np.abs(self.r[pool, np.arange(len(pool))]), self.concepts.group)

    @property
    def entropies(self) -> tuple[FloatArray, FloatArray]:
        """(U,) each: entropy over the labels of |r|, and of what of it exceeds the threshold."""
        strength = self.strength
        return share_entropy(strength), share_entropy(np.maximum(strength - self.threshold, 0.0))

    @property
    def margin(self) -> tuple[IntArray, FloatArray]:
        """(U,) each: the label that comes second, -1 for none, and how much |r| of the best one is ahead."""
        return margin_to_next(self.strength)


def measure_units(
    units: Units,
    concepts: Concepts,
    patients: ArrayLike,
    permutations: Permutations,
    embeddings: FloatArray | None = None,
    *,
    intervals: bool = False,
    fewest: int = FEWEST_IMAGES,
    progress: Report = ignore,
) -> Measured:
    """Measure units against concepts.

    Parameters
    ----------
    units, concepts, patients
        Of the same n images.
    permutations
        What chance is drawn from.
    embeddings
        (n, d) rows of length 1, for monosemanticity and the like; None leaves these out.
    intervals
        Whether AUROCs get intervals; they take longer than all else.
    fewest
        Images on which a unit must be active to be tested.
    progress
        Called with the number of units that are measured.
    """
    pools, count = tuple(units.pools), len(units.numbers)
    shape = (len(pools), count, len(concepts.names))
    fields = ("r", "r_max", "phi", "phi_max", "auroc", "auroc_lo", "auroc_hi", "p")
    found = {name: np.full(shape, np.nan) for name in fields}
    alone = {name: np.full(count, np.nan) for name in ("ms", "ms_null")}
    firing = np.zeros(count, np.int64)
    maxima = np.zeros(len(permutations.rows))
    first = np.empty((len(concepts.values), count))
    for part, block in units.blocks():
        values = block[pools[0]]
        first[:, part] = values
        firing[part] = (values != 0).sum(axis=0)
        for place, pool in enumerate(pools):
            here: Correlations = correlate(block[pool], concepts.values)
            for name in ("r", "r_max", "phi", "phi_max", "auroc"):
                found[name][place, part] = getattr(here, name)
            chance = correlate_by_chance(
                block[pool], concepts.values, permutations.rows, here.r, firing[part] >= fewest
            )
            found["p"][place, part] = chance.p
            maxima = np.maximum(maxima, chance.maxima)
            if intervals:
                found["auroc_lo"][place, part], found["auroc_hi"][place, part] = auroc_intervals(
                    block[pool], concepts.values, patients
                )
        if embeddings is not None:
            alone["ms"][part], alone["ms_null"][part] = monosemanticity(values, embeddings, patients)
        progress(f"Measuring {units.name}", min(part.stop, count), count)
    clarity, redundancy = (
        clarity_and_redundancy(first, embeddings, patients) if embeddings is not None else np.full((2, count), np.nan)
    )
    return Measured(
        units, concepts, pools, **found, q=benjamini_hochberg(found["p"].ravel()).reshape(shape),
        threshold=threshold_of(maxima), maxima=maxima, firing=firing, **alone, clarity=clarity, redundancy=redundancy,
        fewest=fewest,
    )  # fmt: skip
