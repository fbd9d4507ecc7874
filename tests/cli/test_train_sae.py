"""`train-sae`, and the features it trains on."""

import json
import os
import signal
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import Cancelled, RunError, SettingsError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.decode_pool import DecodePool
from napari_mammosae.core.runs.sources import read_sources
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.training.features import store_features
from napari_mammosae.core.training.fit import split_by_patient

COUNT = 10
QUICK = ("--epochs", "3", "--expansion", "2", "--learning-rate", "1e-2", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return runs_kit.write_images(tmp_path_factory.mktemp("sae") / "images", COUNT)


@pytest.fixture
def labels(tmp_path):
    table = pd.DataFrame({"image_id": [f"image-{i:03d}" for i in range(COUNT)], "mass": np.arange(COUNT) % 2})
    table["patient"] = [f"p{i // 2}" for i in range(COUNT)]
    table.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


def train(images, model, out, *more):
    return main(["train-sae", str(images), "--model", str(model), "--out", str(out), *QUICK, *map(str, more)])


def features_of(model, image):
    x = read_mammogram(image).to_input(model.preprocessing)
    return model.features(x)


def stored(model, entries, folder, **options):
    with DecodePool(0) as pool:
        folder.mkdir(exist_ok=True)
        return store_features(entries, model, folder / "features", pool, **options)


def test_a_file_that_the_model_takes(images, labels, tiny_model, tmp_path, capsys):
    out = tmp_path / "own" / "sae.safetensors"
    assert train(images, tiny_model, out, "--labels", labels, "--hold-out", "0.4") == 0
    said = capsys.readouterr().out
    assert "explained variance" in said
    assert "mass: AUROC" in said
    assert sorted(path.name for path in out.parent.iterdir()) == ["sae.safetensors", "sae.safetensors.json"]
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    assert metadata["epochs"] == "3"
    assert metadata["layer"] == "head"
    assert metadata["images"] == "6"

    files = tiny_model.parent
    model = load_model(
        classifier=files / "classifier.safetensors", sae=out, classes=list(tiny.CLASSES), task="multilabel",
        input_size=tiny.SIZE, device="cpu",
    )  # fmt: skip
    assert model.n_latents == 2 * model.width
    norms = model.sae.decoder_weight.norm(dim=0)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    record = json.loads((tmp_path / "own" / "sae.safetensors.json").read_text())
    assert record["settings"]["hold_out"] == 0.4
    assert str(tmp_path) not in json.dumps(record)
    results = record["results"]
    assert (results["images_trained_on"], results["images_held_out"]) == (6, 4)

    sources = read_sources(images, [labels])
    held = split_by_patient(sources, 0.4, 0)[1]
    features = [features_of(model, entry.path) for entry in held]
    x = torch.cat([f.flatten(2)[0].T for f in features]).double()
    z = torch.cat([model.encode(f).flatten(2)[0].T for f in features])
    xhat = torch.cat([model.decode(model.encode(f)).flatten(2)[0].T for f in features]).double()
    fvu = float(((x - xhat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum())
    assert results["explained_variance"] == pytest.approx(1 - fvu, abs=2e-3)  # features are kept in half precision
    assert results["l0"] == pytest.approx(float((z > 0).sum(1).double().mean()), rel=0.02)
    mass = [int(entry.image) % 2 for entry in held]
    logits = [model.logits(f)[0, 0].item() for f in features]
    with_sae = [model.logits(model.decode(model.encode(f)))[0, 0].item() for f in features]
    assert results["prediction"]["mass"]["auroc"] == auroc(mass, logits)
    assert results["prediction"]["mass"]["auroc_sae"] == auroc(mass, with_sae)


def test_without_labels_or_held_out_images(images, tiny_model, tmp_path, capsys):
    out = tmp_path / "sae.safetensors"
    assert train(images, tiny_model, out, "--hold-out", "0", "--share", "0.3", "-q") == 0
    assert capsys.readouterr() == ("", "")
    results = json.loads((tmp_path / "sae.safetensors.json").read_text())["results"]
    assert results["measured_on"] == "the training cells"
    assert results["prediction"] == {}
    rows, cols = load_model(tiny_model, device="cpu").grid
    assert results["cells"] == COUNT * round(0.3 * rows * cols)


def test_the_same_seed_gives_the_same_weights(images, tiny_model, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(images, tiny_model, tmp_path / f"{name}.safetensors", "--seed", seed, "-q") == 0
    weights = []
    for name in "abc":
        with safe_open(tmp_path / f"{name}.safetensors", "pt") as file:
            weights.append(file.get_tensor("encoder_weight"))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_vectors_are_the_models_features(images, tiny_model, tmp_path):
    model = load_model(tiny_model, device="cpu")
    entries = read_sources(images).entries
    store = stored(model, entries, tmp_path / "whole")
    whole = features_of(model, entries[4].path).flatten(2)[0].T
    kept = store.vectors[store.starts[4] : store.starts[5]]
    np.testing.assert_allclose(kept, whole.numpy(), rtol=1e-3, atol=1e-3 * float(whole.abs().max()))
    np.testing.assert_allclose(
        store.logits[4], model.logits(features_of(model, entries[4].path))[0].numpy(), rtol=1e-4, atol=1e-4
    )
    part = stored(model, entries[3:5], tmp_path / "part", share=0.25, batch=1)
    rows = {row.tobytes() for row in kept}
    assert list(part.starts) == [0, round(0.25 * len(kept)), 2 * round(0.25 * len(kept))]
    assert all(row.tobytes() in rows for row in part.vectors[part.starts[1] :])
    several = stored(model, entries, tmp_path / "several", batch=4)
    np.testing.assert_allclose(several.logits, store.logits, rtol=1e-4, atol=1e-4)


def test_what_is_in_the_way(images, tiny_model, tmp_path, monkeypatch):
    model = load_model(tiny_model, device="cpu")
    entries = read_sources(images).entries
    with pytest.raises(SettingsError, match="share of 0"):
        stored(model, entries, tmp_path, share=0)
    with pytest.raises(Cancelled):
        stored(model, entries, tmp_path, cancelled=lambda: True)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(RunError, match="are free"):
        stored(model, entries, tmp_path)


def test_patients_are_not_torn_apart(images, labels):
    sources = read_sources(images, [labels])
    learning, held = split_by_patient(sources, 0.4, 3)
    assert len(held) == 4
    assert {entry.image // 2 for entry in learning}.isdisjoint(entry.image // 2 for entry in held)
    with pytest.raises(SettingsError, match="none to train on"):
        split_by_patient(sources, 0.95, 0)


def test_bad_images_are_left_out(tiny_model, tmp_path, capsys):
    mixed = runs_kit.write_images(tmp_path / "images", 3)
    (mixed / "empty.png").write_bytes(b"")
    assert train(mixed, tiny_model, tmp_path / "sae.safetensors", "--hold-out", "0") == 0
    assert "1 images could not be used" in capsys.readouterr().out
    for path in mixed.glob("image-*.png"):
        path.write_bytes(b"")
    assert train(mixed, tiny_model, tmp_path / "other.safetensors") == 1
    assert "no image could be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [(["--share", "2"], "share of 2"), (["--l1", "-1"], "l1"), (["--hold-out", "1"], "held out")],
)
def test_settings_without_meaning(images, tiny_model, tmp_path, capsys, more, reason):
    assert train(images, tiny_model, tmp_path / "sae.safetensors", *more) == 1
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_suffix(images, tiny_model, tmp_path, capsys):
    assert train(images, tiny_model, tmp_path / "sae.pt") == 2
    assert "safetensors" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal as a terminal would")
def test_ctrl_c_leaves_nothing(images, tiny_model, tmp_path, capsys, monkeypatch):
    import napari_mammosae.core.training.features as module

    compute = module._compute

    def interrupted(model, batch):
        os.kill(os.getpid(), signal.SIGINT)
        return compute(model, batch)

    monkeypatch.setattr(module, "_compute", interrupted)
    assert train(images, tiny_model, tmp_path / "sae.safetensors") == 1
    assert "stopped while computing features" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
