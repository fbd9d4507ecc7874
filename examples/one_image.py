"""One mammogram: what the model predicts, which latents fire, and where."""

import napari_mammosae as ms

folder = ms.make_phantoms("phantoms", count=1, seed=4)  # in place of your own images
image = ms.read_mammogram(next(folder.glob("*.png")))
findings = ms.read_findings(folder / "findings.csv")
model = ms.load_model("demo")

for name, probability in model.predict(image).items():
    print(f"{name}: {probability:.3f}")

maps = ms.compute_latents(model, image)
strongest = maps.table(sort="mean").head(5)
print(strongest.to_string(index=False))

# one latent as an array on the cells of the feature map, and where its peak lies in the image
latent = int(strongest["latent"].iloc[0])
heat = maps.to_xarray([latent]).sel(latent=latent)
peak = heat.where(heat == heat.max(), drop=True)
print(f"latent {latent} peaks at row {float(peak.row[0]):.0f}, column {float(peak.column[0]):.0f}")

axes = ms.plot_latents(image, maps, top=5, boxes=findings)
axes[0].figure.savefig("latents.png")
