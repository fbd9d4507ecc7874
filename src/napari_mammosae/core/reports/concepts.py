"""The report on what latents stand for: tables as CSV and one page that needs no other file, with their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..base.caches import folder_beside
from ..base.errors import RunError
from ..base.provenance import check_replaceable, write_results
from ..base.reading import reading
from ..base.structured import read_json
from ..base.tables.cells import write_csv
from ..naming.pair_measures import COLUMNS as PAIRS
from ..naming.shortcuts import COLUMNS as SHORTCUTS
from .concepts_page import page_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ..naming.result import ConceptEvaluation
    from ..runs.run import Run

NOTE, PAGE = "evaluation.json", "concepts.html"
FOLDER = "concepts"
"""In a run's folder: where the report lies unless another place is given."""
_TABLES = ("latents.csv", "correlations.csv", "concepts.csv", "comparison.csv", "shortcuts.csv", "pairs.csv")


def report_folder(run: Path) -> Path:
    """Return where the report of a run lies: in the run, unless that came with the package."""
    return folder_beside(run, FOLDER)


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


class Report(NamedTuple):
    """What the viewer shows of a report: the latents, and those that go with a confounder and push a prediction."""

    latents: pd.DataFrame
    shortcuts: pd.DataFrame


def read_report(run: Run) -> Report | None:
    """Return the tables of the report in a run's folder; None without one, and for one of another SAE.

    Raises
    ------
    RunError
        The report is damaged.
    """
    import pandas as pd

    files = dict(zip((NOTE, PAGE, *_TABLES), report_files(report_folder(run.path)), strict=True))
    note, table, shortcuts = files[NOTE], files["latents.csv"], files["shortcuts.csv"]
    if not (note.exists() and table.exists()):
        return None
    with reading(note, RunError, "a report on concepts"):
        made_with = dict(read_json(note, RunError)["made_with"])
    if made_with.get("sae_sha256") != run.info["sae_sha256"]:
        return None
    with reading(table, RunError, "a table of latents and concepts"):
        latents = pd.read_csv(table)[list(SHOWN)].astype({"latent": "int64", "accepted": bool, "confounder": bool})
    pushing = pd.DataFrame(columns=list(SHORTCUTS))
    if shortcuts.exists():
        with reading(shortcuts, RunError, "a report of shortcuts"):
            pushing = pd.read_csv(shortcuts)[list(SHORTCUTS)].astype({"latent": "Int64"})
    return Report(latents, pushing)


SHOWN = ("latent", "accepted", "concept", "confounder", "pool", "r", "auroc", "q_value", "next", "margin")
"""Columns of the table of latents that the viewer shows."""


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
