"""`view` as typed into a terminal: a window, a picture of it, and what it says when something is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import tiny

pytestmark = pytest.mark.opengl

HEADER = "image,finding,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tiny.write_image(tmp_path / "breast.png")


def view(folder: Path, image: Path, *more: object) -> subprocess.CompletedProcess[str]:
    words = ["view", image, "--screenshot", folder / "out.png", "--device", "cpu", *more]
    command = [sys.executable, "-m", "napari_mammosae", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)


@pytest.mark.slow
def test_a_picture_of_the_window_with_latents_and_clipped_boxes(tmp_path: Path, image: Path, tiny_model: Path):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"{HEADER}breast,mass,10,20,9000,90\n")
    done = view(tmp_path, image, "--model", tiny_model, "--boxes", boxes, "--precision", "bfloat16")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote {tmp_path / 'out.png'}\n"
    assert "Note: boxes.csv: boxes that reached beyond their image, clipped to it: 1" in done.stderr
    picture = cv2.imread(str(tmp_path / "out.png"))
    assert picture.shape[0] > 500
    assert picture.std() > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            ["--no-crop"],
            "breast.png: the image has 400 x 300 pixels, and without cropping the model needs exactly 190 x",
        ),
        (["--boxes", "gone.csv"], "gone.csv: no such file"),
        (["--model", "nonsense"], "no model is called 'nonsense'"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_picture(tmp_path: Path, image: Path, tiny_model: Path, more, reason: str):
    done = view(tmp_path, image, "--model", tiny_model, *more)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert reason in last
    assert not (tmp_path / "out.png").exists()
