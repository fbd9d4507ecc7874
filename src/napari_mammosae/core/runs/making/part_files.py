"""One block of consecutive images: what was computed of it, and its part files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...anatomy.regions import REGIONS
from ...models.latents import LatentBatch
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

    def add(self, images: Sequence[Decoded], latents: LatentBatch) -> None:
        """Take over the results of images that follow each other."""
        numbers = np.array([image.entry.image for image in images], np.int32)
        logits, measures = np.hstack([latents.logits, latents.logits_sae]), (latents.error_norm, latents.fvu)
        for image, own, *values in zip(images, logits.tolist(), *(one.tolist() for one in measures), strict=True):
            entry, frame = image.entry, image.frame
            self._images.append(
                (
                    entry.image, entry.image_id, entry.name, image.sha256, image.patient, image.laterality, image.view,
                    *own, *values, *frame.source_shape, *frame.crop,
                )
            )  # fmt: skip
        fires = latents.fires
        self._pooled.append((numbers[fires.image], fires.latent, fires.mean, fires.max, fires.active_cells))
        shares = np.stack([image.regions for image in images]).reshape(len(images), len(REGIONS), -1)
        parts = np.stack([image.breast_parts for image in images]).reshape(len(images), -1)
        row, cell = np.nonzero(shares.any(1))
        self._regions.append((numbers[row], cell.astype(np.int32), *shares[row, :, cell].T, parts[row, cell]))
        kept = (latents.features[name] for name in feature_schema(self.layer).names[1:])
        self._features += zip(numbers.tolist(), *kept, strict=True)
        if self.keep_maps and latents.cells is not None:
            cells = latents.cells
            self._maps.append((cells.latent, numbers[cells.image], cells.cell, cells.value))

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


def _by_latent(parts: Sequence[Columns]) -> pa.Table:
    """One table sorted by latent, then image, then cell, of parts that are, one after the other."""
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
