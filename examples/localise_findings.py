"""Localisation: how well the heatmaps of latents find the boxes that a radiologist drew."""

import matplotlib.pyplot as plt

import napari_mammosae as ms

folder = ms.make_phantoms("phantoms", count=6, seed=1)  # in place of your own images, labels and boxes
findings = ms.read_findings(folder / "findings.csv")
run = ms.make_run(folder, "demo", "run", labels=folder / "labels.csv", maps=True)

# the latents that rank first for each finding, each measured against its boxes
tables = {}
for finding in findings.names:
    best = ms.rank(run, finding).query("live")["latent"].head(20).tolist()
    tables[finding] = ms.localize(run, findings, finding=finding, latents=best, threshold="quantile:0.95")
    columns = ["latent", "ap", "precision", "recall", "mean_best_iou", "pointing", "lift"]
    print(finding)
    print(tables[finding].nlargest(5, "ap")[columns].to_string(index=False))

# the same latents at another threshold
again = ms.localize(run, findings, finding="mass", latents=tables["mass"]["latent"].tolist(), threshold="relative:0.3")
axis = plt.subplots()[1]
axis.scatter(tables["mass"]["ap"], again["ap"])
axis.set(xlabel="average precision, 0.95 quantile", ylabel="average precision, 0.3 of the maximum")
axis.figure.savefig("localisation.png")
