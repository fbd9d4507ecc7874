"""Files that the libraries themselves wrote, and the codes that they gave; `scripts/make_sae_fixtures.py` made them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_mammosae.core.base.errors import CheckpointError
from napari_mammosae.core.models.sae.export import export_sae
from napari_mammosae.core.models.sae.options import SaeOptions
from napari_mammosae.core.models.sae.reading import read_sae

DATA = Path(__file__).parents[3] / "data" / "saes"
OPTIONS: dict[str, dict[str, Any]] = {
    "overcomplete-relu": {"kind": "relu"},
    "overcomplete-topk": {"kind": "topk", "k": 3},
    "overcomplete-batchtopk": {"kind": "batchtopk", "threshold": 0.5},
}
KINDS = {
    "dictionary_learning-GatedAutoEncoder": "gated",
    "dictionary_learning-JumpReluAutoEncoder": "jumprelu",
    "dictionary_learning-AutoEncoderTopK": "topk",
    "dictionary_learning-BatchTopKSAE": "batchtopk",
    "dictionary_learning-MatryoshkaBatchTopKSAE": "batchtopk",
    "saelens-topk": "topk",
    "saelens-topk_rescaled": "topk",
    "saelens-jumprelu": "jumprelu",
    "saelens-jumprelu_trained": "jumprelu",
    "saelens-batchtopk_trained": "jumprelu",
    "saelens-matryoshka_trained": "jumprelu",
    "saelens-gated": "gated",
    "overcomplete-topk": "topk",
    "overcomplete-batchtopk": "batchtopk",
    "overcomplete-jumprelu": "jumprelu",
    "sparsify-topk": "topk",
    "sparsify-groupmax": "groupmax",
}
NAMES = sorted(path.name for path in DATA.iterdir() if path.is_dir())


def file_of(name: str) -> Path:
    return DATA / name / "module.pt" if name.startswith("overcomplete") else DATA / name


@pytest.mark.parametrize("name", NAMES)
def test_codes_and_reconstructions_are_those_of_the_library(name: str) -> None:
    sae = read_sae(file_of(name), SaeOptions(**OPTIONS.get(name, {})))
    assert sae.kind == KINDS.get(name, "relu")
    expected = np.load(DATA / name / "expected.npz")
    x = torch.from_numpy(expected["x"])
    codes, again = sae.encode(x).numpy(), sae(x).numpy()
    assert np.abs(codes - expected["codes"]).max() <= 2e-6 * np.abs(expected["codes"]).max()
    assert np.abs(again - expected["reconstructions"]).max() <= 2e-6 * np.abs(expected["reconstructions"]).max()
    assert 0.05 < (codes > 0).mean() < 0.95


def test_all_libraries_are_there() -> None:
    tools = {name.partition("-")[0] for name in NAMES}
    assert tools == {"dictionary_learning", "saelens", "overcomplete", "sparsify", "saev"}
    assert len(NAMES) == 24


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("sparsify-groupmax", "saelens-constant_norm")])
def test_the_other_tool_gets_the_same_codes(name: str, tmp_path: Path) -> None:
    """What one library wrote is written for SAELens, and read from there to the same codes."""
    sae = read_sae(file_of(name), SaeOptions(**OPTIONS.get(name, {})))
    export_sae(sae, tmp_path, "saelens")
    expected = np.load(DATA / name / "expected.npz")
    x = torch.from_numpy(expected["x"])
    found = read_sae(tmp_path).encode(x).numpy()
    assert np.abs(found - expected["codes"]).max() <= 2e-6 * np.abs(expected["codes"]).max()


@pytest.mark.parametrize("name", ["dictionary_learning-MatryoshkaBatchTopKSAE", "saelens-matryoshka_trained"])
def test_groups_of_a_matryoshka_are_kept(name: str) -> None:
    assert read_sae(DATA / name).groups == (4, 12)


def test_a_first_version_of_saev_with_other_sizes_is_named(tmp_path: Path) -> None:
    whole = (DATA / "saev-relu" / "sae.pt").read_bytes()
    (tmp_path / "sae.pt").write_bytes(whole.replace(b'"exp_factor": 3', b'"exp_factor": 4'))
    with pytest.raises(CheckpointError, match="say d_sae 24, its weights have 18"):
        read_sae(tmp_path)
