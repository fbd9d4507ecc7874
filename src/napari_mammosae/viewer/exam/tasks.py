"""What runs in a thread: reading the views of an exam, finding their nipples. Knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.base.errors import RunError
from ...core.exams.hanging import needs_mirroring
from ...core.images.scale import input_spacing
from ...core.phantoms.phantom import sides_of
from ..runs.prefetch import make_ready
from .state import ExamImage, ShownExam

if TYPE_CHECKING:
    from ...core.base.progress import Report
    from ...core.exams.grouping import Exam
    from ...core.runs.files.images import ImageFiles
    from ...core.runs.run import Run
    from ...process.handle import ModelHandle
    from .state import Point

MOST = 12
"""Images shown at a time; of an exam with more the first ones are."""


def read_exam(
    run: Run,
    exam: Exam,
    prior: Exam | None,
    files: ImageFiles,
    handle: ModelHandle | None,
    report: Report,
) -> ShownExam:
    """Read the views of an exam and of the one before, with their latents; what is not kept is computed.

    Raises
    ------
    ImageError, RunError
        If a file is not found, or it or the kept maps cannot be read.
    """
    rows = (*exam.rows, *(prior.rows if prior is not None else ()))[:MOST]
    facts = run.images[[name for name in ("laterality", "view") if name in run.images]]
    images = []
    for done, row in enumerate(rows):
        path = files.path(row)
        if path is None:
            name = str(run.images["path"].iloc[row]).rpartition("/")[2]
            raise RunError(f"{name} was not found; choose the folder of the run's images in the Images dock.")
        report(f"Reading {path.name}", done, len(rows))
        ready = make_ready(run, row, files, handle, compute=handle is not None)
        drawn = sides_of(*run.images[["image_id", "patient"]].astype(str).iloc[row])
        side, view = (
            _known(facts, name, row) or getattr(ready.image, name) or own
            for name, own in zip(("laterality", "view"), drawn, strict=True)
        )
        images.append(ExamImage(row, ready, side, view, needs_mirroring(ready.pixels, side)))
    return ShownExam(exam, prior, tuple(images))


def find_nipples(shown: ShownExam, report: Report) -> dict[int, Point | None]:
    """Estimate where the nipple of each view is, by row of the run's table, in pixels of the image."""
    from ...core.anatomy.nipple import estimate_nipple
    from ...core.anatomy.regions import region_masks
    from ...core.images.preprocessing import Preprocessing

    found: dict[int, Any] = {}
    for done, one in enumerate(shown.images):
        report(f"Looking for the nipple of {one.title}", done, len(shown.images))
        maps, image = one.ready.maps, one.ready.image
        if maps is None or maps.frame is None:
            continue
        prepared = image.prepared(Preprocessing(size=maps.frame.input_shape))
        side: Any = one.laterality
        if one.mirrored:  # what counts is where the chest wall is in the file
            side = "L" if side == "R" else "R"
        view: Any = one.view
        spacing = input_spacing(image.scale, prepared.frame)
        breast = region_masks(prepared.pixels, laterality=side, view=view, spacing=spacing)["breast"]
        nipple = estimate_nipple(breast, laterality=side)
        found[one.row] = prepared.frame.to_source_points([nipple])[0].tolist() if nipple is not None else None
    return found


def _known(facts: Any, name: str, row: int) -> str | None:
    value = facts[name].iloc[row] if name in facts else None
    return value if isinstance(value, str) and value else None
