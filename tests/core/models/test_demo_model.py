"""The embedded model: its figures, measured again on a few phantoms, and the story the demo tells with them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import napari_mammosae
from demo_classifier import to_input
from napari_mammosae.core.localization.evaluation import LocalizationSettings, localize_run
from napari_mammosae.core.localization.thresholds import Threshold
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.phantoms.phantom import FINDINGS, make_phantom
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.training.reconstruction import ReconstructionStats

pytestmark = pytest.mark.slow

SAMPLE_DATA = Path(napari_mammosae.__file__).parent / "sample_data"
COUNT = 36


@pytest.fixture(scope="module")
def figures():
    return json.loads((SAMPLE_DATA / "demo" / "figures.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model():
    return load_model("demo", device="cpu")


@pytest.fixture(scope="module")
def measured(model, figures):
    """Phantoms of the seeds the card was measured on, one after another through the model."""
    stats = ReconstructionStats(model.width, model.n_latents)
    maps, boxes, labels = [], [], []
    for image in range(COUNT):
        phantom = make_phantom(figures["first_seed"] + image)
        features = model.features(to_input(phantom.pixels[None]))
        maps.append(latents_of_features(model, features)[0])
        x = features.permute(0, 2, 3, 1).flatten(0, 2)
        with torch.inference_mode():
            z = model.sae.encode(x)
            stats.add(x.numpy(), model.sae.decode(z).numpy(), z.numpy())
        labels.append([phantom.labels[name] for name in FINDINGS])
        boxes += [(image, name, *box) for name, box in phantom.boxes]
    table = pd.DataFrame(boxes, columns=["image", "finding", "row_min", "col_min", "row_max", "col_max"])
    return maps, table, np.array(labels), stats


def localized(model, measured, latents, findings):
    maps, boxes, _, _ = measured
    parts = []
    for image, one in enumerate(maps):
        row, r, c = np.nonzero(one.values)
        parts.append((one.latents[row], np.full(len(row), image), r * one.shape[2] + c, one.values[row, r, c]))
    columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
    table = localize_run(
        *columns,
        boxes,
        images=np.arange(len(maps)),
        grid=model.grid,
        input_shape=model.preprocessing.size,
        findings=findings,
        latents=latents,
        settings=LocalizationSettings(Threshold.parse("relative:0.3"), include="all", resamples=0),
    )
    return table.set_index(["finding", "latent"])


def test_sizes_are_the_promised_ones(model):
    assert model.grid == (48, 29)
    assert (model.width, model.n_latents) == (256, 2048)
    assert model.classes == FINDINGS
    assert model.task == "multilabel"


def test_sample_data_stay_small():
    assert sum(f.stat().st_size for f in SAMPLE_DATA.rglob("*") if f.is_file()) <= 12e6


def test_decoder_columns_have_unit_norm(model):
    np.testing.assert_allclose(model.sae.decoder_weight.norm(dim=0).numpy(), 1.0, atol=2e-3)


def test_the_classifier_finds_both_findings_without_the_markers_help(measured):
    maps, _, labels, _ = measured
    logits = np.array([one.logits for one in maps])
    for c in range(2):
        assert auroc(labels[:, c], logits[:, c]) > 0.75


def test_the_sae_keeps_features_and_prediction(measured, figures):
    maps, _, labels, stats = measured
    assert stats.explained_variance == pytest.approx(figures["explained_variance"], abs=0.03)
    assert stats.l0 == pytest.approx(figures["l0"], rel=0.15)
    for c in range(2):
        plain = auroc(labels[:, c], np.array([one.logits[c] for one in maps]))
        kept = auroc(labels[:, c], np.array([one.logits_sae[c] for one in maps]))
        assert kept > plain - 0.06


def test_lesion_latents_localise_and_background_latents_do_not(model, measured, figures):
    background = figures["background_latents"]
    best = {name: figures["latents"][name][0]["latent"] for name in FINDINGS}
    table = localized(model, measured, [*background, *best.values()], list(FINDINGS))
    for name, latent in best.items():
        others = table.loc[name].ap.drop(best.values()).max()
        assert table.loc[(name, latent)].ap > max(0.15, 3 * others)
        assert table.loc[(name, latent)].lift_image > 5


def test_marker_latents_look_at_the_marker_and_not_at_lesions(model, measured, figures):
    latents = [row["latent"] for row in figures["marker_latents"][:3]]
    table = localized(model, measured, latents, ["marker", *FINDINGS]).lift_image
    for latent in latents:
        assert table[("marker", latent)] > 8
        for name in FINDINGS:
            assert table[(name, latent)] < 1


def test_removing_the_marker_latents_helps_where_markers_say_nothing(figures):
    mass = figures["auroc_unbiased"]["mass"]
    assert mass["removed_replace"] > mass["with_sae"] + 0.02
    assert figures["auroc_biased"]["mass"]["without_sae"] > mass["without_sae"] + 0.08


def test_the_marker_is_a_shortcut_to_mass(model, figures):
    """The same phantoms with and without a marker: the marker alone raises the logit of mass, and hardly the other."""
    change = []
    for seed in range(figures["first_seed"], figures["first_seed"] + 3):
        pair = [make_phantom(seed, marker=marker).pixels for marker in (False, True)]
        without, with_marker = model.logits(model.features(to_input(np.stack(pair)))).numpy()
        change.append(with_marker - without)
    mass, calcification = np.mean(change, axis=0)
    assert mass > 0.5
    assert mass > 2 * abs(calcification)


def test_the_card_says_what_was_measured(figures):
    card = (SAMPLE_DATA / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{figures['auroc_unbiased']['mass']['without_sae']:.3f}" in card
    assert f"| {figures['latents']['mass'][0]['latent']} |" in card
    assert "not for diagnosis" in card
