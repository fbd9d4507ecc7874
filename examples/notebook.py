import napari_mammosae as ms

model = ms.load_model("demo")                                   # repr: one line
folder = ms.make_phantoms("phantoms", count=24, seed=1);  findings = ms.read_findings("phantoms/findings.csv")
image = ms.read_mammogram(next(folder.glob("*.png")));  image.plot()
maps  = ms.compute_latents(model, image);  maps.table(sort="mean").head();  maps.to_xarray()
ms.plot_latents(image, maps, top=5, boxes=findings)
model.predict(image)                                            # {class: probability}
run   = ms.make_run("phantoms", model, "run", labels="phantoms/labels.csv", maps=True);  run = ms.open_run("run")
run.latents(image.image_id)                                     # ids wherever numbers are taken
ranking = ms.rank(run, "mass", score="auroc");  ranking.attrs["provenance"]
boxes = ms.localize(run, findings, threshold="quantile:0.95")
effect = ms.intervene(run, model, latents=[88, 195], mode="zero", label="mass")
curve = ms.sweep(run, model, "mass", ranking);  curve.plot()
with ms.Verdicts(run) as verdicts: verdicts.set(88, "spurious", concept="view marker")
other = ms.make_run("phantoms", ms.load_model("demo", precision="bfloat16"), "other", labels="phantoms/labels.csv");  ms.compare(run, other, "mass")
ms.view(image, model=model, run=run, show=False)                # a napari viewer; show=True (default) runs it
