"""Two runs compared, for a worker thread. Knows no Qt."""

from pathlib import Path

from ...core.base.progress import Report
from ...core.comparison.models import ModelComparison
from ...core.runs.classes import classes_of
from ...core.runs.protocol import ProtocolName, choose
from ...core.runs.run import Run


def opened(path: Path, positive: dict[str, str], report: Report) -> Run:
    """Open a run's folder; `positive` are the texts that count as positive in the other run.

    Raises
    ------
    RunError
        It is no complete run.
    """
    from ...core.runs.opening import open_run
    from ...core.runs.positive import undecided

    report(f"Opening {path.name}")
    run = open_run(path)
    texts = undecided(run.labels, run.info["categories"])
    known = {label: value for label, value in positive.items() if value in texts.get(label, ())}
    run = open_run(path, positive=known) if known else run
    report(f"Reading {path.name}")
    _ = run.pooled("mean"), run.images
    return run


def classes_in_both(a: Run, b: Run, label: str) -> list[tuple[int, str]]:
    """Classes of a label that occur in both runs, the one of interest first."""
    other = {number for number, _ in classes_of(b, label)}
    return [(number, name) for number, name in classes_of(a, label) if number in other]


def compared(a: Run, b: Run, label: str, number: int, protocol: ProtocolName | None, report: Report) -> ModelComparison:
    """Compare the models of two runs.

    Raises
    ------
    RunError, SettingsError
        As `core.comparison.runs.compare`.
    """
    from ...core.comparison.runs import compare

    report(f"Comparing {a.path.name} with {b.path.name}")
    over = choose(protocol)
    return compare(
        a, b, label, number, rank_split=over.rank_split, eval_split=over.eval_split, unit=over.unit, order=over.order
    )


def written(comparison: ModelComparison, folder: Path, runs: tuple[Run, Run], label: str, report: Report) -> list[Path]:
    """Write tables and figures into a folder, and return the files.

    Raises
    ------
    WriteError
        As `check_replaceable` and `write_comparison`.
    """
    from ...core.base.provenance import check_replaceable
    from ...core.reports.comparison_figures import comparison_files, write_comparison

    report(f"Writing into {folder.name}")
    *results, note = comparison_files(folder)
    check_replaceable(note, *results)
    return write_comparison(comparison, folder, runs, label)
