"""Every kind of file a user may give by mistake, and words of what the user is then told.

Each case writes its file (or none) into a folder and returns its path. The words are: what was found, and what is
expected or can be done; the file's name belongs to every message and is not repeated here.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import tifffile
import torch
from safetensors.torch import load_file, save_file

import tiny
from dicom_factory import breast_image, truncate, write_dicom

Case = tuple[str, Callable[[Path], Any], tuple[str, ...]]


def _dicom(path: Path, **options: Any) -> Path:
    pixels = options.pop("pixels", None)
    return write_dicom(path, breast_image() if pixels is None else pixels, **options)


def _without_image(path: Path) -> None:
    dataset = pydicom.dcmread(_dicom(path))
    del dataset.PixelData
    dataset.save_as(path)


def _cut_png(path: Path) -> None:
    truncate(tiny.write_image(path))


def _colour(path: Path) -> None:
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (400, 300, 3), dtype=np.uint8))


IMAGES: list[Case] = [
    ("gone.png", lambda path: None, ("no such file", "check the path")),
    ("folder.png", Path.mkdir, ("a folder", "expected an image file")),
    ("empty.png", Path.touch, ("empty (0 bytes)", "copy it again")),
    ("words.dcm", lambda path: path.write_text("words " * 100), ("not a DICOM file", "export it again")),
    ("notes.txt", lambda path: path.write_text("words " * 100), ("not an image known here", "expected DICOM, PNG")),
    ("cut.png", _cut_png, ("truncated PNG", "copy it again")),
    ("cut.dcm", lambda path: truncate(_dicom(path)), ("is truncated", "copy it again")),
    ("cut_j2k.dcm", lambda path: truncate(_dicom(path, compression="jpeg2000")), ("truncated", "copy it again")),
    ("bare.dcm", _without_image, ("without an image", "expected a mammogram")),
    ("colour.png", _colour, ("a colour image", "save it as grey")),
    (
        "colour.dcm",
        lambda path: _dicom(
            path, pixels=np.random.default_rng(0).integers(0, 255, (90, 60, 3), np.uint8), photometric="RGB"
        ),
        ("a colour image", "save it as grey"),
    ),
    (
        "frames.dcm",
        lambda path: _dicom(path, pixels=np.stack([breast_image()] * 3), frames=3),
        ("multi-frame DICOM with 3 frames", "expected a single 2-D mammogram"),
    ),
    (
        "pages.tif",
        lambda path: tifffile.imwrite(path, np.stack([tiny.picture()] * 2), photometric="minisblack"),
        ("2 pages", "expected a single 2-D image"),
    ),
    ("three.npy", lambda path: np.save(path, np.zeros((3, 40, 50))), ("shape (3, 40, 50)", "expected a 2-D")),
    ("objects.npy", lambda path: np.save(path, np.array([{}], object)), ("not a plain NPY array", "expected a 2-D")),
    (
        "words.npy",
        lambda path: np.save(path, np.array([["a", "b"]])),
        ("values of type <U1", "expected integers or real"),
    ),
    (
        "cut.npy",
        lambda path: (np.save(path, tiny.picture()), truncate(path)),
        ("not a plain NPY array", "expected a 2-D"),
    ),
    ("nan.npy", lambda path: np.save(path, np.full((40, 50), np.nan)), ("not finite", "export it again")),
    (
        "flat.npy",
        lambda path: np.save(path, np.full((40, 50), 7)),
        ("every pixel has the value 7", "expected a mammogram"),
    ),
    (
        "nothing.npy",
        lambda path: np.save(path, np.zeros((0, 9))),
        ("empty image of shape (0, 9)", "expected a mammogram"),
    ),
]

HEADER = "image,finding,xmin,ymin,xmax,ymax"
TABLES: list[Case] = [
    ("gone.csv", lambda path: None, ("no such file", "check the path")),
    ("folder.csv", Path.mkdir, ("a folder", "give a table of boxes")),
    ("empty.csv", Path.touch, ("the file is empty", "expected a CSV with a header")),
    (
        "some.csv",
        lambda path: path.write_text("image,finding,xmin\nbreast,mass,1\n"),
        ("ymin, ymax, xmax, which are missing; found image, finding, xmin", "Rename its columns"),
    ),
    (
        "nameless.csv",
        lambda path: path.write_text("xmin,ymin,xmax,ymax\n1,2,3,4\n"),
        ("needs the columns image", "another table"),
    ),
    (
        "letters.csv",
        lambda path: path.write_text(f"{HEADER}\nbreast,mass,1,two,3,4\n"),
        ("line 2: ymin is 'two'", "expected a number"),
    ),
    (
        "half.csv",
        lambda path: path.write_text(f"{HEADER}\nbreast,mass,1,2,,\n"),
        ("line 2: a box with blank coordinates", "expected four numbers"),
    ),
    (
        "cut.csv",
        lambda path: path.write_text(f"{HEADER}\nbreast,mass,1,2\n"),
        ("line 2: 4 cells where the header has 6", "cut off"),
    ),
    ("image.csv", lambda path: path.write_bytes(b"\x89PNG\0\0\0\0"), ("a binary file", "save it as CSV")),
    ("other.json", lambda path: path.write_text('{"boxes": []}'), ("not COCO JSON", "expected images")),
]


class _Payload:
    """Makes a file when it is unpickled by a reader that runs what it reads."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return shutil.copy, (__file__, self.trace)


def _beside_tiny(path: Path, **changed: str) -> None:
    """A model.toml beside the tiny model's files, with some lines changed."""
    tiny.write_model(path.parent)
    (path.parent / "model.toml").unlink()
    lines = dict(line.split(" = ", 1) for line in tiny.TOML.splitlines()) | changed
    path.write_text("\n".join(f"{key} = {value}" for key, value in lines.items()))


def _hostile(path: Path) -> None:
    torch.save({"model": {"w": torch.ones(1)}, "extra": _Payload(path.parent / "trace")}, path.parent / "hostile.pth")
    path.write_text("classifier = 'hostile.pth'")


def _resnet(path: Path) -> None:
    torch.save({"model": {"layer1.0.conv1.weight": torch.ones(4, 4)}}, path.parent / "resnet.pth")
    path.write_text("classifier = 'resnet.pth'")


def _other_width(path: Path) -> None:
    _beside_tiny(path, sae="'narrow.safetensors'")
    weights = load_file(path.parent / "sae.safetensors")
    narrow = {"encoder_weight": weights["encoder_weight"][:, :99], "decoder_weight": weights["decoder_weight"][:99]}
    narrow["tied_bias"] = weights["tied_bias"][:99]
    save_file({k: v.contiguous() for k, v in (weights | narrow).items()}, path.parent / "narrow.safetensors")


def _missing_weights(path: Path) -> None:
    _beside_tiny(path, classifier="'less.safetensors'")
    weights = load_file(path.parent / "classifier.safetensors")
    weights.pop("image_encoder.bn2.running_var")
    save_file(weights, path.parent / "less.safetensors")


def _cut_weights(path: Path) -> None:
    torch.save({"model": {"w": torch.ones(10_000)}}, path.parent / "cut.pth")
    truncate(path.parent / "cut.pth")
    path.write_text("classifier = 'cut.pth'")


def _cut_safetensors(path: Path) -> None:
    _beside_tiny(path)
    truncate(path.parent / "sae.safetensors")


def _text_as_weights(path: Path) -> None:
    (path.parent / "words.pth").write_text("no weights\n" * 30)
    path.write_text("classifier = 'words.pth'")


MODELS: list[tuple[str, str, Callable[[Path], Any], tuple[str, ...]]] = [
    ("gone", "model.toml", lambda path: None, ("no such file", "check the path")),
    ("folder", "model.toml", Path.mkdir, ("cannot be read", "expected a model.toml")),
    (
        "no toml",
        "model.toml",
        lambda path: path.write_text("name = "),
        ("is not a TOML file", "expected lines such as"),
    ),
    (
        "unknown key",
        "model.toml",
        lambda path: path.write_text("blocks_of = 'a'"),
        ("unknown key blocks_of", "known are name, layer"),
    ),
    (
        "no weights",
        "model.toml",
        lambda path: path.write_text("name = 'a'"),
        ("names no weights", "expected classifier = 'file'"),
    ),
    (
        "missing weights file",
        "model.toml",
        lambda path: path.write_text("classifier = 'a.pth'"),
        ("'a.pth', which does not exist", "relative to model.toml"),
    ),
    (
        "size",
        "model.toml",
        lambda path: path.write_text("input_size = [3]"),
        ("input_size is [3]", "expected [height, width]"),
    ),
    ("text", "words.pth", _text_as_weights, ("is not a weights file", "expected one written by torch.save")),
    ("truncated", "cut.pth", _cut_weights, ("looks truncated", "copy or download it again")),
    (
        "truncated SAE",
        "sae.safetensors",
        _cut_safetensors,
        ("cannot be read as safetensors", "copy or download it again"),
    ),
    (
        "hostile pickle",
        "hostile.pth",
        _hostile,
        ("asks for shutil.copy", "nothing of it was run", "Use the published file"),
    ),
    (
        "another architecture",
        "resnet.pth",
        _resnet,
        ("holds no EfficientNet image encoder", "found keys such as layer1"),
    ),
    ("weights missing", "less.safetensors", _missing_weights, ("1 weights missing ['bn2.running_var']",)),
    (
        "SAE of another width",
        "narrow.safetensors",
        _other_width,
        ("reads 99 features but layer head of phantom-b0 has 256", "choose the SAE that belongs"),
    ),
    (
        "SAE as classifier",
        "sae.safetensors",
        lambda path: _beside_tiny(path, classifier="'sae.safetensors'"),
        ("holds no EfficientNet image encoder",),
    ),
    (
        "classifier as SAE",
        "classifier.safetensors",
        lambda path: _beside_tiny(path, sae="'classifier.safetensors'"),
        ("is not a sparse autoencoder", "expected the released file"),
    ),
    (
        "classes",
        "classifier.safetensors",
        lambda path: _beside_tiny(path, classes="['a', 'b', 'c']"),
        ("has 2 logits, but 3 classes", "give one name per logit"),
    ),
    (
        "no layer",
        "",
        lambda path: _beside_tiny(path, layer="'blocks.99'"),
        ("no layer 'blocks.99'", "there are 'head' and 'blocks.0' to"),
    ),
]
"""What the case is, the file the message names (none where no file is at fault), how it comes about, and words."""
