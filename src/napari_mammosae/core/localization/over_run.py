"""A run and a table of annotated boxes brought together: every latent measured, or one latent with its curves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..annotations.boxes import Findings
from ..base.errors import FindingsError
from ..base.names import slug
from ..base.progress import Report, reporting
from ..base.provenance import provenance
from ..images.geometry import clip_boxes
from ..runs.listed_names import listed_names
from ..runs.run import Run
from .boxes import DEFAULT_MIN_AREA, Confidence
from .detections import SparseMaps, detect, sparse_maps
from .evaluation import BOX_COLUMNS, Include, LocalizationSettings, localize_run
from .matching import Froc, PrecisionRecall, froc, match, precision_recall
from .thresholds import DEFAULT_THRESHOLD, Threshold

Columns = tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]
FIRST_COLUMNS = ("finding", "latent", "ap", "precision", "recall", "mean_best_iou", "pointing", "energy", "lift")
"""What a table begins with; the rest follows in the order in which it is measured."""
_FRAME = ("source_rows", "source_cols", "crop_row0", "crop_col0", "crop_row1", "crop_col1")


@dataclass(frozen=True, slots=True, eq=False)
class RunBoxes:
    """Annotated boxes of a run's images.

    Parameters
    ----------
    table : columns `image` (as in the run), `finding`, `row_min`, `col_min`, `row_max`, `col_max` (input edges, clipped
        to what the model saw)
    named : (n,) bool per row of the run's images: the annotations name the image, with or without boxes
    notes : what was left out or changed, one sentence each
    name : the file's, for messages
    """

    table: pd.DataFrame
    named: NDArray[np.bool_]
    notes: tuple[str, ...]
    name: str = ""

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings that have a box, in alphabetical order."""
        return tuple(sorted(self.table["finding"].unique()))


def boxes_of_run(run: Run, findings: Findings) -> RunBoxes:
    """Put annotated boxes into the model input's frame of a run's images.

    Raises
    ------
    FindingsError
        The annotations name none of the run's images, or all are for images of other sizes.
    """
    images = run.images
    names = listed_names(images)
    frames = images[list(_FRAME)].to_numpy(np.float64)
    shapes = {name: (int(rows), int(cols)) for name, rows, cols in zip(names, *frames[:, :2].T, strict=True)}
    fitted = findings.for_images(shapes)
    row = pd.Index(names).get_indexer(pd.Index(fitted.table["image_id"]))
    input_shape = np.array(run.info["preprocessing"]["size"], np.float64)
    crop = frames[row, 2:]
    step = (crop[:, 2:] - crop[:, :2]) / input_shape  # source pixels per input pixel
    boxes = (fitted.table[BOX_COLUMNS].to_numpy(np.float64) - np.tile(crop[:, :2], 2)) / np.tile(step, 2)
    clipped, _, outside = clip_boxes(boxes, input_shape)
    notes = list(fitted.notes)
    if outside.any():
        notes.append(f"{findings.name}: boxes outside what the model saw, left out: {int(outside.sum())}")
    table = pd.DataFrame({"image": run.numbers[row], "finding": fitted.table["finding"].to_numpy()})
    table[BOX_COLUMNS] = clipped
    return RunBoxes(
        table[~outside].reset_index(drop=True), np.isin(names, fitted.images.index), tuple(notes), findings.name
    )


def localize(
    run: Run,
    findings: Findings | RunBoxes,
    *,
    threshold: str | Threshold = DEFAULT_THRESHOLD,
    iou: float = 0.25,
    confidence: Confidence = "maximum",
    min_area: float = DEFAULT_MIN_AREA,
    images: Include = "finding",
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
        "finding": those with the finding, as in the published table; "all": all annotated ones.
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
        `energy`, `lift` and the other columns of `localize_run`. ``attrs["provenance"]`` says what produced it, and
        what of the boxes was left out.

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
    settings = LocalizationSettings(Threshold.parse(threshold), iou, confidence, min_area, images, resamples, seed)
    boxes = findings if isinstance(findings, RunBoxes) else boxes_of_run(run, findings)
    names = [finding] if isinstance(finding, str) else finding
    with reporting(progress) as report:
        table = localize_latents(run, boxes, settings, findings=names, latents=latents, progress=report)
    table = table[[*FIRST_COLUMNS, *(name for name in table if name not in FIRST_COLUMNS)]]
    chosen = {
        "run": run.path, "boxes": boxes.name, "threshold": str(settings.threshold), "iou": iou,
        "confidence": confidence, "min_area": min_area, "images": images, "finding": names, "latents": latents,
        "resamples": resamples, "seed": seed,
    }  # fmt: skip
    table.attrs["provenance"] = provenance("localize", chosen) | {"made_with": run.made_with, "notes": boxes.notes}
    return table


def localize_latents(
    run: Run,
    boxes: RunBoxes,
    settings: LocalizationSettings,
    *,
    findings: Sequence[str] | None = None,
    latents: Sequence[int] | None = None,
    progress: Report | None = None,
) -> pd.DataFrame:
    """Measure every live latent (or some) of a run against annotated boxes; see `localize_run` for the columns.

    Only images that the annotations name are used: of others nobody said what is on them.

    Raises
    ------
    FindingsError
        A finding was asked for that has no box on the run's images.
    RunError
        The run keeps no maps.
    """
    names = _checked(boxes, findings)
    images = _images(run, boxes, names, settings)
    rows = np.searchsorted(run.numbers, images)
    return localize_run(
        *_columns(run, images, latents),
        boxes.table,
        images=images,
        grid=run.grid,
        input_shape=_input_shape(run),
        patients=run.images["patient"].to_numpy()[rows],
        regions=_regions(run, images),
        latents=None if latents is None else np.asarray(latents),
        findings=names,
        settings=settings,
        progress=progress,
    )


@dataclass(frozen=True, slots=True, eq=False)
class LatentOverRun:
    """How well one latent localises a finding over a run.

    Parameters
    ----------
    latent, finding : what was measured
    row : the latent's row of `localize_run`: every measure with its interval, and a `note`
    curve : precision and recall over confidences, on the images the settings include; None without boxes
    froc : sensitivity against false positives per image without the finding; None where there is no such image
    notes : what a person should know, one sentence each
    """

    latent: int
    finding: str
    row: "pd.Series[Any]"
    curve: PrecisionRecall | None
    froc: Froc | None
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
    finding = _checked(boxes, [finding])[0]
    row = localize_latents(run, boxes, settings, findings=[finding], latents=[latent]).iloc[0]
    images = _images(run, boxes, [finding], replace(settings, include="all"))
    maps = sparse_maps(*_columns(run, images, [latent]), run.grid)
    truth = boxes.table[boxes.table["finding"] == finding]
    with_finding = np.unique(truth["image"])
    curve, free = _curves(run, maps, truth, with_finding, images, settings, progress)
    notes = [*boxes.notes, *filter(None, str(row["note"]).split("; "))]
    if free is None:
        notes.append(f"no FROC curve: no image without {finding.replace('_', ' ')}")
    return LatentOverRun(latent, finding, row, curve, free, tuple(notes))


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


def _images(run: Run, boxes: RunBoxes, names: Sequence[str], settings: LocalizationSettings) -> NDArray[np.int64]:
    if settings.include == "all":
        return run.numbers[boxes.named].astype(np.int64)
    return np.unique(boxes.table.loc[boxes.table["finding"].isin(names), "image"].to_numpy(np.int64))


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


def _regions(run: Run, images: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Shares (k, H' x W') of the regions on these images."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for part in run.regions():
        wanted = np.isin(part.image, images)
        for name, share in part.shares.items():
            rows = share.reshape(len(share), run.grid[0] * run.grid[1])
            found.setdefault(name, []).append(rows[wanted])
    return {name: np.concatenate(shares) for name, shares in found.items()}


def _input_shape(run: Run) -> tuple[int, int]:
    height, width = run.info["preprocessing"]["size"]
    return height, width
