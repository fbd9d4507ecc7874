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
from ..files.layout import (
    MAP_ROWS_PER_GROUP,
    MAPS,
    POOLED,
    REGION_SHARES,
    Kind,
    Layout,
    feature_schema,
    image_schema,
    write_table,
)
from ..files.map_values import encode_values
from .decode import Decoded, Failed

FAILURES = b"failures"

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
    layer
        The layer that the SAE reads.
    """

    number: int
    classes: tuple[str, ...]
    keep_maps: bool
    layer: str = "head"
    failures: list[Failed] = field(default_factory=list)
    _images: list[tuple[Any, ...]] = field(default_factory=list)
    _pooled: list[Columns] = field(default_factory=list)
    _regions: list[Columns] = field(default_factory=list)
    _features: list[tuple[Any, ...]] = field(default_factory=list)
    _maps: list[Columns] = field(default_factory=list)

    def add(self, image: Decoded, maps: LatentMaps) -> None:
        """Take over one image's results."""
        entry, frame = image.entry, image.frame
        self._images.append(
            (
                entry.image, entry.image_id, entry.name, image.sha256, image.patient, image.laterality, image.view,
                *maps.logits.tolist(), *maps.logits_sae.tolist(), maps.error_norm, maps.fvu,
                *frame.source_shape, *frame.crop,
            )
        )  # fmt: skip
        live = maps.latents
        number = np.full(len(live), entry.image, np.int32)
        self._pooled.append((number, live, maps.pooled_mean[live], maps.pooled_max[live], maps.active_cells[live]))
        shares = image.regions.reshape(len(REGIONS), -1)
        (cells,) = np.nonzero(shares.any(0))
        parts = image.breast_parts.ravel()[cells]
        self._regions.append(
            (np.full(len(cells), entry.image, np.int32), cells.astype(np.int32), *shares[:, cells], parts)
        )
        self._features.append((entry.image, *(maps.features[name] for name in feature_schema(self.layer).names[1:])))
        if self.keep_maps:
            self._maps.append(cells_of(maps, entry.image))

    def write(self, layout: Layout) -> int:
        """Write the parts, that of `images/` last: it commits the block. Return the bytes written."""
        tables: dict[Kind, pa.Table] = {
            "pooled": _table(self._pooled, POOLED),
            "regions": _table(self._regions, REGION_SHARES),
            "features": _of_rows(self._features, feature_schema(self.layer)),
        }
        if self.keep_maps:
            tables["maps"] = _by_latent(self._maps)
        images = _of_rows(self._images, image_schema(self.classes))
        tables["images"] = images.replace_schema_metadata({FAILURES: failures_text(self.failures)})
        written = 0
        for kind, table in tables.items():
            path = layout.part(kind, self.number)
            write_table(path, table, rows_per_group=MAP_ROWS_PER_GROUP if kind == "maps" else None)
            written += path.stat().st_size
        return written


def cells_of(maps: LatentMaps, image: int) -> Columns:
    """Every cell above zero as columns latent, image, cell, value (float32)."""
    values = maps.values.reshape(len(maps.latents), maps.shape[1] * maps.shape[2])  # -1 fails where no latent fires
    row, cell = np.nonzero(values)
    kept = values[row, cell].astype(np.float32, copy=False)
    return maps.latents[row], np.full(len(row), image, np.int32), cell.astype(np.int32), kept


def _by_latent(parts: Sequence[Columns]) -> pa.Table:
    """One table sorted by latent, then image, then cell: the images come in order, each with rising latents."""
    if not parts:
        return MAPS.empty_table()
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    latent, image, cell, value = (column[order] for column in columns)
    kept = (latent, image, cell, *encode_values(latent, value))
    return pa.table([pa.array(c, f.type) for c, f in zip(kept, MAPS, strict=True)], schema=MAPS)


def _of_rows(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


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
