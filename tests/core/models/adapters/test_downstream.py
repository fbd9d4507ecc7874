"""Runs, rankings and interventions over a run with networks that are not Mammo-CLIP's."""

from pathlib import Path

import numpy as np
import pytest
import torch

import runs_kit
import timm_kit
import tiny
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.contributions import contributions_of
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.run import Run


def run_of(folder: Path, name: str, width: int) -> tuple[Run, Path]:
    toml = timm_kit.write_model(folder / "model", name, sae=width, channels=1)
    images = runs_kit.write_images(folder / "images", 3)
    write_run(images, load_model(toml, device="cpu"), folder / "run", maps=True, workers=0)
    return open_run(folder / "run"), toml


@pytest.mark.parametrize(("name", "width"), [("test_convnext", 64), ("test_mambaout", 64), ("test_vit", 64)])
def test_contributions_by_gradients_add_up(name: str, width: int, tmp_path: Path) -> None:
    model = load_model(timm_kit.write_model(tmp_path, name, sae=width), device="cpu")
    image = read_mammogram(tiny.picture(0, (200, 150)))
    features = model.features(image.to_input(model.preprocessing))
    found = contributions_of(model, features, "integrated", steps=64)
    assert len(found.latents) > 5
    with torch.inference_mode():
        z = model.encode(features)
        ends = [model.logits(model.decode(z * share, of=features))[0].numpy() for share in (0, 1)]
    np.testing.assert_allclose(found.values.sum(1), ends[1] - ends[0], atol=0.02 * max(np.ptp(ends), 0.01))
    assert (np.abs(found.values).max() == 0) == (name == "test_vit")


@pytest.mark.parametrize(("name", "width"), [("test_resnet", 96), ("test_mambaout", 64), ("test_vit", 64)])
def test_a_run_is_what_the_network_says(name: str, width: int, tmp_path: Path) -> None:
    run, toml = run_of(tmp_path, name, width)
    model = load_model(toml, device="cpu")
    run.check_model(model.facts)
    x = torch.cat([read_mammogram(p).to_input(model.preprocessing) for p in sorted((tmp_path / "images").iterdir())])
    network = timm_kit.network(name, channels=1, **timm_kit.takes(name, timm_kit.SIZE))
    with torch.inference_mode():
        expected, pooled = network(x), network.forward_head(network.forward_features(x), pre_logits=True)
    np.testing.assert_allclose(run.logits, expected, atol=1e-5)
    np.testing.assert_allclose(run.features("mean"), pooled, atol=1e-5)
    assert run.features("max").shape == (3, width)
    assert run.info["preprocessing"]["channels"] == 1
    again = write_run(tmp_path / "images", model, tmp_path / "run", maps=True, workers=0)
    assert (again.images, again.computed) == (3, 0)
    if name == "test_resnet":
        attribution, constant = model.linear_tail()
        np.testing.assert_allclose(run.logits_sae, run.pooled("mean") @ attribution.T + constant, atol=1e-5)
    else:
        with pytest.raises(ModelError, match=f"the head of own-{name}"):
            model.linear_tail()
