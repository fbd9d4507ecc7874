"""Tell the shortcut's story with measured numbers: write docs/story.md and its figures.

    python scripts/story.py [--count 200] [--work FOLDER]

The embedded model was trained on phantoms whose view marker goes with `mass`. Three sets of new phantoms: one to find
the latents that look at the marker, one on which the marker goes with mass as in training, one on which it does not.
The latents are called spurious in a verdict file and removed; predictions on the last two sets are scored before and
after. Whatever comes out is written down. Phantoms and runs are kept in FOLDER, so that a second call is quick.
"""

import argparse
import json
import os
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pandas as pd

from demo_classifier import ClassifierSettings
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.base.provenance import NOTICE, provenance, write_json
from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.intervention.effects import effect
from napari_mammosae.core.intervention.of_run import cohort_of_run
from napari_mammosae.core.intervention.random_sets import NotMatched, NullDistribution, random_null
from napari_mammosae.core.localization.detections import sparse_maps
from napari_mammosae.core.localization.focus import focus, places
from napari_mammosae.core.localization.run_boxes import boxes_of_run
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.phantoms.dataset import write_phantoms
from napari_mammosae.core.phantoms.phantom import FINDINGS
from napari_mammosae.core.reports.intervention_figures import plot_effects
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.run import Run
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from walk_text import walk_of

DOCS = Path(__file__).parent.parent / "docs"
BIAS = ClassifierSettings().marker_bias
SEEDS = {"find": 940_000, "with": 950_000, "without": 950_000}
"""First seeds, far from those of the training and of the demo's run. The scored sets are the same phantoms but for the
marker, so that nothing else tells them apart."""
MARKER_LIFT, FIRES = 10.0, 0.3
"""From which lift on the marker a latent is called spurious, if it fires on so many of the images with one and has a
lift below 1 on both findings: the rule of the model's card, fixed before any score was looked at."""
LABEL = "mass"
NAMES = {"with": "marker goes with mass", "without": "marker unrelated"}
SHOWN = 12
"""Latents with a row of their own."""


@dataclass
class Found:
    """Latents that look at the marker, and how far they do."""

    table: pd.DataFrame
    latents: list[int]


def run_of(folder: Path, name: str, count: int, bias: float, model: MammoSAE) -> Run:
    """Draw phantoms and run the model over them, or open what an earlier call left."""
    images = folder / name / "phantoms"
    if not (images / "labels.csv").exists():
        write_phantoms(images, count, seed=SEEDS[name], marker_bias=bias, progress=_show)
    out = folder / name / "run"
    write_run(images, model, out, labels=images / "labels.csv", maps=True, workers=0)
    return open_run(out, model)


def find_marker_latents(run: Run, images: Path) -> Found:
    """Measure how much more every latent fires inside the boxes of markers and findings than elsewhere, and choose."""
    table = pd.DataFrame({"latent": np.arange(run.n_latents)})
    for file, names in (("structures.csv", ("marker",)), ("findings.csv", FINDINGS)):
        boxes = boxes_of_run(run, read_findings(images / file)).table
        for name in names:
            table[name], table[f"{name}_fires"] = lift(run, boxes[boxes["finding"] == name])
    chosen = (table["marker"] > MARKER_LIFT) & (table["marker_fires"] >= FIRES)
    chosen &= (table[list(FINDINGS)].fillna(0) < 1).all(axis=1)
    return Found(table, table.loc[chosen, "latent"].tolist())


def lift(run: Run, boxes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Share of activation in the boxes over their share of the area, mean over images with boxes; and on how many of
    these the latent fires."""
    size = tuple(run.info["preprocessing"]["size"])
    total, count = np.zeros(run.n_latents), np.zeros(run.n_latents)
    corners = boxes[["row_min", "col_min", "row_max", "col_max"]].to_numpy()
    for part in run.map_parts():
        maps = sparse_maps(part.latent, part.image, part.cell, part.value, run.grid)
        where = places(np.unique(part.image), boxes["image"], corners, size, run.grid)
        measured = focus(maps, where)
        known = np.isfinite(measured.lift_image)
        np.add.at(total, measured.latent[known], measured.lift_image[known])
        np.add.at(count, measured.latent[known], 1)
    with np.errstate(invalid="ignore"):
        return total / count, count / boxes["image"].nunique()


def judge(folder: Path, run: Run, found: Found, model: MammoSAE) -> np.ndarray:
    """Write the verdicts down as a reader would, read them back, and return the mask."""
    subject = Subject(model.model_sha256, model.sae_sha256)
    path = folder / "verdicts.sqlite"
    path.unlink(missing_ok=True)
    with VerdictStore(path, "story") as store:
        for latent in found.latents:
            store.decide(subject, latent, "spurious", concept="view marker", note=f"found in {run.path.name}")
        latents = store.latents("spurious", subject)
    return mask_of(latents, model.n_latents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="phantoms in each of the two scored sets")
    parser.add_argument("--work", type=Path, help="where phantoms and runs are kept; by default nowhere")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        tell(arguments.work or Path(temporary), arguments.count)


def tell(folder: Path, count: int) -> None:
    """Do everything and write it down."""
    model = load_model("demo", device="cpu")
    find = run_of(folder, "find", max(count // 2, 20), BIAS, model)
    found = find_marker_latents(find, folder / "find" / "phantoms")
    mask = judge(folder, find, found, model)
    cohorts = {
        name: cohort_of_run(run_of(folder, name, count, bias, model), model, LABEL)
        for name, bias in (("with", BIAS), ("without", 0.5))
    }
    effects = {
        (name, form): effect(cohort, Edit(mask, "zero", form))
        for name, cohort in cohorts.items()
        for form in ("delta", "replace")
    }
    nulls = {
        (name, match): _null(cohort, mask, match)
        for name, cohort in cohorts.items()
        for match in ("count", "activation")
    }
    shares = {name: _marker_share(folder / name / "phantoms") for name in ("with", "without")}
    DOCS.joinpath("images").mkdir(parents=True, exist_ok=True)
    plot_effects(
        {title: effects[name, "delta"] for name, title in NAMES.items()},
        DOCS / "images" / "story.png",
        provenance=f"synthetic phantoms, {count} each | model {model.model_sha256[:8]} SAE {model.sae_sha256[:8]}",
    )
    with write_atomic(DOCS / "story.md") as path:
        path.write_text(page(model, find, found, cohorts, effects, nulls, shares, count), encoding="utf-8")
    record = provenance(
        "story", {"count": count, "bias": BIAS, "seeds": SEEDS, "marker_lift": MARKER_LIFT, "fires": FIRES}, model
    )
    record["spurious"] = found.latents
    record["effects"] = {f"{name}, {form}": table.to_dict("records") for (name, form), table in effects.items()}
    write_json(DOCS / "images" / "story.png.json", record)
    print(json.dumps({f"{n} {f}": _row(t) for (n, f), t in effects.items()}, indent=1))


def page(model, find, found, cohorts: dict[str, Cohort], effects, nulls, shares, count: int) -> str:
    """Write the page from the numbers, whichever way they came out."""
    live = int(np.count_nonzero(np.diff(find.pooled("mean").indptr)))
    blocks = [
        "# The story: a shortcut found, judged and removed",
        _fill(
            f"Synthetic phantoms only; {NOTICE}. Made by `make pictures` and",
            f"`python scripts/story.py --count {count}`: every number on this page was measured by these scripts and",
            "written down as it came out.",
        ),
        _fill(
            "The embedded classifier was trained on phantoms on which the view marker goes with `mass`: it stands on",
            f"{BIAS:.0%} of the images with a mass and on {1 - BIAS:.0%} of those without. Does it read the marker,",
            "can we see that, and what happens when we remove it?",
        ),
        walk_of((DOCS / "story.md").read_text(encoding="utf-8")),
        "## The same with more images",
        _fill(
            "What follows rests on more phantoms, of which none is in the demo's run, and on all latents that a rule",
            "finds.",
        ),
        "## Finding the latents",
        _fill(
            f"Over {len(find)} new phantoms with the same bias, {live:,} of {model.n_latents:,} latents fire.",
            "The lift of a latent is the share of its activation inside boxes over the boxes' share of the image.",
            f"{len(found.latents)} latents have a lift above {MARKER_LIFT:g} on the view marker, fire on at least",
            f"{FIRES:.0%} of the images that show one, and have a lift below 1 on masses and on calcifications. All of",
            "them were called spurious; the rule was fixed before any score was looked at.",
        ),
        _latent_table(model, find, found),
        "## Removing them",
        _fill(
            f"{count} phantoms that neither the training nor the search has seen, twice: once with markers that go",
            "with the mass as in training, once with markers that say nothing, and the same otherwise. AUROC for",
            "`mass`, with 95 % intervals by patient; the change has an interval of its own, from the same resamples.",
        ),
        _effect_table(effects, shares),
        "![AUROC before and after](images/story.png)",
        _fill(
            "*delta* keeps what the SAE does not reconstruct, *replace* is the reconstruction alone, as in the",
            "Mammo-SAE paper. Random latents in place of the chosen ones (200 draws, delta), as many of them, or",
            "others whose mean activation, summed, is within 10 % of the chosen set's:",
        ),
        "\n".join(_null_line(name, nulls) for name in NAMES),
        "## What it says",
        *_verdict(effects),
    ]
    return "\n\n".join(blocks) + "\n"


def _latent_table(model, find, found) -> str:
    mean = np.asarray(find.pooled("mean").mean(axis=0)).ravel()
    place = model.classes.index(LABEL)
    table = found.table[found.table["latent"].isin(found.latents)].copy()
    table["adds"] = mean[table["latent"]] * model.attribution[place, table["latent"]]
    table = table.reindex(table["adds"].abs().sort_values(ascending=False).index)
    lines = [
        "| latent | lift, marker | lift, mass | lift, calcifications | adds to the mass logit, mean |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in table.head(SHOWN).itertuples():
        lifts = " | ".join(f"{value:.1f}" for value in (row.marker, row.mass, row.suspicious_calcification))
        lines.append(f"| {row.latent} | {lifts} | {row.adds:+.3f} |")
    if len(table) > SHOWN:
        lines.append(f"| {len(table) - SHOWN} others | | | | {table['adds'].iloc[SHOWN:].sum():+.3f} |")
    return "\n".join(lines)


def _effect_table(effects, shares) -> str:
    lines = [
        "| phantoms | marker with / without mass | form | before | after | change |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (name, form), table in effects.items():
        row = _row(table)
        cells = [f"{row[s]:.3f} [{row[f'{s}_lo']:.3f}, {row[f'{s}_hi']:.3f}]" for s in ("before", "after")]
        cells.append(f"{row['change']:+.3f} [{row['change_lo']:+.3f}, {row['change_hi']:+.3f}]")
        marked = f"{shares[name][1]:.0%} / {shares[name][0]:.0%}"
        lines.append(f"| {NAMES[name]} | {marked} | {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _null(cohort: Cohort, mask: np.ndarray, match) -> NullDistribution | str:
    """What random sets do, or why there are none."""
    try:
        return random_null(cohort, Edit(mask, "zero", "delta"), match, draws=200)
    except NotMatched as error:
        return str(error)


def _null_line(name: str, nulls) -> str:
    parts = []
    for match in ("count", "activation"):
        found = nulls[name, match]
        if isinstance(found, str):
            parts.append(f"equal {match}: left out, {found.rstrip('.')}")
            continue
        mean, below, reached = found.values["auroc"].mean(), found.share_below("auroc"), found.activation()
        parts.append(
            f"equal {match}: AUROC {mean:.3f} on average, below the chosen set's in {below:.0%} of draws "
            f"({reached['min'] / found.wanted:.2f} to {reached['max'] / found.wanted:.2f} of its activation, median "
            f"{reached['median'] / found.wanted:.2f})"
        )
    return _fill(f"- {NAMES[name]}: {'; '.join(parts)}.")


def _verdict(effects) -> list[str]:
    """Put the outcome into words, with no more certainty than the intervals allow."""
    rows = {name: _row(effects[name, "delta"]) for name in NAMES}
    gap = {side: rows["with"][side] - rows["without"][side] for side in ("before", "after")}
    found = [
        f"Between the two sets the AUROC differs by {gap['before']:+.3f} before the removal and by {gap['after']:+.3f}",
        "after it: how much better the classifier looks where the marker goes with the mass.",
    ]
    for name, words in (("without", "Where the marker says nothing"), ("with", "Where it goes with the mass")):
        row = rows[name]
        sure = row["change_lo"] > 0 or row["change_hi"] < 0
        kind = "rises" if row["change"] > 0 else "falls" if row["change"] < 0 else "stays as it is, changing"
        how = "the interval of the change leaves zero out" if sure else "the interval of the change includes zero"
        found.append(f"{words}, it {kind} by {abs(row['change']):.3f}; {how}.")
    rest = [
        "Removing latents does not retrain the network: what it did not learn about masses while it could read the",
        "marker stays unlearned.",
    ]
    if gap["after"] > 0:
        rest += [
            "The phantoms differ in their markers only, so what is left of the gap comes through latents that were not",
            "called spurious, because they fire elsewhere as well, or, in delta, through what the SAE leaves out.",
        ]
    return [_fill(*found), _fill(*rest)]


def _fill(*parts: str) -> str:
    return textwrap.fill(" ".join(parts), 118)


def _row(table: pd.DataFrame) -> dict:
    return table[table["measure"] == "auroc"].iloc[0].drop(["measure", "note"]).astype(float).to_dict()


def _marker_share(images: Path) -> tuple[float, float]:
    """Share of images with a marker among those without and with a mass."""
    labels = pd.read_csv(images / "labels.csv").set_index("image")[LABEL]
    structures = pd.read_csv(images / "structures.csv")
    marked = labels.index.isin(structures.loc[structures["finding"] == "marker", "image"])
    return float(marked[labels == 0].mean()), float(marked[labels == 1].mean())


def _show(text: str, done: int, total: int) -> None:
    if done % 25 == 0 or done == total:
        print(f"{text}: {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
