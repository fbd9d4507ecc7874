import os
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.annotations.labels import read_label_rows, read_labels
from napari_mammosae.core.base.errors import Cancelled, FindingsError, ImageError, MammoSAEError, RunError
from napari_mammosae.core.base.reading import LONGEST, reading, reads, short_line, short_reason
from napari_mammosae.core.datasets.inbreast import read_outlines
from napari_mammosae.core.datasets.sheets import read_sheet
from napari_mammosae.core.images.listing import resolve_images
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.files.model_files import read_model_file
from napari_mammosae.core.models.weights.checkpoints import load_tensors, read_sae_weights
from napari_mammosae.core.phantoms.dataset import load_truth
from napari_mammosae.core.ranking.files import read_ranking
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.exchange import read_events


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (ValueError("a\nb"), "a.csv: cannot be read, expected a table (a); copy it again"),
        (KeyError("x"), "a.csv: cannot be read, expected a table ('x'); copy it again"),
        (AssertionError(), "a.csv: cannot be read, expected a table (AssertionError); copy it again"),
        (RecursionError(), "a.csv: its values are nested too deep; expected a table"),
        (MemoryError(), "a.csv: needs more memory than is free; expected a table"),
        (PermissionError(13, "Permission denied"), "a.csv: cannot be read (Permission denied)"),
        (OSError("odd"), "a.csv: cannot be read, expected a table (odd); copy it again"),
        (ImageError("b.png: /home/erika/b.png\nis bad"), "b.png: b.png is bad"),
        (ImageError("b.png: is bad"), "b.png: is bad"),
    ],
)
def test_whatever_is_raised_becomes_a_short_typed_error(raised: Exception, words: str) -> None:
    with pytest.raises(MammoSAEError) as error, reading(Path("/home/erika/a.csv"), FindingsError, "a table"):
        raise raised
    assert type(error.value) is (ImageError if isinstance(raised, ImageError) else FindingsError)
    assert str(error.value) == words


def test_long_messages_are_cut() -> None:
    with pytest.raises(FindingsError) as error, reading(Path("a.csv"), FindingsError, "a table"):
        raise ValueError("x" * 200_000)
    assert str(error.value).startswith("a.csv: ")
    assert len(str(error.value)) <= LONGEST
    assert len(short_line("word " * 50_000)) == LONGEST
    assert len(short_reason(ValueError("word " * 50_000))) == 120


def test_signs_that_do_not_print_are_replaced() -> None:
    assert short_line("a\x1b[31mb\0c\u2028d") == "a?[31mb?c d"


def test_who_stops_the_work_is_heard() -> None:
    with pytest.raises(Cancelled, match=r"^stopped$"), reading(Path("a.csv"), FindingsError, "a table"):
        raise Cancelled("stopped")
    with pytest.raises(KeyboardInterrupt), reading(Path("a.csv"), FindingsError, "a table"):
        raise KeyboardInterrupt


def test_the_first_argument_is_the_file() -> None:
    @reads(RunError, "a run")
    def read(path: Path | str) -> int:
        return len({}[str(path)])

    for call in (lambda: read("/a/b.json"), lambda: read(path=Path("/a/b.json"))):
        with pytest.raises(RunError, match=r"^b\.json: cannot be read, expected a run"):
            call()


_READERS = {
    "a.png": read_mammogram,
    "a.dcm": read_mammogram,
    "boxes.csv": read_findings,
    "boxes.json": read_findings,
    "labels.csv": read_labels,
    "rows.csv": read_label_rows,
    "list.csv": resolve_images,
    "20586908.xml": read_outlines,
    "sheet.csv": lambda path: read_sheet(path, ["image"]),
    "ranking.csv": read_ranking,
    "class=0.json": read_ranking,
    "model.toml": read_model_file,
    "a.pth": load_tensors,
    "a.safetensors": load_tensors,
    "sae.pt": read_sae_weights,
    "run": open_run,
    "verdicts.csv": read_events,
    "verdicts.json": read_events,
    "verdicts.sqlite": read_events,
    "truth.npz": load_truth,
}

_ODD = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "empty": Path.touch,
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "UTF-16": lambda path: path.write_text("picture,finding\na,b\n", encoding="utf-16"),
    "Latin-1": lambda path: path.write_bytes("picture,Größe\nä,1\n".encode("latin-1")),
    "one long line": lambda path: path.write_text("x" * 500_000),
    "a long header": lambda path: path.write_text(",".join(f"column {i}" for i in range(20_000)) + "\n1\n"),
    "deep": lambda path: path.write_text("[" * 200_000),
    "a huge number": lambda path: path.write_text("9" * 50_000),
}
if sys.platform != "win32":
    _ODD |= {"a link to itself": lambda path: path.symlink_to(path), "a pipe": os.mkfifo}


@pytest.mark.parametrize("name", _READERS)
def test_odd_things_in_place_of_a_file(tmp_path: Path, name: str) -> None:
    for number, (kind, make) in enumerate(_ODD.items()):
        if (name, kind) == ("verdicts.sqlite", "empty"):  # a database without tables
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / name)
        with pytest.raises(MammoSAEError) as error:
            _READERS[name](folder / name)
        message = str(error.value)
        assert name in message
        assert len(message) <= LONGEST
        assert message.isprintable()
        assert str(tmp_path) not in message


@pytest.mark.parametrize("name", _READERS)
@pytest.mark.parametrize("odd", ["a\0b", "n" * 300])
def test_names_that_no_file_can_have(tmp_path: Path, name: str, odd: str) -> None:
    with pytest.raises(MammoSAEError) as error:
        _READERS[name](tmp_path / f"{odd}-{name}")
    assert len(str(error.value)) <= LONGEST
    assert str(error.value).isprintable()
    assert str(tmp_path) not in str(error.value)


def test_truth_values_in_a_tiff_are_zero_and_one(tmp_path: Path) -> None:
    import tifffile

    for photometric, turned in (("miniswhite", 1), ("minisblack", 0)):
        tifffile.imwrite(tmp_path / "a.tif", np.eye(32) > 0, photometric=photometric)
        assert (read_mammogram(tmp_path / "a.tif").pixels == np.abs(np.eye(32) - turned)).all()
