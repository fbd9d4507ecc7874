"""Heads trained on the pooled channels of a run: logistic regression for any label that the classifier lacks.

Linear in what the model pools, so that all that is exact for the classifier's own logits is exact for theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...annotations.positives import positive_of, question
from ...base.arguments import expect
from ...base.errors import SettingsError
from ...base.names import slug
from ...base.progress import ignore, reporting
from ...base.provenance import provenance
from ...models.heads import Head
from ...naming.run_labels import TAKEN, labels_of_run
from ...runs.sample import in_split
from ...stats.bootstrap import FEWEST, patient_weights, percentile_interval, too_few, weighted_measures
from ...stats.measures import auroc, average_precision, multiclass_measures
from .logistic import fit_folds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from ...annotations.positives import Positive
    from ...base.progress import Report
    from ...naming.run_labels import RunLabels
    from ...runs.run import Run
    from ...stats.measures import FloatArray, IntArray

FOLDS = 5
TRAINED = "trained"
"""What is added to the name of a class that the model has already."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """A head, and what it is worth on patients that it has not seen.

    Attributes
    ----------
    head
        Trained on all images that count; give it to `MammoSAE.add_head`, or write it with `save_heads`.
    label
        The label it predicts.
    rows : pandas.DataFrame
        One row a class: `label`, `class`, `images`, `positives`, `negatives`, `patients`, `positive_patients`,
        `auroc` with its 95 % interval by patient `auroc_lo` and `auroc_hi`, `auprc`, and `note`, why an interval is
        blank. Of a label of several classes each one is measured against the rest.
    images
        int64 (n,): rows of the run's table that were trained on.
    labels
        (n,) what they were trained for: 0 and 1, or the position of the class.
    scores
        (n, C): logits by a head that was trained without the image's patient; logarithms of probabilities where the
        head has several classes that exclude each other.
    strength
        Inverse of the weight of the penalty, as chosen in folds.
    provenance : dict
        What produced it.
    """

    head: Head
    label: str
    rows: pd.DataFrame
    images: IntArray
    labels: FloatArray
    scores: FloatArray
    strength: float
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        found = ", ".join(f"{row['class']} {row['auroc']:.4f}" for _, row in self.rows.iterrows())
        return f"<TrainedHead {self.label}: AUROC {found}; {len(self.images):,} images>"

    def describe(self) -> str:
        """Say what it is worth, a line a class."""
        lines = []
        for row in self.rows.to_dict("records"):
            interval = f" ({row['note']})" if row["note"] else f" [{row['auroc_lo']:.4f}, {row['auroc_hi']:.4f}]"
            patients = f"{row['positive_patients']:,} of {row['patients']:,} patients"
            lines.append(
                f"{row['class']}: AUROC {row['auroc']:.4f}{interval} on patients left out; {row['positives']:,} of "
                f"{row['images']:,} images are positive, of {patients}"
            )
        if len(lines) > 1:
            lines.append(
                f"{self.label}: one softmax over {len(lines)} classes, each measured against the rest; accuracy "
                f"{self.provenance['accuracy']:.4f}"
            )
        return "\n".join(lines)

    def save(self, folder: Path | str, model: Path | str | None = None) -> Path:
        """Write the head into a folder, and return the `model.toml` there: the model with this head besides its own.

        `model` is the one that the run was made with: its name, or its `model.toml`. Heads that the folder has already
        stay.

        Raises
        ------
        WriteError
            The folder holds files that do not come from here, or cannot be written.
        ModelError
            The model is not known.
        """
        from pathlib import Path

        from .files import save_heads

        save_heads([self], Path(folder), model or str(self.provenance["made_with"]["model"]))
        return Path(folder) / "model.toml"

    def table(self) -> pd.DataFrame:
        """Return the rows, with the provenance in ``attrs``."""
        table = self.rows.copy()
        table.attrs["provenance"] = self.provenance
        return table


def train_head(
    run: Run,
    label: str,
    *,
    labels: Path | str | Sequence[Path | str] | None = None,
    positive: Positive | None = None,
    split: str | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    progress: bool | Report = False,
) -> TrainedHead:
    """Train a head for a label on the pooled channels of a run.

    Logistic regression with an L2 penalty on standardised channels; standardisation is folded into the weights. What
    it is worth is measured on folds of patients: a head that is trained without a patient scores that patient's
    images, and the strength of the penalty is chosen by folds inside of what is trained on. The head itself is trained
    on all images.

    A label of two classes gives one logit. One of several, such as density or BI-RADS, gives a logit a class, of which
    one softmax makes probabilities; `positive` makes two classes of it, "at least 4" for example.

    Parameters
    ----------
    run
        Of a format that keeps pooled channels.
    label
        What is predicted.
    labels
        Tables that have the label, in place of the run's own; see `read_labels`.
    positive
        The value of a label in `labels` that counts as positive; see `read_labels`. For the run's own labels see
        `open_run`.
    split
        Train on the images of this split only.
    folds
        Number of folds of patients.
    seed
        Of the folds.
    progress
        Whether to show a progress bar, or a function that takes reports.

    Raises
    ------
    RunError
        The run keeps no pooled channels, or has no such label.
    FindingsError
        A table of labels cannot be read.
    SettingsError
        A class has too few patients, or it is not known which value is positive.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run, model = ms.open_run("run"), ms.load_model("demo")
    >>> trained = ms.train_head(run, "marker", labels="phantoms/structures.csv")  # doctest: +SKIP
    >>> model.add_head(trained.head)  # doctest: +SKIP
    """
    expect(run, "run")
    with reporting(progress) as report:
        known = label_tables(run, labels, positive)
        return train_for(run, known, label, split=split, folds=folds, seed=seed, report=report)


def label_tables(
    run: Run, labels: Path | str | Sequence[Path | str] | None = None, positive: Positive | None = None
) -> RunLabels:
    """Return the labels that heads can be trained for: the run's own, or those of tables."""
    from pathlib import Path

    given = [labels] if isinstance(labels, (str, Path)) else list(labels or ())
    if positive is not None and not given:
        raise SettingsError("the positive value of a run's own label is given when the run is opened.")
    return labels_of_run(run, [Path(table) for table in given], positive)


def trainable(known: RunLabels) -> list[str]:
    """Return the labels, but for those of how an image was taken, that have more than one known value."""
    return [
        label
        for label, values in known.values.items()
        if label not in TAKEN and np.unique(values[~np.isnan(values)]).size > 1
    ]


def train_for(
    run: Run,
    known: RunLabels,
    label: str,
    *,
    split: str | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    report: Report = ignore,
) -> TrainedHead:
    """Train a head for one of several labels; see `train_head`."""
    name = slug(label)
    if name not in known.values:
        there = ", ".join(known.values) or "none"
        raise SettingsError(f"{run.path.name} has no label {label!r}; there are {there}.")
    label = name
    if folds < 2:
        raise SettingsError(f"{folds} folds were asked for; at least 2 are needed.")
    features = run.features("mean")
    values = known.values[label]
    counted = ~np.isnan(values)
    if split is not None:
        counted &= in_split(run, run.images.get("split"), split)
    rows = np.flatnonzero(counted)
    numbers, names = _classes(label, values[rows], known.categories.get(label, ()))
    positions = np.searchsorted(numbers, values[rows])
    patients = known.patients[rows].astype(str)
    _check(label, positions, patients, names, folds)
    fitted = fit_folds(features[rows], positions, patients, folds, seed, report, label)
    head = _head(run, label, names, fitted.weight, fitted.bias)
    table = _measured(label, head, positions, patients, fitted.scores)
    settings = {
        "run": run.path, "label": label, "classes": list(names), "split": split, "folds": folds, "seed": seed,
        "strength": fitted.strength,
    }  # fmt: skip
    record = provenance("train-head", settings) | {"made_with": run.made_with, "notes": list(known.notes)}
    if len(names) > 2:
        record |= multiclass_measures(positions, fitted.scores.argmax(axis=1))._asdict()
    return TrainedHead(head, label, table, rows, positions.astype(np.float64), fitted.scores, fitted.strength, record)


def _classes(label: str, values: FloatArray, categories: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
    """Class numbers that occur, ascending, and the suffixes of their names."""
    numbers = np.unique(values)
    if numbers.size > 2 or categories:
        if categories and numbers.size == 2 and len(categories) == 2 and positive_of(categories) != 1:
            raise SettingsError(question(label, categories))
        if not (numbers == numbers.astype(int)).all() or numbers.size > 20:
            raise SettingsError(
                f"{label!r} is a number, not a class ({numbers.size} different values); name a threshold, such as "
                f"--positive '{label}>={np.median(numbers):g}'."
            )
        own = [categories[int(n)] if int(n) < len(categories) else f"{n:g}" for n in numbers]
        return numbers, tuple(own)
    return np.array([0.0, 1.0]) if set(numbers) <= {0.0, 1.0} else numbers, ("0", "1")


def _check(label: str, positions: IntArray, patients: np.ndarray, names: tuple[str, ...], folds: int) -> None:
    """Refuse a label of which a class has too few patients to learn and to measure it."""
    needed = max(FEWEST, folds)
    for place, name in enumerate(names):
        own = positions == place
        found = np.unique(patients[own]).size
        if found < needed:
            kind = {"0": "without", "1": "with"}.get(name) if len(names) == 2 else None
            image = f"an image {kind} {label!r}" if kind else f"an image of the class {name!r} of {label!r}"
            hint = "" if len(names) == 2 else " Make two classes of it with --positive, such as 'at least VALUE'."
            raise SettingsError(f"too few patients with {image} ({found}; at least {needed} needed).{hint}")


def _head(run: Run, label: str, names: tuple[str, ...], weight: FloatArray, bias: FloatArray) -> Head:
    """The head, under names that the run's model does not have."""
    prefix = slug(label)

    def named(prefix: str) -> tuple[str, ...]:
        if len(names) == 2:
            own = slug(names[1])
            return (prefix if names in (("0", "1"),) or own == prefix else f"{prefix}_{own}",)
        return tuple(f"{prefix}_{slug(name)}" for name in names)

    classes = named(prefix)
    if set(classes) & {slug(name) for name in run.classes}:
        prefix = f"{prefix}_{TRAINED}"
        classes = named(prefix)
    name = classes[0] if len(classes) == 1 else prefix
    return Head(name, classes, "binary" if len(classes) == 1 else "multiclass", weight, bias, f"trained on {label}")


def _measured(label: str, head: Head, positions: IntArray, patients: np.ndarray, scores: FloatArray) -> pd.DataFrame:
    import pandas as pd

    weights, rows = patient_weights(patients), []
    for place, name in enumerate(head.classes):
        truth = positions == (place if len(head.classes) > 1 else 1)
        note = too_few(truth, patients)
        interval = percentile_interval([] if note else weighted_measures(truth, scores[:, place], weights).auroc, note)
        rows.append(
            {
                "label": label, "class": name, "images": truth.size, "positives": int(truth.sum()),
                "negatives": int((~truth).sum()), "patients": np.unique(patients).size,
                "positive_patients": np.unique(patients[truth]).size, "auroc": auroc(truth, scores[:, place]),
                "auroc_lo": interval.lo, "auroc_hi": interval.hi, "auprc": average_precision(truth, scores[:, place]),
                "note": interval.note,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
