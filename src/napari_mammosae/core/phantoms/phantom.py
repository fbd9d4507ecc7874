"""One synthetic mammogram from one seed, with everything that is on it."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..base.errors import SettingsError
from . import confounders, lesions
from .anatomy import Build, cover, grain, lay_out, tissue, tone
from .lesions import Mask, box_of

Laterality = Literal["L", "R"]
View = Literal["CC", "MLO"]
Box = tuple[int, int, int, int]

FINDINGS = ("mass", "suspicious_calcification")
STRUCTURES = (
    "breast",
    "skin",
    "nipple",
    "pectoral",
    "marker",
    "device_tag",
    "bead",
    "clip",
    "skin_fold",
    "benign_calcification",
)
PREVALENCE = 0.4

# The first word of every random stream: a later change of one stream's use leaves the other streams as they were.
_PATIENT, _ANATOMY, _LABELS, _LESIONS, _CONFOUNDERS, _MARKER, _NIPPLE = range(7)


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic mammogram and its truth; no patient stands behind it.

    `pixels` is uint8 (1520, 912), air 0, with at least one pixel of 255. `masks` are boolean, of the same shape, one
    per finding or structure that is there. `boxes` lists (name, (row_min, col_min, row_max, col_max)) in pixel edges,
    half open: one per mass, calcification cluster and structure; `specks` the boxes of the single calcifications.
    `spacing` is (row, column) in mm per pixel. `contrast` of the mass is in local deviations (64 px) above its
    surroundings.
    """

    image_id: str
    patient: str
    laterality: Laterality
    view: View
    pixels: NDArray[np.uint8]
    spacing: tuple[float, float]
    labels: dict[str, bool]
    masks: dict[str, Mask]
    boxes: tuple[tuple[str, Box], ...]
    specks: tuple[Box, ...] = ()
    contrast: float | None = field(default=None)

    def boxes_of(self, name: str) -> list[Box]:
        """Boxes of one finding or structure."""
        return [box for found, box in self.boxes if found == name]


_SIDES: tuple[tuple[Laterality, View], ...] = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
"""Of the phantoms of a patient, by seed."""


def names_of(seed: int) -> tuple[str, str]:
    """Image and patient of a seed; four consecutive seeds (from a multiple of four) are one patient."""
    return f"phantom-{seed:06d}", f"phantom-patient-{seed // 4:05d}"


def sides_of(image_id: str, patient: str) -> tuple[Laterality, View] | tuple[None, None]:
    """Return laterality and view of a phantom from the names of its image and patient; None for other images.

    >>> sides_of("phantom-000006", "phantom-patient-00001"), sides_of("phantom-000006", "somebody")
    (('R', 'CC'), (None, None))
    """
    seed = image_id.removeprefix("phantom-")
    if not seed.isdecimal() or names_of(int(seed)) != (image_id, patient):
        return None, None
    return _SIDES[int(seed) % 4]


def labels_of(seed: int) -> dict[str, bool]:
    """Return the findings of a seed, known before anything is drawn."""
    return _labels(_label_draw(seed))


def nipple_hidden(seed: int, share: float) -> bool:
    """Return whether the nipple of a seed is out of profile, where it is on a share of the images."""
    return bool(np.random.default_rng([_NIPPLE, seed]).random() < share)


def has_marker(seed: int, marker_bias: float = 0.5) -> bool:
    """Whether the phantom of a seed has a view marker, known before anything is drawn."""
    draw = _label_draw(seed)
    return _marker(draw, _labels(draw)["mass"], marker_bias)


def _label_draw(seed: int) -> np.random.Generator:
    return np.random.default_rng([_LABELS, seed])


def _labels(draw: np.random.Generator) -> dict[str, bool]:
    return dict(zip(FINDINGS, (draw.random(len(FINDINGS)) < PREVALENCE).tolist(), strict=True))


def _marker(draw: np.random.Generator, mass: bool, bias: float) -> bool:
    return bool(draw.random() < (bias if mass else 1 - bias))


def make_phantom(
    seed: int,
    *,
    marker_bias: float = 0.5,
    laterality: Laterality | None = None,
    view: View | None = None,
    mass: bool | None = None,
    suspicious_calcification: bool | None = None,
    marker: bool | None = None,
    skin_fold: bool | None = None,
    clip: bool | None = None,
    nipple: bool = True,
    density: float | None = None,
) -> Phantom:
    """Make the phantom of a seed; the same call gives the same pixels, however many others are made.

    Four consecutive seeds (from a multiple of four) are one patient: left CC and MLO, right CC and MLO, of one build;
    findings are drawn for each image on its own, each with a probability of 0.4. `marker_bias` is the probability of a
    view marker on an image with a mass, and one minus it on an image without. The other arguments overrule the draw and
    leave the rest of the image as it would have been; only findings look for their places on what is there before them.
    `density` runs from 0 (fatty) to 1 (dense).
    """
    if seed < 0:
        raise SettingsError(f"the seed of a phantom is {seed}; it must not be negative.")
    if not 0 <= marker_bias <= 1:
        raise SettingsError(f"marker_bias is {marker_bias}; it is a probability, from 0 to 1.")
    patient, turn = divmod(seed, 4)
    build = Build.of_patient(np.random.default_rng([_PATIENT, patient]))
    if density is not None:
        build = replace(build, density=density)
    laterality, view = laterality or _SIDES[turn][0], view or _SIDES[turn][1]

    draw = _label_draw(seed)
    drawn = _labels(draw)
    mass = drawn["mass"] if mass is None else mass
    cluster = drawn["suspicious_calcification"] if suspicious_calcification is None else suspicious_calcification
    if marker is None:
        marker = _marker(draw, mass, marker_bias)

    rng = np.random.default_rng([_ANATOMY, seed])
    geometry = lay_out(rng, view, build)
    image = cover(rng, geometry, tone(rng, tissue(rng, build, geometry), geometry), nipple)

    masks: dict[str, Mask] = {}
    boxes: list[tuple[str, Box]] = []
    specks: tuple[Box, ...] = ()
    contrast = None

    def keep(name: str, mask: Mask | None) -> None:
        if mask is not None and mask.any():
            masks[name] = masks[name] | mask if name in masks else mask
            boxes.append((name, box_of(mask)))

    rng = np.random.default_rng([_LESIONS, seed])
    first, second = rng.spawn(2)
    if mass:
        lesion = lesions.add_mass(first, image, geometry)
        keep("mass", lesion.mask)
        contrast = lesion.contrast
    rng = np.random.default_rng([_CONFOUNDERS, seed])
    for name, chance, add, wanted in (
        ("skin_fold", 0.20, confounders.add_skin_fold, skin_fold),
        ("benign_calcification", 0.30, confounders.add_benign_speck, None),
        ("bead", 0.30, confounders.add_bead, None),
        ("clip", 0.12, confounders.add_clip, clip),
    ):
        own = rng.spawn(1)[0]
        drawn_here = own.random() < chance
        if drawn_here if wanted is None else wanted:
            keep(name, add(own, image, geometry))
    image = grain(rng, image)
    if cluster:
        lesion = lesions.add_calcifications(second, image, geometry)
        keep("suspicious_calcification", lesion.mask)
        specks = lesion.specks

    # A right breast is drawn as a left one and turned over before letters are burned in.
    depth, muscle, stump = geometry.depth if nipple else geometry.bare_depth, geometry.muscle, geometry.nipple_depth
    air = geometry.depth < -1.5  # the same with and without a nipple, so that plates keep their places
    if laterality == "R":
        depth, muscle, stump = (field[:, ::-1] for field in (depth, muscle, stump))
        image, air = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(air[:, ::-1])
        width = image.shape[1]
        masks = {name: np.ascontiguousarray(mask[:, ::-1]) for name, mask in masks.items()}
        boxes = [(name, (r0, width - c1, r1, width - c0)) for name, (r0, c0, r1, c1) in boxes]
        specks = tuple((r0, width - c1, r1, width - c0) for r0, c0, r1, c1 in specks)
    # Skin and anatomy first in the list, then what was added.
    added, boxes = boxes, []
    breast = depth > 0
    keep("breast", breast)
    keep("skin", breast & (depth < 2.0))
    keep("nipple", (stump > -0.5) & breast & nipple)
    keep("pectoral", (muscle > 0) & breast)
    boxes += added

    image[~breast & (depth < -1.0)] = 0
    if "bead" in masks:
        outside = masks["bead"] & ~breast
        image[outside] = confounders.SATURATED
        air &= ~masks["bead"]
    rng = np.random.default_rng([_MARKER, seed])
    tag, lead = rng.spawn(2)
    keep("device_tag", confounders.add_device_tag(tag, image, air, build.spacing))
    if marker:
        keep("marker", confounders.add_view_marker(lead, image, air, build.spacing, laterality, view))

    pixels = np.clip(np.rint(image, out=image), 0, 255, out=image).astype(np.uint8)
    image_id, patient_id = names_of(seed)
    return Phantom(
        image_id=image_id,
        patient=patient_id,
        laterality=laterality,
        view=view,
        pixels=pixels,
        spacing=build.spacing,
        labels={"mass": mass, "suspicious_calcification": cluster},
        masks=masks,
        boxes=tuple(boxes),
        specks=specks,
        contrast=contrast,
    )
