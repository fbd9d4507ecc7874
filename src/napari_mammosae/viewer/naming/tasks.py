"""What runs in the worker thread for concepts: reading a report, and measuring. Knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.base.errors import MammoSAEError

if TYPE_CHECKING:
    import pandas as pd

    from ...core.base.progress import Report
    from ...core.models.facts import ModelFacts
    from ...core.runs.run import Run


def read(run: Run, report: Report) -> pd.DataFrame | None:
    """Read the report in a run's folder; None without one."""
    from ...core.reports.concepts import read_latents

    report("Reading concepts")
    return read_latents(run)


def measure(run: Run, model: ModelFacts | None, report: Report) -> pd.DataFrame | None:
    """Measure the latents of a run against its labels, write the report into its folder, and read it again."""
    from ...core.naming.of_run import evaluate
    from ...core.reports.concepts import check_report, read_latents, report_folder, write_report

    folder = report_folder(run.path)
    check_report(folder)
    try:
        found = evaluate(run, model=model, shortcuts=model is not None, progress=report)
    except MammoSAEError:
        if model is None:
            raise
        found = evaluate(run, shortcuts=False, progress=report)  # its SAE reads an inner layer, or it is another model
    write_report(folder, found)
    return read_latents(run)
