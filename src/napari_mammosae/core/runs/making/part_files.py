"""One block of consecutive images: what was computed of it, and its part files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...anatomy.regions import REGIONS
from ...models.latents import LatentMaps
from ..layout import MAP_ROWS_PER_GROUP, MAPS, POOLED, REGION_SHARES, Layout, image_schema, write_table
from .decode import Decoded, Failed

FAILURES = b"failures"
TINY, HUGE = np.float32(2.0**-24), np.float32(65504)
"""Smallest and largest positive float16."""

Columns = tuple[NDArray[Any], ...]


@dataclass(slots=True, eq=False)
class Block:
    """Results of the images of one block, in order, until they are written.

    Attributes
    ----------
    number
        Position among the blocks.
    classes
        Slugs of the logits.
    keep_maps
        Whether every cell that fires is kept.
    """

    number: int
    classes: tuple[str, ...]
    keep_maps: bool
    failures: list[Failed] = field(default_factory=list)
    _images: list[tuple[Any, ...]] = field(default_factory=list)
    _pooled: list[Columns] = field(default_factory=list)
    _regions: list[Columns] = field(default_factory=list)
    _maps: list[Columns] = field(default_factory=list)

    def add(self, image: Decoded, maps: LatentMaps) -> None:
        """Take over one image's results."""
        entry, frame = image.entry, image.frame
        self._images.append(
            (
                entry.image, entry.image_id, entry.name, image.sha256, image.patient, image.laterality, image.view,
                *maps.logits.tolist(), *maps.logits_sae.tolist(), maps.error_norm, *frame.source_shape, *frame.crop,
            )
        )  # fmt: skip
        live = maps.latents
        number = np.full(len(live), entry.image, np.int32)
        self._pooled.append((number, live, maps.pooled_mean[live], maps.pooled_max[live], maps.active_cells[live]))
        shares = image.regions.reshape(len(REGIONS), -1)
        (cells,) = np.nonzero(shares.any(0))
        self._regions.append((np.full(len(cells), entry.image, np.int32), cells.astype(np.int32), *shares[:, cells]))
        if self.keep_maps:
            self._maps.append(cells_of(maps, entry.image))

    def write(self, layout: Layout) -> int:
        """Write the parts, that of `images/` last: it commits the block. Return the bytes written."""
        tables = {"pooled": _table(self._pooled, POOLED), "regions": _table(self._regions, REGION_SHARES)}
        if self.keep_maps:
            tables["maps"] = _by_latent(self._maps)
        schema = image_schema(self.classes)
        columns = list(zip(*self._images, strict=True)) or [()] * len(schema)
        images = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
        tables["images"] = images.replace_schema_metadata({FAILURES: failures_text(self.failures)})
        written = 0
        for kind in ("pooled", "regions", "maps", "images"):
            if kind in tables:
                path = layout.part(kind, self.number)
                write_table(path, tables[kind], rows_per_group=MAP_ROWS_PER_GROUP if kind == "maps" else None)
                written += path.stat().st_size
        return written


def cells_of(maps: LatentMaps, image: int) -> Columns:
    """Every cell above zero as columns latent, image, cell, value (float16, never 0 and never infinite)."""
    values = maps.values.reshape(len(maps.latents), maps.shape[1] * maps.shape[2])  # -1 fails where no latent fires
    row, cell = np.nonzero(values)
    kept = np.clip(values[row, cell], TINY, HUGE).astype(np.float16)
    return maps.latents[row], np.full(len(row), image, np.int32), cell.astype(np.int32), kept


def _by_latent(parts: Sequence[Columns]) -> pa.Table:
    """One table sorted by latent, then image, then cell: the images come in order, each with rising latents."""
    if not parts:
        return MAPS.empty_table()
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return pa.table([pa.array(c[order], f.type) for c, f in zip(columns, MAPS, strict=True)], schema=MAPS)


def _table(parts: Sequence[Columns], schema: pa.Schema) -> pa.Table:
    if not parts:
        return schema.empty_table()
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def failures_text(failures: Sequence[Failed]) -> bytes:
    """Failures as they are kept with the part of their block, in JSON."""
    return json.dumps(
        [[f.entry.image, f.entry.image_id, f.entry.name, f.reason] for f in failures], ensure_ascii=False
    ).encode()
