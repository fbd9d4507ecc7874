"""Two models under one autoencoder: what differs in their latents and in their predictions.

Here one model computes in two precisions; give `load_model` the files of a pretrained and of a finetuned classifier
with the same autoencoder to see what finetuning changed.
"""

import napari_mammosae as ms

folder = ms.make_phantoms("phantoms", count=6, seed=1)
exact = ms.make_run(folder, ms.load_model("demo"), "exact", labels=folder / "labels.csv")
rough = ms.make_run(folder, ms.load_model("demo", precision="bfloat16"), "rough", labels=folder / "labels.csv")

comparison = ms.compare(exact, rough, "mass")
print(comparison)
print(comparison.table()[["latent", "state", "diff_a", "diff_b", "change"]].head(5).to_string(index=False))
print(comparison.separation[["model", "live", "distance", "cosine"]].to_string(index=False))
print(comparison.performance[["model", "prediction", "auroc"]].to_string(index=False))

# do the same latents rank first?
ranks = [ms.rank(run, "mass", intervals=0).set_index("latent")["rank"] for run in (exact, rough)]
print("Spearman correlation of the ranks:", round(ranks[0].corr(ranks[1], method="spearman"), 4))
comparison.plot().figure.savefig("comparison.png")
