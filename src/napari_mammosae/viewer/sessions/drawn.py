"""A drawn region and measured lines as plain values, and back again. Knows no Qt."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..canvas.tools.ruler import Measured
from .record import named_file, relative_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..latents.region import Drawn

_SHAPES = frozenset({"rectangle", "polygon", "ellipse", "path", "line"})
_LARGEST = 2**28
"""Pixels; a damaged file could name more than the memory holds."""


def region_to_json(region: Drawn | None) -> dict[str, Any] | None:
    """Describe a region: the corners of a shape (n, 2), or what was painted as packed bits; in source pixels."""
    if region is None:
        return None
    kind, drawn = region
    if kind != "brush":
        return {"kind": kind, "corners": drawn[:, -2:].tolist()}
    bits = base64.b64encode(zlib.compress(np.packbits(drawn).tobytes())).decode()
    return {"kind": kind, "shape": list(drawn.shape), "bits": bits}


def region_from_json(known: dict[str, Any]) -> Drawn:
    """Return the region that was described; ValueError, KeyError or TypeError where it is none."""
    if known["kind"] != "brush":
        corners = _points(known["corners"])
        if known["kind"] not in _SHAPES or len(corners) < 3:
            raise ValueError("not the corners of a region")
        return known["kind"], corners
    rows, columns = (int(one) for one in known["shape"])
    size = rows * columns
    if rows < 1 or columns < 1 or size > _LARGEST:
        raise ValueError("not the size of an image")
    try:
        packed = zlib.decompressobj().decompress(base64.b64decode(known["bits"]), (size + 7) // 8)
    except zlib.error as error:
        raise ValueError("not what was painted") from error
    if len(packed) != (size + 7) // 8:
        raise ValueError("not all that was painted")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=size)
    return "brush", bits.reshape(rows, columns).astype(bool)


def lines_to_json(lines: Mapping[Measured, Sequence[NDArray[np.float64]]], base: Path) -> list[dict[str, Any]]:
    """Describe measured lines, image by image; names of files are relative to `base`."""
    return [
        {
            "path": relative_name(Path(key.file), base) if key.file else None,
            "image_id": key.image_id,
            "lines": [np.asarray(line).tolist() for line in known],
        }
        for key, known in lines.items()
    ]


def lines_from_json(known: Any, base: Path) -> dict[Measured, list[NDArray[np.float64]]]:
    """Return the lines that were described; ValueError, KeyError or TypeError where they are none."""
    lines: dict[Measured, list[NDArray[np.float64]]] = {}
    for one in known:
        file = "" if one["path"] is None else str(named_file(one["path"], base).resolve())
        lines[Measured(file, str(one["image_id"]))] = [_points(line) for line in one["lines"]]
    if any(len(line) != 2 for those in lines.values() for line in those):
        raise ValueError("not the ends of a line")
    return lines


def _points(known: Any) -> NDArray[np.float64]:
    """Return points (n, 2); ValueError or TypeError where they are none."""
    points = np.asarray(known, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("not points of an image")
    return points
