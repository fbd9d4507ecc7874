"""Commands on models whose SAE reads an inner layer: passes of the network in place of closed forms."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

import layer_models
import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.models.contributions import contributions_of
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.verdicts.store import Subject, VerdictStore

COUNT = 8
MASS = np.arange(COUNT) % 2 == 0


@pytest.fixture(scope="module")
def toml(tmp_path_factory, tiny_model):
    return layer_models.write_inner_model(tiny_model, tmp_path_factory.mktemp("inner"))


@pytest.fixture(scope="module")
def model(toml):
    return load_model(toml, device="cpu", engine="torch")


@pytest.fixture(scope="module")
def run_path(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("inner-run")
    runs_kit.write_images(folder / "images", COUNT)
    names = [f"image-{i:03d}" for i in range(COUNT)]
    pd.DataFrame({"image_id": names, "mass": MASS.astype(int)}).to_csv(folder / "labels.csv", index=False)
    write_run(folder / "images", model, folder / "run", labels=folder / "labels.csv", block=8, workers=0)
    return folder / "run"


def logits_of(model, path, edit):
    x = read_mammogram(path).to_input(model.preprocessing)
    return layer_models.hooked_logits(model, x, partial(layer_models.edited_by_hand, model, edit=edit))


def images_of(run_path):
    return [run_path.parent / "images" / name for name in open_run(run_path).images["path"]]


def test_a_curve_over_a_run(run_path, toml, model, tmp_path, capsys):
    out = tmp_path / "curve.csv"
    args = ["intervene", run_path, "--model", toml, "--label", "mass", "--k", "0,3,40", "--csv", out]
    assert main([*map(str, args)]) == 0
    said = capsys.readouterr()
    assert "the other 7 take about" in said.err
    table = pd.read_csv(out)
    z = open_run(run_path).pooled("mean").toarray()
    diff = z[MASS].mean(0) - z[~MASS].mean(0)
    union = {*np.argsort(-diff, kind="stable")[:3], *np.argsort(diff, kind="stable")[:3]}
    for mode in ("keep", "zero"):
        edit = Edit(mask_of(union, 40), mode)
        expected = [logits_of(model, path, edit)[0] for path in images_of(run_path)]
        row = table.query("mode == @mode and k == 3").iloc[0]
        assert row["union_size"] == len(union)
        assert row["auroc"] == pytest.approx(auroc(MASS, np.array(expected)))
    assert table.query("mode == 'keep' and k == 0")["auroc"].item() == 0.5
    assert json.loads((tmp_path / "curve.csv.json").read_text())["used"]["used"] == COUNT


def test_a_curve_over_some_images(run_path, toml, tmp_path, capsys):
    out = tmp_path / "curve.csv"
    args = ["intervene", run_path, "--model", toml, "--label", "mass", "--k", "3", "--sample", "4", "--csv", out]
    assert main([*map(str, args)]) == 0
    said = capsys.readouterr()
    assert "4 of 8 images used, 4 left out: 4 not drawn" in said.out
    assert "the other 3 take about" in said.err
    record = json.loads((tmp_path / "curve.csv.json").read_text())
    assert record["settings"]["positives"] == 2


def test_latents_of_a_verdict_before_and_after(run_path, toml, model, tmp_path, capsys):
    live = np.flatnonzero(open_run(run_path).pooled("mean").sum(axis=0))[:6]
    database, out = tmp_path / "mine.sqlite", tmp_path / "effect.csv"
    with VerdictStore(database, "reader") as store:
        for latent in live:
            store.decide(Subject(model.model_sha256, model.sae_sha256), int(latent), "spurious")
    args = ["intervene", run_path, "--model", toml, "--label", "mass", "--verdict", "spurious", "--verdicts", database]
    assert main([*map(str, args), "--csv", str(out), "--form", "delta"]) == 0
    assert "6 spurious latents" in capsys.readouterr().out
    row = pd.read_csv(out).set_index("measure").loc["auroc"]
    mask = mask_of(live, 40)
    after = [logits_of(model, path, Edit(mask, "zero", "delta"))[0] for path in images_of(run_path)]
    assert row["before"] == pytest.approx(auroc(MASS, open_run(run_path).logits[:, 0]))
    assert row["after"] == pytest.approx(auroc(MASS, np.array(after)))


@pytest.mark.parametrize("option", [("--compat",), ("--verdict", "spurious", "--null", "5")])
def test_what_needs_every_prediction_is_refused(run_path, toml, option, capsys):
    assert main(["intervene", str(run_path), "--model", str(toml), "--label", "mass", *option]) == 2
    assert "blocks.4: the layers after it are not linear" in " ".join(capsys.readouterr().err.split())


def test_an_image(toml, model, tmp_path, capsys):
    path, out = tiny.write_image(tmp_path / "one.png"), tmp_path / "curve.csv"
    args = ["intervene", path, "--model", toml, "--class", "suspicious_calcification", "--k", "0,2,40", "--csv", out]
    assert main([*map(str, args)]) == 0
    assert "integrated gradients: latents change the logit by" in capsys.readouterr().out
    table = pd.read_csv(out)
    features = model.features(read_mammogram(path).to_input(model.preprocessing))
    added = np.abs(contributions_of(model, features).spread(40)[1])
    for mode in ("keep", "zero"):
        expected = logits_of(model, path, Edit(mask_of(np.argsort(-added, kind="stable")[:2], 40), mode))
        row = table.query("mode == @mode and k == 2").iloc[0]
        np.testing.assert_allclose(
            [row["logit.mass"], row["logit.suspicious_calcification"]], expected, rtol=1e-5, atol=1e-5
        )
        assert row["probability.mass"] == pytest.approx(1 / (1 + np.exp(-expected[0])), rel=1e-4)


def test_an_image_in_closed_form(tiny_model, tmp_path, capsys):
    path, out = tiny.write_image(tmp_path / "one.png"), tmp_path / "curve.csv"
    assert main(["intervene", str(path), "--model", str(tiny_model), "--k", "5", "--csv", str(out)]) == 0
    assert "exact" in capsys.readouterr().out
    model = load_model(tiny_model, device="cpu", engine="torch")
    pooled = model.encode(model.features(read_mammogram(path).to_input(model.preprocessing))).mean((0, 2, 3)).numpy()
    parts = model.attribution[0] * pooled
    best = np.argsort(-np.abs(parts), kind="stable")[:5]
    table = pd.read_csv(out).set_index("mode")["logit.mass"]
    assert table["keep"] == pytest.approx(model.constant[0] + parts[best].sum(), rel=1e-4)
    assert table["zero"] == pytest.approx(model.constant[0] + parts.sum() - parts[best].sum(), rel=1e-4)


@pytest.mark.parametrize("option", [("--label", "mass"), ("--sample", "3"), ("--verdict", "spurious")])
def test_settings_of_runs_are_refused_for_images(tiny_model, tmp_path, option, capsys):
    path = tiny.write_image(tmp_path / "one.png")
    assert main(["intervene", str(path), "--model", str(tiny_model), *option]) == 2
    assert "it is for runs" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_ranking_by_contribution(run_path, toml, model, tmp_path, method, capsys):
    out = tmp_path / "ranking.csv"
    args = ["rank", run_path, "--model", toml, "--label", "mass", "--contribution", method, "--csv", out]
    assert main([*map(str, args)]) == 0
    assert "completeness error" in capsys.readouterr().out
    table = pd.read_csv(out).set_index("latent")["score"].sort_index()
    expected = np.zeros(40)
    for path in np.array(images_of(run_path))[MASS]:
        features = model.features(read_mammogram(path).to_input(model.preprocessing))
        expected += contributions_of(model, features, method).spread(40)[0] / MASS.sum()
    np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-8)


def test_an_attribution_is_refused_with_what_there_is(run_path, toml, capsys):
    assert main(["rank", str(run_path), "--model", str(toml), "--label", "mass"]) == 2
    assert "Rank by --contribution" in " ".join(capsys.readouterr().err.split())


def test_inspecting_with_contributions(toml, model, tmp_path, capsys):
    path = tiny.write_image(tmp_path / "one.png")
    args = ["inspect", path, "--model", toml, "--out", tmp_path / "out", "--contribution", "gradient"]
    assert main([*map(str, args)]) == 0
    assert "mass: gradient x activation" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "latents.csv")
    features = model.features(read_mammogram(path).to_input(model.preprocessing))
    found = contributions_of(model, features, "gradient")
    np.testing.assert_allclose(table["gradient.mass"], found.spread(40)[0], rtol=1e-4, atol=1e-8)
    assert "attribution.mass" not in table
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())["contributions"]
    assert record["completeness_error"]["mass"] == pytest.approx(found.error[0], abs=1e-5)


def test_listing_layers(tiny_model, capsys):
    assert main(["models", "layers", str(tiny_model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*(f"blocks.{n}" for n in range(10)), "head"]
    assert lines[-1].split()[-1] == "0.0%"


@pytest.mark.parametrize(("layer", "why"), [("classifier", "has no grid"), ("blocks.70", "no layer 'blocks.70'")])
def test_layers_that_are_not_there(tiny_model, tmp_path, layer, why, capsys):
    args = ["inspect", tiny.write_image(tmp_path / "one.png"), "--model", tiny_model, "--out", tmp_path / "out"]
    assert main([*map(str, args), "--layer", layer]) == 1
    assert why in capsys.readouterr().err


@pytest.mark.slow
def test_an_sae_for_another_layer(tiny_model, toml, tmp_path, capsys):
    args = ["inspect", tiny.write_image(tmp_path / "one.png"), "--model", tiny_model, "--out", tmp_path / "out"]
    args += ["--sae", toml.parent / "sae.safetensors"]
    assert main([*map(str, args)]) == 1
    assert "layers blocks.3 to blocks.4 of phantom-b0 have as many" in capsys.readouterr().err
    assert main([*map(str, args), "--layer", "blocks.4"]) == 0


def test_from_training_to_an_intervention(run_path, tiny_model, tmp_path, capsys):
    images, sae, out = run_path.parent / "images", tmp_path / "blocks7.safetensors", tmp_path / "run"
    quick = ["--epochs", "2", "--expansion", "1", "--workers", "0", "--hold-out", "0"]
    train = ["train-sae", images, "--model", tiny_model, "--layer", "blocks.7", "--out", sae, *quick]
    assert main([*map(str, train)]) == 0
    with_it = ["--model", tiny_model, "--sae", sae]
    labels = run_path.parent / "labels.csv"
    run = ["run", images, *with_it, "--layer", "blocks.7", "--labels", labels, "--out", out, "--workers", "0"]
    assert main([*map(str, run)]) == 0
    assert open_run(out).info["layer"] == "blocks.7"
    more = ["--label", "mass", "--images", images, "--sample", "2"]  # the layer is the run's
    assert main([*map(str, ["rank", out, *with_it, *more, "--contribution", "gradient"])]) == 0
    assert main([*map(str, ["intervene", out, *with_it, *more, "--k", "1", "--mode", "zero"])]) == 0
    assert "2 of 8 images used" in capsys.readouterr().out
    assert main([*map(str, ["rank", out, "--model", tiny_model, *more, "--contribution", "gradient"])]) == 1
    assert "was made with another SAE" in capsys.readouterr().err


def test_images_that_are_not_there(run_path, toml, tmp_path, capsys):
    args = ["intervene", run_path, "--model", toml, "--label", "mass", "--images", tmp_path, "--k", "1"]
    assert main([*map(str, args)]) == 1
    assert "was not found in" in capsys.readouterr().err
