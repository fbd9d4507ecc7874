"""`train-head`: a head for a label that the classifier lacks, on what a run keeps of its images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    from ..core.training.heads.training import TrainedHead


def train_head(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    label: Annotated[
        list[str] | None, typer.Option(metavar="L", help="Label to train a head for. Repeat for more.")
    ] = None,
    all_labels: Annotated[
        bool, typer.Option("--all-labels", help="Train a head for every label that has enough patients.")
    ] = False,
    labels: options.Labels = None,
    positive: options.Positive = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="S", help="Train on images of this split only.")
    ] = None,
    folds: Annotated[int, typer.Option(metavar="N", min=2, help="Number of folds of patients.")] = 5,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Random seed of the folds.")] = 0,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The model of the run, if its name is not in `models list`.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for the heads. Default: RUN/heads."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Train heads by logistic regression on the pooled channels of a run, measured on patients left out.

    Writes a .safetensors file for each head, heads.csv with AUROCs, heads.json, and model.toml: the model with these
    heads besides its own, which every --model takes. Exact per latent like the model's own heads.
    """
    from ..core.base.errors import SettingsError
    from ..core.base.names import slug

    if not label and not all_labels:
        raise typer.BadParameter("name a label, or give --all-labels.", param_hint="'--label'")
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.annotations.positives import parse_positive
        from ..core.base.provenance import check_replaceable
        from ..core.runs.opening import open_run
        from ..core.training.heads.files import FOLDER, base_of_run, head_files, save_heads
        from ..core.training.heads.training import label_tables, train_for, trainable

        with usage("--positive"):
            value = parse_positive(positive, slug(label[0]) if label and len(label) == 1 else "")
        opened = open_run(run, positive=None if labels else value)
        known = label_tables(opened, labels, value if labels else None)
        base = base_of_run(opened, model)
        folder = out or run / FOLDER
        check_replaceable(*head_files(folder, ()))
    wanted = {slug(one): one for one in label or ()}
    trained: list[TrainedHead] = []
    left_out: list[str] = []
    with progress(quiet=quiet) as report:
        for name in dict.fromkeys([*wanted, *(trainable(known) if all_labels else ())]):
            try:
                trained.append(
                    train_for(opened, known, wanted.get(name, name), split=split, folds=folds, seed=seed, report=report)
                )
            except SettingsError as error:
                if name in wanted:
                    raise
                left_out.append(f"{name} is left out: {error}")
    if not trained:
        why = left_out or ["None has more than one value on the images of the run."]
        raise SettingsError(" ".join(["no label can be trained.", *why]))
    with working("Writing", quiet=quiet):
        written = save_heads(trained, folder, base)
    caution([*known.notes, *left_out], quiet=quiet)
    if base is None:
        caution([f"--model names the run's model ({opened.info['model']}); without it there is no model.toml"],
                quiet=quiet)  # fmt: skip
    for one in trained:
        say(one.describe(), quiet=quiet)
    for path in written:
        say(f"wrote {path}", quiet=quiet)
