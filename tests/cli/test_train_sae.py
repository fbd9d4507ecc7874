"""`train-sae`, and the features it trains on."""

import errno
import json
import os
import signal
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import Cancelled, RunError, SettingsError, WriteError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.decode import Decoder
from napari_mammosae.core.runs.making.decode_pool import DecodePool
from napari_mammosae.core.runs.sources import read_sources
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.training.features import store_features
from napari_mammosae.core.training.fit import split_by_patient
from napari_mammosae.core.training.one_training import OneTraining

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
    assert "1 image could not be used" in capsys.readouterr().out
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


def weights(out):
    with safe_open(out, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def assert_same_weights(first, second):
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    results = [json.loads(path.with_name(f"{path.name}.json").read_text())["results"] for path in (first, second)]
    assert results[0] == results[1]


class Stop(BaseException):
    """What stands for a kill inside one process."""


@pytest.mark.parametrize("step", ["_compute 4", "end_epoch 1", "end_epoch 3", "write_sae 1"])
def test_stopped_anywhere_it_is_resumed_to_the_same_weights(images, tiny_model, tmp_path, monkeypatch, step):
    """Features and epochs that were finished are not computed again."""
    import napari_mammosae.core.training.features as features
    import napari_mammosae.core.training.results as results

    whole, out = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    assert train(images, tiny_model, whole, "-q") == 0
    name, moment = step.split()
    module = {"_compute": features, "end_epoch": OneTraining, "write_sae": results}[name]
    calls, act = {"_compute": 0, "end_epoch": 0, "write_sae": 0}, getattr(module, name)

    def stopped(*words, **options):
        calls[name] += 1
        if calls[name] == int(moment):
            raise Stop
        return act(*words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stopped)
        with pytest.raises(Stop):
            train(images, tiny_model, out, "-q")
    assert not out.exists()
    assert (tmp_path / "resumed.safetensors.training").is_dir()
    calls["_compute"] = 0
    compute = features._compute

    def counted(*words):
        calls["_compute"] += 1
        return compute(*words)

    monkeypatch.setattr(features, "_compute", counted)
    assert train(images, tiny_model, out, "-q") == 0
    assert calls["_compute"] == (COUNT - 3 if name == "_compute" else 0)
    assert_same_weights(whole, out)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{stem}.safetensors{end}" for stem in ("whole", "resumed") for end in ("", ".json")}


def test_a_log_cut_off_by_a_kill_costs_its_last_line(images, tiny_model, tmp_path):
    model = load_model(tiny_model, device="cpu")
    entries = read_sources(images).entries
    whole = stored(model, entries, tmp_path / "whole")
    cut = tmp_path / "cut"
    calls = iter(range(99))
    with pytest.raises(Cancelled, match="same command again"):
        stored(model, entries, cut, cancelled=lambda: next(calls) == 5)
    log = cut / "features.log"
    log.write_bytes(log.read_bytes()[:-7])
    with (cut / "features").open("ab") as file:
        file.write(b"half a vector")
    again = stored(model, entries, cut)
    assert np.array_equal(whole.vectors, again.vectors)
    assert np.array_equal(whole.logits, again.logits)
    assert whole.entries == again.entries


@pytest.mark.parametrize("room", [0, 1], ids=["no room at all", "room once the features are gone"])
def test_a_full_disk_at_the_end_keeps_the_weights(images, tiny_model, tmp_path, capsys, monkeypatch, room):
    import napari_mammosae.core.training.results as results

    whole, out = tmp_path / "whole.safetensors", tmp_path / "sae.safetensors"
    assert train(images, tiny_model, whole, "-q") == 0
    write, fulls = results.write_results, []

    def full(*words):
        if len(fulls) <= 1 - room:
            fulls.append(1)
            raise WriteError("The disk is full: sae.safetensors was not written.") from OSError(
                errno.ENOSPC, "No space"
            )
        return write(*words)

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_results", full)
        assert train(images, tiny_model, out, "-q") == 1 - room
    if not room:
        said = capsys.readouterr().err
        assert "sae.safetensors was not written (the disk is full). The training is kept in sae.safetensors.tr" in said
        monkeypatch.setattr("napari_mammosae.core.training.one_training.column_dots", None)  # no training
        assert train(images, tiny_model, out, "-q") == 0
    assert_same_weights(whole, out)
    assert not (tmp_path / "sae.safetensors.training").exists()


def test_a_checkpoint_without_room_costs_nothing_but_the_first(images, tiny_model, tmp_path, capsys, monkeypatch):
    import napari_mammosae.core.training.checkpoint as checkpoint

    write, count = checkpoint.write_atomic, iter(range(99))

    def full(path):
        if next(count) >= first:
            raise WriteError(f"The disk is full: {path.name} was not written.")
        return write(path)

    monkeypatch.setattr(checkpoint, "write_atomic", full)
    monkeypatch.setattr(checkpoint, "_SPARING", 0)
    first = 1
    assert train(images, tiny_model, tmp_path / "sae.safetensors", "-q") == 0
    first = -1
    assert train(images, tiny_model, tmp_path / "other.safetensors", "-q") == 1
    assert "The disk is full: checkpoint.safetensors" in capsys.readouterr().err


def test_what_a_training_folder_is_not_resumed_for(images, tiny_model, tmp_path, capsys, monkeypatch):
    import napari_mammosae.core.training.results as results

    out, folder = tmp_path / "sae.safetensors", tmp_path / "sae.safetensors.training"
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_sae", lambda *_: (_ for _ in ()).throw(WriteError("No.")))
        assert train(images, tiny_model, out, "-q") == 1
    capsys.readouterr()
    assert train(images, tiny_model, out, "--seed", "5") == 1
    assert "other settings: seed (0 then, 5 now)" in capsys.readouterr().err
    (folder / "checkpoint.safetensors").write_bytes(b"half")
    assert train(images, tiny_model, out) == 1
    assert "sae.safetensors.training/checkpoint.safetensors is damaged" in capsys.readouterr().err
    (folder / "training.json").write_text("[]")
    assert train(images, tiny_model, out) == 1
    assert "training.json does not describe a training" in capsys.readouterr().err
    (folder / "training.json").unlink()
    assert train(images, tiny_model, out) == 1
    assert "holds other files, not a training" in capsys.readouterr().err
    assert (folder / "checkpoint.safetensors").read_bytes() == b"half"


def test_a_file_of_somebody_else_is_not_replaced(images, tiny_model, tmp_path, capsys):
    (tmp_path / "sae.safetensors").write_bytes(b"mine")
    assert train(images, tiny_model, tmp_path / "sae.safetensors") == 1
    assert "sae.safetensors exists and has no record" in capsys.readouterr().err
    assert (tmp_path / "sae.safetensors").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["sae.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal as a terminal would")
def test_ctrl_c_says_how_to_resume(images, tiny_model, tmp_path, capsys, monkeypatch):
    import napari_mammosae.core.training.features as module

    compute = module._compute

    def interrupted(model, batch):
        os.kill(os.getpid(), signal.SIGINT)
        return compute(model, batch)

    monkeypatch.setattr(module, "_compute", interrupted)
    assert train(images, tiny_model, tmp_path / "sae.safetensors") == 1
    assert "The training was stopped. Give the same command again to resume it." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["sae.safetensors.training"]


def test_several_weights_share_the_features_and_are_each_as_alone(images, tiny_model, tmp_path, monkeypatch):
    computed = []
    monkeypatch.setattr(
        "napari_mammosae.core.training.fit.store_features",
        lambda *given, **named: computed.append(given) or store_features(*given, **named),
    )
    assert train(images, tiny_model, tmp_path / "sae.safetensors", "--l1", "1e-5,3e-2") == 0
    assert len(computed) == 2  # those trained on and those held out
    for weight in ("1e-05", "0.03"):
        assert train(images, tiny_model, tmp_path / "alone.safetensors", "--l1", weight) == 0
        together, alone = (
            load_file(tmp_path / f"sae-l1-{weight}.safetensors"),
            load_file(tmp_path / "alone.safetensors"),
        )
        assert together.keys() == alone.keys()
        assert all(torch.equal(together[name], alone[name]) for name in alone)
        for end in ("", ".json"):
            (tmp_path / f"alone.safetensors{end}").unlink()
    names = {path.name for path in tmp_path.iterdir() if path.name.startswith("sae")}
    files = {f"sae-l1-{weight}.safetensors{end}" for weight in ("1e-05", "0.03") for end in ("", ".json")}
    assert names == files | {f"sae-settings.{end}" for end in ("csv", "json", "png")}


@pytest.mark.parametrize(
    ("given", "status", "said"), [("1e-5,much", 2, "is not a number or several"), ("1e-5,-1", 1, "l1 at least 0")]
)
def test_weights_without_meaning_are_refused(images, tiny_model, tmp_path, capsys, given, status, said):
    assert train(images, tiny_model, tmp_path / "sae.safetensors", "--l1", given) == status
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(tmp_path.glob("sae*"))


def test_several_k_without_the_background(labels, tiny_model, tmp_path, capsys):
    """Files, table, figure and record; cells in the background are measured and not trained on."""
    images = tmp_path / "uncropped"
    for seed in range(COUNT):
        tiny.write_image(images / f"image-{seed:03d}.png", seed, (190, 114))
    out = tmp_path / "sae.safetensors"
    more = ("--kind", "matryoshka", "--k", "3,6", "--groups", "100,412", "--skip-background", "--no-crop")
    assert train(images, tiny_model, out, *more, "--labels", labels, "--hold-out", "0.4", "--figure", "svg") == 0
    said = capsys.readouterr().out
    assert said.count("background left out: explained variance") == 2
    assert said.count("with the background left as it is") == 2
    written = {f"sae-k-{k}.safetensors{end}" for k in (3, 6) for end in ("", ".json")}
    assert {path.name for path in tmp_path.iterdir()} - {"labels.csv", "uncropped"} == written | {
        f"sae-settings.{end}" for end in ("csv", "json", "svg")
    }
    table = pd.read_csv(tmp_path / "sae-settings.csv")
    model = load_model(tiny_model, device="cpu")
    entries = read_sources(images, [labels]).entries
    with DecodePool(0) as pool:
        plain = Decoder(replace(model.preprocessing, crop=False), model.grid)
        inside = {image.entry.image: image.regions[0].ravel() > 0 for image in pool.decode(entries, plain, ahead=2)}
    learning, held = split_by_patient(read_sources(images, [labels]), 0.4, 0)
    assert 0 < np.mean([cells.mean() for cells in inside.values()]) < 1
    for row, k in zip(table.itertuples(), (3, 6), strict=True):
        record = json.loads((tmp_path / f"sae-k-{k}.safetensors.json").read_text())
        results = record["results"]
        assert results["cells"] == sum(inside[entry.image].sum() for entry in learning)
        assert results["without_background"]["cells"] == sum(inside[entry.image].sum() for entry in held)
        assert row.k == record["settings"]["k"] == k
        assert row.l0_measured == results["l0"]
        assert row.explained_variance_without_background == results["without_background"]["explained_variance"]
        assert row.auroc_sae_mass == results["prediction"]["mass"]["auroc_sae"]
        with safe_open(tmp_path / f"sae-k-{k}.safetensors", "pt") as file:
            assert file.metadata()["scale"] == str(results["input_scale"])
    assert "AUROC kept" in (tmp_path / "sae-settings.svg").read_text()
    assert json.loads((tmp_path / "sae-settings.json").read_text())["settings"]["k"] == [3, 6]


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu", "gated", "matryoshka"])
def test_every_kind_is_taken_by_a_model_and_a_run(images, tiny_model, tmp_path, kind):
    out, few = tmp_path / "sae.safetensors", runs_kit.write_images(tmp_path / "images", 2)
    assert train(few, tiny_model, out, "--kind", kind, "--hold-out", "0", "-q") == 0
    run = ["run", few, "--model", tiny_model, "--sae", out, "--out", tmp_path / "run", "--device", "cpu"]
    assert main([*map(str, run), "--workers", "0", "-q"]) == 0
    model = load_model(tiny_model, sae=out, device="cpu")
    assert model.autoencoder.kind == ("batchtopk" if kind == "matryoshka" else kind)
    assert bool(model.autoencoder.groups) == (kind == "matryoshka")
    mean = runs_kit.tables(tmp_path / "run")["all"]
    with safe_open(out, "pt") as file:
        assert file.metadata()["kind"] == kind
    assert len(mean) == 2


def test_files_of_several_l0_are_named_so(tiny_model, tmp_path):
    few = runs_kit.write_images(tmp_path / "images", 2)
    more = ("--kind", "jumprelu", "--l0", "3,6", "--hold-out", "0", "-q")
    assert train(few, tiny_model, tmp_path / "sae.safetensors", *more) == 0
    for count in (3, 6):
        with safe_open(tmp_path / f"sae-l0-{count}.safetensors", "pt") as file:
            assert file.metadata()["k"] == str(count)
    assert list(pd.read_csv(tmp_path / "sae-settings.csv")["l0"]) == [3, 6]


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--kind", "topk", "--l1", "1e-5"], 1, "a topk SAE has no l1"),
        (["--k", "3"], 1, "a relu SAE has no k"),
        (["--kind", "topk", "--k", "3,x"], 2, "is not a number or several"),
        (["--kind", "matryoshka", "--groups", "3,4"], 1, "the groups have 7 latents; expected 512"),
    ],
)
def test_settings_of_another_kind(images, tiny_model, tmp_path, capsys, more, status, said):
    assert train(images, tiny_model, tmp_path / "sae.safetensors", *more) == status
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(tmp_path.glob("sae*"))
