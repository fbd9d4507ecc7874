"""`compare` on two runs of models that share an SAE."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import compare_kit
import tiny
from compare_kit import MASS
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
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


@pytest.fixture(scope="module")
def some(folder, tiny_model):
    """Runs `some` and `apart` of the model of `a`: over six of its images and two others, and over those two alone."""
    images = folder / "some"
    images.mkdir()
    for number in range(6):  # other names, one of them that of another image
        shutil.copy(folder / "images" / f"image-{number + 4:03d}.png", images / f"image-{number:03d}.png")
    for number in (15, 90):
        tiny.write_image(images / f"image-{number:03d}.png", number + 100)
        tiny.write_image(folder / "other" / f"image-{number:03d}.png", number + 100)
    labels = {f"image-{n:03d}": int(MASS[n + 4]) if n < 6 else n % 2 for n in (0, 1, 2, 3, 4, 5, 15, 90)}
    pd.DataFrame({"image": labels.keys(), "mass": labels.values()}).to_csv(folder / "some.csv", index=False)
    network = load_model(tiny_model, device="cpu")
    write_run(images, network, folder / "some-run", labels=folder / "some.csv", workers=0)
    write_run(folder / "other", network, folder / "apart", labels=folder / "some.csv", workers=0)
    return folder


@pytest.mark.parametrize(("first", "second"), [("a", "some-run"), ("some-run", "a"), ("b", "some-run")])
def test_only_images_of_both_runs_are_compared(some, tmp_path, capsys, first, second):
    out = tmp_path / "out"
    assert main(["compare", str(some / first), str(some / second), "--label", "mass", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    sizes = {"a": 16, "b": 16, "some-run": 8}
    assert f"6 images that both runs have; {first} has {sizes[first]}, {second} {sizes[second]}" in said
    assert "left out, as both runs have different files of that name: 1 image" in said
    assert ("the same model" in said) == ("b" not in (first, second))
    rows = {"a": slice(4, 10), "b": slice(4, 10), "some-run": slice(0, 6)}
    performance = pd.read_csv(out / "performance.csv").set_index(["model", "prediction"])
    assert (performance["images"] == 6).all()
    latents = pd.read_csv(out / "latents.csv").set_index("latent")
    for suffix, name in (("a", first), ("b", second)):
        run = open_run(some / name)
        assert performance.loc[(name, "without SAE"), "auroc"] == auroc(MASS[4:10], run.logits[rows[name], 0])
        pooled = run.pooled("mean").toarray()[rows[name]]
        np.testing.assert_allclose(latents[f"mean_class_{suffix}"], pooled[MASS[4:10]].mean(0)[latents.index])
    if "b" not in (first, second):
        assert (latents["state"] == "both").all()
        np.testing.assert_allclose(latents["change"], 0, atol=1e-6)
    record = json.loads((out / "comparison.json").read_text())
    assert [run["images"] for run in record["runs"]] == [6, 6]
    for name, other, run in zip((first, second), (second, first), record["runs"], strict=True):
        left = sizes[name] - 6
        said_of = f"6 of {sizes[name]} images used, {left} left out: {left} not in {other}"
        assert run["used"]["text"] == said_of
        assert f"{name}: {said_of}" in said
    assert all(note in said for note in record["notes"])


@pytest.mark.parametrize("taken", ["latents.csv", "performance.png", "comparison.json"])
def test_all_files_or_none(folder, tmp_path, capsys, taken, monkeypatch):
    """A file that cannot take its place leaves none of the others behind, and what was there before stays."""
    words = ["compare", str(folder / "a"), str(folder / "b"), "--label", "mass", "--out", str(tmp_path / "out"), "-q"]
    replaced = Path.replace

    def replace(self, target):
        if Path(target).name == taken and Path(target).parent == tmp_path / "out":
            raise PermissionError(13, "Permission denied", str(target))
        return replaced(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        assert main(words) == 1
    assert f"{taken} cannot be written (Permission denied)" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
    assert main(words) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(before) == 6
    (tmp_path / "out" / taken).unlink()
    (tmp_path / "out" / taken).mkdir()
    assert main(words) == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()} == {
        name: content for name, content in before.items() if name != taken
    }


def test_runs_without_a_common_image_are_refused(some, tmp_path, capsys):
    words = ["compare", str(some / "a"), str(some / "apart"), "--label", "mass", "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "a and apart have no image in common" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "expected"), [((), 3), (("--class", "b"), 1)])
def test_a_label_that_no_model_predicts(folder, tmp_path, capsys, tiny_model, more, expected):
    density = np.arange(compare_kit.COUNT) % 4
    table = {
        "image": [f"image-{n:03d}" for n in range(compare_kit.COUNT)],
        "density": [list("ABCD")[n] for n in density],
    }
    pd.DataFrame(table).to_csv(tmp_path / "labels.csv", index=False)
    run, out = tmp_path / "run", tmp_path / "out"
    write_run(folder / "images", load_model(tiny_model, device="cpu"), run, labels=tmp_path / "labels.csv", workers=0)
    assert main(["compare", str(run), str(run), "--label", "density", "--out", str(out), *more]) == 0
    said = capsys.readouterr().err
    assert said.count("are not measured: the model predicts mass, suspicious_calcification") == 2
    assert ("class d of density is set against the rest" in said) == (not more)
    latents = pd.read_csv(out / "latents.csv").set_index("latent")
    pooled = open_run(run).pooled("mean").toarray()[density == expected].mean(0)
    np.testing.assert_allclose(latents["mean_class_a"], pooled[latents.index])
