"""What the tests of runs share: folders of small images, and two runs compared row for row."""

import os
import time
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


def contents(run: Path) -> dict[str, bytes]:
    """Every file with results, by its name in the run's folder."""
    files = [path for path in run.rglob("*") if path.suffix in (".parquet", ".csv")]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def slow_down(seconds: float) -> None:
    """Have this process, a Dask worker, wait before each block."""
    from napari_mammosae.core.runs.making import blocks, dask_cluster

    def slowly(*arguments: object) -> None:
        time.sleep(seconds)
        blocks.run_blocks(*arguments)

    dask_cluster.run_blocks = slowly


def at_full_speed() -> None:
    """Take `slow_down` back."""
    from napari_mammosae.core.runs.making import blocks, dask_cluster

    dask_cluster.run_blocks = blocks.run_blocks


def load_and_note(model: Path, folder: Path) -> object:
    """Load a model, and write into a file by the number of this process which GPUs it sees."""
    from napari_mammosae.core.models.loading import load_model

    (folder / f"{os.getpid()}.gpu").write_text(str(os.environ.get("CUDA_VISIBLE_DEVICES")))
    return load_model(model, device="cpu")
