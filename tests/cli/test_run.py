"""`run` from the command line: the library's numbers, resuming, failures, Ctrl-C."""

import json
import os
import signal
import sys

import numpy as np
import pandas as pd
import pytest

import runs_kit
from napari_mammosae.cli import main
from napari_mammosae.cli.console import stoppable
from napari_mammosae.core.runs.making.decode_pool import DecodePool
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

COUNT = 6


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return runs_kit.write_images(tmp_path_factory.mktemp("run") / "images", COUNT)


def run(images, model, out, *more):
    return main(
        ["run", str(images), "--model", str(model), "--out", str(out), "--device", "cpu", "--workers", "0", *more]
    )


def test_the_folder_holds_what_the_library_writes(images, tiny_model, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    pd.DataFrame({"image": [f"image-{i:03d}" for i in range(COUNT)], "mass": [0, 1] * 3}).to_csv(labels, index=False)
    assert run(images, tiny_model, tmp_path / "run", "--maps", "--labels", str(labels)) == 0
    said = capsys.readouterr()
    assert f"{COUNT} images done" in said.out
    assert "maps take about" in said.err
    write_run(images, tiny_model, tmp_path / "library", labels=labels, maps=True, workers=0)
    runs_kit.assert_same(tmp_path / "run", tmp_path / "library")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["notice"] == "research use only, not for diagnosis"
    assert str(tmp_path) not in (tmp_path / "run" / "run.json").read_text()


def test_pooled_values_are_those_of_inspect(images, tiny_model, tmp_path):
    assert run(images, tiny_model, tmp_path / "run", "-q") == 0
    opened = open_run(tmp_path / "run")
    for row, name in enumerate(opened.images["image_id"][:2]):
        words = ["inspect", str(images / f"{name}.png"), "--model", str(tiny_model), "--out", str(tmp_path / name)]
        assert main([*words, "--device", "cpu", "--top", "1", "-q"]) == 0
        table = pd.read_csv(tmp_path / name / "latents.csv").sort_values("latent")
        for kind, column in (("mean", "mean"), ("max", "max"), ("active_cells", "active_cells")):
            np.testing.assert_array_equal(opened.pooled(kind).toarray()[row].astype(np.float32), table[column])


def test_the_same_command_again_does_nothing_and_other_settings_are_refused(images, tiny_model, tmp_path, capsys):
    assert run(images, tiny_model, tmp_path / "run", "-q") == 0
    assert capsys.readouterr() == ("", "")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    assert run(images, tiny_model, tmp_path / "run") == 0
    assert " 0 computed this time" in capsys.readouterr().out
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    assert run(images, tiny_model, tmp_path / "run", "--maps") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "maps" in said


def test_failed_images_are_counted_and_an_error_when_strict(images, tiny_model, tmp_path, capsys):
    mixed = runs_kit.write_images(tmp_path / "images", 2)
    (mixed / "broken.png").write_bytes((mixed / "image-000.png").read_bytes()[:300])
    assert run(mixed, tiny_model, tmp_path / "run") == 0
    assert "1 could not be used" in capsys.readouterr().out
    assert list(pd.read_csv(tmp_path / "run" / "failures.csv")["image_id"]) == ["broken"]
    assert run(mixed, tiny_model, tmp_path / "run", "--strict") == 1
    assert "failures.csv" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "status"), [(["--workers", "-1"], 2), (["--precision", "float8"], 2)])
def test_wrong_usage(images, tiny_model, tmp_path, capsys, more, status):
    assert run(images, tiny_model, tmp_path / "run", *more) == status
    assert not (tmp_path / "run").exists()


def test_what_cannot_start_says_why_in_a_line(images, tiny_model, tmp_path, capsys):
    assert run(tmp_path / "nowhere", tiny_model, tmp_path / "run") == 1
    assert capsys.readouterr().err == (
        "Error: nowhere does not exist; give an image, a folder, a glob, or a CSV with a column 'path'.\n"
    )
    assert run(images, "unknown", tmp_path / "run") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal as a terminal would")
def test_ctrl_c_stops_after_an_image_and_the_run_is_finished_later(images, tiny_model, tmp_path, capsys, monkeypatch):
    from napari_mammosae.core.runs.making.compute import Computer

    seen = []

    def interrupted(self, batch):
        seen.append(batch)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return compute(self, batch)

    compute = Computer.finish
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Computer, "finish", interrupted)
        assert run(images, tiny_model, tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "press Ctrl-C again" in said
    assert "Error: The run was stopped. Give the same command again to resume it." in said
    assert len(seen) == 2
    assert signal.getsignal(signal.SIGINT) is before
    assert run(images, tiny_model, tmp_path / "run", "-q") == 0
    write_run(images, tiny_model, tmp_path / "undisturbed", workers=0)
    runs_kit.assert_same(tmp_path / "run", tmp_path / "undisturbed")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are masked where there are masks")
def test_processes_that_decode_never_see_ctrl_c():
    """Even before they have imported anything, when a terminal sends it to all processes."""
    with DecodePool(1) as pool:
        held = pool._processes.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
        assert signal.SIGINT in held
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_second_ctrl_c_stops_at_once():
    with stoppable(quiet=True) as stop:
        handler = signal.getsignal(signal.SIGINT)
        assert not stop()
        handler(signal.SIGINT, None)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            handler(signal.SIGINT, None)


def test_progress_is_drawn_on_a_terminal(images, tiny_model, tmp_path, capsys, monkeypatch):
    from rich.progress import Progress

    shown = []
    update = Progress.update

    def record(self, bar, **values):
        shown.append((values["completed"], values["total"]))
        update(self, bar, **values)

    monkeypatch.setattr(Progress, "update", record)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(images, tiny_model, tmp_path / "run") == 0
    assert shown[0] == (0, COUNT)
    assert shown[-1] == (COUNT, COUNT)
