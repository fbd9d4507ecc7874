"""Files of `torch.save` in both its formats: a zip of a pickle and storages, and the older row of pickles.

Before memory is asked for, every size in the file is held against the bytes that are there.
"""

import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from ...base.errors import CheckpointError
from ...base.limits import FREE_BYTES, check_grown
from .harmless import Storage, StorageKind, TensorBudget, harmless_names
from .machine import NotHarmless, read_pickle

ZIP_START, PICKLE_START = b"PK", b"\x80"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_LOCAL_HEADER = 30
"""Bytes before the name of a member of a zip archive."""
_SHARING = 4
"""How many times its size a file's tensors may take together: several can be views of one storage."""


def read_weights_file(path: Path, start: int = 0, *, mapped: bool = False) -> Any:
    """Return what a file of `torch.save` holds: containers, numbers, plain numpy arrays, and tensors on the CPU.

    What comes before the byte `start` is another's. With `mapped` the tensors of a zip archive are views of the file,
    read where they are looked at: what is not needed of a large file costs nothing.

    Raises
    ------
    NotHarmless
        Its pickle asks for something that is not on the list.
    CheckpointError
        It is a TorchScript archive, of another machine's byte order, or unpacks to far more than it takes.
    Exception
        Of any type, when it is damaged.
    """
    with path.open("rb") as file:
        names = harmless_names(TensorBudget(path.stat().st_size * _SHARING + FREE_BYTES))
        file.seek(start)
        if file.read(2).startswith(ZIP_START):
            return _read_zip(path, file, names, mapped)
        file.seek(start)
        return _read_old(path, file, names)


def _read_zip(path: Path, file: IO[bytes], names: Any, mapped: bool) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        check_grown(
            path.stat().st_size, sum(member.file_size for member in archive.infolist()), path.name, CheckpointError
        )
        pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(f"{path.name} is a zip file without weights; expected one written by torch.save")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in members:
            raise CheckpointError(f"{path.name} is a TorchScript program; save its state_dict with torch.save")
        if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
            raise CheckpointError(f"{path.name} was written in another byte order; save it on this machine again")
        storages: dict[str, Storage] = {}

        def stored(identifier: Any) -> Storage:
            kind, key, count = _identified(identifier)
            if key not in storages:
                member = members[f"{root}data/{key}"]
                if mapped and (place := _place(file, member)) is not None:
                    storages[key] = Storage(_mapped(path, place, kind, count, member.file_size))
                    return storages[key]
                storages[key] = Storage(_empty(kind, count, member.file_size))
                with archive.open(member) as data:
                    _fill(storages[key].values, data)
            return storages[key]

        with archive.open(pickles[0]) as data:
            return read_pickle(data, names, stored)


def _read_old(path: Path, file: IO[bytes], names: Any) -> Any:
    def refuse(_: Any) -> Any:
        raise NotHarmless("a persistent object in the header")

    for expected in (_MAGIC, _PROTOCOL):
        if read_pickle(file, names, refuse) != expected:
            raise CheckpointError(f"{path.name} is a pickle without weights; expected one written by torch.save")
    read_pickle(file, names, refuse)  # of the machine: sizes of numbers, which nothing depends on any more
    left = path.stat().st_size
    storages: dict[str, Storage] = {}

    def stored(identifier: Any) -> Storage:
        nonlocal left
        kind, key, count = _identified(identifier)
        if key not in storages:
            storages[key] = Storage(_empty(kind, count, left))
            left -= storages[key].values.nbytes
        if len(identifier) < 6 or identifier[5] is None:
            return storages[key]
        _, start, length = identifier[5]
        return Storage(storages[key].values.narrow(0, start, length))

    content = read_pickle(file, names, stored)
    for key in read_pickle(file, names, refuse):
        values = storages[key].values
        if struct.unpack("<q", file.read(8)) != (values.numel(),):
            raise ValueError("a storage of another size than its tensor says")
        _fill(values, file)
    return content


def _identified(identifier: Any) -> tuple[StorageKind, str, int]:
    """Kind, key and number of values of a storage."""
    if type(identifier) is not tuple or len(identifier) not in (5, 6) or identifier[0] not in ("storage", b"storage"):
        raise NotHarmless("a persistent object that is not a storage")
    _, kind, key, _, count, *_ = identifier
    if type(kind) is not StorageKind or type(key) is not str or type(count) is not int or count < 0:
        raise NotHarmless("a storage of something else than numbers")
    return kind, key, count


def _place(file: IO[bytes], member: zipfile.ZipInfo) -> int | None:
    """Byte at which the content of a member begins; None where it is packed."""
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER)
    name, extra = struct.unpack("<HH", header[26:])
    return member.header_offset + _LOCAL_HEADER + int(name) + int(extra)


def _mapped(path: Path, place: int, kind: StorageKind, count: int, there: int) -> Tensor:
    """View a storage in the file; what is written to it stays in memory."""
    size = count * kind.dtype.itemsize
    if size > there:
        raise ValueError("a storage larger than the file")
    if not size or kind.dtype is torch.bool:  # whose bytes must be 0 or 1
        raw = np.fromfile(path, np.uint8, size, offset=place).clip(max=1)
    else:
        raw = np.memmap(path, np.uint8, "c", place, (size,))
    return torch.from_numpy(raw).view(kind.dtype)


def _empty(kind: StorageKind, count: int, there: int) -> Tensor:
    if count * kind.dtype.itemsize > there:
        raise ValueError("a storage larger than the file")
    return torch.empty(count, dtype=kind.dtype)


def _fill(values: Tensor, data: IO[bytes]) -> None:
    """Read all bytes of a storage."""
    room = values.view(torch.uint8).numpy().data if values.numel() else memoryview(b"")
    while len(room):
        read = data.readinto(room)  # type: ignore[attr-defined]
        if not read:
            raise EOFError("a storage ends too early")
        room = room[read:]
    if values.dtype is torch.bool:
        values.view(torch.uint8).clamp_(max=1)
