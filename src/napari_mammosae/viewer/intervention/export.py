"""The edit on the screen as files: numbers, terms, curve, flips and a figure, each with mask, mode and hashes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ...core.base.errors import SettingsError
from ...core.base.figures import measure_title
from ...core.base.progress import Report
from ...core.base.provenance import NOTICE
from ...core.base.text import counted, text_of
from ...core.images.mammogram import Mammogram
from ...core.intervention.sweep import Curve
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ...core.runs.run import Run
from ..context import Controller
from .over_run import EditOverRun
from .result import EditView
from .run_effects import Bands, RunEffects
from .state import EditState

if TYPE_CHECKING:
    import pandas as pd

NAMED = 12
"""Latents that a caption still lists."""
UP, DOWN = "#d1495b", "#30638e"
PRINT_WIDTH = 7.2
"""Inches: across two columns of a journal."""


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """What the edit does to the run, as it stands.

    Attributes
    ----------
    effect
        Measures before and after with intervals; None where they are not worked out yet.
    moved
        Whether the run can say what the edit does.
    flips
        Rows of the run's table whose decision changes, with the decisions before and after.
    """

    run: Run
    effects: RunEffects
    measure: str
    curve: Curve | None
    bands: Bands | None
    effect: "pd.DataFrame | None"
    moved: bool
    flips: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class EditRecord:
    """The edit on the screen and what comes of it, as it stands: it can be written while the user goes on."""

    model: ModelFacts
    maps: LatentMaps
    image: Mammogram
    state: EditState
    view: EditView
    run: RunRecord | None


class EditExporter(Controller):
    """Exports the edit; an export goes on when the dock it was asked for in is closed.

    Attributes
    ----------
    said
        Emits what came of it, and whether it begins or ends.
    jobs
        The writing.
    """

    said = Signal(str)

    def __init__(self, over_run: EditOverRun) -> None:
        super().__init__(over_run.context)
        self.over_run = over_run
        self.jobs = self.new_jobs()

    def export(self, path: Path) -> None:
        """Write everything about the present edit beside `path`, a CSV.

        Raises
        ------
        SettingsError
            If there is no edit to write.
        """
        work = partial(write_edit, path, record_of(self.over_run))
        self.jobs.start(f"Writing {path.name}", work, self._written, self._not_written)
        self.said.emit(f"Writing {path.name} …")

    def _written(self, paths: list[Path]) -> None:
        self._say(f"Wrote {', '.join(one.name for one in paths)}")

    def _not_written(self, error: Exception) -> None:
        self._say(str(error), error=True)

    def _say(self, text: str, *, error: bool = False) -> None:
        self.status.tell(text, error=error)
        self.said.emit(text)


def record_of(run: EditOverRun) -> EditRecord:
    """Take the present edit down, and what it does to the run.

    Raises
    ------
    SettingsError
        If there is no edit, or the judge is blind.
    """
    one, session = run.intervention, run.session
    model, maps, image, view = session.model, session.maps, session.image, one.view
    if session.blind:
        raise SettingsError("Turn off blind mode to export the edit: it shows predictions.")
    if model is None or maps is None or image is None or view is None:
        raise SettingsError("There is no edit to export: compute the latents of an image and choose a set.")
    over_run = None
    if run.effects is not None:
        move = run.move
        over_run = RunRecord(
            session.run, run.effects, run.measure, run.curve, run.bands, move.effect, move.moved is not None,
            tuple(move.flip_rows()),
        )  # fmt: skip
    return EditRecord(model, maps, image, one.state, view, over_run)


def write_edit(path: Path, record: EditRecord, report: Report) -> list[Path]:
    """Write an edit beside `path`, and return the files; for a worker thread.

    `NAME.csv` (predictions) and `NAME.json`; where what follows the SAE is linear `NAME.terms.csv` and a figure,
    `NAME.png` unless `path` ends in .pdf or .svg; for a run `NAME.curve.csv`,
    `NAME.effect.csv` (measures before and after, with intervals) and `NAME.flips.csv`.
    Every table repeats what was done to which latents of which SAE, since tables travel alone.
    """
    import pandas as pd

    from ...core.base.provenance import provenance, write_results
    from ...core.base.tables.cells import write_csv
    from ...core.models.disagreement import disagreements
    from ...core.models.domain import outside_domain
    from ...core.reports.intervention_figures import SUFFIXES

    report(f"Writing {path.name}")
    model, maps, image, view, run = record.model, record.maps, record.image, record.view, record.run
    state, edit, effect = record.state, view.edit, view.effect
    facts: dict[str, Any] = {
        "image_id": image.image_id,
        "mode": edit.mode,
        "form": edit.form,
        "factor": edit.value,
        "source": "spurious" if state.without_spurious else state.source,
        "k": state.k if state.is_ranked else None,
        "set_size": int(edit.mask.sum()),
        "latents": text_of(edit.mask.nonzero()[0]),
        "region_cells": int(edit.region.sum()) if edit.region is not None else None,
        "model_sha256": model.model_sha256,
        "sae_sha256": model.sae_sha256,
        "outside_domain": outside_domain(model, image) or None,
        "disagreements": " ".join(disagreements(model, maps)) or None,
    }
    tables: dict[str, pd.DataFrame] = {
        ".csv": pd.DataFrame(
            {
                "class": model.classes,
                "logit_model": maps.logits,
                "logit_sae": maps.logits_sae,
                "logit_before": effect.before,
                "logit_after": effect.after,
                "probability_model": view.model,
                "probability_before": view.before,
                "probability_after": view.after,
            }
        ),
    }
    if view.terms:
        tables[".terms.csv"] = pd.DataFrame(
            [{"class": model.classes[state.logit], "term": t.name, "kind": t.kind, "value": t.value, "edited": t.edited}
             for t in view.terms]
        )  # fmt: skip
    if run is not None:
        tables |= _of_run(run, view)
    stem = path.with_suffix("")
    settings = facts | {"direction": state.direction, "explained_class": model.classes[state.logit]}
    if run is not None:
        settings |= {"run": run.run.path.name, "label": run.effects.choice.label, "order": run.effects.choice.score}
        settings["protocol"] = run.effects.choice.protocol
    note = stem.with_name(stem.name + ".json")
    kind = path.suffix.lower() if path.suffix.lower() in SUFFIXES else SUFFIXES[0]
    results = [stem.with_name(stem.name + suffix) for suffix in (*tables, *((kind,) if view.terms else ()))]
    origin = provenance("intervene (dock)", settings, model) | {"edit": edit.describe(), "caption": caption(record)}
    if run is not None:
        origin["used"] = run.effects.used.describe()
    with write_results(note, origin, *results) as files:
        for file, table in zip(files, tables.values(), strict=False):
            write_csv(file, table.assign(**{key: value for key, value in facts.items() if key not in table}))
        if view.terms:
            report(f"Drawing {results[-1].name}")
            _draw(files[-1], record)
    return [*results, note]


def _of_run(run: RunRecord, view: EditView) -> dict[str, "pd.DataFrame"]:
    import pandas as pd

    from ...core.intervention.effects import effect

    found = {}
    if run.curve is not None:
        curve = run.curve
        table = curve.table(curve.steps.tolist())
        if run.bands is not None and run.bands.ks.size:
            ends = pd.DataFrame(
                {"k": run.bands.ks, f"{run.measure}_lo": run.bands.low, f"{run.measure}_hi": run.bands.high}
            )
            every = curve.table(sorted({*curve.steps.tolist(), *run.bands.ks.tolist()}))
            table = every.merge(ends, on="k", how="left")
        found[".curve.csv"] = table
    images = run.run.images["image_id"]
    if run.moved:  # intervals come a moment after the last change: they are not there yet for a quick hand
        found[".effect.csv"] = run.effect if run.effect is not None else effect(run.effects.cohort, view.edit)
    found[".flips.csv"] = pd.DataFrame(
        {
            "flipped_image": [images.iloc[row] for row, _, _ in run.flips],
            "decision_before": [before for _, before, _ in run.flips],
            "decision_after": [after for _, _, after in run.flips],
        }
    )
    return found


def caption(record: EditRecord) -> str:
    """What a figure's caption has to say of an edit, in sentences to paste below it."""
    view, state, model, image = record.view, record.state, record.model, record.image
    name, edit = model.classes[state.logit].replace("_", " "), view.edit
    latents = [int(latent) for latent in edit.mask.nonzero()[0]]
    listed = f" ({', '.join(map(str, latents))})" if len(latents) <= NAMED else ""
    verb = {"zero": "set to zero", "keep": "kept, all others set to zero", "scale": f"multiplied by {state.factor:g}"}
    count = f"{len(latents):,} latent{'s' * (len(latents) != 1)}{listed} {verb[edit.mode]}"
    where = " inside a drawn region" if edit.region is not None else ""
    form = {"delta": "the SAE's error kept", "replace": "the SAE's reconstruction in place of the features"}
    before, after = (float(logits[state.logit]) for logits in (view.effect.before, view.effect.after))
    text = (
        f"Logit of {name} for {image.image_id}, {before:.3f} before and {after:.3f} after the edit: {count}{where}, "
        f"{form[edit.form]}. Left: the terms of the logit, edited latents with an asterisk. Middle: what the latents "
        "add to the logit at each position, over the image as the model sees it; red raises it, blue lowers it."
    )
    run = record.run
    if run is not None and run.curve is not None:
        text += f" Right: {measure_title(run.measure)} on {counted(run.effects.cohort.n_images, 'image')} over k."
    return f"{text} Model {model.model_sha256[:8]}, SAE {model.sae_sha256[:8]}. {NOTICE.capitalize()}."


def _draw(path: Path, record: EditRecord) -> None:
    """One figure: the terms of the logit, the logit map before and after, and the run's curve."""
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from ...core.base.figures import PRINT
    from ...core.reports.intervention_figures import save

    view, state, model, run = record.view, record.state, record.model, record.run
    panels = 4 if run is not None and run.curve is not None else 3
    with rc_context(PRINT):
        figure = Figure(figsize=(PRINT_WIDTH, 2.9), layout="constrained")
        axes = figure.subplots(1, panels, width_ratios=[1.3, 0.8, 0.95, 1.2][:panels])
        values = np.array([term.value for term in view.terms])
        starts = np.cumsum(values) - values
        colors = {"edit": "#ffb000", "bias": "0.6", "error": "0.6"}
        axes[0].barh(
            range(values.size), values, left=starts,
            color=[colors.get(t.kind, UP if t.value >= 0 else DOWN) for t in view.terms],
        )  # fmt: skip
        axes[0].set_yticks(range(values.size), [f"{t.name}*" if t.edited else t.name for t in view.terms])
        axes[0].invert_yaxis()
        name = model.classes[state.logit].replace("_", " ")
        axes[0].set(xlabel=f"logit of {name}")
        before, after = view.effect.map_before[state.logit], view.effect.map_after[state.logit]
        limit = max(float(np.abs(before).max()), float(np.abs(after).max()), 1e-12)
        seen = record.image.prepared(model.preprocessing).pixels
        place = (-0.5, seen.shape[1] - 0.5, seen.shape[0] - 0.5, -0.5)
        for axis, cells, title in zip(axes[1:3], (before, after), ("before", "after"), strict=True):
            axis.imshow(seen[::2, ::2], cmap="gray", extent=place)
            drawn = axis.imshow(
                cells, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=place, interpolation="bilinear",
                alpha=np.clip(1.4 * np.abs(cells) / limit, 0, 0.85),
            )  # fmt: skip
            axis.set(title=f"{title}: {float(getattr(view.effect, title)[state.logit]):.3f}", xticks=[], yticks=[])
        figure.colorbar(drawn, ax=axes[2], shrink=0.8, label="added to the logit per cell")
        if run is not None and run.curve is not None:
            _draw_curve(axes[3], run, state)
        save(figure, path, f"{record.image.image_id} | model {model.model_sha256[:8]} SAE {model.sae_sha256[:8]}")


def _draw_curve(axis: Any, run: RunRecord, state: EditState) -> None:
    import numpy as np

    curve = run.curve
    assert curve is not None
    values = curve.measures[run.measure]
    axis.step(np.append(curve.steps, curve.union_size.size - 1), np.append(values, values[-1]), where="post")
    if run.bands is not None and run.bands.ks.size:
        axis.fill_between(run.bands.ks, run.bands.low, run.bands.high, alpha=0.2, linewidth=0)
    if state.source == "run" and not state.without_spurious:
        axis.axvline(state.k, color="#ffb000")
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(left=0)
    axis.set(xlabel="k", ylabel=measure_title(run.measure), title=f"{curve.mode}, {curve.form}")
