"""What `evaluate` found: tables of latents, correlations, concepts, baselines and shortcuts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.figures import axes_or_new, plain
from ..base.text import counted
from ..ranking.statistics import label_entropy
from .permutation import family_p
from .suggested import Names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..runs.sample import Used
    from .evaluation import Measured
    from .pair_measures import PairMeasures


@dataclass(frozen=True, slots=True, eq=False)
class ConceptEvaluation:
    """How well the latents of a run stand for concepts, and what they have to beat. Made by `evaluate`.

    Attributes
    ----------
    latents
        The latents that fire, against the concepts.
    baselines
        Raw channels, an untrained SAE and principal components, measured in the same way.
    shortcuts
        Latents that go with how an image was taken and push a prediction, see `report_shortcuts`; None where the model
        is not known or its SAE reads an inner layer.
    used, patients
        How many images the result rests on and why others are left out; of how many patients.
    n_latents
        All latents, those that never fire too.
    notes
        What to know about the numbers.
    provenance
        What produced them.
    pair_measures
        How latents react to one thing alone, those of the trained SAE and of an untrained one; empty without pairs.
    names
        What the run's verdict file called latents at the time.
    """

    latents: Measured
    baselines: tuple[Measured, ...]
    shortcuts: pd.DataFrame | None
    used: Used
    patients: int
    n_latents: int
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    pair_measures: tuple[PairMeasures, ...] = ()
    names: Names = field(default_factory=Names)

    def __repr__(self) -> str:
        of = self.latents
        return (
            f"<ConceptEvaluation: {int(of.accepted.sum())} of {len(of.firing)} live latents accepted for "
            f"{len(of.concepts.names)} concepts; {self.used}>"
        )

    @property
    def basis(self) -> str:
        """What the result rests on, in a sentence: ``200 of 200 images used, of 50 patients``."""
        return f"{self.used}; {counted(self.patients, 'patient')}"

    def table(self) -> pd.DataFrame:
        """Return one row a live latent, the accepted ones first, by falling |r| of their best label.

        `latent`, `accepted`, `concept`, `label`, `confounder`, `pool` (of the best |r|), `r`, `r_max`, `phi`,
        `phi_max`, `auroc`, `auroc_lo`, `auroc_hi`, `p_value`, `q_value`, `p_family` (the share of permutations whose
        largest |r| is at least as large), `next` (label), `margin`, `entropy`, `entropy_excess`, `top_entropy`,
        `top_entropy_prior`, `ms`, `ms_null`, `ms_excess`, `clarity`, `redundancy`, `images` (on which it fires),
        `firing`, `tested`; with names in the verdict file also `verdict_concept` (people's), and those suggested:
        `name`, `name_method`, `name_score`, `name_null`, `name_q_value`.
        """
        import pandas as pd

        of = self.latents
        pool, concept = of.best
        names, labels = np.array(of.concepts.names, object), np.array(of.concepts.labels, object)
        second, margin = of.margin
        groups = np.array([*of.concepts.groups, ""], object)
        entropy, excess = of.entropies
        tops = [self._top_entropies(prior) for prior in (False, True)]
        r = of.at_best(of.r)
        columns: dict[str, Any] = {
            "latent": of.units.numbers, "accepted": of.accepted, "concept": names[concept], "label": labels[concept],
            "confounder": np.array([of.concepts.is_confounder(place) for place in concept], np.bool_),
            "pool": np.array(of.pools, object)[pool], "r": r, "r_max": of.at_best(of.r_max),
            "phi": of.at_best(of.phi), "phi_max": of.at_best(of.phi_max), "auroc": of.at_best(of.auroc),
            "auroc_lo": of.at_best(of.auroc_lo), "auroc_hi": of.at_best(of.auroc_hi), "p_value": of.at_best(of.p),
            "q_value": of.at_best(of.q), "p_family": family_p(r, of.maxima), "next": groups[second],
            "margin": margin, "entropy": entropy, "entropy_excess": excess, "top_entropy": tops[0],
            "top_entropy_prior": tops[1], "ms": of.ms, "ms_null": of.ms_null, "ms_excess": of.ms - of.ms_null,
            "clarity": of.clarity, "redundancy": of.redundancy, "images": of.firing,
            "firing": of.firing / self.used.used, "tested": of.tested,
        }  # fmt: skip
        order = np.lexsort((of.units.numbers, -np.nan_to_num(np.abs(r)), ~of.accepted))
        return self.names.beside(
            pd.DataFrame({name: values[order] for name, values in columns.items()}), "verdict_concept"
        )

    def correlations(self) -> pd.DataFrame:
        """Return one row a live latent, concept and pooling: `latent`, `concept`, `pool`, `r` to `q_value`."""
        import pandas as pd

        of = self.latents
        pools, count, concepts = of.r.shape
        columns: dict[str, Any] = {
            "latent": np.tile(np.repeat(of.units.numbers, concepts), pools),
            "concept": np.tile(np.array(of.concepts.names, object), pools * count),
            "pool": np.repeat(np.array(of.pools, object), count * concepts),
        }
        values = {
            "r": of.r, "r_max": of.r_max, "phi": of.phi, "phi_max": of.phi_max, "auroc": of.auroc,
            "auroc_lo": of.auroc_lo, "auroc_hi": of.auroc_hi, "p_value": of.p, "q_value": of.q,
        }  # fmt: skip
        return pd.DataFrame(columns | {name: value.ravel() for name, value in values.items()})

    def concepts(self) -> pd.DataFrame:
        """Return one row a concept: how many images have it, its best latent, and how many are accepted for it."""
        import pandas as pd

        of = self.latents
        _, best = of.best
        columns = of.concepts.values
        strongest = np.nan_to_num(np.abs(of.r)).max(axis=0)
        unit = strongest.argmax(axis=0) if len(of.firing) else np.zeros(len(of.concepts.names), np.int64)
        return pd.DataFrame(
            {
                "concept": of.concepts.names,
                "label": of.concepts.labels,
                "confounder": [of.concepts.is_confounder(place) for place in range(len(of.concepts.names))],
                "images": (~np.isnan(columns)).sum(axis=0),
                "with_it": (columns == 1).sum(axis=0),
                "latents": [int((of.accepted & (best == place)).sum()) for place in range(columns.shape[1])],
                "best_latent": of.units.numbers[unit] if len(of.firing) else pd.NA,
                "best_r": strongest.max(axis=0, initial=0.0),
                "best_auroc": _best_auroc(of),
            }
        )

    def comparison(self) -> pd.DataFrame:
        """Return one row each for the latents and the baselines, all measured in the same way.

        `units`, `count`, `accepted`, `threshold` (of |r|), `labels` (for which any is accepted), `mean_best_r` and
        `mean_best_auroc` (of the best unit of each concept), `entropy_excess` (mean of the accepted), `ms_excess`,
        `clarity`, `redundancy` (means of all), `note`.
        """
        import pandas as pd

        rows = []
        for of in (self.latents, *self.baselines):
            accepted = of.accepted
            best = np.nan_to_num(np.abs(of.r)).max(axis=(0, 1), initial=0.0)
            labels = {of.concepts.labels[place] for place in of.best[1][accepted]}
            rows.append(
                {
                    "units": of.units.name, "count": len(of.firing), "accepted": int(accepted.sum()),
                    "threshold": of.threshold, "labels": len(labels),
                    "mean_best_r": _mean(best), "mean_best_auroc": _mean(_best_auroc(of)),
                    "entropy_excess": _mean(of.entropies[1][accepted]), "ms_excess": _mean(of.ms - of.ms_null),
                    "clarity": _mean(of.clarity), "redundancy": _mean(of.redundancy), "note": of.units.note,
                }
            )  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def pairs(self) -> pd.DataFrame | None:
        """One row a thing, for the trained SAE and for an untrained one, see `PairMeasures`; None without pairs."""
        import pandas as pd

        tables = [measures.table() for measures in self.pair_measures]
        return pd.concat(tables, ignore_index=True) if tables else None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how many live latents are accepted for each concept; those of confounders in red."""
        axes = axes_or_new(ax)
        table = self.concepts().sort_values("latents")
        colors = ["tab:red" if confounder else "tab:blue" for confounder in table["confounder"]]
        axes.barh([plain(str(name)) for name in table["concept"]], table["latents"], color=colors)
        axes.set_xlabel("latents accepted")
        return axes

    def _top_entropies(self, prior: bool) -> np.ndarray:
        """(U,) entropy of the best concept among the images that activate a latent most."""
        of = self.latents
        _, concept = of.best
        out = np.full(len(of.firing), np.nan)
        for place in np.unique(concept):
            column = of.concepts.values[:, place]
            known, mine = ~np.isnan(column), np.flatnonzero(concept == place)
            matrix = of.units.pools[of.pools[0]][:, mine]
            out[mine] = label_entropy(matrix[known], column[known], divide_priors=prior)
        return out


def _best_auroc(of: Measured) -> np.ndarray:
    """(C,) AUROC of the unit that tells each concept best, either way round."""
    size = np.nan_to_num(np.abs(of.auroc - 0.5))
    return np.asarray(0.5 + size.max(axis=(0, 1), initial=0.0))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
