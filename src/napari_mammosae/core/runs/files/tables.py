"""Parquet files of a run, read with their checksums, their columns and values held against what the run says."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...base.errors import RunError
from ...base.limits import check_limit
from ...base.reading import check_ordinary, reading
from ...base.tables.cells import unguard
from ...base.text import size_text
from .layout import FRAME

if TYPE_CHECKING:
    import pandas as pd

FAILURE_COLUMNS = ["image", "image_id", "path", "reason"]


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


def read_failures(root: Path, path: Path) -> "pd.DataFrame":
    """Return the table of a run's images that could not be used; RunError where it is damaged."""
    import pandas as pd

    name = f"{root.name}/{path.name}"
    with reading(name, RunError, "a table of failures"):
        check_ordinary(path, name, RunError)
        table = pd.read_csv(path, dtype=dict.fromkeys(("image_id", "path", "reason"), str))
        if list(table) != FAILURE_COLUMNS or (len(table) and table["image"].dtype.kind != "i"):
            raise damaged(name, f"it has other columns than {', '.join(FAILURE_COLUMNS)}")
    return table.map(lambda cell: unguard(cell) if isinstance(cell, str) else cell)


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


def rows_of_lists(parts: Sequence[pa.Table], column: str, numbers: NDArray[np.int32], name: str) -> NDArray[np.float32]:
    """Return a column of lists, one an image, as (n, length).

    Raises
    ------
    RunError
        The images are not these numbers in order, or the lists differ in length or have gaps.
    """
    if not len(numbers):
        return np.zeros((0, 0), np.float32)
    table = pa.concat_tables(parts)
    if not np.array_equal(table["image"].to_numpy(), numbers):
        raise damaged(name, "its images are not those of the run, in order")
    values = pc.list_flatten(table[column])
    if len(pc.unique(pc.list_value_length(table[column]))) > 1 or values.null_count:
        raise damaged(name, "its rows are of different lengths or have gaps")
    wide: NDArray[np.float32] = values.to_numpy().reshape(len(numbers), -1 if len(values) else 0)
    return wide


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
