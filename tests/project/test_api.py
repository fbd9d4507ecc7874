"""The public names: documented, with examples that run as printed."""

import doctest
import inspect
import pickle
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import napari_mammosae as ms
from napari_mammosae.core.models.files.model_files import SAMPLE_DATA
from napari_mammosae.core.runs.ready import PHANTOMS, ready_run

FUNCTIONS = sorted(name for name in ms.__all__ if inspect.isfunction(getattr(ms, name)))
CLASSES = sorted(set(ms.__all__) - set(FUNCTIONS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where examples start from: `phantoms`, and `run` with maps."""
    folder = tmp_path_factory.mktemp("api")
    ms.make_phantoms(folder / "phantoms", 12, seed=1)
    ms.make_run(folder / "phantoms", "demo", folder / "run", labels=folder / "phantoms" / "labels.csv", maps=True)
    return folder


def test_there_are_about_two_dozen_names():
    assert 20 <= len(ms.__all__) <= 34
    assert {"load_model", "rank", "localize", "intervene", "sweep", "compare", "view", "train_sae"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_raise_and_how_they_are_called(name):
    text = inspect.getdoc(getattr(ms, name))
    assert "Examples\n--------" in text
    parameters = inspect.signature(getattr(ms, name)).parameters
    if len(parameters) > 2:
        assert "Parameters\n----------" in text
        assert all(parameter in text for parameter in parameters)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_described(name):
    assert len(inspect.getdoc(getattr(ms, name))) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ms.__all__)
def test_examples_run_as_printed(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    tested = getattr(ms, name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for one in doctest.DocTestFinder().find(tested, name, inspect.getmodule(tested)):
        report: list[str] = []
        runner.run(one, out=report.append)
        assert not runner.failures, "".join(report)
    plt.close("all")


@pytest.fixture(scope="module")
def given():
    """The objects that functions take."""
    run = ms.open_run(ready_run())
    image = ms.read_mammogram(SAMPLE_DATA / PHANTOMS / "phantom-900052.png")
    model = ms.load_model("demo", device="cpu")
    maps = run.latents("phantom-900052")
    return {"run": run, "image": image, "model": model, "maps": maps, "path": SAMPLE_DATA / PHANTOMS}


MISTAKES = {
    "a folder for a run": (lambda g: ms.rank("some/run", "mass"), "'run' was given in place of a run; open its folder"),
    "no run": (lambda g: ms.rank(None, "mass"), "an object NoneType was given in place of a run"),
    "exchanged": (lambda g: ms.intervene(g["model"], g["run"], latents=[1], label="mass"), "Run was given in place of"),
    "a name for a model": (lambda g: ms.intervene(g["run"], "demo", latents=[1], label="mass"), "'demo' .* of a model"),
    "of a sweep": (lambda g: ms.sweep(g["run"], "demo", "mass"), "load one with load_model"),
    "of a comparison": (lambda g: ms.compare(g["run"], "other", "mass"), "'other' was given in place of a run"),
    "of an evaluation": (lambda g: ms.evaluate("run"), "open its folder with open_run"),
    "a file for boxes": (lambda g: ms.localize(g["run"], "findings.csv"), "'findings.csv' .* of boxes; read their"),
    "a file for an image": (lambda g: g["model"].predict("a.png"), "'a.png' .* a mammogram; read its file"),
    "of its latents": (lambda g: ms.compute_latents(g["model"], g["path"]), "'phantoms' .* of a mammogram"),
    "of a figure": (lambda g: ms.plot_latents(g["image"], g["maps"], boxes="b.csv"), "'b.csv' .* of boxes"),
    "verdicts on a folder": (lambda g: ms.Verdicts("some/run"), "'run' was given in place of a run; open its folder"),
    "a folder for a baseline": (lambda g: ms.evaluate(g["run"], untrained=Path("run")), "'run' .* of a run"),
    "of a training": (lambda g: ms.train_head("some/run", "mass"), "'run' .* of a run"),
    "of an SAE's training": (lambda g: ms.train_sae("images", "demo"), "'demo' .* of a model"),
    "of an export": (lambda g: ms.export_sae("sae.safetensors", "out"), "'sae.safetensors' .* of a model"),
    "of a run's model": (lambda g: ms.open_run(g["run"].path, Path("demo")), "'demo' .* of a model"),
    "of a viewer": (lambda g: ms.view(g["image"], maps="maps.npz", show=False), "'maps.npz' .* of latents"),
    "a file for pixels": (lambda g: ms.Mammogram(Path("a.png"), "a"), "'a.png' .* of pixels; read their file"),
    "a file for a table": (lambda g: ms.Findings("b.csv", "b.csv", "b"), "'b.csv' .* of boxes; read their"),
    "a file for a network": (lambda g: ms.MammoSAE("model.toml", None), "'model.toml' .* of a network; load a model"),
    "a prompt's": (lambda g: ms.text_head("demo", "mass"), "of a model"),
    "too few": (lambda g: ms.plot_latents(g["image"], g["maps"], top=-1), "top is -1; give a number of latents"),
    "beyond the last": (lambda g: ms.plot_latents(g["image"], g["maps"], latents=[2048]), "they go from 0 to 2047"),
    "several images": (lambda g: g["run"].latents(["a", "b"]), "ask for one image, by its id or number"),
    "no image": (lambda g: g["run"].latents(None), "run has no image None"),
    "a bare number": (lambda g: ms.localize(g["run"], ms.read_findings(g["path"] / "findings.csv"), threshold=0.95),
                      "threshold 0.95: expected quantile:Q"),
    "no label": (lambda g: ms.rank(g["run"]), r"name one \(mass, suspicious_calcification\), or choose a score"),
    "no phantoms": (lambda g: ms.make_phantoms("phantoms", 0), "at least one is needed"),
    "pickled": (lambda g: pickle.dumps(g["model"]), "load it again there with load_model"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_given_by_mistake_is_named(given, mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, said = MISTAKES[mistake]
    with pytest.raises(ms.MammoSAEError, match=said):
        call(given)
    assert not list(tmp_path.iterdir())


def test_places_are_texts_or_paths(given):
    run, image = given["run"], given["image"]
    assert ms.Run(str(run.path), run.info).pooled("mean").nnz == run.pooled("mean").nnz
    assert ms.Mammogram(image.pixels, image.image_id, str(image.path)).full_name == image.full_name


def test_verdicts_on_what_is_no_latent_or_after_closing_are_refused(given, tmp_path):
    with ms.Verdicts(given["run"], tmp_path / "verdicts.sqlite") as verdicts:
        for latent in ("88", 88.5, -1, 2048, None):
            with pytest.raises(ms.MammoSAEError, match="there is no latent"):
                verdicts.set(latent, "lesion")
        verdicts.set(np.int64(88), "lesion")
        assert verdicts.latents("lesion") == [88]
    with pytest.raises(ms.MammoSAEError, match=r"verdicts\.sqlite was closed; open it again"):
        verdicts.set(88, "spurious")


def test_sets_of_latents_are_lists_single_ones_or_masks(given):
    run, model = given["run"], given["model"]
    sets = ([88, 195], np.array([195, 88, 88]), pd.Series([88, 195]), np.isin(np.arange(2048), [88, 195]))
    found = [ms.intervene(run, model, latents=one, label="mass").table() for one in sets]
    assert all(one.equals(found[0]) for one in found)
    assert ms.intervene(run, model, latents=88, label="mass").table()["set_size"].eq(1).all()


def test_latents_counted_from_the_end_are_called_by_their_numbers(given):
    maps = given["maps"]
    assert maps.to_xarray(latents=[-1, 5])["latent"].values.tolist() == [2047, 5]
    titles = [axis.get_title() for axis in ms.plot_latents(given["image"], maps, latents=[-1])]
    assert titles[1].startswith("latent 2047")
    plt.close("all")


@pytest.mark.slow
def test_images_go_by_name(folder):
    run = ms.open_run(folder / "run")
    number = int(run.images["image"].iloc[4])
    name = run.images["image_id"].iloc[4]
    assert run.row_of(name) == run.row_of(f"elsewhere/{name}.png") == run.row_of(number) == 4
    assert (run.latents(name).values == run.latents(number).values).all()
    with pytest.raises(ms.MammoSAEError, match="run has no image 'phantom-9'; it has for example 'phantom-000001'"):
        run.latents("phantom-9")


@pytest.mark.slow
def test_a_model_predicts_what_its_run_says(folder):
    run, model = ms.open_run(folder / "run"), ms.load_model("demo", device="cpu")
    image = ms.read_mammogram(folder / "phantoms" / "phantom-000003.png")
    row = run.row_of(image.image_id)
    logit = run.images["logit.mass"].iloc[row]
    assert model.predict(image)["mass"] == pytest.approx(1 / (1 + 2.718281828459045**-logit), abs=1e-5)
