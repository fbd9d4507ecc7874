"""Every kind of SAE: a known dictionary is found again, and a step is the one that the formulas give in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kinds_in_numpy as formulas
from napari_mammosae.core.base.errors import Cancelled, CheckpointError, SettingsError
from napari_mammosae.core.models.sae.export import export_sae
from napari_mammosae.core.models.sae.reading import read_sae
from napari_mammosae.core.training.sae_training import evaluate_parts, evaluate_sae, train_sae
from napari_mammosae.core.training.settings import KINDS, SAETrainingSettings
from napari_mammosae.core.training.starting import input_scale, start
from napari_mammosae.core.training.steps.objectives import objective
from napari_mammosae.core.training.steps.relu_gradients import ReluGradients

D, TRUE, ACTIVE = 20, 24, 3
QUICK = {"expansion": 2, "epochs": 24, "batch": 256, "learning_rate": 2e-2}
CHOICES: dict[str, dict[str, Any]] = {
    "relu": {"l1": 4e-2, "scale_inputs": True},
    "topk": {"k": ACTIVE},
    "batchtopk": {"k": ACTIVE},
    "jumprelu": {"k": ACTIVE},
    "gated": {"l1": 0.1},
    "matryoshka": {"k": ACTIVE, "groups": (32, 8)},
}


def planted(seed: int = 0, cells: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Cells, each a sum of three of 24 unit vectors in 20 dimensions, about an offset; and the vectors."""
    g = np.random.default_rng(seed)
    directions = g.normal(size=(TRUE, D))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    amounts = np.zeros((cells, TRUE))
    which = np.argsort(g.random((cells, TRUE)), axis=1)[:, :ACTIVE]
    np.put_along_axis(amounts, which, g.uniform(1.5, 4.5, (cells, ACTIVE)), 1)
    return (amounts @ directions + 0.4).astype(np.float32), directions


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    cells, _ = planted()
    return {kind: train_sae(cells, SAETrainingSettings(kind=kind, **QUICK, **CHOICES[kind])) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_dictionary_is_found_again(trained: dict[str, Any], kind: str) -> None:
    directions = planted()[1]
    sae = trained[kind]
    cosines = (directions @ sae.decoder_weight.numpy()).max(1)
    assert (cosines >= 0.9).mean() >= 0.9
    new = planted(0, 4096)[0][2048:]
    stats = evaluate_sae(sae, new)
    assert stats.explained_variance > 0.6
    if "k" in CHOICES[kind]:
        assert stats.l0 == pytest.approx(ACTIVE, rel=0.1)
        assert stats.explained_variance > 0.85
    np.testing.assert_allclose(sae.decoder_weight.norm(dim=0), 1, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_two_updates_are_those_of_numpy(kind: Any) -> None:
    """Gradients, and the weights after two steps on all cells, equal an independent computation in float64."""
    cells = planted(1, 96)[0]
    options = {"l1": 0.02} if kind in ("relu", "gated") else {"k": 4}
    settings = SAETrainingSettings(
        kind=kind, expansion=2, epochs=2, batch=96, learning_rate=1e-3, resample_every=0, seed=3, **options
    ).settle(D)
    scale = input_scale(cells) if settings.scale_inputs else 1.0
    sae = start(cells, settings, torch.Generator().manual_seed(3), scale)
    x = torch.from_numpy(cells * np.float32(scale))
    if kind != "relu":
        with torch.no_grad():  # away from zeros, so that no gradient is 0 by symmetry
            for name, value in sae.named_parameters():
                if name in ("activation.gate_bias", "activation.mag_bias", "activation.r_mag"):
                    value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    dead = torch.arange(sae.n_latents) % 3 == 0
    if kind == "relu":
        ReluGradients().fill(sae, x, settings.l1)
    else:
        objective(sae, x, settings, (torch.arange(sae.n_latents), dead))[0].backward()
    before = {name: value.detach().double().numpy() for name, value in sae.named_parameters()}
    expected = formulas.gradients(kind, before, x.double().numpy(), settings, dead.numpy())
    for name, value in sae.named_parameters():
        found = np.zeros(value.shape) if value.grad is None else value.grad.numpy()
        np.testing.assert_allclose(
            found, expected[name], atol=1e-5 * max(np.abs(expected[name]).max(), 1e-3), rtol=1e-4
        )

    trained = train_sae(cells, settings)
    sae = start(cells, settings, torch.Generator().manual_seed(3), scale)
    weights = {name: value.detach().double().numpy() for name, value in sae.named_parameters()}
    after = formulas.train(kind, weights, cells.astype(np.float64) * scale, settings, steps=2)
    for name, value in trained.named_parameters():
        inner = value.double().numpy() * (1 if name.endswith(("weight", "r_mag")) else scale)
        np.testing.assert_allclose(inner, after[name], atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, kind: Any) -> None:
    cells = planted(2, 300)[0]
    settings = SAETrainingSettings(
        kind=kind, expansion=2, epochs=4, batch=64, learning_rate=1e-2, resample_every=1,
        groups=(10, 30) if kind == "matryoshka" else None,
    )  # fmt: skip
    whole = train_sae(cells, settings)
    calls = iter(range(100))
    with pytest.raises(Cancelled):
        train_sae(cells, settings, checkpoint=tmp_path / "c.safetensors", cancelled=lambda: next(calls) == 13)
    again = train_sae(cells, settings, checkpoint=tmp_path / "c.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("format", ["saelens", "dictionary_learning"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_trained_is_written_for_other_tools(
    trained: dict[str, Any], tmp_path: Path, kind: str, format
) -> None:
    x = torch.from_numpy(planted(3, 50)[0])
    export_sae(trained[kind], tmp_path, format)
    again = read_sae(tmp_path)
    torch.testing.assert_close(again.encode(x), trained[kind].encode(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again(x), trained[kind](x), atol=1e-5, rtol=1e-5)


def test_a_scale_of_the_inputs_changes_nothing_but_the_unit() -> None:
    """Features a hundred times as large give the same SAE, its codes a hundred times as large."""
    cells = planted(4, 600)[0]
    settings = SAETrainingSettings(kind="batchtopk", k=3, expansion=2, epochs=3, batch=100, learning_rate=1e-2)
    small, large = train_sae(cells, settings), train_sae(cells * 128, settings)
    assert small.input_scale == pytest.approx(128 * large.input_scale)
    assert float(np.square(cells).sum(1).mean()) * small.input_scale**2 == pytest.approx(D, rel=1e-5)
    x = torch.from_numpy(cells)
    torch.testing.assert_close(large.encode(x * 128), small.encode(x) * 128, atol=1e-2, rtol=1e-4)


def test_dead_latents_learn_what_the_others_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where half of the latents lose every contest at first, the auxiliary loss makes them useful."""

    def handicapped(*given: Any) -> Any:
        sae = start(*given)
        with torch.no_grad():
            sae.encoder_weight[D:] *= 0.01
        return sae

    monkeypatch.setattr("napari_mammosae.core.training.one_training.start", handicapped)
    cells, directions = planted(5, 1500)
    settings = SAETrainingSettings(kind="topk", k=2, expansion=2, epochs=12, batch=150, learning_rate=1e-2)
    found = []
    for weight in (1 / 32, 0):
        monkeypatch.setattr("napari_mammosae.core.training.steps.objectives._AUXILIARY", weight)
        reports: list[Any] = []
        sae = train_sae(cells, settings, each_epoch=reports.append)
        assert reports[0].dead == D
        found.append((reports[-1].dead, ((directions @ sae.decoder_weight.numpy()).max(1) > 0.9).mean()))
    assert found[0][0] < 5
    assert found[1][0] == D
    assert found[0][1] > found[1][1] + 0.15


def test_stats_of_chosen_cells_are_those_of_these_alone(trained: dict[str, Any]) -> None:
    cells = planted(6, 500)[0]
    chosen = np.arange(500) % 3 > 0
    of_all, of_chosen = evaluate_parts(trained["topk"], cells, chosen, batch=64)
    for found, expected in ((of_all, cells), (of_chosen, cells[chosen])):
        alone = evaluate_sae(trained["topk"], expected)
        assert found.cells == len(expected)
        assert found.explained_variance == pytest.approx(alone.explained_variance, rel=1e-9)
        assert found.l0 == alone.l0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "magic"}, "expected one of relu, topk"),
        ({"kind": "topk", "l1": 0.1}, "a topk SAE has no l1"),
        ({"kind": "gated", "k": 3}, "a gated SAE has no k"),
        ({"kind": "topk", "k": 41}, "k is 41; the SAE has 40 latents"),
        ({"kind": "topk", "k": 0}, "k is 0"),
        ({"kind": "matryoshka", "groups": (8, 30)}, "the groups have 38 latents; expected 40"),
        ({"kind": "topk", "groups": (8, 32)}, "only matryoshka has"),
        ({"learning_rate": 0}, "learning rate is 0"),
    ],
)
def test_settings_that_do_not_fit_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        train_sae(planted(7, 20)[0], SAETrainingSettings(expansion=2, **given))


def test_defaults_of_each_kind() -> None:
    wide = {kind: SAETrainingSettings(kind=kind).settle(2048) for kind in KINDS}
    assert {kind: one.l1 for kind, one in wide.items() if one.l1} == {"relu": 3e-5, "gated": 1e-3}
    assert {one.k for kind, one in wide.items() if kind not in ("relu", "gated")} == {32}
    assert wide["relu"].learning_rate == 3e-4
    assert wide["topk"].learning_rate == pytest.approx(2e-4)  # h = 16384
    assert wide["matryoshka"].groups == (512, 1024, 2048, 4096, 8704)
    assert [one.scale_inputs for one in wide.values()] == [False, True, True, True, True, True]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kind": "topk"}, "k is '', expected a whole number up to 40"),
        ({"kind": "topk", "k": "41"}, "k is '41'"),
        ({"kind": "batchtopk", "k": "2.5"}, "k is '2.5'"),
        ({"kind": "matryoshka", "k": "3", "groups": "(8, 1e999)"}, "its groups have"),
        ({"kind": "matryoshka", "k": "3"}, "its groups have 0 latents, its decoder 40"),
        ({"kind": "relu", "scale": "-1"}, "its scale is '-1', expected a positive number"),
        ({"kind": "spiral"}, "says it is a spiral, which is not supported"),
        ({"kind": "jumprelu"}, r"missing \['activation.threshold'\]"),
    ],
)
def test_a_file_that_says_something_else_of_itself(
    trained: dict[str, Any], tmp_path: Path, said: dict[str, str], words: str
) -> None:
    from safetensors.torch import save_file

    tensors = {name: value.contiguous() for name, value in trained["topk"].state_dict().items()}
    save_file(tensors, tmp_path / "own.safetensors", said)
    with pytest.raises(CheckpointError, match=words):
        read_sae(tmp_path / "own.safetensors")
