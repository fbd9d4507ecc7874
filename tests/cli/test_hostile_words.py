"""Odd words on the command line: one line that says what was found and expected, and nothing new on the disk."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_mammosae.cli import main

LONG = "x" * 3000
OUTS = {
    "rank": ("--label", "mass", "--csv"), "evaluate": ("--permutations", "20", "--out"),
    "pages": ("--top", "1", "--out"),
    "compare": ("RUN", "--label", "mass", "--out"), "train-head": ("--label", "mass", "--out"), "name": ("--csv",),
    "localize": ("--boxes", "BOXES", "--csv"), "intervene": ("--label", "mass", "--csv"),
}  # fmt: skip
"""Commands on a run, and what comes before the place that they write to."""
MODELS = {
    "inspect": ("IMAGE", "--out", "OUT"), "rank": ("RUN", "--label", "mass"), "run": ("IMAGES", "--out", "OUT"),
    "train-sae": ("IMAGES", "--out", "OUT.safetensors"), "pages": ("RUN", "--out", "OUT"), "name": ("RUN",),
}  # fmt: skip
"""Commands that take a model."""
VERDICTS = {
    "export": ("verdicts", "export", "OUT.csv", "--verdicts", "FILE"),
    "import": ("verdicts", "import", "FILE", "--verdicts", "OUT.sqlite"),
    "merge": ("verdicts", "merge", "FILE", "--out", "OUT.sqlite"),
    "intervene": (
        "intervene",
        "RUN",
        "--model",
        "MODEL",
        "--label",
        "mass",
        "--verdict",
        "spurious",
        "--verdicts",
        "FILE",
    ),
}


@pytest.fixture
def place(tmp_path: Path, run_path: Path) -> Path:
    (tmp_path / "folder.sqlite").mkdir()
    (tmp_path / "image.png").write_bytes(next(run_path.parent.rglob("*.png")).read_bytes())
    (tmp_path / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-000,mass,1,1,40,40\n")
    return tmp_path


@pytest.fixture
def refused(place: Path, run_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that gives the line that a command ends with; it leaves the folder as it was."""
    names = {
        "RUN": run_path, "IMAGES": run_path.parent, "IMAGE": place / "image.png", "BOXES": place / "boxes.csv",
        "MODEL": tiny_model,
    }  # fmt: skip

    def run(*words: str) -> str:
        before = sorted(place.rglob("*"))
        assert main([str(names.get(word, word)).replace("OUT", str(place / "out")) for word in words]) == 1
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if not line.startswith("Note: ")]
        assert len(lines) == 1, said
        assert lines[0].startswith("Error: ")
        assert "Unexpected" not in said
        assert not {str(place), str(run_path)} & set(re.split(r"['\s(]", said))
        assert sorted(place.rglob("*")) == before
        return lines[0]

    return run


@pytest.mark.parametrize("command", ["rank", "intervene", "compare", "pages", "train-head"])
def test_a_very_long_name_is_shown_in_part(refused, command):
    more = {"compare": ["RUN", "--out", "OUT"], "pages": ["--out", "OUT"], "intervene": ["--model", "MODEL"]}
    words = more.get(command, [])
    line = refused(command, "RUN", *words, "--label", LONG)
    assert len(line) < 400
    assert re.search(r"has no label 'x+…x+'", line)


@pytest.mark.parametrize(("command", "before"), OUTS.items(), ids=OUTS)
def test_a_place_that_cannot_be_written(place, refused, command, before):
    line = refused(command, "RUN", *before, str(place / ("y" * 300) / "out.csv"))
    assert "File name too long" in line
    assert "Choose another place" in line


@pytest.mark.parametrize(("command", "words"), MODELS.items(), ids=MODELS)
@pytest.mark.parametrize("name", ["folder.sqlite", "image.png"])
def test_what_is_there_but_not_a_model_is_named_without_its_folders(place, refused, command, words, name):
    line = refused(command, *words, "--model", str(place / name))
    assert f"{name} is a {'file' if name == 'image.png' else 'folder'}, not a model; give a name" in line


@pytest.mark.parametrize(("command", "words"), VERDICTS.items(), ids=VERDICTS)
@pytest.mark.parametrize(("name", "said"), [("folder.sqlite", "is a folder"), ("gone.sqlite", "does not exist")])
def test_a_folder_in_the_place_of_verdicts_is_called_one(place, refused, command, words, name, said):
    if command == "export" and name == "folder.sqlite":
        name, said = "folder.sqlite", "verdicts.sqlite does not exist"  # a folder stands for the file of a run
    line = refused(*(str(place / name) if word == "FILE" else word for word in words))
    assert said in line


def test_verdicts_that_cannot_be_read_leave_no_new_file(place, refused):
    line = refused("verdicts", "import", str(place / "boxes.csv"), "--verdicts", "OUT.sqlite")
    assert "boxes.csv lacks the columns time, annotator" in line
    assert "found image, finding, xmin" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("localize", "RUN", "--boxes", "BOXES", "--order", "published:"), "published: is not a folder"),
        (("intervene", "RUN", "--model", "MODEL", "--label", "mass", "--k", "1,-4"), "k is -4; expected 0 to "),
        (("train-head", "RUN", "--label", "größe", "--out", "OUT"), "no label 'größe'"),
    ],
)
def test_what_was_found_is_said_as_it_was_written(refused, words, said):
    assert said in refused(*words)


def test_a_latent_that_is_named_twice_has_one_page(place, run_path):
    assert main(["pages", str(run_path), "--latents", "3,4,3", "--out", str(place / "out"), "--quiet"]) == 0
    assert sorted(path.name for path in (place / "out").glob("latent-*")) == ["latent-3.html", "latent-4.html"]
