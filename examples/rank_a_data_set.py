"""A data set: run the model over every image, and rank the latents for a finding."""

import napari_mammosae as ms

folder = ms.make_phantoms("phantoms", count=8, seed=1)  # in place of your own images and labels.csv
run = ms.make_run(folder, "demo", "run", labels=folder / "labels.csv", progress=True)
print(run)

ranking = ms.rank(run, "mass", score="auroc")
print(ranking[["rank", "latent", "auroc", "diff", "firing_images"]].head(10).to_string(index=False))
print("made by", ranking.attrs["provenance"]["made_with"]["model"])

# latents that speak for the absence of a mass: they push its logit down
pushed = ms.rank(run, "mass", score="attribution", category="absent")
print("against a mass:", pushed["latent"].head(5).tolist())

# mean activation of the best latent on every image, beside the label
best = int(ranking["latent"].iloc[0])
table = run.images[["image_id", "label.mass", "logit.mass"]].copy()
table["activation"] = run.pooled("mean")[:, [best]].toarray().ravel()
print(table.sort_values("activation", ascending=False).to_string(index=False))
ranking.to_csv("ranking.csv", index=False)
