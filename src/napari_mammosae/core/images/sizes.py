"""How large an image says that it is, found before its pixels are decoded."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..base.errors import ImageError
from ..base.limits import check_limit
from ..base.text import size_text

J2K_START = b"\xff\x4f\xff\x51"
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Markers of the segments that hold a size; the last one is that of JPEG-LS."""


def check_size(name: str, rows: int, cols: int, value_bytes: int = 1) -> None:
    """Raise ImageError where an image has too many pixels, or takes too much memory at so many bytes a pixel."""
    shape = f"{name}: an image of {rows:,} x {cols:,} pixels"
    check_limit("pixels", rows * cols, shape, ImageError)
    size = rows * cols * value_bytes
    check_limit("decoded_bytes", size, f"{shape}, {size_text(size)} decoded", ImageError)


def check_png_size(name: str, data: bytes) -> None:
    """Look at the header of a PNG."""
    cols, rows, depth, kind = struct.unpack_from(">IIBB", data, 16)
    check_size(name, rows, cols, max(1, depth // 8) * {0: 1, 4: 2, 6: 4}.get(kind, 3))


class StreamSize(NamedTuple):
    """What the header of a compressed image says of it."""

    rows: int
    cols: int
    bits: int
    channels: int


def stream_size(data: bytes) -> StreamSize | None:
    """Read the header of a JPEG, JPEG-LS or JPEG 2000 stream; None for another one."""
    if data.startswith(J2K_START):
        right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
        channels, depth = struct.unpack_from(">HB", data, 40)
        return StreamSize(max(0, bottom - top), max(0, right - left), (depth & 0x7F) + 1, channels)
    if data.startswith(b"\xff\xd8"):
        for marker, at in jpeg_segments(data):
            if marker in _JPEG_SIZES:
                bits, rows, cols, channels = struct.unpack_from(">BHHB", data, at + 4)
                return StreamSize(rows, cols, bits, channels)
    return None


def check_jpeg_size(name: str, data: bytes) -> None:
    """Look at the header of a JPEG or JPEG 2000 stream."""
    if size := stream_size(data):
        check_size(name, size.rows, size.cols, 4 if data.startswith(J2K_START) else 2 * size.channels)


def stream_ends(data: bytes) -> bool:
    """Whether a stream of JPEG's family has its end marker, which cannot occur within the image; True for others."""
    if data.startswith(J2K_START):
        return data.find(b"\xff\xd9", 42) >= 0
    return jpeg_ends(data) if data.startswith(b"\xff\xd8") else True


def jpeg_ends(data: bytes) -> bool:
    """Whether a JPEG has its end marker, whatever follows it: within the scan 0xFF is always escaped."""
    return any(marker == 0xDA and data.find(b"\xff\xd9", at + 4) >= 0 for marker, at in jpeg_segments(data))


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and position of each segment of a JPEG's header, the scan's last."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        yield marker, at
        if marker == 0xDA:
            return
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
