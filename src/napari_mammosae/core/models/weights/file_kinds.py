"""What a file is that is given as weights, from its first bytes: its name does not tell."""

import json
import zipfile
from pathlib import Path

from ...base.errors import CheckpointError
from ...base.files import explain_unreadable

SAFETENSORS = ".safetensors"
_HEAD = 512
_LONGEST_HEADER = 1 << 27
"""Bytes of the description at the head of a safetensors file, at most."""

_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer, which stands for the weights; run `git lfs pull` to get them"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it and name the weights file in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and name the weights file in it"),
    (0, b"Rar!", "a RAR archive; unpack it and name the weights file in it"),
    (0, b"BZh", "a bzip2 archive; unpack it and name the weights file in it"),
    (0, b"\xfd7zXZ\0", "an xz archive; unpack it and name the weights file in it"),
    (257, b"ustar", "a tar archive; unpack it and name the weights file in it"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes them; convert it with PyTorch first"),
    (0, b"\x93NUMPY", "a numpy array; expected named tensors"),
    (0, b"GGUF", "a GGUF file; expected one written by torch.save, or safetensors"),
    (0, b"%PDF", "a PDF document"),
    (128, b"DICM", "a DICOM image; it goes in as an image"),
    (0, b"\x89PNG", "a PNG image; it goes in as an image"),
)
_PAGE = "an HTML page, not weights: the download was answered by a login or an error; download the file itself"


def check_weights_file(path: Path) -> None:
    """Raise CheckpointError, saying what the file is, unless it may hold weights and is named as what it is."""
    if path.is_dir():
        raise CheckpointError(f"{path.name} is a folder; name the weights file in it")
    if not path.is_file():
        raise CheckpointError(f"{path.name}: no such file in {path.parent.name or 'this folder'}; check the path")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path.name} is empty (0 bytes); copy or download it again")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise CheckpointError(explain_unreadable(path, error)) from error
    if _is_safetensors(path, head, size):  # first: it begins with a number, which can look like anything
        if path.suffix != SAFETENSORS:
            raise CheckpointError(f"{path.name} is a safetensors file; rename it to {path.stem}{SAFETENSORS}")
        return
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")) or (text.startswith(b"<") and b"<html" in text):
        raise CheckpointError(f"{path.name} is {_PAGE}")
    if text.startswith(b"<?xml"):
        raise CheckpointError(
            f"{path.name} is an XML document, not weights: a server's reply? Download the file itself"
        )
    for offset, start, what in _KINDS:
        if head[offset:].startswith(start):
            raise CheckpointError(f"{path.name} is {what}")
    if head.startswith(b"PK"):
        _check_zip(path)
    if path.suffix == SAFETENSORS and head.startswith((b"PK", b"\x80")):
        raise CheckpointError(f"{path.name} is a file of torch.save, not safetensors; rename it to {path.stem}.pth")


def _is_safetensors(path: Path, head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
        return False
    with path.open("rb") as file:
        file.seek(8)
        try:
            return isinstance(json.loads(file.read(length)), dict)
        except (ValueError, RecursionError):
            return False


def _check_zip(path: Path) -> None:
    """Raise CheckpointError for an archive in which files lie that a person packed; torch.save writes archives too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # the reader says what is wrong with it
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return
    weights = [name for name in names if name.lower().endswith((".pt", ".pth", ".tar", ".ckpt", SAFETENSORS))]
    shown = ", ".join(name.rpartition("/")[2] for name in weights[:3])
    inside = f"such as {shown}" if shown else "and no weights file among them"
    raise CheckpointError(
        f"{path.name} is a zip archive of {len(names):,} files, {inside}; unpack it and name the weights file in it"
    )
