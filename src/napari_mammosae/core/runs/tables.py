"""Parquet files of a run, read with their checksums, their columns and values held against what the run says."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..base.errors import RunError
from ..base.limits import check_limit
from ..base.reading import check_ordinary, reading
from ..base.text import size_text
from .layout import FRAME


def read_parquet(
    root: Path, path: Path, schema: Iterable[pa.Field], columns: list[str] | None = None, filters: Any = None
) -> pa.Table:
    """Return a table of a run.

    Parameters
    ----------
    root
        Folder of the run.
    path
        The file.
    schema
        Columns that it must have, of these types and, where they hold numbers, without gaps.
    columns, filters
        As pyarrow takes them; of columns that are left out nothing is checked.

    Raises
    ------
    RunError
        The file is missing, damaged, or has other columns.
    """
    name = f"{root.name}/{path.relative_to(root).as_posix()}"
    with reading(name, RunError, "a table of a run"):
        try:
            check_ordinary(path, name, RunError)
            about = pq.read_metadata(path)
            check_limit("rows", about.num_rows, f"{name}: {about.num_rows:,} rows", RunError)
            size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            check_limit("decoded_bytes", size, f"{name}: {size_text(size)} unpacked", RunError)
            table = pq.read_table(path, columns=columns, filters=filters, page_checksum_verification=True)
        except FileNotFoundError as error:
            inside = path.relative_to(root).as_posix()
            raise RunError(f"{root.name} lacks {inside}: was it copied whole? Make the run again.") from error
        except MemoryError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise damaged(name, " ".join(str(error).split())[:120]) from error
        for field in schema:
            if columns is None or field.name in columns:
                _check_column(table, field, name)
    return table


def check_images(table: pa.Table, count: int, name: str) -> None:
    """Raise RunError unless the table of images names each of them once, in order, with a crop that lies in it."""
    numbers = table["image"].to_numpy()
    if not within(numbers, count) or (np.diff(numbers.astype(np.int64)) <= 0).any():
        raise damaged(name, "its images are not numbered in order")
    rows, cols, row0, col0, row1, col1 = (table[column].to_numpy() for column in FRAME)
    if not ((row0 >= 0) & (row0 < row1) & (row1 <= rows) & (col0 >= 0) & (col0 < col1) & (col1 <= cols)).all():
        raise damaged(name, "a crop reaches beyond its image")


def check_values(table: pa.Table, numbers: NDArray[np.int32], latents: int, cells: int, name: str) -> None:
    """Raise RunError where a part names an image, a latent or a cell that the run does not have."""
    for column, count in (("latent", latents), ("cell", cells)):
        if column in table.column_names and not within(table[column].to_numpy(), count):
            raise damaged(name, f"a {column} beyond the run's {count:,}")
    images = table["image"].to_numpy()
    place = np.minimum(np.searchsorted(numbers, images), max(0, len(numbers) - 1))
    if len(images) and (not len(numbers) or (numbers[place] != images).any()):
        raise damaged(name, "an image that the run does not have")


def within(values: NDArray[Any], count: int) -> bool:
    """Whether whole numbers lie in 0 to `count` - 1."""
    return not len(values) or bool(values.min() >= 0 and values.max() < count)


def damaged(name: str, reason: str) -> RunError:
    """Return the error for a file of a run that is not what the run says."""
    return RunError(f"{name} is damaged ({reason}); make the run again.")


def _check_column(table: pa.Table, field: pa.Field, name: str) -> None:
    if field.name not in table.column_names:
        raise damaged(name, f"it lacks the column {field.name}")
    column = table[field.name]
    if column.type != field.type:
        raise damaged(name, f"the column {field.name} holds {column.type}, expected {field.type}")
    if column.null_count and not pa.types.is_string(field.type):
        raise damaged(name, f"the column {field.name} has gaps")
