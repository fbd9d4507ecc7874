"""What runs in the worker thread for verdict files: writing, merging, comparing. Knows no Qt."""

from pathlib import Path
from typing import Any

from ...core.base.progress import Report
from ...core.verdicts.agreement import Agreement
from ...core.verdicts.exchange import Merged
from ...core.verdicts.store import Subject


def export(file: Path, path: Path, subject: Subject | None, current: bool, report: Report) -> Path:
    """Write the verdicts of a file on the latents of one model to a CSV or JSON file, and return it."""
    from ...core.verdicts.exchange import export_verdicts
    from ...core.verdicts.store import VerdictStore

    report(f"Writing {path.name}")
    with VerdictStore(file, create=False) as store:
        return export_verdicts(store, path, subject=subject, current=current)


def merge(file: Path, annotator: str, paths: list[Path], report: Report) -> list[Merged]:
    """Add the verdicts of other files to a file."""
    from ...core.verdicts.exchange import merge_verdicts
    from ...core.verdicts.store import VerdictStore

    report("Merging verdicts")
    with VerdictStore(file, annotator) as store:
        return merge_verdicts(store, paths)


def compare(file: Path, first: str, second: str, subject: Any, report: Report) -> Agreement:
    """Work out how far two annotators agree."""
    from ...core.verdicts.agreement import cohen_kappa
    from ...core.verdicts.store import VerdictStore

    report("Comparing")
    with VerdictStore(file, create=False) as store:
        return cohen_kappa(store, first, second, subject)
