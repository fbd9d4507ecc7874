"""Judge the scores of latents against pairs of phantoms: which ones find the latents that answer to one thing alone.

    python scripts/judge_scores.py RUN PHANTOMS PAIRS RUNS

RUN is the demo's run, PHANTOMS the folder of its images with labels.csv and structures.csv, PAIRS a folder written by
`napari-mammosae phantoms PAIRS --count N --pairs`, RUNS a folder for the runs over the pairs. Prints the tables of
docs/concepts.md.
"""

import sys
from pathlib import Path

import numpy as np

import napari_mammosae as ms
from napari_mammosae.core.stats.measures import auroc

SCORES = {
    "size of r": lambda t: t["r"].abs(),
    "r as a share of its largest possible": lambda t: (t["r"] / t["r_max"]).abs(),
    "AUROC, distance from 0.5": lambda t: (t["auroc"] - 0.5).abs(),
    "margin to the next label": lambda t: t["margin"],
    "1 - entropy of r over labels": lambda t: 1 - t["entropy"],
    "1 - entropy of the top images": lambda t: -t["top_entropy_prior"],
    "monosemanticity minus chance": lambda t: t["ms_excess"],
    "clarity": lambda t: t["clarity"],
    "1 - redundancy": lambda t: -t["redundancy"],
}


def main(run: str, phantoms: str, pairs: str, runs: str) -> None:
    labels = [Path(phantoms) / name for name in ("labels.csv", "structures.csv")]
    found = ms.evaluate(
        ms.open_run(run), labels, pairs=pairs, pair_runs=runs, intervals=False, progress=sys.stderr.isatty()
    )
    trained, untrained = found.pair_measures
    print("| thing | pairs | answer to it alone: trained | untrained | best AUROC: trained | untrained |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for one, other in zip(trained.table().itertuples(), untrained.table().itertuples(), strict=True):
        print(
            f"| {one.thing} | {one.pairs} | {one.answering} of {one.live} | {other.answering} of {other.live} | "
            f"{one.auroc:.3f} | {other.auroc:.3f} |"
        )
    for side in (trained, untrained):
        best = side.score.max(axis=(0, 1))
        print(f"\n{side.name}: mean over things of the best selectivity x AUROC: {best.mean():.3f}")
    table = found.table().set_index("latent")
    place = {thing: i for i, thing in enumerate(trained.things)}
    answers = dict(zip(trained.latents.tolist(), trained.answers, strict=True))
    rows = [answers.get(latent, np.zeros(len(place), bool)) for latent in table.index]
    own = np.array([a[place[c]] if c in place else False for a, c in zip(rows, table["concept"], strict=True)])
    some = np.array([a.any() for a in rows])
    print(f"\n{len(table)} latents, {own.sum()} answer to what their best label names, {some.sum()} to any one thing\n")
    print("| score | finds those that answer to what their label names | finds those that answer to any one thing |")
    print("| --- | ---: | ---: |")
    for name, score in SCORES.items():
        values = score(table).to_numpy(float)
        known = ~np.isnan(values)
        print(f"| {name} | {auroc(own[known], values[known]):.3f} | {auroc(some[known], values[known]):.3f} |")
    print("\n| concept | accepted | of these answer to it alone | answer to it alone, in all |")
    print("| --- | ---: | ---: | ---: |")
    for thing in (name for name in trained.things if name in found.latents.concepts.names):
        mine = (table["accepted"] & (table["concept"] == thing)).to_numpy()
        true = np.array([a[place[thing]] for a in rows])
        print(f"| {thing} | {mine.sum()} | {(mine & true).sum()} | {true.sum()} |")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
