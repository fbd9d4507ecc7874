import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.annotations.labels import read_labels
from napari_mammosae.core.base.errors import FindingsError, ImageError, ModelError, SettingsError
from napari_mammosae.core.base.limits import LIMITS, check_limit, limit, variable
from napari_mammosae.core.images.listing import resolve_images
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.sizes import check_size
from napari_mammosae.core.models.files.model_files import read_model_file
from napari_mammosae.core.phantoms.dataset import load_truth
from napari_mammosae.core.ranking.files import read_ranking


def test_a_limit_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit("rows") == LIMITS["rows"]
    monkeypatch.setenv(variable("rows"), "10")
    assert limit("rows") == 10
    check_limit("rows", 10, "a.csv: 10 rows", FindingsError)
    with pytest.raises(FindingsError, match=r"a\.csv: 11 rows, above the limit of 10\. .*NAPARI_MAMMOSAE_MAX_ROWS"):
        check_limit("rows", 11, "a.csv: 11 rows", FindingsError)
    for wrong in ("many", "-1", "0", "1e9", "9" * 40):
        monkeypatch.setenv(variable("rows"), wrong)
        with pytest.raises(SettingsError, match=r"NAPARI_MAMMOSAE_MAX_ROWS is .*expected a positive whole number"):
            limit("rows")


def test_real_data_is_far_below_the_limits() -> None:
    check_size("a.dcm", 20_000, 20_000, 8)
    assert LIMITS["rows"] >= 100_000_000
    assert LIMITS["cell"] >= 100_000


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _large_png(path: Path) -> None:
    """30,000 x 30,000 pixels of four channels and 16 bits: 7.2 GB in less than a megabyte."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 16, 6, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b""))


def _large_jpeg(path: Path) -> None:
    data = bytearray(cv2.imencode(".jpg", np.eye(64, dtype=np.uint8) * 200)[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    path.write_bytes(data)


def _large_tiff(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((8, 8), np.uint16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(60_000)


def _swelling_tiff(path: Path) -> None:
    """A strip of 32 bytes that unpacks to 200 MB."""
    strip = zlib.compress(bytes(200_000_000))
    tifffile.imwrite(path, iter([strip]), shape=(4, 4), dtype=np.uint16, compression="zlib")


def _large_npy(path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (400_000, 400_000)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(1000))


def _large_dicom(path: Path) -> None:
    write_dicom(path, breast_image(48, 32), Rows=60_000, Columns=60_000)


def _large_stream(path: Path) -> None:
    write_dicom(path, breast_image(48, 32), compression="jpeg2000")
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\x4f\xff\x51")
    data[at + 8 : at + 16] = struct.pack(">II", 1 << 20, 1 << 20)
    path.write_bytes(data)


def _swelling_dicom(path: Path) -> None:
    write_dicom(path, breast_image(48, 32))
    import pydicom

    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(200_000_000)
    dataset.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.png", _large_png, "30,000 x 30,000 pixels, 7.2 GB decoded, above the limit of 4.3 GB"),
        ("a.jpg", _large_jpeg, "65,000 x 65,000 pixels, above the limit"),
        ("a.tif", _large_tiff, "60,000 x 60,000 pixels, above the limit"),
        ("swelling.tif", _swelling_tiff, "a strip unpacks to more than its size"),
        ("a.npy", _large_npy, "cut off, or its header is damaged"),
        ("a.dcm", _large_dicom, "60,000 x 60,000 pixels, above the limit"),
        ("stream.dcm", _large_stream, "1,048,576 x 1,048,576 pixels, above the limit"),
        ("swelling.dcm", _swelling_dicom, "above 20 times as much"),
    ],
)
def test_an_image_larger_than_memory_is_refused_by_its_header(tmp_path: Path, name: str, write, words: str) -> None:
    path = tmp_path / name
    write(path)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ImageError) as error:
        read_mammogram(path)
    assert str(error.value).startswith(name)
    assert words in str(error.value)


def test_an_image_limit_can_be_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.eye(40, dtype=np.uint8))
    read_mammogram(tmp_path / "a.png")
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_PIXELS", "1599")
    with pytest.raises(ImageError, match=r"a\.png: an image of 40 x 40 pixels, above the limit of 1,599"):
        read_mammogram(tmp_path / "a.png")


def test_tables_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("image,mass,note\n" + "a,1,x\nb,0,y\n" * 10)
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_ROWS", "5")
    with pytest.raises(FindingsError, match=r"a\.csv: 21 lines, above the limit of 5"):
        read_labels(path)
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"{i}.png\n" for i in range(9)))
    with pytest.raises(ImageError, match=r"list\.csv: 10 lines, above the limit of 5"):
        resolve_images(tmp_path / "list.csv")
    monkeypatch.delenv("NAPARI_MAMMOSAE_MAX_ROWS")
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_CELL", "20")
    path.write_text("image,mass\n" + "a" * 50 + ",1\n")
    with pytest.raises(FindingsError, match=r"a\.csv, line 2: not a readable CSV \(field larger"):
        read_labels(path)
    monkeypatch.delenv("NAPARI_MAMMOSAE_MAX_CELL")
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_COLUMNS", "3")
    path.write_text("image,a,b,c,d\nx,1,1,1,1\n")
    with pytest.raises(FindingsError, match=r"a\.csv: a header of 4 columns, above the limit of 3"):
        read_labels(path)


def test_a_long_note_is_read(tmp_path: Path) -> None:
    note = "word " * 100_000
    (tmp_path / "a.csv").write_text(f"image,finding,xmin,ymin,xmax,ymax,note\na,mass,1,2,3,4,{note}\n")
    assert read_findings(tmp_path / "a.csv").table["note"].tolist() == [note.strip()]


_DEEP = {
    "lists": "[" * 100_000,
    "closed": "[" * 5_000 + "]" * 5_000,
    "objects": '{"a":' * 50_000,
}


@pytest.mark.parametrize("text", _DEEP.values(), ids=_DEEP)
def test_deep_json_is_refused(tmp_path: Path, text: str) -> None:
    for name, read, kind in (("a.json", read_findings, FindingsError), ("class=1.json", read_ranking, SettingsError)):
        (tmp_path / name).write_text(text)
        with pytest.raises(kind, match=rf"{name}: values nested [\d,]+ deep, above the limit of 64"):
            read(tmp_path / name)


def test_brackets_within_texts_are_not_counted(tmp_path: Path) -> None:
    entry = {"id": 1, "file_name": "a" + '[{\\"' * 100}
    content = {"images": [entry], "categories": [], "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert len(read_findings(tmp_path / "a.json").images) == 1


def test_many_json_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_KEYS", "100")
    (tmp_path / "a.json").write_text(json.dumps(list(range(200))))
    with pytest.raises(FindingsError, match=r"a\.json: 199 values, above the limit of 100"):
        read_findings(tmp_path / "a.json")


_PARTS = ".a" * 49_000
_COSTLY_TOML = {
    "dotted key": f"a{_PARTS} = 1",
    "header": f"[a{_PARTS}]",
    "array header": f"[[a{_PARTS}]]",
    "quoted parts": "'a'" + ".'a'" * 25_000 + " = 1",
    "spaced parts": "a" + " . a" * 25_000 + " = 1",
    "inline": "a = {b" + _PARTS + " = 1}",
    "after a text with quotes": "k = {a = '''it's''', b" + _PARTS + " = 1, c = ''}",
    "after a long text": 'k = """\nit\'s " """\nb' + _PARTS + " = 'x'",
    "after an escape": 'k = {a = "\\\\", b' + _PARTS + ' = 1, c = "x"}',
    "after a comment": "# it's\nb" + _PARTS + " = 'x'",
    "lines": "[" + ".".join("a" * 1000) + "]\n" + "\n".join("a." * 480 + f"b{i} = 1" for i in range(98)),
    "arrays": "a = " + "[" * 100_000,
    "tables": "a = " + "{a = " * 20_000,
    "digits": "a = " + "9" * 100_000,
}


@pytest.mark.parametrize("text", _COSTLY_TOML.values(), ids=_COSTLY_TOML)
def test_a_costly_toml_is_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.toml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"model\.toml") as error:
        read_model_file(path)
    assert time.monotonic() - began < 3
    assert len(str(error.value)) <= 300


def test_a_toml_of_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text("# words\n" * 200_000)
    with pytest.raises(ModelError, match=r"model\.toml: 1\.6 MB, above the limit of 1\.0 MB"):
        read_model_file(path)


def test_masks_that_unpack_to_far_more_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("shape.npy", bytes(100_000_000))
    with pytest.raises(ImageError, match=r"a\.npz: .* unpack to 100\.0 MB"):
        load_truth(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_too_little_memory_is_said(tmp_path: Path) -> None:
    """A large but allowed image in a process that may not have as much."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 16, 0, 0, 0, 0)
    data = zlib.compress(bytes(800_020_000), 1)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    )
    code = (
        "import resource, sys\n"
        "from napari_mammosae.core.base.errors import ImageError\n"
        "from napari_mammosae.core.images.mammogram import read_mammogram\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (200 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        "try:\n    read_mammogram(sys.argv[1])\nexcept ImageError as error:\n    print(error)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith("a.png: ")
