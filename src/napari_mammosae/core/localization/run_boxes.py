"""Annotated boxes of a run's images, and which images are annotated for a finding."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..annotations.boxes import Findings
from ..annotations.positives import positive_of, question
from ..base.errors import SettingsError
from ..images.geometry import clip_boxes
from ..runs.classes import categories_of
from ..runs.listed_names import listed_names
from ..runs.run import Run
from ..runs.sample import Used, in_split, unread_images
from .evaluation import BOX_COLUMNS, Include

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


def boxes_of_split(run: Run, boxes: RunBoxes, split: str | None) -> RunBoxes:
    """Keep the boxes on images of a split; all without one.

    Raises
    ------
    SettingsError
        The run has no such split.
    """
    if split is None:
        return boxes
    inside = run.numbers[in_split(run, run.images.get("split"), split)]
    return replace(boxes, table=boxes.table[boxes.table["image"].isin(inside)].reset_index(drop=True))


def finding_label(run: Run, finding: str) -> NDArray[np.float64] | None:
    """Return a run's own label of a finding, (n,), 1 where it is there, else 0, NaN where unknown; None without one.

    Raises
    ------
    SettingsError
        The label has texts, and it is not known which one is positive.
    """
    if finding not in run.labels:
        return None
    names, values = categories_of(run, finding), run.label(finding)
    if names and positive_of(names) != 1:
        raise SettingsError(question(finding, names))
    return np.where(np.isnan(values), np.nan, values != 0)


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Images that count for a finding.

    Attributes
    ----------
    images
        (k,) int64, as the run calls them.
    used
        How many they are, and why the others are not among them.
    notes
        What a person should know.
    """

    images: NDArray[np.int64]
    used: Used
    notes: tuple[str, ...] = ()


def counted_images(
    run: Run, boxes: RunBoxes, finding: str, include: Include = "all", split: str | None = None
) -> Counted:
    """Find the images that count for a finding: those with a box of it, and with "all" those known to be without.

    An image is known to be without the finding where the annotations name it and draw no box of it, or where the run's
    label says so. One whose label says that it has the finding, but where no box is, is left out: nobody can say which
    found box is right.

    Raises
    ------
    SettingsError
        There is no such split; with "all" also where it is not known which text of the run's label is positive.
    """
    numbers, name = run.numbers, finding.replace("_", " ")
    boxed = np.isin(numbers, boxes.table.loc[boxes.table["finding"] == finding, "image"])
    try:
        found = finding_label(run, finding)
    except SettingsError:
        if include == "all":
            raise
        found = None
    label = np.full(len(run), np.nan) if found is None else found
    out = {} if split is None else {f"not of split {split}": ~in_split(run, run.images.get("split"), split)}
    out[f"labelled {name} but without a box of it"] = (label == 1) & ~boxed
    without = ~boxed & (boxes.named | (label == 0))
    if include == "finding":
        out[f"without {name}"] = without
    out[f"not annotated for {name}"] = ~boxed & ~without
    left = np.any([*out.values()], axis=0)
    odd = int((boxed & (label == 0) & ~left).sum())
    notes = (f"{odd:,} images have a box of {name} though the run's label says that they are without",) if odd else ()
    return Counted(numbers[~left].astype(np.int64), Used.of_masks(out, len(run), unread_images(run)), notes)
