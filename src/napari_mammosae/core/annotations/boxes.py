"""Ground-truth boxes: the tables VinDr-Mammo comes with, plain CSV, and COCO JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..base.arguments import expect
from ..base.errors import FindingsError
from ..base.names import LACKS_SLUG, ImageNames, image_id_of, short_name, slug
from ..base.reading import reads
from ..base.tables.reading import numbers, read_image_ids, read_table, require
from ..base.text import counted
from ..images.geometry import BOX, clip_boxes
from .coco import read_coco
from .labels import image_facts
from .vindr import categories

_COLUMNS = ("image_id", "finding", *BOX)
_XY = ("ymin", "xmin", "ymax", "xmax")
_RESIZED = tuple(f"resized_{name}" for name in BOX)
_RESIZED_SHAPE = (1520, 912)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Annotated boxes of many images.

    Parameters
    ----------
    table
        One row a box and finding: `image_id` (with the folders it has in the file), `finding` (slug), `row_min`,
        `col_min`, `row_max`, `col_max` (source edges), and where the file has them `laterality`, `view`, `split`,
        `birads`, `note`; `line` is that of the file.
    images
        Every image the file names, boxes or not, indexed by `image_id`: `patient`, `laterality`, `view`, `split`,
        `height`, `width` (source pixels, NaN when the file does not say); `full_name` of those drawn on.
    name
        File name, for messages.
    notes
        What was left out or changed, one sentence each, for the user to see.
    left_out
        Images of which every box was left out: what is annotated on them is not known.
    source
        The file or data set they were read from; None for boxes that come from none.
    """

    table: pd.DataFrame
    images: pd.DataFrame
    name: str
    notes: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    source: Path | None = None
    _names: ImageNames = field(init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.table, "boxes")
        expect(self.images, "boxes")
        known = self.images.index.to_series()
        if "full_name" in self.images:
            known = self.images["full_name"].fillna(known)
        object.__setattr__(self, "_names", ImageNames(map(str, known)))

    def __repr__(self) -> str:
        names = ", ".join(self.names) or "nothing"
        boxes, images = counted(len(self.table), "box", "boxes"), counted(len(self.images), "image")
        return f"<Findings {self.name}: {boxes} of {names}; {images}>"

    def __contains__(self, image: object) -> bool:
        return self.name_of(str(image)) is not None

    def name_of(self, image: str) -> str | None:
        """`image_id` of an image named with as many of its folders as are known; None where none or several fit."""
        place = self._names.find(image)
        return None if place is None else str(self.images.index[place])

    @property
    def names(self) -> tuple[str, ...]:
        """Slugs of the findings that have boxes, sorted."""
        return tuple(sorted(self.table["finding"].unique()))

    def boxes(self, image_id: str, finding: str | None = None, *, shape: tuple[int, int] | None = None) -> pd.DataFrame:
        """Rows of `table` for an image, and one finding if given; none for an image the file does not name.

        With the image's `shape` the boxes come in its pixels, clipped to it: VinDr's resized boxes are used for images
        that were cropped and resized already. Boxes made for an image of another size are an error.
        """
        chosen = self.table[self.table["image_id"] == self.name_of(image_id)]
        if finding is not None:
            chosen = chosen[chosen["finding"] == slug(finding)]
        if shape is not None and len(chosen):
            chosen, _, misfits = self._fitted(chosen, np.array([shape] * len(chosen)))
            if misfits:
                raise FindingsError(misfits[0])
        return chosen.reset_index(drop=True)

    def for_images(self, shapes: Mapping[str, tuple[int, int]]) -> "Findings":
        """Keep only these images, boxes in their pixels clipped to them; `notes` tells what was changed.

        They are called as in `shapes` then, and looked for with the folders they have there.

        Raises
        ------
        FindingsError
            The file names none of the images, or all its boxes belong to images of other sizes.
        """
        matched = self._names.match(list(shapes))
        notes = [*self.notes, *(f"{self.name}: {note}" for note in matched.notes)]
        places = {at: image for at, image in zip(matched.places, shapes, strict=True) if at is not None}
        if not places:
            stems = set(map(image_id_of, self.images.index))  # folders matter where the names agree
            wanted = [short_name(image) if image_id_of(image) in stems else image_id_of(image) for image in shapes]
            raise FindingsError(
                f"{self.name}: names none of the {counted(len(shapes), 'image')}; it has for example "
                f"{', '.join(map(repr, map(short_name, self.images.index[:3]))) or 'no image'}, wanted are "
                f"{', '.join(map(repr, wanted[:3])) or 'none'}; names are compared without "
                f"suffix, and where both have folders with these{''.join(f'; {note}' for note in matched.notes)}"
            )
        known = self.images.index[list(places)]
        called = dict(zip(known, places.values(), strict=True))
        others = self.table.loc[~self.table["image_id"].isin(known), "image_id"].unique()
        if len(others):
            notes.append(f"{self.name}: images it names beyond those at hand: {len(others)} (first: {others[0]})")
        rows = self.table[self.table["image_id"].isin(known)]
        sizes = np.array([shapes[called[image_id]] for image_id in rows["image_id"]]).reshape(-1, 2)
        table, changes, misfits = self._fitted(rows, sizes)
        if misfits and table.empty and not changes:
            raise FindingsError(misfits[0])
        if misfits:  # some wrong images among many must not cost the others
            notes.append(f"{misfits[0]} (images with this fault, whose boxes are not used: {len(misfits)})")
        return replace(
            self,
            table=table.assign(image_id=table["image_id"].map(called)).reset_index(drop=True),
            images=self.images.loc[known].rename(index=called).drop(columns="full_name", errors="ignore"),
            notes=(*notes, *changes),
        )

    def notes_on(self, shapes: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
        """What a user should know of the boxes on these few images, where images without boxes are no error."""
        own = replace(self, table=self.table[self.table["image_id"].isin([self.name_of(image) for image in shapes])])
        try:
            return own.for_images(shapes).notes
        except FindingsError as error:
            return (str(error),)

    def _fitted(self, rows: pd.DataFrame, shapes: NDArray[np.int64]) -> tuple[pd.DataFrame, list[str], list[str]]:
        """Fit boxes to images of shapes (n, 2): what is left, notes, and a message for each image of a wrong size."""
        at = self.images.index.get_indexer(pd.Index(rows["image_id"]))  # `loc` takes a millisecond more, image by image
        said = np.column_stack([self.images[name].to_numpy(np.float64)[at] for name in ("height", "width")])
        fits = np.any(np.isnan(said), axis=1) | np.all(said == shapes, axis=1)
        resized = ~fits & np.all(shapes == _RESIZED_SHAPE, axis=1) & (_RESIZED[0] in rows)
        boxes = rows[list(BOX)].to_numpy(np.float64)
        if resized.any():
            boxes = np.where(resized[:, None], rows[list(_RESIZED)].to_numpy(np.float64), boxes)
        valid = np.all((boxes[:, 2:] > boxes[:, :2]) & np.isfinite(boxes[:, 2:]), axis=1)
        clipped, changed, outside = clip_boxes(np.nan_to_num(boxes), shapes)
        right = fits | resized
        kept = right & valid & ~outside
        notes = _clip_notes(self.name, int((changed & kept).sum()), int((right & ~kept).sum()))
        first = {rows["image_id"].iloc[at]: at for at in np.flatnonzero(~right)[::-1]}
        misfits = [
            f"{self.name}: the boxes of {image_id} are for {said[at, 0]:.0f} x {said[at, 1]:.0f} pixels, the image has "
            f"{shapes[at, 0]} x {shapes[at, 1]}; give the original image, or a table with resized boxes"
            for image_id, at in sorted(first.items(), key=lambda item: item[1])
        ]
        return rows.assign(**dict(zip(BOX, clipped.T, strict=True)))[kept], notes, misfits


def read_findings(path: Path | str) -> Findings:
    """Read boxes.

    Parameters
    ----------
    path
        One of VinDr-Mammo's tables (`finding_annotations.csv`, `breast-level_annotations.csv`, which has no boxes, or
        `vindr_detection_v1_folds.csv`); a plain CSV `image,finding,xmin,ymin,xmax,ymax`; or COCO JSON.

    Raises
    ------
    FindingsError
        The file cannot be read, lacks columns, or holds something that is not a number where one is needed. Boxes that
        are inverted, without area, outside the image, or repeated do not stop the reading: see `Findings.notes`.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.read_findings("phantoms/findings.csv").names
    ('mass', 'suspicious_calcification')
    """
    return replace(_read_findings(Path(path)), source=Path(path).absolute())


@reads(FindingsError, "a table of boxes")
def _read_findings(path: Path) -> Findings:
    if path.suffix.lower() == ".json":
        return checked_findings(path.name, *read_coco(path))
    cells = read_table(path)
    image_ids = read_image_ids(path, cells, ("image_id", "image"), "a table of boxes")
    images = image_facts(path, cells, image_ids)
    vindr = "finding_categories" in cells
    if not vindr and not {"finding", "xmin"} & set(cells) and {"breast_birads", "breast_density"} & set(cells):
        empty = pd.DataFrame({name: pd.Series(dtype="float64" if name in BOX else object) for name in _COLUMNS})
        return Findings(empty, images, path.name, (f"{path.name}: labels of whole breasts; it holds no boxes",))
    require(path, cells, ["finding_categories" if vindr else "finding", *_XY], "a table of boxes")
    rows = pd.DataFrame({"image_id": image_ids}, index=cells.index)
    named = categories(path, cells, "finding_categories" if vindr else "finding")
    rows["finding"] = pd.Series(named, index=cells.index, dtype=object)
    for name, source in zip(BOX, _XY, strict=True):
        rows[name] = numbers(path, cells, source)
        if f"resized_{source}" in cells:
            rows[f"resized_{name}"] = numbers(path, cells, f"resized_{source}")
    for name in ("laterality", "view", "split"):
        rows[name] = images[name].reindex(image_ids).to_numpy()
    for name, source in (("birads", "finding_birads"), ("note", "note")):
        if source in cells:
            rows[name] = cells[source]
    return checked_findings(path.name, _one_finding_a_row(path, rows), images, cells.attrs["notes"])


def _one_finding_a_row(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Drop rows without a box and repeat those with several findings, which become slugs."""
    boxes = rows[list(BOX)].to_numpy(np.float64)
    missing = np.isnan(boxes)
    partial = missing.any(axis=1) & ~missing.all(axis=1)
    if partial.any():
        raise FindingsError(
            f"{path.name}, line {rows.index[partial][0]}: a box with blank coordinates; "
            "expected four numbers, or none where there is no box"
        )
    drawn = ~missing.any(axis=1) & (boxes != 0).any(axis=1)
    nameless = drawn & np.array([not names for names in rows["finding"]], dtype=np.bool_)
    if nameless.any():
        raise FindingsError(f"{path.name}, line {rows.index[nameless][0]}: a box without a finding")
    exploded = rows[drawn].explode("finding")
    exploded["finding"] = exploded["finding"].map(lambda text: slug(str(text)))
    unnamed = exploded.index[exploded["finding"] == ""]
    if len(unnamed):
        raise FindingsError(f"{path.name}, line {unnamed[0]}: the finding {LACKS_SLUG}")
    found: pd.DataFrame = exploded[exploded["finding"] != "no_finding"]
    return found.reset_index()


def checked_findings(name: str, table: pd.DataFrame, images: pd.DataFrame, notes: Sequence[str] = ()) -> Findings:
    """Return boxes and images as `Findings`: what is no box is left out, what reaches beyond its image clipped."""
    notes = list(notes)
    boxes = table[list(BOX)].to_numpy(np.float64)
    inverted = np.any(boxes[:, 2:] < boxes[:, :2], axis=1)
    flat = np.any(boxes[:, 2:] == boxes[:, :2], axis=1) & ~inverted
    tiny = ~flat & ~inverted & (boxes.max(axis=1, initial=-np.inf) <= 1) & (boxes.min(axis=1, initial=0) >= 0)
    if tiny.any():
        notes.append(
            f"{name}: boxes within 0 to 1, which may be shares of the image but are taken as pixels: {tiny.sum()} "
            f"(first: {_where(table, tiny)})"
        )
    for wrong, what in ((inverted, "inverted boxes (minimum beyond maximum)"), (flat, "boxes without area")):
        if wrong.any():
            notes.append(f"{name}: {what}, left out: {wrong.sum()} (first: {_where(table, wrong)})")
    shapes = images.reindex(table["image_id"])[["height", "width"]].fillna(np.inf).to_numpy(np.float64)
    clipped, changed, outside = clip_boxes(boxes, shapes)
    outside &= ~inverted & ~flat
    kept = ~inverted & ~flat & ~outside
    notes += _clip_notes(name, int((changed & kept).sum()), int(outside.sum()))
    named = table["image_id"]
    table = table.assign(**dict(zip(BOX, clipped.T, strict=True)))[kept]
    left_out = frozenset(named) - frozenset(table["image_id"])
    repeated = table.duplicated(["image_id", "finding", *BOX]).to_numpy()
    if repeated.any():
        notes.append(f"{name}: repeated boxes, left out: {repeated.sum()} (first: {_where(table, repeated)})")
    return Findings(table[~repeated].reset_index(drop=True), images, name, tuple(notes), left_out)


def _clip_notes(name: str, clipped: int, outside: int) -> list[str]:
    notes = [f"{name}: boxes that reached beyond their image, clipped to it: {clipped}"] if clipped else []
    if outside:
        notes.append(f"{name}: boxes outside their image or inverted in it, left out: {outside}")
    return notes


def _where(table: pd.DataFrame, flags: NDArray[np.bool_]) -> str:
    first = table[flags].iloc[0]
    line = f"line {first['line']}, " if "line" in table else ""
    return f"{line}{first['finding']} of {first['image_id']}"
