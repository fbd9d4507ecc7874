"""Verdicts: what a reader decided about latents, taken into an analysis."""

import napari_mammosae as ms

model = ms.load_model("demo")
folder = ms.make_phantoms("phantoms", count=8, seed=1)
run = ms.make_run(folder, model, "run", labels=folder / "labels.csv")

# usually given in the Verdicts dock of the viewer, which reads and writes the same file
with ms.Verdicts(run, annotator="reader 1") as verdicts:
    verdicts.set(2024, "spurious", concept="view marker")
    verdicts.set(1096, "spurious", concept="view marker", note="fires on the letters")
    verdicts.set(358, "unsure")

with ms.Verdicts(run) as verdicts:
    print(verdicts)
    table = verdicts.table()
    spurious = verdicts.latents("spurious")
print(table[["latent", "verdict", "concept", "annotator"]].to_string(index=False))

# where the judged latents stand in the ranking
ranking = ms.rank(run, "mass", score="attribution", model=model)
print(ranking.merge(table, on="latent")[["rank", "latent", "verdict", "attribution"]].to_string(index=False))

# the predictions without what was called spurious
effect = ms.intervene(run, model, latents=spurious, label="mass")
print(effect.table()[["measure", "before", "after", "change"]].to_string(index=False))
effect.table().to_csv("without_spurious.csv", index=False)
