"""The report on what latents stand for: tables as CSV and one page that needs no other file, with their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.cells import write_csv
from ..base.provenance import check_replaceable, write_results
from ..naming.pair_measures import COLUMNS as PAIRS
from ..naming.shortcuts import COLUMNS as SHORTCUTS
from .concepts_page import page_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ..naming.result import ConceptEvaluation

NOTE, PAGE = "evaluation.json", "concepts.html"
FOLDER = "concepts"
"""In a run's folder: where the report lies unless another place is given."""
_TABLES = ("latents.csv", "correlations.csv", "concepts.csv", "comparison.csv", "shortcuts.csv", "pairs.csv")


def report_files(folder: Path) -> list[Path]:
    """Return the files of a report, the one that says how it was made first."""
    return [folder / name for name in (NOTE, PAGE, *_TABLES)]


def check_report(folder: Path) -> None:
    """Refuse, before the work begins, to replace files that are no report of this program.

    Raises
    ------
    WriteError
        Such a file is there.
    """
    check_replaceable(*report_files(folder))


def write_report(folder: Path, found: ConceptEvaluation) -> Path:
    """Write the tables and the page of an evaluation into a folder, all or none, and return the page.

    Tables of what was not measured, shortcuts or pairs, have a header alone.

    Raises
    ------
    WriteError
        A file there is no result of this program, or cannot be written.
    """
    import pandas as pd

    check_report(folder)
    tables: list[pd.DataFrame] = [
        found.table(), found.correlations(), found.concepts(), found.comparison(),
        pd.DataFrame(columns=list(SHORTCUTS)) if found.shortcuts is None else found.shortcuts,
        pd.DataFrame(columns=list(PAIRS)) if found.pairs is None else found.pairs,
    ]  # fmt: skip
    note, *places = report_files(folder)
    with write_results(note, found.provenance, *places) as (page, *files):
        page.write_text(page_of(found), encoding="utf-8")
        for file, table in zip(files, tables, strict=True):
            write_csv(file, table)
    return folder / PAGE
