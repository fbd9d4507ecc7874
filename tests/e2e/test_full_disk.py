"""Every command that writes, on a full disk: a sentence with the file, exit 1, nothing half; with room it goes on."""

import errno
import os
import re
import signal
from pathlib import Path

import pytest

import kills
from napari_mammosae.cli import main

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="shares what kills programs elsewhere")

NAMES = ("run", "train-sae", "export", "compare", "intervene", "plot", "rank", "localize", "inspect", "agreement",
         "merge", "phantoms")  # fmt: skip


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, kills.Job]:
    """The commands."""
    world = kills.write_world(tmp_path_factory.mktemp("world"))
    kills.add_runs(world, tiny_model)
    return kills.jobs(world, tiny_model)


@pytest.mark.parametrize("name", NAMES)
def test_a_sentence_and_then_the_rest(tmp_path: Path, jobs, capsys, monkeypatch, name: str):
    words = [str(word) for word in jobs[name].words(tmp_path / "out", 0)]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert main([*words, "--quiet"]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"(Note: .*\n)*Error: The disk is full: \S+\.\w+ was not written\. .*\n", said), said
    assert str(tmp_path) not in said
    left = {path.name for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert left <= {"training.json", "train.features", "train.features.log"}
    assert main([*words, "--quiet"]) == 0
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".lock"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
