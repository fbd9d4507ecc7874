"""Latents of several SAEs, matched one to one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csc_array

import runs_kit
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import FindingsError, SettingsError
from napari_mammosae.core.comparison.matching import correlations, match, of_activations, of_decoders
from napari_mammosae.core.comparison.saes import compare_saes
from napari_mammosae.core.models.files.found_again import found_beside, read_found_again
from napari_mammosae.core.models.loading import read_hashed_sae
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.models.sae.options import SaeOptions
from napari_mammosae.core.training.sae_training import train_sae
from napari_mammosae.core.training.settings import SAETrainingSettings

D, H = 12, 40


def columns(seed: int, h: int = H) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(D, h)).astype(np.float32)


def write(path: Path, decoder: np.ndarray) -> Path:
    sae = SparseAutoencoder(*decoder.shape)
    with torch.no_grad():
        sae.decoder_weight.copy_(torch.from_numpy(decoder / np.linalg.norm(decoder, axis=0)))
        sae.encoder_weight.copy_(sae.decoder_weight.T)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(sae.state_dict()), path)
    return path


@pytest.mark.parametrize(("h", "other"), [(16, 16), (10, 16), (16, 10)])
def test_the_assignment_is_the_best_one(h: int, other: int) -> None:
    a, b = columns(1, h), columns(2, other)
    matches, similarities = match(of_decoders(a, b), (h, other))
    cosines = (a / np.linalg.norm(a, axis=0)).T @ (b / np.linalg.norm(b, axis=0))
    rows, cols = linear_sum_assignment(-np.maximum(cosines, 0))
    own = matches >= 0
    assert similarities.sum() == pytest.approx(np.maximum(cosines, 0)[rows, cols].sum(), rel=1e-6)
    assert len(set(matches[own])) == own.sum()
    np.testing.assert_allclose(similarities[own], cosines[np.flatnonzero(own), matches[own]], rtol=1e-6)


def test_blocks_and_candidates_find_a_permutation_of_many() -> None:
    """More latents than a block, noise on top, and a third of the latents replaced."""
    g = np.random.default_rng(0)
    h = 1500
    a = g.normal(size=(48, h)).astype(np.float32)
    order = g.permutation(h)
    b = (a + g.normal(0, 0.15, a.shape))[:, order].astype(np.float32)
    replaced = g.permutation(h)[: h // 3]
    b[:, replaced] = g.normal(size=(48, len(replaced)))
    matches, similarities = match(of_decoders(a, b), (h, h))
    true = np.argsort(order)
    kept = ~np.isin(true, replaced)
    assert (matches[kept] == true[kept]).all()
    assert similarities[kept].min() > 0.9
    assert similarities[~kept].max() < 0.7


def test_correlations_are_those_of_numpy() -> None:
    g = np.random.default_rng(3)
    a, b = (np.where(g.random((50, 9)) < 0.5, g.random((50, 9)), 0) for _ in range(2))
    a[:, 2] = b[:, 7] = 0.25
    expected = _correlate(a, b)
    np.testing.assert_allclose(of_activations(csc_array(a), csc_array(b))(slice(0, 9)), expected, atol=1e-6)
    matches = np.array([1, 0, 3, 2, 5, 4, -1, 8, 7])
    found = correlations(csc_array(a), csc_array(b), matches)
    for latent, other in enumerate(matches):
        if other < 0 or latent == 2 or other == 7:
            assert np.isnan(found[latent])
        else:
            assert found[latent] == pytest.approx(expected[latent, other], abs=1e-9)


def _correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found = np.zeros((a.shape[1], b.shape[1]))
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            if a[:, i].std() and b[:, j].std():
                found[i, j] = np.corrcoef(a[:, i], b[:, j])[0, 1]
    return found


def test_the_same_sae_with_permuted_latents_is_matched_fully(tmp_path: Path) -> None:
    order = np.random.default_rng(5).permutation(H)
    first, second = (
        write(tmp_path / "a.safetensors", columns(4)),
        write(tmp_path / "b.safetensors", columns(4)[:, order]),
    )
    found = compare_saes([first, second])
    assert found.pairs["found_again"].tolist() == [1.0]
    assert found.pairs["mean_similarity"].iloc[0] == pytest.approx(1)
    table = found.tables["a.safetensors"]
    assert (order[table["match_b.safetensors"]] == np.arange(H)).all()
    assert (table["found_again"] == 1).all()
    assert (table["of"] == 1).all()
    back = found.tables["b.safetensors"]
    np.testing.assert_array_equal(back["match_a.safetensors"], order)


def test_two_trainings_give_a_figure_that_is_not_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command line: tables, figure and record; and the table lies where the model looks for it."""
    g = np.random.default_rng(0)
    directions = g.normal(size=(18, D))
    amounts = (g.random((1500, 18)) < 0.12) * g.uniform(1, 3, (1500, 18))
    cells = (amounts @ directions).astype(np.float32)
    files = []
    for seed in (0, 1, 2):
        settings = SAETrainingSettings(3, 10, 1e-2, batch=150, seed=seed, kind="topk", k=2)
        sae = train_sae(cells, settings)
        path = tmp_path / f"seed-{seed}.safetensors"
        save_file(dict(sae.state_dict()), path, {"kind": "topk", "k": "2"})
        files.append(path)
    assert main(["compare-sae", *map(str, files), "--out", str(tmp_path), "--figure", "svg"]) == 0
    said = capsys.readouterr().out
    assert said.count("latents found again, mean similarity") == 3
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert pairs["found_again"].between(0.15, 0.95).all()
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"stability.json", "stability.svg", *(f"{path.name}.found.csv" for path in files)}
    for path in files:
        _, sha256 = read_hashed_sae(path, SaeOptions())
        found, note = found_beside(path, sha256, 3 * D)
        assert note == ""
        assert found is not None
        assert found.others == 2
        table = pd.read_csv(f"{path}.found.csv")
        similar = table[[name for name in table if name.startswith("similarity_")]]
        np.testing.assert_array_equal(found.counts, (similar >= 0.7).sum(axis=1))
    similar = pd.read_csv(f"{files[0]}.found.csv")[f"similarity_{files[1].name}"]
    assert pairs["found_again"].iloc[0] == pytest.approx((similar >= 0.7).mean())


@pytest.fixture(scope="module")
def two_runs(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Two SAEs, the second with the latents of the first in another order, and a run with each."""
    folder = tmp_path_factory.mktemp("stability")
    first, second = folder / "first.safetensors", folder / "second.safetensors"
    own = load_file(tiny_model.parent / "sae.safetensors")
    order = torch.randperm(own["encoder_bias"].numel(), generator=torch.Generator().manual_seed(0))
    save_file(own, first)
    turned = own | {name: own[name][order].contiguous() for name in ("encoder_weight", "encoder_bias")}
    save_file(turned | {"decoder_weight": own["decoder_weight"][:, order].contiguous()}, second)
    images, runs = runs_kit.write_images(folder / "images", 5), []
    for path in (first, second):
        runs.append(folder / f"run-{path.stem}")
        command = ["run", images, "--model", tiny_model, "--sae", path, "--out", runs[-1], "--device", "cpu"]
        assert main([*map(str, command), "--workers", "0", "-q"]) == 0
    return [first, second], runs


@pytest.mark.parametrize("by", ["decoder", "activations"])
def test_activations_over_runs_go_together(two_runs: tuple[list[Path], list[Path]], tmp_path: Path, by: str) -> None:
    saes, runs = two_runs
    command = ["compare-sae", *saes, "--by", by, "--out", tmp_path, "--runs", *runs]
    assert main(list(map(str, command))) == 0
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert pairs["mean_correlation"].iloc[0] == pytest.approx(1, abs=1e-6)
    table = pd.read_csv(tmp_path / "first.safetensors.found.csv")
    fires = ~table["correlation_second.safetensors"].isna()
    assert fires.any()
    assert (table["found_again"][fires] == 1).all()


def test_what_does_not_go_together_is_refused(two_runs: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    saes, runs = two_runs
    narrow = write(tmp_path / "narrow.safetensors", columns(0))
    for given, options, words in (
        (saes[:1], {}, "at least two"),
        (saes, {"runs": runs[:1]}, "1 runs were given for 2 SAEs"),
        (saes, {"runs": runs[::-1]}, "was made with another SAE"),
        (saes, {"by": "activations"}, "needs a run for each SAE"),
        (saes, {"by": "colour"}, "not by 'colour'"),
        (saes, {"least": 0}, "least similarity is 0"),
        ([saes[0], narrow], {}, "the SAEs read 12 and 256 features; compare them by activations"),
    ):
        with pytest.raises(SettingsError, match=words):
            compare_saes(given, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"found_again": [0, 3]}, "found_again is not a whole number from 0 to 2"),
        ({"found_again": [0, 0.5]}, "found_again is not a whole number"),
        ({"latent": [0, 0]}, "does not name every latent once"),
        ({"of": [2, 1]}, "the columns sae and of have several values"),
        ({"sae": ["a" * 16, "b" * 16]}, "the columns sae and of have several values"),
        ({"sae": ["a", "a"]}, "expected one SAE's table"),
        ({"latent": ["x", 1]}, "latent is 'x'; expected a number"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    table = pd.DataFrame({"latent": [1, 0], "found_again": [2, 1], "of": [2, 2], "sae": ["a" * 16] * 2})
    path = tmp_path / "own.safetensors.found.csv"
    table.to_csv(path, index=False)
    assert read_found_again(path).counts.tolist() == [1, 2]
    assert found_beside(tmp_path / "own.safetensors", "a" * 64, 2)[0] is not None
    assert "is about another SAE" in found_beside(tmp_path / "own.safetensors", "b" * 64, 2)[1]
    table.assign(**changes).to_csv(path, index=False)
    with pytest.raises(FindingsError, match=words):
        read_found_again(path)
    assert words[:20] in found_beside(tmp_path / "own.safetensors", "a" * 64, 2)[1]
