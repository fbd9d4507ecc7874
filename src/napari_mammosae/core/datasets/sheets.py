"""Tables that a data set ships as Excel workbooks."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..base.errors import FindingsError, MissingPackageError
from ..base.reading import reads
from ..base.tables.reading import read_table, require, table_of


@reads(FindingsError, "a table")
def read_sheet(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV, or the first sheet of an Excel workbook, into text as `read_table` does.

    Raises
    ------
    MissingPackageError
        The package that reads such a workbook is not installed.
    FindingsError
        The file cannot be read, or lacks one of the columns.
    """
    suffix = path.suffix.lower()
    table = read_table(path) if suffix not in (".xls", ".xlsx") else _read_workbook(path)
    require(path, table, columns, "the table of this data set")
    return table


def _read_workbook(path: Path) -> pd.DataFrame:
    package = {".xls": "xlrd", ".xlsx": "openpyxl"}[path.suffix.lower()]
    try:
        cells = pd.read_excel(path, header=None, dtype=object)
    except ImportError as error:
        raise MissingPackageError(
            f'{path.name}: reading it needs {package}; install it with: pip install "napari-mammosae[excel]", or save '
            f"the sheet as {path.stem}.csv in the same folder"
        ) from error
    rows = [["" if pd.isna(cell) else _text(cell) for cell in row] for row in cells.to_numpy().tolist()]
    return table_of(path, rows, list(range(1, len(rows) + 1)), ";", [])


def _text(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
