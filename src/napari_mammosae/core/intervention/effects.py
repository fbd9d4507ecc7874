"""Uncertainty of an intervention: intervals by patient around curves, and of the change that one edit makes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..ranking.orders import union_mask
from ..stats.bootstrap import patient_weights, percentile_interval
from ..stats.measures import FloatArray, IntArray
from .cohort import Cohort
from .edit import Edit, Form
from .measures import check_labels, measures_of_resamples, why_no_intervals
from .sweep import SweepMode, sweep_cohort

if TYPE_CHECKING:
    import pandas as pd


def curve_table(
    cohort: Cohort,
    first: IntArray,
    ks: Sequence[int],
    modes: Sequence[SweepMode] = ("keep", "zero"),
    form: Form = "replace",
    *,
    compat: bool = False,
    intervals: bool = True,
) -> "pd.DataFrame":
    """Tabulate measures and their 95 % intervals for chosen k, one row a mode and k.

    Columns `mode, form, k, union_size`, each measure, with `compat` also `ranks` (distinct logits) and `lost_ranks`
    (how many of them tie as float32 sigmoids), `<measure>_lo`, `<measure>_hi` (of the exact ranks) and `note`: why
    intervals are blank.

    Raises
    ------
    SettingsError
        As `sweep`.
    """
    import pandas as pd

    tables = []
    labels = check_labels(cohort.labels, cohort.constant.size)
    note = why_no_intervals(labels, cohort.patients, cohort.constant.size)
    weights = patient_weights(cohort.patients) if intervals and not note else None
    for mode in modes:
        curve = sweep_cohort(cohort, first, mode, form, compat=compat)
        table = curve.table(ks)
        if compat:
            step = np.searchsorted(curve.steps, table["k"], "right") - 1
            table["ranks"], table["lost_ranks"] = curve.ranks[step], curve.lost_ranks[step]
        if intervals:
            ends: list[dict[str, float]] = []
            for k in table["k"]:
                row: dict[str, float] = {}
                if weights is not None:
                    logits = cohort.logits_after(Edit(union_mask(first, int(k)), mode, form))
                    for name, samples in measures_of_resamples(labels, logits, weights, cohort.decides).items():
                        interval = percentile_interval(samples)
                        row |= {f"{name}_lo": interval.lo, f"{name}_hi": interval.hi}
                else:
                    row = {f"{name}_{end}": float("nan") for name in curve.measures for end in ("lo", "hi")}
                ends.append(row)
            table = pd.concat([table, pd.DataFrame(ends, index=table.index)], axis=1)
            table["note"] = note
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def lost_ranks_note(table: "pd.DataFrame") -> str:
    """Say how many ranks the float32 sigmoids of a `curve_table` lose where they lose most, or return ""."""
    if "lost_ranks" not in table or not table["lost_ranks"].any():
        return ""
    row = table.iloc[int(table["lost_ranks"].argmax())]
    return (
        f"float32 sigmoids lose up to {row['lost_ranks']:,} of {row['ranks']:,} ranks ({row['mode']}, k {row['k']:,}): "
        "images of different logits tie, and AUROC and AUPRC change"
    )


def effect(cohort: Cohort, edit: Edit) -> "pd.DataFrame":
    """Measure before and after an edit, and the change with its interval from the same resamples of both.

    Returns
    -------
    pandas.DataFrame
        One row a measure: `measure`, `before`, `before_lo`, `before_hi`, `after`, `after_lo`, `after_hi`, `change`,
        `change_lo`, `change_hi`, `note`.
    """
    return change_of_measures(cohort, cohort.before(edit.form), cohort.logits_after(edit))


def change_of_measures(cohort: Cohort, before: FloatArray, after: FloatArray) -> "pd.DataFrame":
    """As `effect`, from logits (n, C) before and after."""
    import pandas as pd

    labels = check_labels(cohort.labels, cohort.constant.size)
    note = why_no_intervals(labels, cohort.patients, cohort.constant.size)
    logits = {"before": before, "after": after}
    found = {name: cohort.measure(values)._asdict() for name, values in logits.items()}
    samples: dict[str, dict[str, FloatArray]] = {}
    if not note:
        weights = patient_weights(cohort.patients)
        samples = {
            name: measures_of_resamples(labels, values, weights, cohort.decides) for name, values in logits.items()
        }
    rows = []
    for measure in found["before"]:
        start, stop = found["before"][measure], found["after"][measure]
        row: dict[str, object] = {"measure": measure, "before": start, "after": stop, "change": stop - start}
        for name in ("before", "after", "change"):
            nan = np.array([np.nan])
            pair = [samples[side][measure] if samples else nan for side in ("before", "after")]
            values = pair[1] - pair[0] if name == "change" else pair[name == "after"]
            interval = percentile_interval(values, note)
            row |= {f"{name}_lo": interval.lo, f"{name}_hi": interval.hi}
        rows.append(row | {"note": note})
    order = ["measure", *(f"{n}{e}" for n in ("before", "after", "change") for e in ("", "_lo", "_hi")), "note"]
    return pd.DataFrame(rows)[order]
