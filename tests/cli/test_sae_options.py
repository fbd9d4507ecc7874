from pathlib import Path

import pytest

import sae_files
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model


def test_an_sae_is_exported_and_given_back(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sae"
    assert main(["models", "export-sae", str(tiny_model), "--out", str(out)]) == 0
    assert main(["models", "verify", str(tiny_model), "--sae", str(out)]) == 0
    said = capsys.readouterr().out
    assert "sae sae_weights.safetensors: relu" in said
    assert load_model(tiny_model, sae=out, device="cpu").sae_sha256 in said


def test_options_of_an_sae_are_checked(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sae_files.overcomplete(tmp_path, "topk").path
    verify = ["models", "verify", str(tiny_model), "--sae", str(path)]
    assert main([*verify, "--sae-option", "k=none"]) == 2
    assert "k is 'none'; expected a whole number" in capsys.readouterr().err
    assert main(verify) == 1
    assert "--sae-option kind=VALUE" in capsys.readouterr().err
    assert main([*verify, "--sae-option", "kind=topk", "--sae-option", "k=3"]) == 1
    assert "reads 12 features" in capsys.readouterr().err
