"""Ways to damage a file: blindly, and knowing how its format protects itself, so that damage gets beyond a checksum."""

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]

_NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
_PATH = "/home/erika/secret/a.png"
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**400, 1e308, float("inf"), float("nan"), "", "x" * 5000, _PATH, "~/a.png",
    "C:\\Users\\erika\\a.png", "a\nb", "a\0b", "\ud800", "<img src=x>", [], {}, [[]], {"a": 1}, ["a"] * 50,
)  # fmt: skip
_TEXTS = (
    b"", b"-1", b"0", b"nan", b"1e999", b"9" * 5000, _PATH.encode(), b"C:\\Users\\erika\\a.png", b"\xff\xfe", b"\0",
    b'"', b"'", b",", b";", b"\n", b"\r", b"=", b"[[", b"}}", b'"""', b"x" * 3000, b"[" * 5000, b"{" * 5000,
    b"a." * 5000, b"\x1b[31m", b"a b\n" * 500, b",a" * 3000, b"null", b"true", b"0x10", b"1_000", b"\\u0000",
    b"\xe2\x80\xa8", b"\xef\xbb\xbf",
)  # fmt: skip


def mutate(rng: random.Random, data: bytes, name: str) -> bytes:
    """Return a damaged copy of a file's bytes."""
    suffix = name.rpartition(".")[2]
    special = {
        "png": _png, "json": _json, "pth": _zip, "pt": _zip, "npz": _zip, "csv": _text, "toml": _text, "npy": _text,
    }.get(suffix)  # fmt: skip
    if special is not None and rng.random() < 0.6:
        return special(rng, data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(_BLIND)(rng, data)
    return data


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        changed[_place(rng, len(changed))] = rng.randrange(256)
    return bytes(changed)


def _number(rng: random.Random, data: bytes) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    value = (rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("little", "big")))
    at = _place(rng, max(1, len(data) - size))
    return data[:at] + value + data[at + size :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, max(1, len(data)))
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 256)) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    at, length = _place(rng, max(1, len(data))), rng.choice((1, 4, 16, 64, 512))
    return data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, max(1, len(data)))
    return data[:at] + rng.choice((*_TEXTS, rng.randbytes(16), bytes(1000))) + data[at:]


def _replace(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", bytes(100), rng.randbytes(200), data[:16], data[::-1], data + data, b"PK\x03\x04" + data))


_BLIND: tuple[Mutation, ...] = (
    _flip,
    _flip,
    _flip,
    _number,
    _number,
    _number,
    _cut,
    _remove,
    _repeat,
    _insert,
    _replace,
)


def _place(rng: random.Random, size: int) -> int:
    """Headers at the beginning and tables at the end matter most."""
    near = min(size, 512)
    return rng.choice((rng.randrange(near), rng.randrange(size), size - 1 - rng.randrange(near)))


def _text(rng: random.Random, data: bytes) -> bytes:
    """Another word, number or separator for one that is there."""
    words = [match.span() for match in re.finditer(rb"[\w.+-]+|[^\w\s]", data)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        if words:
            start, stop = rng.choice(words)
            data = data[:start] + rng.choice(_TEXTS) + data[stop:]
    return data


def _json(rng: random.Random, data: bytes) -> bytes:
    """Another value, or no value, for one of a JSON file."""
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 2))):
        holder, key = rng.choice(list(_leaves(content)) or [({"": content}, "")])
        if isinstance(holder, dict) and rng.random() < 0.2:
            holder.pop(key, None)
        else:
            holder[key] = rng.choice(_VALUES)
    if rng.random() < 0.05:
        content = rng.choice(_VALUES)
    return json.dumps(content).encode("utf-8", "surrogatepass")


def _leaves(content: Any) -> Any:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(items):
        yield content, key
        yield from _leaves(value)


def _png(rng: random.Random, data: bytes) -> bytes:
    """Damage with right checksums."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    number = rng.randrange(len(chunks)) if rng.random() < 0.5 else 0
    kind, body = chunks[number]
    if kind == b"IHDR" and rng.random() < 0.5:
        body = (
            struct.pack(">II", *(rng.choice((0, 1, 7, 30_000, 60_000, 1 << 20, (1 << 31) - 1)) for _ in range(2)))
            + body[8:]
        )
    else:
        body = rng.choice(_BLIND)(rng, body)
    chunks[number] = kind, body
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _zip(rng: random.Random, data: bytes) -> bytes:
    """Damage inside a member, packed again."""
    if not data.startswith(b"PK"):
        return rng.choice(_BLIND)(rng, data)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = rng.choice(
            [name for name in names if name.endswith(("data.pkl", ".npy"))] if rng.random() < 0.7 else names
        )
        for name in names:
            body = old.read(name)
            if name == chosen:
                body = rng.choice(_BLIND)(rng, body)
                if rng.random() < 0.05:
                    body = bytes(80_000_000)
            new.writestr(name, body, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
            if rng.random() < 0.02:
                new.writestr(name + rng.choice(("x", "/", "../a")), body)
    return out.getvalue()
