"""Maps as a run keeps them: whatever the size of its activations, a latent is measured as it is."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

import localize_kit
import tiny
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.localization.over_run import localize
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.files.map_values import decode_values, encode_values
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run


@pytest.mark.parametrize("size", [1e-20, 1e-12, 1e-7, 1e-3, 1.0, 1e4, 1e9, 1e30])
def test_values_of_any_size_come_back_to_one_part_in_two_thousand(size):
    rng = np.random.default_rng(0)
    latent = np.repeat(np.array([2, 3, 11], np.int32), [500, 1, 700])
    value = (rng.gamma(0.5, size, 1201) + 1e-3 * size).astype(np.float32)
    value[latent == 11] *= np.float32(1e-5)  # beside one that is much larger
    kept, scale = encode_values(latent, value)
    assert (kept.dtype, scale.dtype) == (np.float16, np.float32)
    assert all(len(np.unique(scale[latent == one])) == 1 for one in (2, 3, 11))
    found = decode_values(kept, scale, "part")
    np.testing.assert_allclose(found, value, rtol=2.0**-11, atol=0)
    for one in (2, 3, 11):
        assert found[latent == one].max() == value[latent == one].max()


def test_what_fires_is_never_kept_as_zero():
    value = np.array([1e-9, 1e9, 1e-38, 1e-44], np.float32)
    kept, scale = encode_values(np.array([0, 0, 5, 6], np.int32), value)
    assert (decode_values(kept, scale, "part") > 0).all()
    assert encode_values(np.empty(0, np.int32), np.empty(0, np.float32))[0].size == 0


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_a_scale_that_cannot_be_is_damage(scale):
    with pytest.raises(RunError, match=r"run/maps/part-00000\.parquet is damaged \(a scale that is not"):
        decode_values(np.ones(2, np.float16), np.array([1, scale], np.float32), "run/maps/part-00000.parquet")


def _scaled(model, folder, factor):
    """The same function of an image: the encoder's output times a factor, the decoder's columns over it."""
    folder.mkdir()
    weights = load_file(model.parent / "sae.safetensors")
    for name in ("encoder_weight", "encoder_bias"):
        weights[name] = weights[name] * factor
    weights["decoder_weight"] = weights["decoder_weight"] / factor
    save_file(weights, folder / "sae.safetensors")
    (folder / "classifier.safetensors").write_bytes((model.parent / "classifier.safetensors").read_bytes())
    (folder / "model.toml").write_text(tiny.TOML)
    return folder / "model.toml"


@pytest.fixture(scope="module")
def localized(tmp_path_factory, tiny_model):
    return localize_kit.write_localized_run(tmp_path_factory.mktemp("scaled"), tiny_model)


# Powers of two: any other factor rounds the weights, and a cell on the threshold may then change sides.
@pytest.mark.parametrize("factor", [2.0**20, 2.0**-27])
def test_a_latent_measures_the_same_in_other_units(localized, tiny_model, tmp_path, factor):
    model = load_model(_scaled(tiny_model, tmp_path / "model", factor), device="cpu")
    write_run(localized / "images", model, tmp_path / "run", maps=True, workers=0)
    findings = read_findings(localized / "boxes.csv")
    plain, scaled = (
        localize(open_run(folder / "run"), findings, images="all", iou=0.1, resamples=0)
        for folder in (localized, tmp_path)
    )
    assert plain["latent"].nunique() > 25
    assert (plain["ap"] > 0).sum() > 20
    columns = ["finding", "latent", "ap", "precision", "recall", "mean_best_iou", "pointing", "energy", "lift"]
    pd.testing.assert_frame_equal(plain[columns], scaled[columns], rtol=1e-3, atol=1e-3)
    run, other = open_run(localized / "run"), open_run(tmp_path / "run")
    one, two = run.latents(0), other.latents(0)
    np.testing.assert_allclose(two.values / factor, one.values, rtol=2e-3)
    np.testing.assert_allclose(two.pooled_max[two.latents], two.values.max((1, 2)), rtol=1e-3)


def test_a_run_of_an_earlier_format_is_read_where_nothing_was_cut_off(localized, tmp_path):
    new, old = open_run(localized / "run"), tmp_path / "old"
    _as_format_1(localized / "run", old)
    run = open_run(old)
    latent = int(np.asarray(new.pooled("max").sum(0)).argmax())
    for a, b in zip(run.maps(latent), new.maps(latent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)
    np.testing.assert_allclose(run.latents(1).values, new.latents(1).values, rtol=1e-3)
    with pytest.raises(RunError, match=r"old is of run format 1, which keeps no pooled channels; make the run again"):
        run.features()


def test_a_run_of_an_earlier_format_that_was_cut_off_is_refused(localized, tmp_path):
    _as_format_1(localized / "run", tmp_path / "old", cut=True)
    run = open_run(tmp_path / "old")
    run.pooled("max")
    for read in (lambda: list(run.map_parts()), lambda: run.latents(0)):
        with pytest.raises(RunError, match=r"old/maps/part-00000\.parquet keeps activations up to 65,504 only"):
            read()


def _as_format_1(run, old, cut=False):
    """Write a run as it was before maps had scales."""
    (old / "maps").mkdir(parents=True)
    for path in run.rglob("*"):
        if path.is_file() and path.parent.name not in ("maps", "features") and not path.name.startswith("."):
            (old / path.relative_to(run)).parent.mkdir(exist_ok=True)
            (old / path.relative_to(run)).write_bytes(path.read_bytes())
    info = json.loads((run / "run.json").read_text())
    assert info["format"] == 3
    (old / "run.json").write_text(json.dumps(info | {"format": 1}))
    for part in (run / "maps").iterdir():
        table = pq.read_table(part)
        value = (table["value"].to_numpy().astype(np.float32) * table["scale"].to_numpy()).astype(np.float16)
        value[:1] = 65504 if cut else value[:1]
        table = table.drop_columns(["scale"]).set_column(3, "value", [value])
        pq.write_table(table, old / "maps" / part.name, write_page_checksum=True)
