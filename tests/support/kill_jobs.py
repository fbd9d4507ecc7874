"""A process that does what it reads from its standard input, each job in a copy of itself that may be killed.

Copies, because a new process would take seconds to load torch. A job is a JSON line: the words of a command, or of one
of the functions below, and at which of its changes to files the copy kills itself (-1: it lives).
"""

import json
import os
import signal
import sys
from pathlib import Path

import pandas as pd

from napari_mammosae.cli import main
from napari_mammosae.core.annotations.box_files import write_findings
from napari_mammosae.core.base.provenance import provenance
from napari_mammosae.core.verdicts.store import Subject, VerdictStore

SUBJECT = Subject("m" * 64, "s" * 64)
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
BOXES = ("row_min", "col_min", "row_max", "col_max")


def decide(path: str, log: str, count: str) -> int:
    """Give verdicts, and write down each one that was acknowledged."""
    acknowledged = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(acknowledged, b"\n")  # ends a line that a kill tore
    with VerdictStore(path, "anna") as store:
        for latent in range(int(count)):
            event = store.decide(SUBJECT, latent, "spurious", note=f"={latent}")
            os.write(acknowledged, f"{event.uuid} .\n".encode())
    return 0


def save_boxes(path: str, finding: str) -> int:
    """Save boxes as the dock does."""
    boxes = pd.DataFrame({"image_id": ["a"], "finding": [finding]} | {name: [3.0] for name in BOXES})
    write_findings(path, boxes, provenance=provenance("draw boxes", {"finding": finding}), overwrite=True)
    return 0


def work(words: list[str], moment: int, count_file: str) -> None:
    """Do one job in this process, which is a copy."""
    os.dup2(2, 1)  # what the command says goes into the log
    changes = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & 3):
            if changes == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            changes += 1

    sys.addaudithook(count)
    own = {"decide": decide, "save-boxes": save_boxes}.get(words[0])
    status = own(*words[1:]) if own else main(words)
    counted = changes
    Path(count_file).write_text(str(counted))
    os._exit(status)


if __name__ == "__main__":
    import torch
    import torch._dynamo  # which every training asks for

    import napari_mammosae.core.comparison.runs
    import napari_mammosae.core.intervention.of_run
    import napari_mammosae.core.models.loading
    import napari_mammosae.core.reports.comparison_figures
    import napari_mammosae.core.reports.inspection
    import napari_mammosae.core.runs.making.make
    import napari_mammosae.core.training.results  # noqa: F401
    from napari_mammosae.core.models.timm_import import import_timm

    import_timm()
    torch.set_num_threads(1)
    for line in sys.stdin:
        job = json.loads(line)
        copy = os.fork()
        if copy == 0:
            work(**job)
        print(copy, flush=True)
        print(os.waitpid(copy, 0)[1], flush=True)
