"""The tables of a finished run, put together from the parts of its blocks and the labels."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...base.errors import RunError
from ...base.files import write_atomic
from ...base.reading import short_reason
from ...base.structured import parse_json
from ...base.tables.cells import write_rows
from ..files.layout import FRAME, STUDY_DAY, Layout, image_schema, write_table, writing
from ..files.tables import within
from ..settings import RunSettings, write_info
from ..sources import Sources
from .part_files import FAILURES
from .study_days import study_days

TEXTS = ("patient", "laterality", "view", "split")


def assemble(layout: Layout, settings: RunSettings, sources: Sources, state: dict[str, Any]) -> int:
    """Write `images.parquet`, `rows.parquet`, `failures.csv`, and `run.json` as complete; return the failures.

    Raises
    ------
    RunError
        A part is damaged, or the disk is full.
    """
    parts = [read_images_part(layout, block, settings.classes, settings.images) for block in range(settings.blocks)]
    images = pa.concat_tables([table for table, _ in parts])
    failures = [failure for _, found in parts for failure in found]
    table, patients = _labelled(images, settings, sources)
    with writing(layout.failures), write_atomic(layout.failures) as temporary:
        write_rows(temporary, [("image", "image_id", "path", "reason"), *failures])
    if sources.rows is not None:
        known = sources.rows[sources.rows["image"].isin(images["image"].to_numpy())]
        write_table(layout.rows, pa.Table.from_pandas(known, preserve_index=False).replace_schema_metadata(None))
    write_table(layout.images, table)
    done = {"complete": True, "failed": len(failures), "patient_from": patients, "categories": sources.categories}
    write_info(layout, settings, **state | done)
    return len(failures)


def read_images_part(
    layout: Layout, block: int, classes: tuple[str, ...], count: int
) -> tuple[pa.Table, list[list[Any]]]:
    """The images of a finished block, and its failures (image, image_id, path, reason).

    Parameters
    ----------
    layout, block
        Of the run, and of its part.
    classes, count
        Of the run: the columns and the numbers of images that a part may have follow from them.

    Raises
    ------
    RunError
        The part is damaged, or of another run.
    """
    path = layout.part("images", block)
    name = f"{path.parent.name}/{path.name}"
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        failures = parse_json((table.schema.metadata or {})[FAILURES], name, RunError)
        table = table.replace_schema_metadata(None)
        if not table.schema.equals(image_schema(classes)) or not within(table["image"].to_numpy(), count):
            raise ValueError("its columns or its images are not those of the run")
        if not isinstance(failures, list) or not all(isinstance(row, list) and len(row) == 4 for row in failures):
            raise ValueError("its failures are not a table")
    except (OSError, pa.ArrowException, KeyError, ValueError, RecursionError) as error:
        raise RunError(
            f"{name} is damaged ({short_reason(error)}); delete it and run the same command again."
        ) from error
    return table, failures


def _labelled(images: pa.Table, settings: RunSettings, sources: Sources) -> tuple[pa.Table, dict[str, int]]:
    """Join the labels; return the table, and how many patients came from where."""
    columns: dict[str, pa.Array] = {name: images[name].combine_chunks() for name in images.column_names}
    position = images["image"].to_numpy()
    texts: dict[str, list[str | None]] = {name: [None] * len(position) for name in TEXTS}
    labels: dict[str, pa.Array] = {}
    if sources.labels is not None:
        chosen = sources.labels.iloc[position]
        for name in TEXTS:
            if name in chosen:
                texts[name] = [value if isinstance(value, str) else None for value in chosen[name]]
        for name in chosen:
            if str(name).startswith("label."):
                labels[str(name)] = pa.array(chosen[name].to_numpy(np.float64), from_pandas=True)
    from_file = {name: images[name].to_pylist() if name in columns else [None] * len(position) for name in TEXTS}
    origin: Counter[str] = Counter()
    patients = []
    for said, hashed, image_id in zip(
        texts["patient"], from_file["patient"], images["image_id"].to_pylist(), strict=True
    ):
        patient, source = (said, "labels") if said else (hashed, "dicom") if hashed else (image_id, "image_id")
        patients.append(patient)
        origin[source] += 1
    merged = {"patient": patients, "split": texts["split"]}
    for name in ("laterality", "view"):  # the image itself knows best
        merged[name] = [own or said for own, said in zip(from_file[name], texts[name], strict=True)]
    days = study_days([sources.entries[at].path for at in position], patients)
    dated = {} if all(day is None for day in days) else {STUDY_DAY: pa.array(days, pa.int32())}
    logits = [name for name in columns if name.startswith("logit")]
    order = ("image", "image_id", "path", "sha256", *TEXTS, *dated, *labels, *logits, "error_norm", "fvu", *FRAME)
    columns |= labels | dated | {name: pa.array(values, pa.string()) for name, values in merged.items()}
    assert set(order) == set(columns) >= set(image_schema(settings.classes).names)
    return pa.table({name: columns[name] for name in order}), dict(origin)
