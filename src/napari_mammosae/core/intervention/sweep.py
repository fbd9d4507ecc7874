"""Keep or zero the best k of every class, for every k from 0 to h at once.

The union grows with k, so one running sum over latents in the order of their entry gives the logits of every k; it
only changes where a live latent enters, and only there areas and decisions are taken again.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..base.errors import SettingsError
from ..ranking.orders import union_sizes
from ..stats.measures import BinaryMeasures, FloatArray, IntArray, sorted_measures
from .cohort import Cohort
from .edit import FORMS, Form
from .measures import check_labels, compat_scores, fields_of, measures_of

if TYPE_CHECKING:
    import pandas as pd

SweepMode = Literal["keep", "zero", "scale"]
SWEEP_MODES: tuple[SweepMode, ...] = ("keep", "zero", "scale")


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Measures for every k.

    Attributes
    ----------
    mode, form
        What was done to the union of the best k of every class.
    steps : (S,) int64
        The values of k at which anything changes, rising, the first is 0.
    measures : dict
        By name (`auroc`, ...), (S,) float64 each: the measure from that step up to the next.
    union_size : (h + 1,) int64
        Latents in the union for every k.
    lost_ranks : (S,) int64
        Distinct logits that tie as float32 sigmoids; zeros unless ranked so.
    ranks : (S,) int64
        Distinct logits; zeros unless ranked as float32 sigmoids.
    """

    mode: SweepMode
    form: Form
    steps: IntArray
    measures: dict[str, FloatArray]
    union_size: IntArray
    lost_ranks: IntArray
    ranks: IntArray

    def at(self, k: int) -> dict[str, float]:
        """Return the measures of one k."""
        if not 0 <= k < self.union_size.size:
            raise SettingsError(f"k = {k} is not between 0 and {self.union_size.size - 1}.")
        step = int(np.searchsorted(self.steps, k, "right")) - 1
        return {name: float(values[step]) for name, values in self.measures.items()}

    def table(self, ks: Sequence[int] | None = None) -> "pd.DataFrame":
        """Return `mode, form, k, union_size` and the measures, one row for each k (all from 0 to h by default)."""
        import pandas as pd

        h = self.union_size.size - 1
        chosen = np.arange(h + 1) if ks is None else np.asarray(ks, dtype=np.int64)
        if (wrong := chosen[(chosen < 0) | (chosen > h)]).size:
            raise SettingsError(f"k is {wrong[0]}; expected 0 to {h}, the number of latents.")
        step = np.searchsorted(self.steps, chosen, "right") - 1
        columns = {"mode": self.mode, "form": self.form, "k": chosen, "union_size": self.union_size[chosen]}
        return pd.DataFrame(columns | {name: values[step] for name, values in self.measures.items()})


def sweep_cohort(
    cohort: Cohort,
    first: IntArray,
    mode: SweepMode = "keep",
    form: Form = "replace",
    *,
    factor: float | None = None,
    compat: bool = False,
) -> Curve:
    """Measure every k from 0 to h.

    Parameters
    ----------
    cohort
        Images with labels; "delta" needs the model's own logits too.
    first : (h,) int64
        The k at which each latent enters the union, from `first_ranks`.
    mode, form
        As in `Edit`; `factor` is what "scale" multiplies by.
    compat
        Rank float32 sigmoids as the published curves do; two classes only.

    Raises
    ------
    SettingsError
        If only one class occurs, sizes do not fit, or the settings make no sense together.
    """
    if mode not in SWEEP_MODES or form not in FORMS:
        raise SettingsError(f"a sweep has the modes {', '.join(SWEEP_MODES)} and the forms {', '.join(FORMS)}.")
    if (mode == "scale") != (factor is not None):
        raise SettingsError("mode 'scale' needs a factor, the others take none.")
    if first.shape != (cohort.n_latents,):
        raise SettingsError(f"the ranking has {first.size} latents, the run {cohort.n_latents}; other SAEs.")
    labels = check_labels(cohort.labels, cohort.constant.size)
    if compat and cohort.constant.size > 1:
        raise SettingsError("the published curves are those of two classes; there is nothing to reproduce here.")
    positive = labels == 1
    steps, lost, ranks, rows = [], [], [], []
    for k, logits in _logits_by_step(cohort, first, mode, form, factor or 0.0):
        ties = distinct = 0
        if cohort.constant.size > 1:
            row: tuple[float, ...] = measures_of(labels, logits)
        elif compat:
            scores, ties = compat_scores(logits[:, 0])
            distinct = np.unique(logits).size
            row = _two_classes(scores, positive, 0.5)
        else:
            row = _two_classes(logits[:, 0], positive, 0.0)
        steps.append(k)
        rows.append(row)
        lost.append(ties)
        ranks.append(distinct)
    names = fields_of(cohort.constant.size, cohort.decides)
    columns = dict(zip(names, np.array(rows, dtype=np.float64).T, strict=False))  # the two areas come first
    return Curve(mode, form, np.array(steps), columns, union_sizes(first), np.array(lost), np.array(ranks))


def _two_classes(
    scores: FloatArray | NDArray[np.float32], positive: NDArray[np.bool_], decision: float
) -> BinaryMeasures:
    return sorted_measures(np.sort(scores[positive]), np.sort(scores[~positive]), decision)


def _logits_by_step(
    cohort: Cohort, first: IntArray, mode: SweepMode, form: Form, factor: float
) -> Iterator[tuple[int, FloatArray]]:
    """Yield k and the logits (n, C) wherever they change.

    What is left over is the whole minus the running sum, both added up in the same order: an image that has lost all
    its latents is left with exactly nothing, so such images tie, and the ends (k = 0, k = h) are exact.
    """
    live = np.flatnonzero(cohort.live)
    entering = live[np.lexsort((live, first[live]))]
    pooled, weight = cohort.pooled, cohort.attribution.T
    ends = pooled.indptr

    def running() -> Iterator[tuple[int, FloatArray]]:
        inside = np.zeros((cohort.n_images, cohort.constant.size))
        yield 0, inside
        for place, latent in enumerate(entering):
            entries = slice(ends[latent], ends[latent + 1])
            inside[pooled.indices[entries]] += pooled.data[entries, None] * weight[latent]
            last = place + 1 == entering.size
            if last or first[entering[place + 1]] != first[latent]:
                yield int(first[latent]), inside

    whole = deque(running(), maxlen=1)[0][1]
    start = cohort.original() if form == "delta" else None
    for k, inside in running():
        if start is None:
            left = inside if mode == "keep" else (whole - inside) + factor * inside
            yield k, cohort.constant + left
        else:
            removed = whole - inside if mode == "keep" else (1.0 - factor) * inside
            yield k, start - removed
