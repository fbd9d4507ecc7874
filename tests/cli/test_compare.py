"""`compare` on two runs of models that share an SAE."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import compare_kit
from compare_kit import MASS
from napari_mammosae.cli import main
from napari_mammosae.core.runs.run import open_run
from napari_mammosae.core.stats.measures import auroc


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """Runs `a` and `b` of one SAE and two classifiers, `c` of another SAE."""
    return compare_kit.write_runs(tmp_path_factory.mktemp("compare"), tiny_model)


def test_tables_and_figures(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["compare", str(folder / "a"), str(folder / "b"), "--label", "mass", "--out", str(out)]) == 0
    assert "latents gained" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "class_means.png", "comparison.json", "latents.csv", "performance.csv", "performance.png", "separation.csv",
    ]  # fmt: skip
    pooled = [open_run(folder / name).pooled("mean").toarray() for name in "ab"]
    latents = pd.read_csv(out / "latents.csv").set_index("latent").sort_index()
    fires = [values.any(axis=0) for values in pooled]
    assert list(latents.index) == list(np.flatnonzero(fires[0] | fires[1]))
    gained = latents.index[latents["state"] == "gained"]
    assert list(gained) == list(np.flatnonzero(~fires[0] & fires[1]))
    np.testing.assert_allclose(latents["mean_class_a"], pooled[0][MASS].mean(0)[latents.index])
    np.testing.assert_allclose(
        latents["change"],
        (pooled[1][MASS].mean(0) - pooled[1][~MASS].mean(0) - pooled[0][MASS].mean(0) + pooled[0][~MASS].mean(0))[
            latents.index
        ],
        atol=1e-12,
    )
    performance = pd.read_csv(out / "performance.csv").set_index(["model", "prediction"])
    assert performance.loc[("b", "without SAE"), "auroc"] == auroc(MASS, open_run(folder / "b").logits[:, 0])
    assert performance.loc[("a", "with SAE"), "auroc"] == auroc(MASS, open_run(folder / "a").logits_sae[:, 0])
    record = json.loads((out / "comparison.json").read_text())
    assert [run["name"] for run in record["runs"]] == ["a", "b"]
    assert record["runs"][0]["sae_sha256"] == record["runs"][1]["sae_sha256"]
    assert str(tmp_path) not in (out / "comparison.json").read_text()


def test_runs_of_one_name_are_told_apart(folder, tmp_path):
    shutil.copytree(folder / "b", tmp_path / "a")
    out = tmp_path / "out"
    words = ["compare", str(folder / "a"), str(tmp_path / "a"), "--label", "mass", "--out", str(out), "-q"]
    assert main([*words, "--figure", "svg"]) == 0
    first, second = pd.read_csv(out / "separation.csv")["model"]
    assert first != second


@pytest.mark.parametrize(
    ("second", "label", "reason"),
    [("c", "mass", "different SAEs"), ("b", "density", "no label 'density'"), ("gone", "mass", "no run")],
)
def test_what_cannot_be_compared(folder, tmp_path, capsys, second, label, reason):
    out = tmp_path / "out"
    assert main(["compare", str(folder / "a"), str(folder / second), "--label", label, "--out", str(out)]) == 1
    assert reason in capsys.readouterr().err
    assert not out.exists()
