import errno
import io
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

import napari_mammosae
import tiny
from napari_mammosae.cli import main
from napari_mammosae.cli.console import progress, working
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model

FILES = ["figure.png", "latents.csv", "maps.npz", "prediction.json"]
ALARM = re.compile(
    r"Note: The SAE's reconstruction is worse than the mean \(FVU 1\.\d+\): the input scale .*\n"
    r"(Note: Model and SAE disagree on .*\n)+"
)
"""What is said of the tiny model, whose SAE was never trained."""


def inspect(image: Path, model: Path, out: Path, *more: str) -> int:
    quick = ["--device", "cpu", "--top", "1"]
    return main(["inspect", str(image), "--model", str(model), "--out", str(out), *quick, *more])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tiny.write_image(tmp_path / "images" / "breast.png")


def test_inspect_writes_the_numbers_of_the_library(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert inspect(image, tiny_model, tmp_path / "out", "--top", "3") == 0
    said = capsys.readouterr()
    assert ALARM.fullmatch(said.err), "no progress where nobody looks"
    assert "latents fire" in said.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES

    model = load_model(tiny_model, device="cpu")
    maps = compute_latents(model, read_mammogram(image))
    table = pd.read_csv(tmp_path / "out" / "latents.csv")
    assert list(table.columns[:4]) == ["latent", "mean", "max", "active_cells"]
    np.testing.assert_array_equal(table["mean"].astype(np.float32), maps.pooled_mean)
    np.testing.assert_array_equal(table["active_cells"], maps.active_cells)
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert list(record["logit"].values()) == list(maps.logits)
    settings = record["provenance"]["settings"]
    assert settings == {
        "image": "breast.png", "model": "model.toml", "boxes": None, "top": 3, "crop": True, "notes": [],
    }  # fmt: skip


def test_a_decoder_that_is_not_of_unit_norm_is_noted_with_the_latents(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model = tiny.write_model(tmp_path / "model")
    weights = load_file(model.parent / "sae.safetensors")
    save_file(weights | {"decoder_weight": weights["decoder_weight"] * 3}, model.parent / "sae.safetensors")
    assert inspect(image, model, tmp_path / "out") == 0
    note = "sae.safetensors: the decoder's columns have norms of 3 to 3, not 1"
    assert f"Note: {note}" in capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["provenance"]["settings"]["notes"][0].startswith(note)
    assert main(["run", str(image.parent), "--model", str(model), "--out", str(tmp_path / "run")]) == 0
    assert note.partition(":")[2] in capsys.readouterr().err


def test_quiet_says_nothing(image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert inspect(image, tiny_model, tmp_path / "out", "--quiet", "--figure", "svg") == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "out" / "figure.svg").exists()


def test_inspect_draws_the_boxes_of_its_image(image: Path, tiny_model: Path, tmp_path: Path):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,finding,xmin,ymin,xmax,ymax\nbreast,mass,10,20,60,90\nother,mass,0,0,5,5\n")
    assert inspect(image, tiny_model, tmp_path / "with", "--boxes", str(boxes), "--figure", "svg") == 0
    assert inspect(image, tiny_model, tmp_path / "without", "--figure", "svg") == 0
    outlines = [(tmp_path / name / "figure.svg").read_text().count("stroke: #35d0ba") for name in ("with", "without")]
    assert outlines[0] == 2
    assert outlines[1] == 0


@pytest.mark.parametrize(("patient", "drawn"), [("P1", 1), ("P2", 2), ("P3", 0)])
def test_inspect_draws_the_boxes_of_its_patient_only(
    tiny_model: Path, tmp_path: Path, patient: str, drawn: int, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / patient).mkdir()
    image, boxes = tiny.write_image(tmp_path / patient / "1-1.png"), tmp_path / "boxes.csv"
    rows = "P1/1-1.dcm,mass,10,20,60,90\nP2/1-1.dcm,mass,10,20,60,90\nP2/1-1.dcm,mass,30,40,80,99\n"
    boxes.write_text(f"image,finding,xmin,ymin,xmax,ymax\n{rows}P1/1-2.dcm,mass,0,0,5,5\n")
    assert inspect(image, tiny_model, tmp_path / "out", "--boxes", str(boxes), "--figure", "svg") == 0
    assert (tmp_path / "out" / "figure.svg").read_text().count("stroke: #35d0ba") == 2 * drawn
    assert ("names none of the 1 image" in capsys.readouterr().err) == (not drawn)


def test_taking_the_image_as_it_is(image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert inspect(image, tiny_model, tmp_path / "out", "--no-crop") == 1
    assert "breast.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    exact = tiny.write_image(tmp_path / "exact.png", shape=tiny.SIZE)
    assert inspect(exact, tiny_model, tmp_path / "out", "--no-crop", "--quiet") == 0


def broken_csv(folder: Path) -> list[str]:
    (folder / "boxes.csv").write_text("image,xmin\nbreast,1\n")
    return ["--boxes", str(folder / "boxes.csv")]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: ["--model", "nonsense"], "nonsense"),
        (lambda folder: ["--model", str(folder / "gone.toml")], "gone.toml"),
        (broken_csv, "boxes.csv"),
    ],
    ids=["unknown model", "missing model file", "boxes without columns"],
)
def test_failures_are_one_line_and_leave_nothing(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change, named: str
):
    assert inspect(image, tiny_model, tmp_path / "out", *change(tmp_path)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert named in said.err
    assert str(tmp_path) not in said.err
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_none(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n....")
    assert inspect(tmp_path / "broken.png", tiny_model, tmp_path / "out") == 1
    assert capsys.readouterr().err.startswith("Error: broken.png")


@pytest.mark.parametrize(
    "writer", ["pandas.DataFrame.to_csv", "numpy.savez_compressed", "matplotlib.figure.Figure.savefig", "os.fsync"]
)
def test_a_full_disk_leaves_what_was_there(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, writer: str,
):  # fmt: skip
    """Whichever of the four files no longer fits, none is replaced: they mean something beside each other only."""
    out = tmp_path / "out"
    assert inspect(image, tiny_model, out, "--quiet") == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out / "latents.csv"))

    monkeypatch.setattr(writer, full)
    assert inspect(image, tiny_model, out, "--quiet", "--top", "2") == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"Error: The disk is full: (\S+) was not written. Free some space, then try again.\n", said)
    assert said.split()[5] in before
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_boxes_that_were_clipped_or_are_of_other_images_are_noted(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    header, boxes = "image,finding,xmin,ymin,xmax,ymax\n", tmp_path / "boxes.csv"
    boxes.write_text(f"{header}breast,mass,10,20,9000,90\nother,mass,1,2,3,4\n")
    assert inspect(image, tiny_model, tmp_path / "out", "--boxes", str(boxes)) == 0
    first, _, alarm = capsys.readouterr().err.partition("\n")
    assert first == "Note: boxes.csv: boxes that reached beyond their image, clipped to it: 1"
    assert ALARM.fullmatch(alarm)
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert "clipped" in record["provenance"]["settings"]["notes"][0]
    boxes.write_text(f"{header}other,mass,10,20,60,90\n")
    assert inspect(image, tiny_model, tmp_path / "out", "--boxes", str(boxes)) == 0
    said = capsys.readouterr().err
    assert said.startswith(
        "Note: boxes.csv: names none of the 1 image; it has for example 'other', wanted are 'breast'"
    )
    assert inspect(image, tiny_model, tmp_path / "out", "--boxes", str(boxes), "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_boxes_made_for_an_image_of_another_size_are_refused(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,finding,xmin,ymin,xmax,ymax,height,width\nbreast,mass,10,20,60,90,3000,2000\n")
    assert inspect(image, tiny_model, tmp_path / "out", "--boxes", str(boxes)) == 1
    assert "the boxes of breast are for 3000 x 2000 pixels, the image has 400 x 300" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert inspect(image, tiny_model, tmp_path / "out", "--device", "cuda:1") == 1
    assert "device 'cuda:1' is not available on this machine; choose auto or cpu" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_nobody_foresaw_is_one_line_too(
    image: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("napari_mammosae.core.models.compute.features_and_latents", broken)
    assert inspect(image, tiny_model, tmp_path / "out") == 1
    assert capsys.readouterr() == ("", "Error: Unexpected ZeroDivisionError: by zero\n")
    assert not (tmp_path / "out").exists()
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith("_")}
    monkeypatch.setattr("sys.flags", SimpleNamespace(**flags | {"dev_mode": True}))
    with pytest.raises(ZeroDivisionError):
        inspect(image, tiny_model, tmp_path / "out")


@pytest.mark.parametrize(
    "args",
    [
        ["inspect", "a.png", "--model", "demo"],
        ["inspect", "a.png", "--model", "demo", "--out", "x", "--top", "0"],
        ["inspect", "a.png", "--model", "demo", "--out", "x", "--precision", "int8"],
        ["inspect", "a.png", "--model", "demo", "--out", "x", "--device", "abacus"],
        ["view"],
        ["demo", "--screenshot", "demo.xyz"],
        ["view", "a.png", "--device", "cuda:x"],
        ["phantoms", "x", "--count", "2", "--marker-bias", "1.5"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_usage(args: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(args) == 2
    assert "Usage: napari-mammosae" in "".join(capsys.readouterr())


def test_ctrl_c(image: Path, tiny_model: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_mammosae.core.models.compute.features_and_latents", stop)
    assert inspect(image, tiny_model, tmp_path / "out") == 1
    assert capsys.readouterr().err.endswith("Error: stopped\n")
    assert not (tmp_path / "out").exists()


def test_notes_of_the_core_are_shown_as_one_line(
    image: Path, tiny_model: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    def talkative(*args: object, **options: object) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the backbone\ndiffers", stacklevel=1)
            warnings.warn("for developers", DeprecationWarning, stacklevel=1)
        return load_model(*args, **options)

    monkeypatch.setattr("napari_mammosae.core.models.loading.load_model", talkative)
    assert inspect(image, tiny_model, tmp_path / "out", "--quiet") == 0
    assert capsys.readouterr().err == "Note: the backbone differs\n"


def test_version_and_help_name_the_commands(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"napari-mammosae {napari_mammosae.__version__}\n"
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "not for diagnosis" in " ".join(said.split())
    for command in ("demo", "view", "inspect", "phantoms", "models"):
        assert f"\n  {command} " in said


def test_models(tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["models", "list"]) == 0
    assert capsys.readouterr().out.startswith("demo\tembedded")
    model = load_model(tiny_model, device="cpu")
    assert main(["models", "verify", str(tiny_model)]) == 0
    said = capsys.readouterr().out
    assert model.model_sha256 in said
    assert model.sae_sha256 in said
    assert "features 256 x {} x {}, latents 64".format(*model.grid) in said
    assert main(["models", "verify", "nonsense"]) == 1


@pytest.mark.parametrize("args", [["demo"], ["view", "a.png"]])
def test_a_machine_without_a_display_is_told_what_to_do(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main(args) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: There is no display")
    assert "--screenshot" in said


def test_a_machine_without_qt_is_told_what_to_install(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setitem(sys.modules, "qtpy", None)
    assert main(["demo"]) == 1
    assert 'pip install "napari-mammosae[all]"' in capsys.readouterr().err


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "napari_mammosae", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"napari-mammosae {napari_mammosae.__version__}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("quiet", "shown"), [(False, True), (True, False)])
def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, quiet: bool, shown: bool):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with working("Loading demo", quiet=quiet):
        pass
    with progress(quiet=quiet) as report:
        report("Reading images", 3, 7)
        report("Reading images, 1 failed", 4, 7)
        report("Drawing boxes", 2, 5)
    said = sys.stderr.getvalue()
    assert ("Loading demo" in said) == shown
    for part in ("Reading images, 1 failed", "4/7", "Drawing boxes", "2/5"):
        assert (part in said) == shown


def test_phantoms(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "phantoms"
    assert main(["phantoms", str(folder), "--count", "2", "--seed", "7", "--marker-bias", "1"]) == 0
    assert "wrote 2 synthetic phantoms" in capsys.readouterr().out
    images = sorted(folder.glob("*.png"))
    assert [read_mammogram(path).shape for path in images] == [(1520, 912)] * 2
    labels = pd.read_csv(folder / "labels.csv")
    assert list(labels.columns) == ["image", "patient", "mass", "suspicious_calcification"]
    assert set(labels["image"]) == {path.stem for path in images}
    boxes = [pd.read_csv(folder / name) for name in ("findings.csv", "structures.csv")]
    assert all(list(table.columns) == ["image", "finding", "xmin", "ymin", "xmax", "ymax"] for table in boxes)
    assert len(list((folder / "truth").glob("*.npz"))) == 2
    settings = json.loads((folder / "phantoms.json").read_text())["settings"]
    assert settings == {"count": 2, "seed": 7, "marker_bias": 1.0, "hidden_nipples": 0.0}
    before = sorted(path.name for path in folder.iterdir())
    assert main(["phantoms", str(folder), "--count", "1", "--seed", "7"]) == 1
    said = capsys.readouterr().err
    assert "holds other synthetic phantoms (1, first phantom-000008)" in said
    assert sorted(path.name for path in folder.iterdir()) == before
    assert pd.read_csv(folder / "labels.csv").equals(labels)
