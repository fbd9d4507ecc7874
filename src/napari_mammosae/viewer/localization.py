"""What the localisation of one latent on one image comes to, worked out in one pure place. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..core.geometry import clip_boxes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from ..core.findings import Findings
    from ..core.geometry import Frame
    from ..core.images import Mammogram
    from ..core.latents import LatentMaps
    from ..core.localization import LocalizationSettings, Threshold
    from ..core.localization.one_image import Fate, HeatmapValues, ImageBoxes, Measure

EDGES = ["row_min", "col_min", "row_max", "col_max"]
ALL_FINDINGS = ""

ThresholdKind = Literal["quantile", "relative", "absolute"]
Confidence = Literal["maximum", "mean", "energy"]


@dataclass(frozen=True, slots=True)
class Choice:
    """How boxes are made from heatmaps and compared, as chosen in the dock; the defaults are the published ones.

    Attributes
    ----------
    kind, value
        The threshold.
    min_area
        Least height x width of a found box, input pixels.
    confidence
        What found boxes are ranked by.
    iou
        Least overlap of a true positive.
    finding
        Which annotated boxes count; empty for all.
    """

    kind: ThresholdKind = "quantile"
    value: float = 0.95
    min_area: float = 10.0
    confidence: Confidence = "maximum"
    iou: float = 0.25
    finding: str = ALL_FINDINGS

    @property
    def threshold(self) -> Threshold:
        """The threshold as the core takes it."""
        from ..core.localization import Threshold

        return Threshold(self.kind, self.value)

    @property
    def settings(self) -> LocalizationSettings:
        """All of it as the core takes it for a run."""
        from ..core.localization import LocalizationSettings

        return LocalizationSettings(self.threshold, self.iou, self.confidence, self.min_area)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Annotated boxes of one image.

    Attributes
    ----------
    annotated
        Whether anybody looked at the image, boxes or not.
    finding, note
        Of each box.
    source, input
        (b, 4) edges in source pixels, and in the model's input, clipped to it.
    row
        (b,) which row of the image's boxes each is; those beyond the model's crop are left out.
    notes
        What was left out, one sentence each.
    """

    annotated: bool
    finding: tuple[str, ...]
    note: tuple[str, ...]
    source: NDArray[np.float64]
    input: NDArray[np.float64]
    row: NDArray[np.intp]
    notes: tuple[str, ...] = ()


def truth_of(findings: Findings | None, image: Mammogram, frame: Frame, finding: str = ALL_FINDINGS) -> Truth:
    """Annotated boxes of an image, of one finding or all.

    Raises
    ------
    FindingsError
        The boxes are for an image of another size.
    """
    if findings is None or image.image_id not in findings:
        none = np.zeros((0, 4))
        return Truth(False, (), (), none, none, np.zeros(0, np.intp))
    mine = findings.table[findings.table["image_id"] == image.image_id]
    fitted = replace(findings, table=mine, images=findings.images.loc[[image.image_id]], notes=())
    fitted = fitted.for_images({image.image_id: image.shape})
    table = fitted.table
    source = table[EDGES].to_numpy(np.float64)
    given = frame.boxes_to_input(source)
    clipped, _, outside = clip_boxes(given, frame.input_shape)
    wanted = ~outside
    if finding != ALL_FINDINGS:
        wanted &= (table["finding"] == finding).to_numpy(bool)
    beyond = int(outside.sum())
    notes = fitted.notes
    if beyond:
        notes = (*notes, f"boxes beyond the part of the image that the model saw, left out: {beyond}")
    names, remarks = table["finding"].astype(str), texts(table, "note")
    at = np.flatnonzero(wanted)
    return Truth(
        True, tuple(names.iloc[i] for i in at), tuple(remarks[i] for i in at), source[at], clipped[at], at, notes
    )  # fmt: skip


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """A column of remarks, empty where there is none."""
    if column not in table:
        return [""] * len(table)
    return ["" if value is None or value != value else str(value) for value in table[column]]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """One latent on one image: all that stays the same while the threshold moves.

    Attributes
    ----------
    latent, image_id
        What is looked at.
    cells
        (H', W') its heatmap.
    frame, spacing
        Where the model's input lies on the image, and millimetres per source pixel where they are known.
    truth
        The annotated boxes that count.
    values
        Of the heatmap's pixels.
    focus
        Measures that need no threshold.
    """

    latent: int
    image_id: str
    cells: NDArray[np.float32]
    frame: Frame
    spacing: tuple[float, float] | None
    truth: Truth
    values: HeatmapValues
    focus: tuple[Measure, ...]


def scope_of(
    maps: LatentMaps, latent: int, image: Mammogram, truth: Truth, regions: Mapping[str, NDArray[Any]] | None
) -> Scope:
    """Everything about a latent on an image but the threshold; `regions` are area shares (H', W') where known."""
    from ..core.localization.one_image import focus_on_image, heatmap_values

    assert maps.frame is not None
    cells, shape = maps[latent], maps.frame.input_shape
    focus = focus_on_image(cells, shape, truth.input, regions)
    return Scope(
        latent, image.image_id, cells, maps.frame, image.spacing, truth, heatmap_values(cells, shape), focus
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BoxRow:
    """A line of the list of boxes.

    Attributes
    ----------
    fate
        What became of it; annotated boxes are `hit` or `missed`.
    annotated
        Whether somebody drew it, or it was found.
    title
        What to call it.
    iou, score
        Highest overlap with a box of the other kind, and the confidence; NaN where there is none.
    edges
        Row and column edges in source pixels.
    size
        Height, width and area, in millimetres where the spacing is known.
    row
        Of an annotated box, which of the image's boxes it is; -1 for a found one.
    """

    fate: Fate
    annotated: bool
    title: str
    iou: float
    score: float
    edges: tuple[float, float, float, float]
    size: str
    row: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """Found boxes of a latent on an image, what became of them, and what to say about it."""

    scope: Scope
    choice: Choice
    boxes: ImageBoxes
    found: NDArray[np.float64] = field(repr=False)  # (n, 4) edges in source pixels

    @property
    def rows(self) -> list[BoxRow]:
        """Annotated boxes, then found ones by falling confidence."""
        scope, boxes = self.scope, self.boxes
        out = [
            BoxRow(
                "hit" if boxes.found[i] else "missed", True, readable(name), float(boxes.best_iou[i]), np.nan,
                _edges(scope.truth.source[i]), size_text(scope.truth.source[i], scope.spacing), int(scope.truth.row[i]),
            )
            for i, name in enumerate(scope.truth.finding)
        ]  # fmt: skip
        step = np.prod(scope.frame.scale)
        for i in np.argsort(-boxes.score, kind="stable").tolist():
            area = float(boxes.regions.area[i] * step)
            out.append(
                BoxRow(
                    boxes.fate[i], False, f"found {i + 1}", float(boxes.iou[i]), float(boxes.score[i]),
                    _edges(self.found[i]), size_text(self.found[i], scope.spacing, area),
                )
            )  # fmt: skip
        return out

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Figures of this image, those that depend on the threshold first."""
        return (*self.boxes.measures, *self.scope.focus)

    @property
    def notes(self) -> list[str]:
        """What a person should know, one sentence each: never a number that is missing without a word."""
        truth, name = self.scope.truth, readable(self.choice.finding) if self.choice.finding else ""
        notes = [self.boxes.regions.note] if self.boxes.regions.note else []
        if not truth.annotated:
            notes.append("no annotations of this image: what is found is neither right nor wrong")
        elif not truth.finding:
            what = f"box of {name}" if name else "annotated box"
            notes.append(f"no {what} on this image: all that is found is a false positive")
        return [*notes, *truth.notes]


def localize(scope: Scope, choice: Choice) -> Localization:
    """Cut the heatmap and compare: what is done at every move of the threshold."""
    from ..core.localization.one_image import localize_image

    boxes = localize_image(
        scope.cells,
        scope.frame.input_shape,
        scope.truth.input,
        choice.threshold,
        annotated=scope.truth.annotated,
        iou=choice.iou,
        confidence=choice.confidence,
        min_area=choice.min_area,
    )
    return Localization(scope, choice, boxes, scope.frame.boxes_to_source(boxes.regions.boxes))


def size_text(edges: NDArray[np.float64], spacing: tuple[float, float] | None, area: float | None = None) -> str:
    """Height and width of a box in source edges, in millimetres if they are known; `area` of its region in pixels."""
    height, width = float(edges[2] - edges[0]), float(edges[3] - edges[1])
    if spacing is None:
        size = f"{height:.0f} × {width:.0f} px"
        return size if area is None else f"{size}, {area:,.0f} px²"
    size = f"{height * spacing[0]:.1f} × {width * spacing[1]:.1f} mm"
    return size if area is None else f"{size}, {area * spacing[0] * spacing[1]:,.0f} mm²"


def readable(slug: str) -> str:
    """A slug as words."""
    return slug.replace("_", " ")


def likely_finding(findings: Findings | None, image: Mammogram | None, classes: tuple[str, ...]) -> str:
    """The finding to begin with: a class of the model boxed on the image, else what is boxed there, or anywhere."""
    if findings is None:
        return ALL_FINDINGS
    everywhere = findings.names
    here = set(findings.boxes(image.image_id)["finding"]) if image is not None else set()
    wanted = (*(name for name in classes if name in here), *sorted(here), *(n for n in classes if n in everywhere))
    return next(iter((*wanted, *everywhere)), ALL_FINDINGS)


def _edges(box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    top, left, bottom, right = (float(edge) for edge in box)
    return top, left, bottom, right
