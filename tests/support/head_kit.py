"""Runs for heads: one over phantoms, and ones that are made of arrays."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from napari_mammosae.core.runs.files.layout import Layout, feature_schema, image_schema
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.run import Run

PHANTOM_RUN = Path(__file__).parents[1] / "data" / "phantom_run"


def write_run_of(folder: Path, features: np.ndarray, patients: list[str], labels: dict[str, np.ndarray]) -> Run:
    """Write pooled channels (n, d) and labels as a run of a model "made-up" that predicts a mass, without latents."""
    info, n = json.loads((PHANTOM_RUN / "run.json").read_text()), len(features)
    info |= {"model": "made-up", "classes": ["mass"], "task": "binary", "images": n, "block": n, "heads": []}
    layout = Layout(folder)
    (folder / "features").mkdir(parents=True)
    layout.info.write_text(json.dumps(info))
    columns = {field.name: [""] * n if field.type == pa.string() else np.ones(n) for field in image_schema(("mass",))}
    columns |= {
        "image": np.arange(n), "image_id": [f"image-{i:03d}" for i in range(n)],
        "path": [f"image-{i:03d}.png" for i in range(n)], "patient": patients,
        "crop_row0": np.zeros(n), "crop_col0": np.zeros(n),
    }  # fmt: skip
    table = pa.table(columns, image_schema(("mass",)))
    for name, values in labels.items():
        table = table.append_column(f"label.{name}", pa.array(np.asarray(values, np.float64)))
    pq.write_table(table, layout.images)
    rows = features.astype(np.float32).tolist()
    parts = {"image": np.arange(n), "mean": rows, "max": rows}
    pq.write_table(pa.table(parts, feature_schema("head")), layout.part("features", 0))
    return open_run(folder)
