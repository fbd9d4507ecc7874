"""The example of the page *Bring your own model*, command by command, on the smallest ResNet."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import runs_kit
import timm_kit
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.opening import open_run

PAGE = (Path(__file__).parents[2] / "docs" / "own_model.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own"
    runs_kit.write_images(own / "images", 6)
    rows = [f"image-{number:03d},p{number},{number % 2}" for number in range(6)]
    _, table = blocks("text")
    (own / "labels.csv").write_text("\n".join([table.splitlines()[0], *rows]))
    torch.save(timm_kit.network("test_resnet").state_dict(), own / "resnet50.pth")
    described, sae = blocks("toml")
    described = described.replace('torchvision = "resnet50"', 'timm = "test_resnet"')
    assert "test_resnet" in described
    (own / "model.toml").write_text(described)
    monkeypatch.chdir(tmp_path)
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert [shlex.split(line)[1] for line in commands] == ["models", "train-sae", "run", "rank", "intervene", "view"]
    for line in commands[:-1]:
        assert main(shlex.split(line)[1:]) == 0, line
        if "train-sae" in line:
            (own / "model.toml").write_text(re.sub("(?m)^(weights = .*)$", rf"\1\n{sae}", described))
    assert "tail: closed form" in capsys.readouterr().out
    model, run = load_model(own / "model.toml", device="cpu"), open_run(own / "run")
    assert (model.classes, len(run), run.n_latents) == (("mass", "calcification"), 6, 96)
    features = run.features("mean").astype(np.float64)
    np.testing.assert_allclose(run.logits, features @ model.head_weight.T + model.head_bias, atol=1e-5)
    assert pd.read_csv(own / "rank.csv")["rank"].tolist() == list(range(1, len(pd.read_csv(own / "rank.csv")) + 1))
    curve = pd.read_csv(own / "intervene.csv")
    assert set(curve["mode"]) == {"keep", "zero"}
