"""Two models seen through one SAE: what finetuning changed in the latents (Mammo-SAE section 3.3, Table 1).

The SAE gives both models the same latents, so class means can be laid side by side, latent by latent.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..base.figures import axes_or_new, plain
from ..intervention.measures import check_labels, measures_of, measures_of_resamples, why_no_intervals
from ..ranking.orders import Ranking
from ..ranking.scores import LabelledPool
from ..ranking.statistics import ClassStatistics
from ..runs.classes import LabelLogits
from ..stats.bootstrap import patient_weights, percentile_interval
from ..stats.measures import FloatArray
from ..stats.sparse import sparse_auroc

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NAMED = 3  # latents whose number is written beside their point


@dataclass(frozen=True, slots=True, eq=False)
class ModelSide:
    """One of the two models on its images, unknown labels left out; made by `ModelSide.of`.

    Attributes
    ----------
    name : str
        What to call the model in tables and figures.
    pool : LabelledPool
        Pooled activations, labels and patients.
    statistics : ClassStatistics
        Its sums by class.
    logits, logits_sae : (n, C) float64 or None
        Predictions without and with the SAE.
    scored : LabelLogits
        Which classes the logits speak for; None where these are numbered from 0.
    """

    name: str
    pool: LabelledPool
    statistics: ClassStatistics
    logits: FloatArray | None = None
    logits_sae: FloatArray | None = None
    scored: LabelLogits | None = None

    @classmethod
    def of(
        cls,
        name: str,
        pool: LabelledPool,
        logits: ArrayLike | None = None,
        logits_sae: ArrayLike | None = None,
        scored: LabelLogits | None = None,
    ) -> "ModelSide":
        """Leave out images of unknown label and sum up the rest; logits are (n,) or (n, C).

        Raises
        ------
        SettingsError
            If there are no labels, or logits do not go with the images.
        """
        if pool.labels is None:
            raise SettingsError(f"the images of {name} have no labels; a comparison by class needs them.")
        labels = np.asarray(pool.labels, dtype=np.float64)
        rows = ~np.isnan(labels)
        kept = []
        for values in (logits, logits_sae):
            if values is not None and np.shape(values)[:1] != labels.shape:
                raise SettingsError(f"{name} has logits of {np.shape(values)[0]} images and {labels.size} labels.")
            kept.append(None if values is None else np.asarray(values, np.float64).reshape(labels.size, -1)[rows])
        known = pool.known()
        return cls(name, known, known.statistics(known.mean), kept[0], kept[1], scored)

    @property
    def live(self) -> Any:
        """Latents that fire on any image, (h,)."""
        return self.statistics.fired.sum(axis=0) > 0


@dataclass(frozen=True, slots=True, eq=False)
class ModelComparison:
    """What two models do with the same latents.

    Attributes
    ----------
    a, b : ModelSide
        For example pretrained and finetuned.
    label : int
        Class to compare with the rest.
    latents : pandas.DataFrame
        One row a latent that fires in either model, largest |change| first or in the order given: `latent`, `state`
        ("both", "gained": fires only in b, "lost": only in a), and for each model `mean_class_*`, `mean_rest_*`,
        `diff_*`, `auroc_*`; `change` is `diff_b - diff_a`.
    separation : pandas.DataFrame
        One row a model: see `separation_of`.
    performance : pandas.DataFrame
        One row a model and prediction ("without SAE", "with SAE"): measures with intervals; those of a single logit
        are of the class that is compared. Empty without logits that can be measured.
    provenance : dict
        What produced it.
    notes : tuple of str
        What there is to say of the images, the models, and the predictions that could not be measured.
    """

    a: ModelSide
    b: ModelSide
    label: int
    latents: "pd.DataFrame"
    separation: "pd.DataFrame"
    performance: "pd.DataFrame"
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = self.latents["state"].value_counts()
        return (
            f"<ModelComparison {self.a.name}, {self.b.name}: class {self.label}, {len(self.latents)} latents, "
            f"{counts.get('gained', 0)} gained, {counts.get('lost', 0)} lost>"
        )

    def table(self) -> "pd.DataFrame":
        """Return `latents`, with the provenance in ``attrs``."""
        table = self.latents.copy()
        table.attrs["provenance"] = self.provenance
        return table

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw each latent's difference of class means in one model against the other, and return the axes."""
        axis = axes_or_new(ax, (4.4, 4.2))
        for state, rows in self.latents.groupby("state", sort=False):
            axis.scatter(rows["diff_a"], rows["diff_b"], s=10, label=str(state))
        for row in self.latents.head(NAMED).itertuples():
            axis.annotate(str(row.latent), (row.diff_a, row.diff_b), fontsize=7)
        low, high = axis.get_xlim()
        axis.plot((low, high), (low, high), color="0.6", linewidth=0.8, zorder=0)
        axis.set(xlabel=plain(f"difference in {self.a.name}"), ylabel=plain(f"difference in {self.b.name}"))
        axis.legend(fontsize="small")
        return axis


def compare_models(
    a: ModelSide,
    b: ModelSide,
    label: int = 1,
    *,
    measured: tuple[ModelSide, ModelSide] | None = None,
    ranking: Ranking | None = None,
) -> ModelComparison:
    """Compare two models under one SAE; the images need not be the same.

    Parameters
    ----------
    a, b, label
        The models on the images of which class means are taken, and the class that is set against the rest.
    measured
        The models on the images on which predictions are measured; by default the same.
    ranking
        Order of the latents; by default those that change most come first.

    Raises
    ------
    SettingsError
        If the SAEs differ in size, or the class is missing on one side.
    """
    import pandas as pd

    sizes = [side.pool.mean.shape[1] for side in (a, b)]
    if sizes[0] != sizes[1]:
        raise SettingsError(f"{a.name} has {sizes[0]} latents, {b.name} {sizes[1]}; both must go through one SAE.")
    shown = np.flatnonzero(a.live | b.live)
    state = np.where(a.live & b.live, "both", np.where(b.live, "gained", "lost"))
    table: dict[str, Any] = {"latent": shown, "state": state[shown]}
    for suffix, side in (("a", a), ("b", b)):
        rest, own = side.statistics.rest(label).means
        positive = side.pool.positive(label)
        columns = {
            "mean_class": own,
            "mean_rest": rest,
            "diff": own - rest,
            "auroc": sparse_auroc(side.pool.mean, positive),
        }
        table |= {f"{name}_{suffix}": values[shown] for name, values in columns.items()}
    table["change"] = table["diff_b"] - table["diff_a"]
    order = np.lexsort((shown, -np.abs(table["change"]))) if ranking is None else np.argsort(ranking.ranks[shown])
    rows: list[dict[str, Any]] = []
    notes = []
    for side in measured or (a, b):
        try:
            rows += _performance(side, label)
        except SettingsError as error:  # means of classes need no prediction
            notes.append(f"the predictions of {side.name} are not measured: {error}")
    return ModelComparison(
        a,
        b,
        label,
        pd.DataFrame(table).iloc[order].reset_index(drop=True),
        pd.DataFrame([{"model": side.name} | separation_of(side, label) for side in (a, b)]),
        pd.DataFrame(rows),
        notes=tuple(notes),
    )


def separation_of(side: ModelSide, label: int = 1) -> dict[str, float]:
    """Say how far apart the mean latent vectors of a class and of the rest lie.

    Returns
    -------
    dict
        `live` latents; `distance`, Euclidean; `relative`, that distance over the mean length of the two vectors, so
        that models of different scale compare; `cosine` between the vectors; `largest`, the difference of the latent
        where it is largest in size, and `largest_latent`.
    """
    rest, own = side.statistics.rest(label).means
    diff = own - rest
    lengths = float(np.linalg.norm(own)), float(np.linalg.norm(rest))
    scale, product = sum(lengths) / 2, lengths[0] * lengths[1]
    best = int(np.argmax(np.abs(diff)))
    return {
        "live": int(side.live.sum()),
        "distance": float(np.linalg.norm(diff)),
        "relative": float(np.linalg.norm(diff)) / scale if scale else float("nan"),
        "cosine": float(own @ rest) / product if product else float("nan"),
        "largest": float(diff[best]),
        "largest_latent": best,
    }


def _performance(side: ModelSide, label: int) -> list[dict[str, Any]]:
    """Measures with intervals, without and with the SAE."""
    rows: list[dict[str, Any]] = []
    for kind, logits in (("without SAE", side.logits), ("with SAE", side.logits_sae)):
        if logits is None:
            continue
        labels = np.asarray(side.pool.labels, np.float64)
        labels = check_labels(labels if side.scored is None else side.scored.positions(labels), logits.shape[1])
        if logits.shape[1] == 1 and label == 0:  # the class in question is the positive one; a logit of 0 decides for 1
            labels, logits = 1 - labels, -np.where(logits == 0, np.finfo(np.float64).tiny, logits)
        row: dict[str, Any] = {"model": side.name, "prediction": kind, "images": labels.size}
        assert side.pool.patients is not None  # `known` sets them
        note = why_no_intervals(labels, side.pool.patients, logits.shape[1])
        samples: dict[str, FloatArray] = {}
        if not note:
            samples = measures_of_resamples(labels, logits, patient_weights(side.pool.patients))
        for name, value in measures_of(labels, logits)._asdict().items():
            interval = percentile_interval(samples.get(name, np.empty(0)), note)
            row |= {name: value, f"{name}_lo": interval.lo, f"{name}_hi": interval.hi}
        rows.append(row | {"note": note})
    return rows
