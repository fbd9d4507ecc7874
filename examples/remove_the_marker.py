"""Intervention: find the latents that look at the view marker, remove them, and measure the predictions again.

The embedded classifier was trained on phantoms on which the view marker goes with `mass`, and so it reads the marker.
"""

import napari_mammosae as ms

model = ms.load_model("demo")
# phantoms in which the marker says nothing about the mass
folder = ms.make_phantoms("phantoms", count=12, seed=1, marker_bias=0.5)
run = ms.make_run(folder, model, "run", labels=folder / "labels.csv", maps=True)

# latents that push the logit of the mass and lie on the marker, not on a mass: energy in the boxes over their area
pushes = ms.rank(run, "mass", score="attribution", model=model)["latent"].head(50).tolist()
lifts = {}
for finding, table in (("marker", "structures.csv"), ("mass", "findings.csv")):
    boxes = ms.read_findings(folder / table)
    found = ms.localize(run, boxes, finding=finding, latents=pushes, resamples=0)
    lifts[finding] = found.set_index("latent")["lift_image"]
marker = [latent for latent in pushes if lifts["marker"][latent] > 10 and lifts["mass"][latent] < 1]
print("latents of the marker:", marker)

effect = ms.intervene(run, model, latents=marker, mode="zero", label="mass", form="delta", null=20)
print(effect)
null = effect.provenance["null_activation"]
if "left_out" in null:
    print("random latents of equal activation:", null["left_out"])
else:
    print(f"random latents of equal activation: AUROC {null['auroc']['mean']:.4f} on average")

# all values of k: the latents in the order of what they add to the logit
curve = ms.sweep(run, model, "mass", "attribution", ks=range(0, 101, 5), intervals=False)
axis = curve.plot()
axis.figure.savefig("sweep.png")
