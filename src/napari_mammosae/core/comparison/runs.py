"""Two runs of two models under one SAE: compared, and written as tables and figures."""

from dataclasses import replace

from ..base.errors import RunError, SettingsError
from ..base.provenance import provenance
from ..ranking.scores import LabelledPool
from ..runs.classes import class_number, logits_of_label
from ..runs.run import Run
from .models import ModelComparison, ModelSide, compare_models


def compare(a: Run, b: Run, label: str, category: int | str | None = None) -> ModelComparison:
    """Compare the models of two runs by a label that both have.

    Parameters
    ----------
    a, b
        Runs made with the same SAE; their images need not be the same.
    label, category
        The label, and the class of it that is set against the rest, by number or name; by default class 1, present.

    Raises
    ------
    RunError
        If the runs were made with different SAEs, or one lacks the label.
    SettingsError
        If the class is missing in one of them.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run = ms.open_run("run")
    >>> ms.compare(run, run, "mass").table()["change"].abs().max().item()
    0.0
    """
    if a.info["sae_sha256"] != b.info["sae_sha256"]:
        raise RunError(
            f"{a.path.name} and {b.path.name} were made with different SAEs ({a.info['sae_sha256'][:8]} and "
            f"{b.info['sae_sha256'][:8]}); their latents have nothing to do with each other."
        )
    names = [run.path.name for run in (a, b)]
    if names[0] == names[1]:
        names = [f"{run.path.name} ({run.info['model']} {run.info['model_sha256'][:8]})" for run in (a, b)]
    if names[0] == names[1]:
        names = [f"{names[0]}, first", f"{names[1]}, second"]
    numbers = [class_number(run, label, category) for run in (a, b)]
    if numbers[0] != numbers[1]:
        raise SettingsError(f"class {category!r} of {label!r} has other numbers in {a.path.name} and {b.path.name}.")
    return replace(
        compare_models(_side(a, names[0], label), _side(b, names[1], label), numbers[0]),
        provenance=provenance("compare", {"label": label, "class": numbers[0]})
        | {"runs": [{"name": name} | run.made_with for name, run in zip(names, (a, b), strict=True)]},
    )


def _side(run: Run, name: str, label: str) -> ModelSide:
    """One run; without predictions where its model predicts something else than the label."""
    pool = LabelledPool(run.pooled("mean"), run.label(label), patients=run.images["patient"].to_numpy())
    try:
        logits = logits_of_label(run, label)
    except SettingsError:
        return ModelSide.of(name, pool)
    return ModelSide.of(name, pool, run.logits[:, logits], run.logits_sae[:, logits])
