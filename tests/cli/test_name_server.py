"""`name --server`: the cost first, a table with its provenance, names in the verdict file, and what is refused."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import tiny
import vlm_server
from napari_mammosae.cli.app import app
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.of_run import Verdicts
from vlm_server import DETECTION, REGION, good


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    """36 images of a patient each; half of them have stripes, on which some latents fire."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "images").mkdir()
    for seed in range(36):
        pixels = tiny.picture(seed)
        if seed % 2:
            stripes = 120 + 100 * np.sin(np.arange(pixels.shape[1]) / (2 + seed % 5))
            pixels = np.where(pixels > 0, stripes, 0).astype(np.uint8)
        assert cv2.imwrite(str(folder / "images" / f"image-{seed:03d}.png"), pixels)
    return write_run(folder / "images", tiny_model, folder / "run", maps=True, workers=0).path


def invoke(*arguments):
    return CliRunner().invoke(app, ["name", *map(str, arguments)])


def test_it_names_writes_and_suggests_and_asks_nothing_twice(run, tmp_path):
    def answer(asked):
        return float(asked.pictures[0].mean() > 40) * 0.8 + 0.1 if asked.kind in (DETECTION, REGION) else good(asked)

    with vlm_server.serving(answer=answer, models=("seer:4b",)) as vlm:
        words = [run, "--server", vlm.url, "--model", "seer:4b", "--max-latents", 2, "--held-out", 5,
                 "--csv", tmp_path / "out.csv"]  # fmt: skip
        cost = invoke(*words, "--cost")
        assert cost.exit_code == 0, cost.output
        assert cost.output.splitlines()[-1].startswith("2 latents: at most ")
        assert not vlm.headers  # nothing was asked
        done = invoke(*words)
        assert done.exit_code == 0, done.output
        asked = len(vlm.asked)
        assert f"at most {asked:,} requests" not in done.output
        again = invoke(*words)
        assert again.exit_code == 0, again.output
        assert len(vlm.asked) == asked
    assert "2 of 2 latents named" in done.output
    assert "round bright spot" in done.output
    assert "2 new names in " in done.output
    assert "0 new names in " in again.output
    table, kept = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(run / "names" / "names.csv")
    pd.testing.assert_frame_equal(table, kept)
    assert table["name"].tolist() == ["round bright spot"] * 2
    record = json.loads((tmp_path / "out.csv.json").read_text())
    assert record["settings"]["model"] == "seer:4b"
    assert record["settings"]["server"] == "127.0.0.1"
    assert record["requests"]["asked"] == 0  # of the second time
    assert (run / "names" / "names.csv.json").exists()
    with Verdicts(open_run(run)) as verdicts:
        suggested = verdicts.suggestions()
    assert suggested["method"].tolist() == ["seer:4b"] * 2
    assert suggested["provenance"][0]["measure"] == "AUROC"
    assert table["auroc"].notna().all()
    assert suggested["score"].tolist() == pytest.approx(table["auroc"].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--server", "http://203.0.113.9:1/v1"], "203.0.113.9 is not this machine, and"),
        (["--server", "http://127.0.0.1:9/v1"], "127.0.0.1 does not answer"),
        (["--server", "nonsense"], "not one such as http"),
        (["--server", "http://127.0.0.1:9/v1", "--latents", "two"], "'two' is not the number of a latent"),
        (["--server", "http://127.0.0.1:9/v1", "--latents", "999"], "there is no latent 999"),
        (["--server", "http://127.0.0.1:9/v1", "--from", "text"], "names from text ask no server"),
        (["--from", "server"], "name a server"),
    ],
)
def test_what_has_no_meaning_is_refused_in_a_line(run, words, said):
    result = invoke(run, *words)
    assert result.exit_code != 0
    text = " ".join(f"{result.output} {result.exception}".replace("│", " ").split())
    assert said in text
