import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import sae_files
from napari_mammosae.core.base.errors import MammoSAEError, ModelError, UnsafeCheckpointError
from napari_mammosae.core.models.sae.options import SaeOptions, settle_options
from napari_mammosae.core.models.sae.reading import read_sae


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(MammoSAEError) as caught:
        read_sae(path, SaeOptions(**options))
    assert len(str(caught.value)) <= 300
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


def weights_of(path: Path) -> Path:
    return path if path.is_file() else next(p for p in path.iterdir() if p.suffix in (".pt", ".safetensors"))


def change_config(folder: Path, **changes: Any) -> None:
    path = next(folder.glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", sae_files.ALL)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_files_are_told_by_name(tmp_path: Path, name: str, kept: float) -> None:
    written = sae_files.ALL[name](tmp_path)
    file = weights_of(written.path)
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    assert file.name in refusal(written.path, **written.options)


def change_tensor(file: Path, name: str, change: Any) -> None:
    if file.suffix == ".safetensors":
        content = load_file(file)
        content[name] = change(content[name]).contiguous()
        save_file(content, file)
        return
    with file.open("rb") as stream:
        header = stream.readline() if stream.read(1) == b"{" else None
    assert header is None
    content = torch.load(file, weights_only=True)
    inner = content.get("model", content.get("state_dict", content))
    inner[name] = change(inner[name])
    torch.save(content, file)


MATRICES = {
    "saelens-standard": ("W_enc", "W_dec"),
    "dictionary_learning-AutoEncoder": ("encoder.weight", "decoder.weight"),
    "dictionary_learning-MatryoshkaBatchTopKSAE": ("W_enc", "W_dec"),
    "sparsify-topk": ("encoder.weight", "W_dec"),
    "openai-topk": ("encoder.weight", "decoder.weight"),
    "msae-relu": ("encoder", "decoder"),
    "overcomplete-topk": ("encoder.final_block.0.weight", "dictionary._weights"),
    "prisma-topk": ("W_enc", "W_dec"),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", MATRICES)
def test_transposed_matrices_are_told(tmp_path: Path, name: str, which: int) -> None:
    written = sae_files.ALL[name](tmp_path)
    change_tensor(weights_of(written.path), MATRICES[name][which], lambda value: value.T.clone())
    assert "transposed" in refusal(written.path, **written.options)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", MATRICES)
def test_matrices_of_different_saes_and_damaged_values_are_told(tmp_path: Path, name: str, which: int) -> None:
    written = sae_files.ALL[name](tmp_path)
    file = weights_of(written.path)
    whole = file.read_bytes()
    change_tensor(file, MATRICES[name][which], lambda value: torch.zeros(30, 31))
    message = refusal(written.path, **written.options)
    assert file.name in message
    assert "(30, 31)" in message or "31" in message
    file.write_bytes(whole)
    change_tensor(file, MATRICES[name][which], lambda value: value * float("nan"))
    assert "not finite" in refusal(written.path, **written.options)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("saelens-standard", {"d_in": sae_files.H, "d_sae": sae_files.D}, "say d_in 40, its weights have 12"),
        ("saelens-standard", {"architecture": "matching_pursuit"}, "is a matching_pursuit, which is not supported"),
        ("saelens-standard", {"architecture": "transcoder"}, "is a transcoder"),
        ("saelens-standard", {"normalize_activations": "expected_average_only_in"}, "--sae-option scale=VALUE"),
        ("saelens-standard", {"normalize_activations": "whitened"}, "normalises its inputs by whitened"),
        ("saelens-standard", {"architecture": "topk"}, "does not say how many latents fire at each cell; give `k`"),
        ("saelens-standard", {"activation_fn_str": "tanh-relu"}, "has the activation tanh-relu"),
        ("saelens-topk-rescaled", {"k": 41}, "k is 41, expected a whole number from 1 to 40"),
        ("saelens-topk-rescaled", {"k": "many"}, "k is many, expected"),
        ("sparsify-topk", {"transcode": True}, "is a transcoder"),
        ("sparsify-topk", {"skip_connection": True}, "has a skip connection"),
        ("sparsify-groupmax", {"k": 7}, "40 latents in 7 groups of different sizes"),
        ("sparsify-topk", {"k": None}, "give `k`"),
        ("dictionary_learning-BatchTopKSAE", {"trainer": {"dict_class": "Crosscoder"}}, "is a Crosscoder"),
        (
            "dictionary_learning-BatchTopKSAE",
            {"trainer": {"dict_class": "AutoEncoder"}},
            "which has bias; the file has",
        ),
        ("dictionary_learning-AutoEncoder", {"trainer": {"activation_dim": 40}}, "say activation_dim 40"),
    ],
)
def test_what_the_settings_say(tmp_path: Path, name: str, changes: dict[str, Any], words: str) -> None:
    written = sae_files.ALL[name](tmp_path)
    change_config(written.path, **changes)
    assert words in refusal(written.path)


@pytest.mark.parametrize("name", ["saelens-standard", "sparsify-topk", "prisma-topk"])
def test_missing_settings_are_named(tmp_path: Path, name: str) -> None:
    written = sae_files.ALL[name](tmp_path)
    config = next(written.path.glob("*.json"))
    config.unlink()
    assert f"no {config.name} beside it" in refusal(written.path)


@pytest.mark.parametrize("text", ["[1]", "{", "null", ""])
def test_damaged_settings_are_named(tmp_path: Path, text: str) -> None:
    written = sae_files.saelens(tmp_path, "standard")
    (written.path / "cfg.json").write_text(text)
    assert "cfg.json" in refusal(written.path)


def test_options_that_a_file_needs_are_named(tmp_path: Path) -> None:
    assert "give `kind`" in refusal(sae_files.overcomplete(tmp_path, "topk").path)
    assert "give `k`" in refusal(tmp_path / "topk.pt", kind="topk")
    assert "give `threshold`" in refusal(tmp_path / "topk.pt", kind="batchtopk")
    path = sae_files.dictionary_learning(tmp_path, "AutoEncoderTopK", config=False).path
    assert "whether it is a topk or a batchtopk SAE" in refusal(path)
    assert read_sae(path, SaeOptions(kind="topk")).kind == "topk"


@pytest.mark.parametrize("cls", ["AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "JumpReluAutoEncoder"])
def test_classes_known_by_their_keys_need_no_settings(tmp_path: Path, cls: str) -> None:
    written = sae_files.dictionary_learning(tmp_path, cls, config=False)
    assert read_sae(written.path / "ae.pt").kind == written.kind


def test_codes_below_zero_are_refused_with_the_reason_or_clamped(tmp_path: Path) -> None:
    path = sae_files.saev(tmp_path, "TopK").path
    message = refusal(path)
    assert "codes can be below zero, because saev's TopK keeps the largest values" in message
    assert "clamp = true" in message
    assert read_sae(path, SaeOptions(clamp=True)).encode(torch.randn(50, sae_files.D)).min() == 0
    assert "followed by Identity" in refusal(sae_files.openai(tmp_path, "TopK", after="Identity").path)


def test_a_threshold_that_was_never_estimated_warns(tmp_path: Path) -> None:
    path = sae_files.dictionary_learning(tmp_path, "BatchTopKSAE", threshold=-1.0).path
    with pytest.warns(UserWarning, match="threshold was never estimated, so every positive code fires"):
        sae = read_sae(path)
    x = torch.tensor(sae_files.features(), dtype=torch.float32)
    w = sae_files.weights(2)
    e = (sae_files.features() - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    torch.testing.assert_close(sae.encode(x).double(), torch.tensor(e).relu(), atol=1e-5, rtol=1e-5)


def test_other_schemas_of_saev_are_refused(tmp_path: Path) -> None:
    path = sae_files.saev(tmp_path, "Relu").path
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"schema": 5', b'"schema": 3'))
    assert "saev's schema 3, which is not supported" in refusal(path)
    path.write_bytes(b"{" + b" " * 2_000_000)
    assert "cut short in its first line" in refusal(path)


def test_folders_without_one_sae_are_explained(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    (folder / "layers.3").mkdir(parents=True)
    assert "the folder hub holds no weights of an SAE" in refusal(folder)
    assert "such as layers.3" in refusal(folder)
    for name in ("a.pt", "b.pt"):
        (folder / name).write_bytes(b"")
    assert "holds 2 weights files (a.pt, b.pt); name one of them" in refusal(folder)


class RunnerConfig:
    """Stands for a tool's own class."""


def test_pickled_classes_are_refused_unread(tmp_path: Path) -> None:
    written = sae_files.prisma(tmp_path, "topk")
    file = weights_of(written.path)
    content = torch.load(file, weights_only=True)
    torch.save({"cfg": RunnerConfig(), **content}, file)
    with pytest.raises(UnsafeCheckpointError, match="RunnerConfig"):
        read_sae(written.path)


def test_a_file_that_says_all_takes_no_options(tmp_path: Path) -> None:
    from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder

    save_file(dict(SparseAutoencoder(4, 8).state_dict()), tmp_path / "own.safetensors")
    assert read_sae(tmp_path / "own.safetensors", SaeOptions(kind="relu")).settings_sha256 == ""
    assert "give no options for it" in refusal(tmp_path / "own.safetensors", k=3)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"layer.weight": torch.zeros(3, 4)}, tmp_path / "other.safetensors")
    assert "is not a sparse autoencoder of a known kind; found layer.weight, expected" in refusal(
        tmp_path / "other.safetensors"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"K": 3}, "option 'K' is not known; choose from kind, k"),
        ({"k": 2.5}, "k is '2.5'; expected a whole number"),
        ({"k": True}, "k is 'True'"),
        ({"scale": 0}, "scale is '0'; expected a positive number"),
        ({"threshold": float("nan")}, "expected a number"),
        ({"kind": "magic"}, "expected one of relu, topk"),
        ({"clamp": 1}, "expected true or false"),
    ],
)
def test_options_without_meaning(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        settle_options(given)


def test_two_settings_of_the_same_weights_have_different_hashes(tmp_path: Path) -> None:
    path = sae_files.overcomplete(tmp_path, "topk").path
    found = {read_sae(path, SaeOptions(kind="topk", k=k)).settings_sha256 for k in (3, 4, 5)}
    assert len(found) == 3
