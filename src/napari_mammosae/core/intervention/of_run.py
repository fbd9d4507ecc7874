"""Interventions over a run: the images that count, every k of a ranking, and one set of latents before and after."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
import pandas as pd

from ..base.arguments import expect
from ..base.errors import SettingsError
from ..base.figures import axes_or_new, measure_title, plain
from ..base.provenance import provenance
from ..base.text import counted
from ..models.heads import Head
from ..ranking.files import PUBLISHED, check_order, published_rankings
from ..ranking.of_run import rank_classes
from ..ranking.orders import Ranking, first_ranks, union_mask
from ..runs.classes import logits_at, logits_of_label, place_of
from ..runs.run import Run
from ..runs.sample import Unit, sample_of
from ..stats.measures import IntArray
from .cohort import Cohort
from .edit import Edit, Form, Mode, mask_of
from .effects import curve_table, effect, lost_ranks_note
from .plots import draw_curve, draw_effects, draw_notes
from .prompt_scores import COSINE_MEASURE, PromptedCohort
from .random_sets import NotMatched, random_null
from .sweep import SweepMode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..models.facts import ModelFacts
    from ..models.model import MammoSAE
    from ..ranking.scores import Score

DEFAULT_KS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
Order: TypeAlias = str | pd.DataFrame | Ranking | Mapping[int, pd.DataFrame | Ranking]
"""A score that ranks the latents for every class, `published:DIR`, or rankings: one, or one a class."""


@dataclass(frozen=True, slots=True, eq=False)
class KSweep:
    """Measures of the predictions when the best k latents of every class are kept or removed, for many k.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row a mode and k: `mode`, `form`, `k`, `union_size`, the measures, their 95 % intervals `<measure>_lo` and
        `<measure>_hi`, and `note`: why intervals are blank.
    provenance : dict
        What produced it; under `notes` what a person should know about it.
    """

    rows: pd.DataFrame
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        label, modes = self.provenance["settings"]["label"], ", ".join(self.rows["mode"].unique())
        return f"<KSweep {label}: {modes}; {self.rows['k'].nunique()} values of k up to {self.rows['k'].max()}>"

    def table(self) -> pd.DataFrame:
        """Return the rows, with the provenance in ``attrs``."""
        return _with_provenance(self.rows, self.provenance)

    def plot(self, ax: "Axes | None" = None, measure: str | None = None) -> "Axes":
        """Draw a measure (AUROC, or accuracy for several classes) over k, one curve a mode, and return the axes."""
        axis, chosen = axes_or_new(ax), _measure(self.rows, measure)
        for mode, rows in self.rows.groupby("mode", sort=False):
            draw_curve(axis, rows, chosen, str(mode))
        axis.set(ylabel=measure_title(chosen), title=plain(self.provenance["settings"]["label"].replace("_", " ")))
        axis.legend(fontsize="small")
        draw_notes(axis, self.provenance["notes"])
        return axis


@dataclass(frozen=True, slots=True, eq=False)
class InterventionEffect:
    """Measures of the predictions before and after an edit.

    Attributes
    ----------
    edit
        What was done to which latents; its `remark` is worth a look.
    rows : pandas.DataFrame
        One row a measure: `mode`, `form`, `set_size`, `measure`, `before`, `after`, `change`, each with its 95 %
        interval `_lo` and `_hi`, and `note`: why intervals are blank.
    provenance : dict
        What produced it, the edit, and what random sets of latents do, where they were asked for.
    """

    edit: Edit
    rows: pd.DataFrame
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        measure = _measure(self.rows.set_index("measure").T, None)
        row = self.rows[self.rows["measure"] == measure].iloc[0]
        return (
            f"<InterventionEffect {self.edit.mode} of {counted(row['set_size'], 'latent')}: {measure_title(measure)} "
            f"{row['before']:.4f} before, {row['after']:.4f} after>"
        )

    def table(self) -> pd.DataFrame:
        """Return the rows, with the provenance in ``attrs``."""
        return _with_provenance(self.rows, self.provenance)

    def plot(self, ax: "Axes | None" = None, measure: str | None = None) -> "Axes":
        """Draw a measure (AUROC, or accuracy for several classes) before and after, and return the axes."""
        axis, row = axes_or_new(ax, (3.8, 3.8)), self.rows.iloc[0]
        chosen = _measure(self.rows.set_index("measure").T, measure)
        draw_effects(axis, {f"{counted(row['set_size'], 'latent')}, {row['mode']}": self.rows}, chosen)
        return axis


def sweep(
    run: Run,
    model: "MammoSAE",
    label: str,
    ranking: Order = "diff",
    *,
    modes: Sequence[SweepMode] = ("keep", "zero"),
    form: Form = "replace",
    ks: Sequence[int] | None = None,
    rank_split: str | None = None,
    eval_split: str | None = None,
    unit: Unit = "image",
    compat: bool = False,
    intervals: bool = True,
    logit: str | None = None,
) -> KSweep:
    """Keep or zero the best k latents of every class, for many k, and measure the predictions.

    Exact: no image is computed again.

    Parameters
    ----------
    run, model, label
        A run, the model it was made with, and the label that scores predictions.
    ranking
        Latents, best first: what `rank` returns, one such table a class by class number, a score that ranks them for
        every class, or `published:DIR`.
    modes
        "keep": all other latents become zero; "zero": the set does.
    form
        "replace": the reconstruction takes the features' place, as published; "delta": the SAE's error stays in.
    ks
        Values of k; by default some from 0 to all, on a scale of 1, 2, 5.
    rank_split, eval_split
        Splits that a score ranks on and that predictions are measured on.
    unit
        "row" counts an image once for each of its finding rows.
    compat
        Rank float32 sigmoids as the published curves do, and count false ties; a `UserWarning` says so where there
        are any.
    intervals
        Whether to bootstrap by patient.
    logit
        The model's class whose logit is scored, where it is not called as the label; that of a prompt, for example,
        whose measures have the AUROC of its cosines beside them.

    Raises
    ------
    RunError
        The run was made with another model, or has no such label.
    ModelError
        Nothing is exact per latent, because the SAE reads an inner layer.
    SettingsError
        The label cannot be scored, only one class occurs, or a setting has no meaning.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run, model = ms.open_run("run"), ms.load_model("demo")
    >>> curve = ms.sweep(run, model, "mass", ms.rank(run, "mass"), ks=[0, 5])
    >>> curve.table()["k"].tolist()
    [0, 5, 0, 5]
    """
    cohort = cohort_of_run(run, model, label, split=eval_split, unit=unit, logit=logit)
    ranked_on = rank_split or eval_split
    first = entry_of(run, model, label, ranking, ranked_on, unit, logit)
    h = cohort.n_latents
    chosen = [*(k for k in DEFAULT_KS if k < h), h] if ks is None else list(ks)
    rows = curve_table(cohort, first, chosen, modes, form, compat=compat, intervals=intervals)
    if (prompt := prompted(run, model, logit)) is not None:
        seen = PromptedCohort.of(run, model, prompt, cohort, sample_of(run, label, eval_split, unit).rows)
        found = [seen.auroc(Edit(union_mask(first, k), mode, form)) for mode in modes for k in chosen]
        rows.insert(list(rows.columns).index("auprc"), COSINE_MEASURE, found)
    settings = settings_of(run, model, label, cohort, form, eval_split, unit, logit) | {
        "order": ranking if isinstance(ranking, str) else "given", "rank_split": ranked_on, "modes": list(modes),
        "compat": compat, "k": chosen if ks is not None and intervals else None if ks is None else "all",
        "ranked_and_scored_on_the_same_images": isinstance(ranking, str)
        and ranked_on == eval_split and not ranking.startswith(PUBLISHED),
    }  # fmt: skip
    notes = [note for note in (lost_ranks_note(rows),) if note]
    for note in notes:
        warnings.warn(note, stacklevel=2)
    record = provenance("intervene", settings, model) | used_of(run, label, eval_split, unit)
    if isinstance(ranking, str) and not ranking.startswith(PUBLISHED):
        record["ranked_on"] = sample_of(run, label, ranked_on, unit).used.describe()
    return KSweep(rows, record | {"notes": notes})


def intervene(
    run: Run,
    model: "MammoSAE",
    latents: Iterable[int],
    label: str,
    *,
    mode: Mode = "zero",
    value: float | None = None,
    form: Form = "replace",
    split: str | None = None,
    unit: Unit = "image",
    null: int = 0,
    logit: str | None = None,
) -> InterventionEffect:
    """Edit a set of latents on every image of a run, and measure the predictions before and after.

    Exact: no image is computed again.

    Parameters
    ----------
    run, model, label
        A run, the model it was made with, and the label that scores predictions.
    latents
        The set.
    mode, value, form
        What becomes of it, see `Edit`: "zero", "keep", "scale" (by `value`) or "clamp" (to `value`).
    split
        Measure on the images of this split only.
    unit
        "row" counts an image once for each of its finding rows.
    null
        Compare with so many random sets of equal count, and of equal activation within 10 %. What they reach stands
        in the provenance, under `null_count` and `null_activation`; where no sets reach it, `left_out` says why.
    logit
        The model's class whose logit is scored, where it is not called as the label; that of a prompt, for example,
        whose measures have the AUROC of its cosines beside them.

    Raises
    ------
    RunError
        The run was made with another model, or has no such label.
    ModelError
        Nothing is exact per latent, because the SAE reads an inner layer.
    SettingsError
        There is no such latent, the label cannot be scored, or a setting has no meaning.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run, model = ms.open_run("run"), ms.load_model("demo")
    >>> effect = ms.intervene(run, model, latents=[88, 195], mode="zero", label="mass")
    >>> effect.table().set_index("measure").loc["auroc", "set_size"].item()
    2
    """
    cohort = cohort_of_run(run, model, label, split=split, unit=unit, logit=logit)
    edit = Edit(mask_of(latents, run.n_latents), mode, form, value)
    rows = effect(cohort, edit)
    if (prompt := prompted(run, model, logit)) is not None:
        seen = PromptedCohort.of(run, model, prompt, cohort, sample_of(run, label, split, unit).rows)
        rows = pd.concat([rows, seen.effect(edit)], ignore_index=True)
    rows.insert(0, "mode", edit.mode)
    rows.insert(1, "form", edit.form)
    rows.insert(2, "set_size", int(edit.mask.sum()))
    settings = settings_of(run, model, label, cohort, form, split, unit, logit) | {"mode": mode, "null": null}
    record = provenance("intervene", settings, model) | used_of(run, label, split, unit)
    record |= {"edit": edit.describe(), "remark": edit.remark}
    matches: tuple[Literal["count", "activation"], ...] = ("count", "activation")
    for match in matches if null else ():
        try:
            record[f"null_{match}"] = random_null(cohort, edit, match, null).describe()
        except NotMatched as error:
            record[f"null_{match}"] = {"left_out": str(error)}
    return InterventionEffect(edit, rows, record)


def cohort_of_run(
    run: Run,
    model: "MammoSAE | ModelFacts",
    label: str,
    *,
    split: str | None = None,
    unit: Unit = "image",
    logit: str | None = None,
) -> Cohort:
    """Put the images of a run, the linear tail of its model and a label together; see `intervene` for the settings.

    Raises
    ------
    RunError
        If the run was made with another model or SAE, or has no such label.
    ModelError
        If what follows the SAE is not linear.
    SettingsError
        As `logits_of_label` and `sample_of`.
    """
    expect(run, "run")
    expect(model, "model")
    run.check_model(model)
    sample = sample_of(run, label, split, unit)
    attribution, constant = model.linear_tail()
    scored = logits_of_label(run, label, logit, model)
    places = list(scored.places)
    everything = Cohort.of(
        run.pooled("mean"),
        attribution[places],
        constant[places],
        logits=logits_at(run, model, places),
        patients=run.images["patient"].to_numpy(),
        decides=model.head_of(places[0]).decides,
    )
    return everything.take(sample.rows, scored.positions(sample.known))


def prompted(run: Run, model: "MammoSAE | ModelFacts", logit: str | None) -> Head | None:
    """Return the head of a class that stands for a text; None for all others."""
    head = None if logit is None else model.head_of(place_of(model, logit))
    return None if head is None or head.prompt is None else head


def entry_of(
    run: Run, model: "MammoSAE", label: str, ranking: Order, split: str | None, unit: Unit, logit: str | None
) -> IntArray:
    """Return the k at which each latent enters the union of every class's best k."""
    if isinstance(ranking, str):
        check_order(ranking)
        if ranking.startswith(PUBLISHED):
            found: Iterable[Any] = published_rankings(ranking).values()
        else:
            found = rank_classes(
                run, label, cast("Score", ranking), model, split=split, unit=unit, logit=logit
            ).values()
    else:
        found = ranking.values() if isinstance(ranking, Mapping) else [ranking]
    orders = [one.order if isinstance(one, Ranking) else Ranking.of_table(one).order for one in found]
    return first_ranks(orders, run.n_latents)


def settings_of(
    run: Run, model: "MammoSAE", label: str, cohort: Cohort, form: Form, split: str | None, unit: Unit,
    logit: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Return what the provenance says of the images that count."""
    labels = np.asarray(cohort.labels).astype(int)
    called = [model.classes[place] for place in logits_of_label(run, label, logit, model).places]
    counted: dict[str, Any] = {"classes": np.bincount(labels).tolist()}
    if cohort.constant.size == 1:
        counted = {"positives": int(labels.sum())}
    return {
        "run": run.path, "label": label, "unit": unit, "form": form, "eval_split": split, "images": cohort.n_images,
        "logits": called,
    } | counted  # fmt: skip


def used_of(run: Run, label: str, split: str | None, unit: Unit) -> dict[str, Any]:
    """Return how many images count and why others do not, for the provenance."""
    return {"used": sample_of(run, label, split, unit).used.describe()}


def _with_provenance(rows: pd.DataFrame, record: dict[str, Any]) -> pd.DataFrame:
    table = rows.copy()
    table.attrs["provenance"] = record
    return table


def _measure(columns: pd.DataFrame, given: str | None) -> str:
    """The measure asked for, by default the one that is shown first: for several classes there is no one AUROC."""
    measure = given or ("auroc" if "auroc" in columns else "accuracy")
    if measure not in columns:
        raise SettingsError(f"there is no measure {measure!r} to draw.")
    return measure
