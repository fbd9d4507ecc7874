"""What runs in the worker thread for concepts: reading a report, and measuring. Knows no Qt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...core.base.errors import MammoSAEError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.base.progress import Report
    from ...core.models.facts import ModelFacts
    from ...core.naming.vlm.of_run import NamingPlan, ServerChoice
    from ...core.naming.vlm.result import ServerNames
    from ...core.reports.concepts import Report as Concepts
    from ...core.runs.run import Run
    from ...core.verdicts.suggestions import Suggestion
    from ...process.handle import ModelHandle


def read(run: Run, report: Report) -> Concepts | None:
    """Read the report in a run's folder; None without one."""
    from ...core.reports.concepts import read_report

    report("Reading concepts")
    return read_report(run)


def name(run: Run, handle: ModelHandle, report: Report) -> list[Suggestion]:
    """Name the latents of a run by the model's own text tower and the vocabulary that comes along."""
    from ...core.naming.suggested import text_suggestions
    from ...core.naming.text.names import name_latents
    from ...core.naming.text.vocabulary import TERMS

    report("Naming latents")
    return text_suggestions(name_latents(run, handle.facts, speaker=handle), TERMS.name)


def measure(run: Run, model: ModelFacts | None, report: Report) -> Concepts | None:
    """Measure the latents of a run against its labels, write the report into its folder, and read it again."""
    from ...core.naming.of_run import evaluate
    from ...core.reports.concepts import check_report, read_report, report_folder, write_report

    folder = report_folder(run.path)
    check_report(folder)
    try:
        found = evaluate(run, model=model, shortcuts=model is not None, progress=report)
    except MammoSAEError:
        if model is None:
            raise
        found = evaluate(run, shortcuts=False, progress=report)  # its SAE reads an inner layer, or it is another model
    write_report(folder, found)
    return read_report(run)


def plan_names(
    run: Run, model: ModelFacts | None, latents: str, most: int, images: Path | None, against: str, report: Report
) -> list[NamingPlan]:
    """Settle which latents a server is asked about, and with which images: of the run, and of one to compare with.

    Nothing is sent.
    """
    from ...core.base.text import numbers_of
    from ...core.naming.vlm.of_run import NamingPlan, plan_null, weight_of
    from ...core.runs.opening import open_run

    report("Choosing images")
    weight = None if model is None or model.n_latents != run.n_latents else weight_of(model)
    plan = NamingPlan(run, numbers_of(latents) or None, most, images=images, weight=weight)
    other = against.strip()
    return [plan, *([plan_null(plan, open_run(Path(other).expanduser()), images)] if other else [])]


def list_models(choice: ServerChoice, report: Report) -> list[str]:
    """Ask a server for its models."""
    from ...core.naming.vlm.of_run import models_of_server

    report("Asking for models")
    return models_of_server(choice)


def ask_server(plans: Sequence[NamingPlan], choice: ServerChoice, report: Report) -> ServerNames:
    """Ask a server for names of the first plan, and of nulls to compare them with, and test all of them.

    The tables are written into the run's folder.
    """
    from ...core.naming.vlm.of_run import name_with_server
    from ...core.naming.vlm.result import check_names, names_file, write_names

    plan, *nulls = plans
    check_names(names_file(plan.run.path))
    found = name_with_server(plan, choice, nulls=nulls, progress=report)
    write_names(names_file(plan.run.path), found)
    return found
