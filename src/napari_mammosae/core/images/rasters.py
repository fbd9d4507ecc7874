"""PNG, TIFF, JPEG and NPY files as one plane of grey values; colour, pages and damage are refused."""

import io
import lzma
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray

from ..base.errors import ImageError
from ..base.reading import short_reason
from .sizes import check_jpeg_size, check_png_size, check_size, jpeg_ends

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NPY_START = b"\x93NUMPY"

Plane = NDArray[Any]


def read_raster(path: Path, data: bytes) -> Plane:
    """Grey values (rows, cols) of the PNG, TIFF, JPEG or NPY file at `path` with the content `data`.

    The dtype is the file's own. TIFFs that say "minimum is white" come inverted, so that bright is dense.
    """
    if data.startswith(NPY_START):
        return _read_npy(path, data)
    if data.startswith(TIFF_STARTS):
        return _read_tiff(path, data)
    if data.startswith(PNG_START):
        _check_png(path, data)
        check_png_size(path.name, data)
    else:
        _check_jpeg(path, data)
        check_jpeg_size(path.name, data)
    return single_plane(_decode(path, data), path.name)


def single_plane(array: Plane, name: str) -> Plane:
    """(rows, cols) or (rows, cols, 1 to 4 channels) -> (rows, cols); channels that differ are colour and refused.

    The second of two channels and the fourth of four are opacity: what is transparent becomes black.
    """
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ImageError(
            f"{name}: an array of shape {array.shape}; expected one 2-D grayscale image, save a single view"
        )
    channels = array.shape[2]
    colours = array[..., : 3 if channels > 2 else 1]
    grey = colours[..., 0]
    if any((colours[..., i] != grey).any() for i in range(1, colours.shape[2])):
        raise ImageError(
            f"{name}: a colour image; expected grayscale, or colour channels that are all equal: save it as grey"
        )
    if channels in (2, 4):
        grey = _over_black(grey, array[..., -1])
    return np.ascontiguousarray(grey)


def inverted(pixels: Plane) -> Plane:
    """Maximum minus value, in an unsigned dtype of the same width when the values are integers."""
    highest = pixels.max()
    if pixels.dtype.kind != "i":
        return np.asarray(highest - pixels)
    # the difference of two signed values may not fit their type, but always fits the unsigned one
    return (np.int64(highest) - pixels).astype(np.dtype(f"u{pixels.dtype.itemsize}"))


def _over_black(grey: Plane, alpha: Plane) -> Plane:
    opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1.0
    if (alpha == opaque).all():
        return grey
    return np.asarray(grey * (alpha / opaque)).astype(grey.dtype)


def _decode(path: Path, data: bytes) -> Plane:
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{path.name}: cannot be decoded ({short_reason(error)}); copy it again") from error
    if array is None:
        raise ImageError(f"{path.name}: cannot be decoded, the file is damaged; copy it again")
    return np.asarray(array)


def _check_png(path: Path, data: bytes) -> None:
    """Refuse truncated, damaged and animated files, which decoders accept or report in different ways."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        stop = at + 12 + length
        if stop > len(data):
            break
        if zlib.crc32(memoryview(data)[at + 4 : stop - 4]) != struct.unpack_from(">I", data, stop - 4)[0]:
            raise ImageError(
                f"{path.name}: a damaged PNG (checksum of {kind.decode('latin-1')} is wrong); copy it again"
            )
        if kind == b"acTL" and length >= 4 and struct.unpack_from(">I", data, at + 8)[0] > 1:
            raise ImageError(f"{path.name}: an animated PNG; expected a single image")
        if kind == b"IEND":
            return
        at = stop
    raise ImageError(f"{path.name}: a truncated PNG, the file ends too early; copy it again")


def _check_jpeg(path: Path, data: bytes) -> None:
    """Refuse truncated files: decoders fill what is missing with grey and only warn."""
    if not jpeg_ends(data):
        raise ImageError(f"{path.name}: a truncated JPEG, it has no end marker; copy it again")


def _read_tiff(path: Path, data: bytes) -> Plane:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            page: Any = series.pages[0]
            if len(file.series) > 1 or series.axes not in ("YX", "YXS", "SYX") or page is None:
                raise ImageError(
                    f"{path.name}: {len(file.pages)} pages (axes {series.axes}, shape {series.shape}); "
                    "expected a single 2-D image"
                )
            check_size(
                path.name, page.imagelength, page.imagewidth, page.samplesperpixel * max(1, page.bitspersample // 8)
            )
            _check_strips(path, page, data)
            photometric = int(file.pages.first.photometric)
            try:
                array = np.asarray(page.asarray())
            except (ValueError, NotImplementedError) as error:
                if "imagecodecs" not in str(error):  # an optional dependency; OpenCV knows these files too
                    raise
                array = _decode(path, data)
                if array.dtype == np.uint16 and 8 < page.bitspersample < 16:  # OpenCV moves packed bits to the top
                    array = array >> (16 - page.bitspersample)
                already = photometric == 0 and array.dtype == np.uint8  # OpenCV inverts 8-bit files itself
                photometric = 1 if already else photometric
    except ImageError:
        raise
    except Exception as error:  # tifffile follows offsets found in the file: a damaged one makes it raise anything
        kind = "truncated" if _lacks_directory(data) else "damaged"
        raise ImageError(f"{path.name}: a {kind} TIFF ({short_reason(error)}); copy it again") from error
    if photometric == 3:
        raise ImageError(f"{path.name}: a TIFF with a colour palette; expected grayscale: save it as grey")
    if array.ndim == 3 and series.axes == "SYX" and array.shape == series.shape:
        array = np.moveaxis(array, 0, -1)
    plane = single_plane(array.view(np.uint8) if array.dtype == bool else array, path.name)
    return inverted(plane) if photometric == 0 and plane.size and plane.dtype.kind in "iuf" else plane


def _lacks_directory(data: bytes) -> bool:
    """Whether a TIFF ends before its first directory, which may lie behind the pixels."""
    order, big = "<" if data.startswith(b"II") else ">", b"+" in data[2:4]
    try:
        return bool(struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0] >= len(data))
    except struct.error:
        return True


def _check_strips(path: Path, page: Any, data: bytes) -> None:
    """Refuse strips and tiles that are cut off, or unpack to more than they should.

    tifffile would fill the first with zeros, and take the memory for all of the others.
    """
    if any(start + length > len(data) for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise ImageError(f"{path.name}: a truncated TIFF, it ends before its pixels do; copy it again")
    kinds: dict[int, Any] = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor}
    opened = kinds.get(int(page.compression))
    if opened is None:
        return
    ends = math.prod(page.chunks[:-1]) if page.bitspersample % 8 else 0  # packed lines begin with a byte of their own
    expected = math.prod(page.chunks) * page.bitspersample // 8 + ends
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        if len(opened().decompress(data[start : start + length], expected + 1)) > expected:
            raise ImageError(f"{path.name}: a damaged TIFF, a strip unpacks to more than its size; copy it again")


def _read_npy(path: Path, data: bytes) -> Plane:
    try:
        file = io.BytesIO(data)
        header = read_array_header_1_0 if read_magic(file) == (1, 0) else read_array_header_2_0
        shape, _, dtype = header(file)
        if math.prod(shape) * dtype.itemsize > len(data):
            raise ValueError("cut off, or its header is damaged")
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # its header is a piece of Python, read by Python's own tokenizer
        raise ImageError(
            f"{path.name}: not a plain NPY array ({short_reason(error)}); expected a 2-D array of numbers"
        ) from error
    if array.ndim != 2:
        raise ImageError(
            f"{path.name}: an array of shape {array.shape}; expected a 2-D grayscale image, save a single view"
        )
    return np.asarray(array)
