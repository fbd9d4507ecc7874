"""The paper's protocol and the choice of images in the four commands, on a run labelled by VinDr's finding rows."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import runs_kit
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

COUNT = 16
TRAINING = range(10)
ROWS = [(i, "Mass" if i % 2 else "No Finding") for i in range(COUNT)]
ROWS += [(1, "Mass"), (3, "Skin Thickening"), (11, "Mass"), (13, "Skin Thickening")]
"""Image and finding of each row: 12 of the training images, of which 6 are masses, 8 of the test images."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("protocol")
    runs_kit.write_images(folder / "images", COUNT)
    drawn = [name != "No Finding" for _, name in ROWS]
    pd.DataFrame(
        {
            "study_id": [f"s{i}" for i, _ in ROWS],
            "series_id": "x",
            "image_id": [f"image-{i:03d}" for i, _ in ROWS],
            "laterality": "L",
            "view_position": "CC",
            "height": 400,
            "width": 300,
            "breast_birads": "BI-RADS 4",
            "breast_density": "DENSITY C",
            "finding_categories": [f"['{name}']" for _, name in ROWS],
            "finding_birads": "",
            "xmin": np.where(drawn, 20.0, np.nan),
            "ymin": np.where(drawn, np.arange(len(ROWS)) * 10.0 + 60, np.nan),
            "xmax": np.where(drawn, 120.0, np.nan),
            "ymax": np.where(drawn, np.arange(len(ROWS)) * 10.0 + 150, np.nan),
            "split": ["training" if i in TRAINING else "test" for i, _ in ROWS],
        }
    ).to_csv(folder / "finding_annotations.csv", index=False)
    model, table = load_model(tiny_model, device="cpu"), folder / "finding_annotations.csv"
    write_run(folder / "images", model, folder / "run", labels=table, workers=0, maps=True)
    return folder


def rows_of(split):
    """Images of the rows of a split, as often as they have one, and whether each row is a mass."""
    chosen = [(i, name == "Mass") for i, name in ROWS if split is None or (i in TRAINING) == (split == "training")]
    images, mass = zip(*chosen, strict=True)
    return np.array(images), np.array(mass)


def differences(run, split, unit="row"):
    """Mean activation with a mass minus that without."""
    images, mass = rows_of(split)
    if unit == "image":
        images, first = np.unique(images, return_index=True)
        mass = np.isin(images, rows_of(split)[0][mass]) if len(first) else mass
    pooled = run.pooled("mean").toarray()[images]
    return pooled[mass].mean(axis=0) - pooled[~mass].mean(axis=0)


@pytest.mark.parametrize(
    ("options", "split", "unit", "used"),
    [
        (("--protocol", "paper"), "training", "row", "12 of 20 finding rows used, 8 left out: 8 not of split training"),
        (("--split", "test", "--unit", "row"), "test", "row",
         "8 of 20 finding rows used, 12 left out: 12 not of split test"),
        (("--protocol", "paper", "--unit", "image"), "training", "image",
         "10 of 16 images used, 6 left out: 6 not of split training"),
        ((), None, "image", "16 of 16 images used"),
    ],
)  # fmt: skip
def test_rank(folder, tmp_path, capsys, options, split, unit, used):
    assert main(["rank", str(folder / "run"), "--label", "mass", *options, "--csv", str(tmp_path / "r.csv")]) == 0
    assert used in capsys.readouterr().out.splitlines()
    table = pd.read_csv(tmp_path / "r.csv").set_index("latent").sort_index()
    np.testing.assert_allclose(table["score"], differences(open_run(folder / "run"), split, unit), atol=1e-12)
    record = json.loads((tmp_path / "r.csv.json").read_text())
    assert record["used"]["text"] == used
    assert record["used"]["of"] - record["used"]["used"] == sum(record["used"]["left_out"].values())


def test_intervene(folder, tmp_path, capsys, tiny_model):
    words = ["intervene", str(folder / "run"), "--label", "mass", "--model", str(tiny_model), "--protocol", "paper"]
    assert main([*words, "--csv", str(tmp_path / "i.csv"), "--mode", "keep"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "8 of 20 finding rows used, 12 left out: 12 not of split test" in said
    assert "ranked: 12 of 20 finding rows used, 8 left out: 8 not of split training" in said
    table, run = pd.read_csv(tmp_path / "i.csv").set_index("k"), open_run(folder / "run")
    assert list(table.index) == [0, 1, 5, 10, 50, 64]
    diff = differences(run, "training")
    order = np.lexsort((np.arange(64), -diff))
    best = np.union1d(order[:5], np.lexsort((np.arange(64), diff))[:5])
    assert table.loc[5, "union_size"] == best.size
    weight, constant = load_model(tiny_model, device="cpu").linear_tail()
    images, mass = rows_of("test")
    pooled = run.pooled("mean").toarray()[images]
    place = run.classes.index("mass")
    logits = pooled[:, best] @ np.asarray(weight)[place][best] + constant[place]
    assert table.loc[5, "auroc"] == pytest.approx(roc_auc_score(mass, logits))
    record = json.loads((tmp_path / "i.csv.json").read_text())
    assert (record["used"]["used"], record["ranked_on"]["used"], record["settings"]["protocol"]) == (8, 12, "paper")


def test_localize(folder, tmp_path, capsys):
    words = ["localize", str(folder / "run"), "--boxes", str(folder / "finding_annotations.csv"), "--finding", "mass"]
    assert main([*words, "--protocol", "paper", "--resamples", "0", "--csv", str(tmp_path / "l.csv")]) == 0
    said = capsys.readouterr().out
    assert "mass: 3 of 16 images used, 13 left out: 10 not of split test, 3 without mass." in said
    assert "mass, ranked: 12 of 20 finding rows used, 8 left out: 8 not of split training." in said
    assert said in (tmp_path / "l.csv.md").read_text() or (tmp_path / "l.csv.md").read_text().startswith(said[:200])
    order = np.lexsort((np.arange(64), -differences(open_run(folder / "run"), "training")))
    assert f"latents {', '.join(map(str, order[:10]))}." in said
    assert set(pd.read_csv(tmp_path / "l.csv")["boxes"]) == {4}
    assert (
        main([*words, "--split", "test", "--images", "all", "--resamples", "0", "--csv", str(tmp_path / "m.csv")]) == 0
    )
    assert "mass: 6 of 16 images used, 10 left out: 10 not of split test." in capsys.readouterr().out
    assert main([*words, "--order", "auroc", "--class", "0", "--resamples", "0"]) == 0
    pooled, mass = open_run(folder / "run").pooled("mean").toarray(), np.arange(COUNT) % 2 == 0
    areas = np.array([roc_auc_score(mass, column) for column in pooled.T])
    first = np.lexsort((np.arange(64), -areas))[:10]
    assert f"latents {', '.join(map(str, first))}." in capsys.readouterr().out
    assert main([*words, "--order", "nonsense"]) == 2
    assert "the order 'nonsense' is unknown; choose one of ap, diff" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "means", "measured", "unit"),
    [
        (("--protocol", "paper"), "training", "test", "row"),
        (("--split", "training", "--unit", "row"), "training", "training", "row"),
        (("--eval-split", "test"), None, "test", "image"),
    ],
)
def test_compare(folder, tmp_path, capsys, options, means, measured, unit):
    out = tmp_path / "out"
    words = ["compare", str(folder / "run"), str(folder / "run"), "--label", "mass", "--out", str(out)]
    assert main([*words, *options]) == 0
    said = capsys.readouterr().err
    run = open_run(folder / "run")
    latents = pd.read_csv(out / "latents.csv").set_index("latent")
    np.testing.assert_allclose(latents["diff_a"], differences(run, means, unit)[latents.index], atol=1e-12)
    images, mass = rows_of(measured)
    if unit == "image":
        images = np.unique(images)
        mass = images % 2 == 1
    performance = pd.read_csv(out / "performance.csv")
    assert set(performance["images"]) == {images.size}
    expected = roc_auc_score(mass, run.logits[images, run.classes.index("mass")])
    assert performance.loc[performance["prediction"] == "without SAE", "auroc"].tolist() == pytest.approx(
        [expected] * 2
    )
    record = json.loads((out / "comparison.json").read_text())
    for one in record["runs"]:
        assert one["used"]["used"] == (rows_of(means)[0].size if unit == "row" else COUNT)
        assert one["measured_on"]["used"] == images.size
        assert one["measured_on"]["text"] in said
    assert "both runs were made with the same model" in said
    if options[0] == "--protocol":
        best = latents["diff_b"].to_numpy()
        assert (np.diff(best) <= 0).all()


@pytest.mark.parametrize("command", ["rank", "compare", "intervene"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--split", "validation"), "run has no split 'validation'; it has test, training"),
        (("--unit", "row"), "was labelled image by image and has no finding rows"),
    ],
)
def test_what_a_run_does_not_have(folder, tmp_path, capsys, tiny_model, command, options, reason):
    run = folder / "run"
    if options[0] == "--unit":
        run = tmp_path / "plain"
        table = pd.DataFrame({"image": [f"image-{i:03d}" for i in range(4)], "mass": [0, 1, 0, 1]})
        table.to_csv(tmp_path / "labels.csv", index=False)
        runs_kit.write_images(tmp_path / "images", 4)
        write_run(
            tmp_path / "images", load_model(tiny_model, device="cpu"), run, labels=tmp_path / "labels.csv", workers=0
        )
    more = {"compare": [str(run), "--out", str(tmp_path / "out")], "intervene": ["--model", str(tiny_model)]}
    assert main([command, str(run), *more.get(command, []), "--label", "mass", *options]) == 1
    assert reason in capsys.readouterr().err
