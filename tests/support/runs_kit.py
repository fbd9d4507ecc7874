"""What the tests of runs share: folders of small images, and two runs compared row for row."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

import tiny

KINDS = ("images", "pooled", "regions", "features", "maps")


def write_images(folder: Path, count: int, first_seed: int = 0) -> Path:
    """`count` pictures with a breast's outline, named so that their order is that of their seeds."""
    for i in range(count):
        tiny.write_image(folder / f"image-{i:03d}.png", first_seed + i)
    return folder


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Every table of a run, its parts one after the other."""
    found = {"all": pq.read_table(run / "images.parquet").to_pandas()}
    for kind in KINDS:
        parts = sorted((run / kind).glob("*.parquet"))
        if parts:
            found[kind] = pd.concat([pq.read_table(part).to_pandas() for part in parts], ignore_index=True)
    found["failures"] = pd.read_csv(run / "failures.csv")
    if (run / "rows.parquet").exists():
        found["rows"] = pq.read_table(run / "rows.parquet").to_pandas()
    return found


def assert_same(first: Path, second: Path) -> None:
    """Two runs hold the same rows in the same order, to the last bit."""
    a, b = tables(first), tables(second)
    assert a.keys() == b.keys()
    for name in a:
        pd.testing.assert_frame_equal(a[name], b[name], check_exact=True, obj=name)


def models_on(dask_worker: object) -> list[str]:
    """Names of the models that a Dask worker holds."""
    return [name for name in dask_worker.plugins if name.startswith("mammosae")]
