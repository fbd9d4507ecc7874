"""Intervention: find the latents that look at the view marker, remove them, and measure the predictions again.

The embedded classifier was trained on phantoms on which the view marker goes with `mass`, and so it reads the marker.
"""

import napari_mammosae as ms

model = ms.load_model("demo")
# phantoms in which the marker says nothing about the mass
folder = ms.make_phantoms("phantoms", count=12, seed=1, marker_bias=0.5)
run = ms.make_run(folder, model, "run", labels=folder / "labels.csv", maps=True)

# latents whose activation lies on the marker, and not on a mass
pushes = ms.rank(run, "mass", score="attribution", model=model)["latent"].head(40).tolist()
structures = ms.read_findings(folder / "structures.csv")
on_marker = ms.localize(run, structures, finding="marker", latents=pushes, resamples=0).set_index("latent")["lift"]
findings = ms.read_findings(folder / "findings.csv")
on_mass = ms.localize(run, findings, finding="mass", latents=pushes, resamples=0).set_index("latent")["lift"]
marker = on_marker.index[(on_marker > 10) & (on_mass.reindex(on_marker.index) < 1)].tolist()
print("latents of the marker:", marker)

effect = ms.intervene(run, model, latents=marker, mode="zero", label="mass", form="delta", null=20)
print(effect)
null = effect.provenance["null_activation"]["auroc"]
print(f"random latents of equal activation: AUROC {null['mean']:.4f} on average")

# one logit at a time: how the image with the strongest marker changes
curve = ms.sweep(run, model, "mass", "attribution", ks=range(0, 101, 5), intervals=False)
axis = curve.plot()
axis.figure.savefig("sweep.png")
