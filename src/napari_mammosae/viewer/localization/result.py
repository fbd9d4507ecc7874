"""What the localisation of a heatmap on one image comes to, worked out in one pure place. Knows no Qt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.annotations.image_boxes import ALL_FINDINGS, Truth
from ...core.base.progress import Report
from ...core.base.text import readable
from ...core.images.geometry import Frame
from ...core.images.mammogram import Mammogram
from ...core.images.scale import Scale
from ...core.localization.combination import CombinedMap
from ...core.localization.one_image import Fate, HeatmapValues, ImageBoxes, Measure
from ...core.localization.thresholds import Threshold
from ...core.models.latents import LatentMaps
from ...core.runs.protocol import ProtocolName, choose
from .latent_set import LatentSet

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings
    from ...core.localization.evaluation import LocalizationSettings

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
        Smallest IoU of a true positive.
    finding
        Which annotated boxes count; empty for all.
    protocol
        Over a run: the protocol that is followed; None for all images.
    """

    kind: ThresholdKind = "quantile"
    value: float = 0.95
    min_area: float = 10.0
    confidence: Confidence = "maximum"
    iou: float = 0.25
    finding: str = ALL_FINDINGS
    protocol: ProtocolName | None = None

    @property
    def threshold(self) -> Threshold:
        """The threshold as the core takes it."""
        from ...core.localization.thresholds import Threshold

        return Threshold(self.kind, self.value)

    @property
    def settings(self) -> "LocalizationSettings":
        """All of it as the core takes it for a run."""
        from ...core.localization.evaluation import LocalizationSettings

        split = choose(self.protocol).eval_split
        return LocalizationSettings(self.threshold, self.iou, self.confidence, self.min_area, split=split)


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What is known of a breast.

    Attributes
    ----------
    shares
        Area shares (H', W') of the cells by region, and the parts of each cell that the breast covers.
    nipple
        Where it is estimated to be, (row, column) in source pixels; None where it was not found.
    """

    shares: Mapping[str, NDArray[Any]]
    nipple: Sequence[float] | None


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A heatmap on an image: all that stays the same while the threshold moves.

    Attributes
    ----------
    image_id
        The image.
    cells
        (H', W') the heatmap of a latent, or of several together.
    frame, scale
        Where the model's input lies on the image, and millimetres per source pixel where they are known.
    truth
        The annotated boxes that count.
    values
        Of the heatmap's pixels.
    focus
        Measures that need no threshold.
    combined
        Several latents together; None for one latent.
    about
        What the heatmap is, as a sentence; empty for one latent.
    nipple
        Where it is estimated to be, (row, column) in source pixels; None where it was not found.
    """

    image_id: str
    cells: NDArray[np.float32]
    frame: Frame
    scale: Scale | None
    truth: Truth
    values: HeatmapValues
    focus: tuple[Measure, ...]
    combined: CombinedMap | None = None
    about: str = ""
    nipple: Sequence[float] | None = None


def scope_of(maps: LatentMaps, latent: int, image: Mammogram, truth: Truth, anatomy: Anatomy | None) -> Scope:
    """Everything about a latent on an image but the threshold; `anatomy` where it is known."""
    from ...core.localization.one_image import focus_on_image, heatmap_values

    assert maps.frame is not None
    cells, shape = maps[latent], maps.frame.input_shape
    focus = focus_on_image(cells, shape, truth.input, anatomy.shares if anatomy is not None else None)
    nipple = anatomy.nipple if anatomy is not None else None
    return Scope(
        image.image_id, cells, maps.frame, image.scale, truth, heatmap_values(cells, shape), focus, nipple=nipple
    )


def scope_together(
    maps: LatentMaps,
    several: LatentSet,
    weights: NDArray[np.float64] | None,
    image: Mammogram,
    truth: Truth,
    anatomy: Anatomy | None,
    progress: Report | None = None,
) -> Scope:
    """Everything about several latents together; `weights` of the live ones for a class activation map.

    Measures of a class activation map are those of its positive part, of what speaks for the class.
    """
    from ...core.localization.combination import CombinedMap
    from ...core.localization.one_image import focus_on_image, heatmap_values

    assert maps.frame is not None
    shape = maps.frame.input_shape
    rows = [row for latent in several.live if (row := maps.row(latent)) is not None]
    stack = maps.values[rows].astype(np.float32) if rows else np.zeros((1, *maps.shape[1:]), np.float32)
    combined = CombinedMap.of(stack, shape, several.how, weights if rows else np.ones(1), progress)
    silent = "no latent supports the class here" if several.logit is not None else "none of the latents fires here"
    focus = focus_on_image(
        np.maximum(combined.cells, 0),
        shape,
        truth.input,
        anatomy.shares if anatomy is not None else None,
        silent=silent,
    )
    values = heatmap_values(combined.cells, shape)
    nipple = anatomy.nipple if anatomy is not None else None
    return Scope(
        image.image_id, combined.cells, maps.frame, image.scale, truth, values, focus, combined, several.about, nipple
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
        Height and width, in millimetres where the scale is known, as is what follows.
    area, away
        Area of a found one's region, and the distance of the box from the nipple; empty where they are not known.
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
    area: str = ""
    away: str = ""
    row: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """Boxes found in a heatmap of an image, what became of them, and what to say about it."""

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
                _edges(scope.truth.source[i]), box_size_text(scope.truth.source[i], scope.scale),
                away=nipple_text(scope.truth.source[i], scope), row=int(scope.truth.row[i]),
            )
            for i, name in enumerate(scope.truth.finding)
        ]  # fmt: skip
        step = np.prod(scope.frame.scale)
        for i in np.argsort(-boxes.score, kind="stable").tolist():
            area = float(boxes.regions.area[i] * step)
            out.append(
                BoxRow(
                    boxes.fate[i], False, f"found {i + 1}", float(boxes.iou[i]), float(boxes.score[i]),
                    _edges(self.found[i]), box_size_text(self.found[i], scope.scale),
                    area_text(area, scope.scale), nipple_text(self.found[i], scope),
                )
            )  # fmt: skip
        return out

    @property
    def level(self) -> float:
        """The activation the threshold came to; NaN where there is none, or each latent of a union has its own."""
        union = self.scope.combined is not None and self.scope.combined.greatest is not None
        return np.nan if union and self.choice.kind != "absolute" else self.boxes.regions.level

    @property
    def _note(self) -> str:
        """What to know about the regions."""
        regions = self.boxes.regions
        if self.scope.combined is None:
            return regions.note
        if regions.silent:
            return "none of these latents fires on this image: no boxes"
        return "no latent supports the class here: no boxes" if self.scope.values.maximum <= 0 else regions.note

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Figures of this image, those that depend on the threshold first."""
        return (*self.boxes.measures, *self.scope.focus)

    @property
    def notes(self) -> list[str]:
        """What a person should know, one sentence each: never a number that is missing without a word."""
        truth, name = self.scope.truth, readable(self.choice.finding) if self.choice.finding else ""
        notes = [note for note in (self.scope.about, self._note) if note]
        if truth.hidden:
            notes.append("annotated boxes are hidden in blind mode")
        elif not truth.annotated:
            notes.append("this image is not annotated, so found boxes are neither right nor wrong")
        elif not truth.finding:
            what = f"box of {name}" if name else "annotated box"
            notes.append(f"no {what} on this image: every found box is a false positive")
        return [*notes, *truth.notes]


def localize(scope: Scope, choice: Choice, progress: Report | None = None) -> Localization:
    """Cut the heatmap and compare: what is done at every move of the threshold."""
    from ...core.localization.boxes import find_regions
    from ...core.localization.one_image import judge_regions

    if scope.combined is None:
        regions = find_regions(scope.cells, scope.frame.input_shape, choice.threshold, min_area=choice.min_area)
    else:
        regions = scope.combined.regions(choice.threshold, min_area=choice.min_area, progress=progress)
    boxes = judge_regions(
        regions, scope.truth.input, annotated=scope.truth.annotated, iou=choice.iou, confidence=choice.confidence
    )
    return Localization(scope, choice, boxes, scope.frame.boxes_to_source(regions.boxes))


def box_size_text(edges: NDArray[np.float64], scale: Scale | None) -> str:
    """Height and width of a box in source edges, in millimetres if they are known."""
    height, width = float(edges[2] - edges[0]), float(edges[3] - edges[1])
    if scale is None:
        return f"{height:.0f} × {width:.0f} px"
    down, across = scale.per_pixel
    return f"{height * down:.1f} × {width * across:.1f} mm"


def area_text(area: float, scale: Scale | None) -> str:
    """An area of so many pixels, in square millimetres if they are known."""
    return f"{area:,.0f} px²" if scale is None else f"{area * scale.per_pixel[0] * scale.per_pixel[1]:,.0f} mm²"


def nipple_text(edges: NDArray[np.float64], scope: Scope) -> str:
    """How far the middle of a box is from the nipple; empty where either is not known."""
    if scope.nipple is None:
        return ""
    middle = ((edges[:2] + edges[2:] - 1) / 2).tolist()  # edges lie half a pixel beyond the pixels' centres
    if scope.scale is None:
        return f"{float(np.hypot(middle[0] - scope.nipple[0], middle[1] - scope.nipple[1])):.0f} px"
    return f"{scope.scale.length(middle, scope.nipple):.0f} mm"


def likely_finding(findings: "Findings | None", image: Mammogram | None, classes: tuple[str, ...]) -> str:
    """The finding to begin with: a class of the model boxed on the image, else what is boxed there, or anywhere."""
    if findings is None:
        return ALL_FINDINGS
    everywhere = findings.names
    here = set(findings.boxes(image.full_name)["finding"]) if image is not None else set()
    wanted = (*(name for name in classes if name in here), *sorted(here), *(n for n in classes if n in everywhere))
    return next(iter((*wanted, *everywhere)), ALL_FINDINGS)


def _edges(box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    top, left, bottom, right = (float(edge) for edge in box)
    return top, left, bottom, right
