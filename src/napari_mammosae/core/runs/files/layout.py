"""Where the files of a run lie, what columns they have, and how they are written."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from ...anatomy.cell_parts import BREAST_PARTS
from ...anatomy.regions import REGIONS
from ...base.errors import RunError, WriteError
from ...base.files import is_full, remove_leftovers, write_atomic

Kind = Literal["images", "pooled", "regions", "features", "maps"]
KINDS: tuple[Kind, ...] = get_args(Kind)
POOLED = pa.schema(
    [
        ("image", pa.int32()),
        ("latent", pa.int32()),
        ("mean", pa.float32()),
        ("max", pa.float32()),
        ("active_cells", pa.int32()),
    ]
)
UNSCALED = pa.schema([("latent", pa.int32()), ("image", pa.int32()), ("cell", pa.int32()), ("value", pa.float16())])
"""Columns of `maps/` in formats 0 and 1."""
MAPS = UNSCALED.append(pa.field("scale", pa.float32()))
"""What a cell holds is `value` times `scale`; see `map_values`."""
SHARES = pa.schema([("image", pa.int32()), ("cell", pa.int32()), *((name, pa.float32()) for name in REGIONS)])
"""Columns of `regions/` in formats 0 and 1."""
REGION_SHARES = SHARES.append(pa.field(BREAST_PARTS, pa.uint64()))
WITH_SCALES = 2
"""The first format whose maps have scales; it brought `features/` too."""
WITH_FVU = 3
"""The first format whose images have an `fvu`."""
FRAME = ("source_rows", "source_cols", "crop_row0", "crop_col0", "crop_row1", "crop_col1")
"""Columns of `images.parquet` with an image's frame: shape of the source, edges of the crop in it."""
STUDY_DAY = "study_day"
"""Column of a run's images: days since the patient's first study, a gap where no date is known. Never a date."""

MAP_ROWS_PER_GROUP = 1 << 16
"""Rows of a row group of `maps/`: small enough that reading one latent skips most of a part."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside a run's folder."""

    root: Path

    @property
    def info(self) -> Path:
        """Settings and state of the run."""
        return self.root / "run.json"

    @property
    def images(self) -> Path:
        """One row an image, put together at the end."""
        return self.root / "images.parquet"

    @property
    def rows(self) -> Path:
        """One row a finding, where the labels come so."""
        return self.root / "rows.parquet"

    @property
    def failures(self) -> Path:
        """The images that could not be used, and why."""
        return self.root / "failures.csv"

    def part(self, kind: Kind, block: int) -> Path:
        """File of one block of images."""
        return self.root / kind / f"part-{block:05d}.parquet"

    def parts(self, kind: Kind) -> list[Path]:
        """Files of all blocks that exist, in order."""
        return sorted((self.root / kind).glob("part-*.parquet"))

    def remove(self) -> None:
        """Remove the files of a run without parts, and its folders where nothing else is in them."""
        self.remove_unfinished()
        self.info.unlink(missing_ok=True)
        for kind in KINDS:
            with suppress(OSError):
                (self.root / kind).rmdir()

    def remove_unfinished(self) -> None:
        """Remove what killed writers left unfinished."""
        for folder in (self.root, *(self.root / kind for kind in KINDS)):
            remove_leftovers(folder)


def maps_schema(run_format: int) -> pa.Schema:
    """Columns of the `maps/` parts of a run of some format."""
    return MAPS if run_format >= WITH_SCALES else UNSCALED


def regions_schema(run_format: int) -> pa.Schema:
    """Columns of the `regions/` parts of a run of some format."""
    return REGION_SHARES if run_format >= WITH_SCALES else SHARES


def feature_schema(layer: str) -> pa.Schema:
    """Columns of the `features/` parts: channels pooled over cells, of the last layer and, if another, of the SAE's."""
    names = ("mean", "max") if layer == "head" else ("mean", "max", "layer_mean", "layer_max")
    return pa.schema([("image", pa.int32()), *((name, pa.list_(pa.float32())) for name in names)])


def image_schema(classes: tuple[str, ...], run_format: int = WITH_FVU) -> pa.Schema:
    """Columns of the `images/` parts: what was computed and read, before labels are joined."""
    quality = ("error_norm", "fvu") if run_format >= WITH_FVU else ("error_norm",)
    return pa.schema(
        [
            ("image", pa.int32()),
            ("image_id", pa.string()),
            ("path", pa.string()),
            ("sha256", pa.string()),
            ("patient", pa.string()),
            ("laterality", pa.string()),
            ("view", pa.string()),
            *((f"logit.{name}", pa.float64()) for name in classes),
            *((f"logit_sae.{name}", pa.float64()) for name in classes),
            *((name, pa.float64()) for name in quality),
            *((name, pa.int32()) for name in FRAME),
        ]
    )


def write_table(path: Path, table: pa.Table, *, rows_per_group: int | None = None) -> None:
    """Write a Parquet file whole: under a temporary name, synced, renamed.

    Raises
    ------
    RunError
        The disk is full or cannot be written; a part of that name that was there before is untouched.
    """
    with writing(path), write_atomic(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            write_page_checksum=True,
            row_group_size=rows_per_group,
            # cells rise by small steps within a map, so their differences take a byte; the rest repeats
            use_dictionary=[name for name in table.column_names if name not in ("cell", "value")],
            column_encoding={"cell": "DELTA_BINARY_PACKED"} if "cell" in table.column_names else None,
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while a file is written into an error for the person at the screen."""
    name = f"{path.parent.name}/{path.name}"
    try:
        yield
    except (OSError, WriteError) as error:
        if is_full(error):
            raise RunError(
                f"The disk is full: {name} was not written. Make room, then give the same command again to "
                "resume the run."
            ) from error
        reason = error.__cause__ if isinstance(error, WriteError) else error
        raise RunError(f"{name} cannot be written ({getattr(reason, 'strerror', None) or reason}).") from error
