"""A run and a table of annotated boxes brought together: every latent measured, or one latent with its curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..anatomy.cell_parts import BREAST_PARTS
from ..annotations.boxes import Findings
from ..base.arguments import expect
from ..base.errors import FindingsError
from ..base.names import slug
from ..base.progress import Report, reporting
from ..base.provenance import provenance
from ..runs.run import Run
from ..runs.sample import Used
from .boxes import DEFAULT_MIN_AREA, Confidence
from .detections import SparseMaps, detect, sparse_maps
from .evaluation import BOX_COLUMNS, Include, LocalizationSettings, localize_run
from .matching import Froc, PrecisionRecall, froc, match, precision_recall
from .run_boxes import RunBoxes, boxes_of_run, boxes_of_split, counted_images
from .thresholds import DEFAULT_THRESHOLD, Threshold

Columns = tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]
FIRST_COLUMNS = ("finding", "latent", "ap", "precision", "recall", "mean_best_iou", "pointing", "energy", "lift")
"""What a table begins with; the rest follows in the order in which it is measured."""


def localize(
    run: Run,
    findings: Findings | RunBoxes,
    *,
    threshold: str | Threshold = DEFAULT_THRESHOLD,
    iou: float = 0.25,
    confidence: Confidence = "maximum",
    min_area: float = DEFAULT_MIN_AREA,
    images: Include = "finding",
    split: str | None = None,
    finding: str | Sequence[str] | None = None,
    latents: Sequence[int] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool | Report = False,
) -> pd.DataFrame:
    """Measure how well the latents of a run localise annotated findings.

    Parameters
    ----------
    run, findings
        A run made with maps, and annotated boxes of its images.
    threshold
        Where heatmaps are cut: "quantile:0.95", "relative:0.3" of the maximum, or "absolute:2".
    iou
        Smallest IoU of a true positive.
    confidence
        What found boxes are ranked by, inside their region: "maximum", "mean" or "energy".
    min_area
        Least height x width of a found box, in pixels of the model's input.
    images
        "finding": those with the finding, as in the published table; "all": all annotated ones. These are named by the
        annotations, with or without a box, or the run's label says that they are without the finding.
    split
        Only images of this split.
    finding
        One or several findings; by default all that have boxes.
    latents
        Which latents; by default all that fire.
    resamples, seed
        Of the bootstrap by patient; 0 resamples gives no intervals.
    progress
        Whether to show a progress bar, or a function that takes reports.

    Returns
    -------
    pandas.DataFrame
        One row a finding and latent: `finding`, `latent`, `ap`, `precision`, `recall`, `mean_best_iou`, `pointing`,
        `energy`, `lift` and the other columns of `localize_run`. ``attrs["provenance"]`` says what produced it,
        under `used` how many images count for each finding and why the others do not, and what of the boxes was left
        out.

    Raises
    ------
    RunError
        The run keeps no maps.
    FindingsError
        The boxes belong to other images, or a finding has none.
    SettingsError
        A setting has no meaning.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run, findings = ms.open_run("run"), ms.read_findings("phantoms/findings.csv")
    >>> boxes = ms.localize(run, findings, threshold="quantile:0.95", finding="mass", resamples=0)
    >>> list(boxes.columns[:3])
    ['finding', 'latent', 'ap']
    """
    expect(run, "run")
    cut = Threshold.parse(threshold)
    settings = LocalizationSettings(cut, iou, confidence, min_area, images, resamples, seed, split)
    if not isinstance(findings, RunBoxes):
        expect(findings, "boxes")
    boxes = findings if isinstance(findings, RunBoxes) else boxes_of_run(run, findings)
    names = [finding] if isinstance(finding, str) else finding
    with reporting(progress) as report:
        table = localize_latents(run, boxes, settings, findings=names, latents=latents, progress=report)
    used, notes = table.attrs["used"], table.attrs["notes"]
    table = table[[*FIRST_COLUMNS, *(name for name in table if name not in FIRST_COLUMNS)]]
    chosen = {
        "run": run.path, "boxes": boxes.name, "threshold": str(settings.threshold), "iou": iou,
        "confidence": confidence, "min_area": min_area, "images": images, "split": split, "finding": names,
        "latents": latents, "resamples": resamples, "seed": seed,
    }  # fmt: skip
    table.attrs = {
        "provenance": provenance("localize", chosen)
        | {"made_with": run.made_with, "used": {name: one.describe() for name, one in used.items()}, "notes": notes}
    }
    return table


def localize_latents(
    run: Run,
    boxes: RunBoxes,
    settings: LocalizationSettings,
    *,
    findings: Sequence[str] | None = None,
    latents: Sequence[int] | None = None,
    weights: NDArray[np.float64] | None = None,
    progress: Report | None = None,
) -> pd.DataFrame:
    """Measure every live latent (or some) of a run against annotated boxes; see `localize_run` for the columns.

    With `weights` (h,), what a unit of each latent adds to a logit, one map is measured in their place: what pushes
    that logit up in each cell. The table has no column `latent` then.

    ``attrs["used"]`` says how many images count for each finding, see `counted_images`, and ``attrs["notes"]`` what was
    changed about the boxes and what is odd about the images.

    Raises
    ------
    FindingsError
        A finding was asked for that has no box on the run's images.
    RunError
        The run keeps no maps.
    """
    boxes = boxes_of_split(run, boxes, settings.split)
    names = _checked(boxes, findings)
    counted = {name: counted_images(run, boxes, name, settings.include, settings.split) for name in names}
    images = np.unique(np.concatenate([one.images for one in counted.values()]))
    rows = np.searchsorted(run.numbers, images)
    regions = _regions(run, images)
    if weights is not None:
        latents = [0]
    table = localize_run(
        *(_columns(run, images, latents) if weights is None else logit_columns(run, images, weights)),
        boxes.table,
        images=images,
        grid=run.grid,
        input_shape=_input_shape(run),
        patients=run.images["patient"].to_numpy()[rows],
        regions=regions,
        latents=None if latents is None else np.asarray(latents),
        findings={name: one.images for name, one in counted.items()},
        settings=settings,
        progress=progress,
    )
    if weights is not None:
        table = table.drop(columns="latent")
    notes = [*boxes.notes, *(note for one in counted.values() for note in one.notes)]
    if BREAST_PARTS not in regions:
        notes.append("the run is of an old format: where a box and the breast cut one cell, the lift is not exact")
    table.attrs = {"used": {name: one.used for name, one in counted.items()}, "notes": notes}
    return table


@dataclass(frozen=True, slots=True, eq=False)
class LatentOverRun:
    """How well one latent localises a finding over a run.

    Parameters
    ----------
    latent, finding : what was measured
    row : the latent's row of `localize_run`: every measure with its interval, and a `note`
    curve : precision and recall over confidences, on the images the settings include; None without boxes
    froc : sensitivity against false positives per image without the finding; None where there is no such image
    used : the images that `row` rests on
    notes : what a person should know, one sentence each
    """

    latent: int
    finding: str
    row: "pd.Series[Any]"
    curve: PrecisionRecall | None
    froc: Froc | None
    used: Used
    notes: tuple[str, ...]


def measure_latent(
    run: Run,
    boxes: RunBoxes,
    latent: int,
    finding: str,
    settings: LocalizationSettings,
    progress: Report | None = None,
) -> LatentOverRun:
    """Measure one latent over a run, with its curves.

    Raises
    ------
    FindingsError, RunError
        As `localize_latents`.
    """
    boxes = boxes_of_split(run, boxes, settings.split)
    finding = _checked(boxes, [finding])[0]
    table = localize_latents(run, boxes, settings, findings=[finding], latents=[latent])
    row = table.iloc[0]
    images = counted_images(run, boxes, finding, "all", settings.split).images
    maps = sparse_maps(*_columns(run, images, [latent]), run.grid)
    truth = boxes.table[boxes.table["finding"] == finding]
    with_finding = np.unique(truth["image"])
    curve, free = _curves(run, maps, truth, with_finding, images, settings, progress)
    notes = [*table.attrs["notes"], *filter(None, str(row["note"]).split("; "))]
    if free is None:
        notes.append(f"no FROC curve: no image without {finding.replace('_', ' ')}")
    return LatentOverRun(latent, finding, row, curve, free, table.attrs["used"][finding], tuple(notes))


def _curves(
    run: Run,
    maps: SparseMaps,
    truth: pd.DataFrame,
    with_finding: NDArray[np.int64],
    images: NDArray[np.int64],
    settings: LocalizationSettings,
    progress: Report | None,
) -> tuple[PrecisionRecall | None, Froc | None]:
    found = detect(
        maps, _input_shape(run), settings.threshold, confidence=settings.confidence, min_area=settings.min_area,
        progress=progress,
    )  # fmt: skip
    edges = truth[BOX_COLUMNS].to_numpy(np.float64)
    hit = match(found.latent, found.image, found.score, found.boxes, truth["image"], edges, settings.iou).hit
    negative = ~np.isin(found.image, with_finding)
    counted = np.ones(len(found), bool) if settings.include == "all" else ~negative
    n_negative = int((~np.isin(images, with_finding)).sum())
    curve = precision_recall(found.score[counted], hit[counted], len(truth)) if len(truth) else None
    free = froc(found.score, hit, negative, len(truth), n_negative) if len(truth) and n_negative else None
    return curve, free


def _checked(boxes: RunBoxes, findings: Sequence[str] | None) -> list[str]:
    if not boxes.findings:
        raise FindingsError("the annotations have no box on the run's images, so there is nothing to localise")
    if findings is None:
        return list(boxes.findings)
    names = [slug(name) for name in findings]
    for name, given in zip(names, findings, strict=True):
        if name not in boxes.findings:
            known = ", ".join(boxes.findings) or "no finding"
            raise FindingsError(f"no box of {given!r} on the run's images; the annotations have boxes of {known}")
    return names


def _columns(run: Run, images: NDArray[np.int64], latents: Sequence[int] | None) -> Columns:
    """Kept cells of these images: latent, image, cell, value."""
    if latents is not None and len(latents) == 1:  # the run reads one latent without reading the others
        image, cell, value = run.maps(int(latents[0]))
        wanted = np.isin(image, images)
        return np.full(int(wanted.sum()), latents[0]), image[wanted], cell[wanted], value[wanted]
    parts = []
    for part in run.map_parts():
        wanted = np.isin(part.image, images)
        if latents is not None:
            wanted &= np.isin(part.latent, np.asarray(latents))
        parts.append((part.latent[wanted], part.image[wanted], part.cell[wanted], part.value[wanted]))
    latent, image, cell, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return latent, image, cell, value


def logit_columns(run: Run, images: NDArray[np.int64], weights: NDArray[np.float64]) -> Columns:
    """Cells of these images where latents together push a logit up, as those of a latent 0, and by how much."""
    size = run.grid[0] * run.grid[1]
    parts = []
    for part in run.map_parts():  # which holds all latents of its images
        wanted = np.isin(part.image, images)
        keys, where = np.unique(part.image[wanted].astype(np.int64) * size + part.cell[wanted], return_inverse=True)
        pushes = weights[part.latent[wanted]] * part.value[wanted].astype(np.float64)
        sums = np.bincount(where, weights=pushes, minlength=len(keys))
        parts.append((keys[sums > 0], sums[sums > 0]))
    keys, sums = (np.concatenate(column) for column in zip(*parts, strict=True))
    return np.zeros(len(keys), np.int64), keys // size, keys % size, sums.astype(np.float32)


def _regions(run: Run, images: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Shares (k, H' x W') of the regions on these images, and the parts of the breast."""
    found: dict[str, list[NDArray[Any]]] = {}
    for part in run.regions():
        wanted = np.isin(part.image, images)
        for name, share in part.everything.items():
            rows = share.reshape(len(share), run.grid[0] * run.grid[1])
            found.setdefault(name, []).append(rows[wanted])
    return {name: np.concatenate(shares) for name, shares in found.items()}


def _input_shape(run: Run) -> tuple[int, int]:
    height, width = run.info["preprocessing"]["size"]
    return height, width
