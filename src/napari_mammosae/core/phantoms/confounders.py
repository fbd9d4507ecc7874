"""What is on a mammogram and is no finding: view marker, device tag, bead, biopsy clip, skin fold, benign speck."""

import cv2
import numpy as np

from .anatomy import INPUT_SHAPE, Geometry
from .lesions import Mask, window_of
from .noise import Field, smoothstep
from .strokes import curve, draw_line

SATURATED = 255.0


def text_block(
    lines: list[str], letter: float, spacing: tuple[float, float], framed: bool, solid: bool = False
) -> Field:
    """Text with letters of `letter` mm, drawn in square pixels and stretched to the image's; values 0 to 1.

    `framed` adds the corner brackets of a lead marker, `solid` makes dark letters on a bright plate.
    """
    unit = 96  # pixels of a letter's height while drawing: several times the final size
    thick = 15
    scale = unit / 22.0
    sizes = [cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)[0] for line in lines]
    pad = unit // 2
    width = max(w for w, _ in sizes) + 2 * pad
    height = len(lines) * int(1.35 * unit) + 2 * pad - int(0.35 * unit)
    plate = np.zeros((height, width), np.uint8)
    for i, (line, (w, _)) in enumerate(zip(lines, sizes, strict=True)):
        baseline = pad + unit + int(1.35 * unit) * i
        cv2.putText(plate, line, ((width - w) // 2, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    if framed:
        arm = unit // 2
        for r, c in ((0, 0), (0, 1), (1, 0), (1, 1)):
            corner = (c * (width - 1), r * (height - 1))
            for end in ((abs(corner[0] - arm), corner[1]), (corner[0], abs(corner[1] - arm))):
                cv2.line(plate, corner, end, 255, 2 * thick)
    if solid:
        plate = 255 - plate
    mm = letter / unit
    target = (max(4, round(width * mm / spacing[1])), max(4, round(height * mm / spacing[0])))
    return np.asarray(cv2.resize(plate, target, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def free_place(rng: np.random.Generator, air: Mask, shape: tuple[int, int], low: bool | None) -> tuple[int, int] | None:
    """Top left corner of a rectangle that lies wholly in `air`, in the upper or lower half of the image, or None."""
    rows, columns = shape
    if rows >= air.shape[0] or columns >= air.shape[1]:
        return None
    # Air as far as the rectangle reaches down and to the right; where it leaves the image, no place.
    fits = cv2.erode(air.astype(np.uint8), np.ones((rows, columns), np.uint8), anchor=(0, 0)) > 0
    fits = fits[: air.shape[0] - rows + 1, : air.shape[1] - columns + 1]
    half = air.shape[0] // 2
    if low is not None:
        fits[: half if low else 0] = False
        fits[fits.shape[0] if low else half :] = False
    places = np.flatnonzero(fits)
    if not len(places):
        return None
    row, column = divmod(int(places[rng.integers(len(places))]), fits.shape[1])
    return row, column


def add_plate(
    rng: np.random.Generator, image: Field, air: Mask, choices: list[Field], level: float, low: bool | None
) -> Mask | None:
    """Burn the first of `choices` that fits into the air; its place is then taken out of `air`. None if none fits."""
    for plate in choices:
        place = free_place(rng, air, (plate.shape[0] + 8, plate.shape[1] + 8), low)
        if place is None:
            continue
        rows = slice(place[0] + 4, place[0] + 4 + plate.shape[0])
        columns = slice(place[1] + 4, place[1] + 4 + plate.shape[1])
        image[rows, columns] = np.maximum(image[rows, columns], level * plate)
        air[place[0] : rows.stop + 4, place[1] : columns.stop + 4] = False
        mask = np.zeros(image.shape, bool)
        mask[rows, columns] = plate > 0.3
        return mask
    return None


def add_view_marker(
    rng: np.random.Generator, image: Field, air: Mask, spacing: tuple[float, float], laterality: str, view: str
) -> Mask | None:
    """The lead letters that name side and view, for example "L MLO", as one line or two, as large as the air allows."""
    framed = rng.random() < 0.5
    letter = rng.uniform(4.2, 6.0)
    two_lines = rng.random() < 0.5
    low = bool(rng.random() < 0.4)
    layouts = [[laterality, view], [f"{laterality} {view}"]]
    if not two_lines:
        layouts.reverse()
    level = rng.uniform(225, SATURATED)
    for half in (low, not low):
        for shrink in (1.0, 0.8, 0.65, 0.5):
            choices = [text_block(lines, letter * shrink, spacing, framed) for lines in layouts]
            mask = add_plate(rng, image, air, choices, level, half)
            if mask is not None:
                return mask
    return None


def add_device_tag(rng: np.random.Generator, image: Field, air: Mask, spacing: tuple[float, float]) -> Mask | None:
    """The small saturated plate every phantom carries, so that brightness scaling tells nothing about its label."""
    number = f"{rng.integers(10, 100)}"
    letter = rng.uniform(1.8, 2.6)
    low = bool(rng.random() < 0.6)
    for half in (low, not low, None):
        for shrink in (1.0, 0.8, 0.6):
            plate = text_block([number], letter * shrink, spacing, framed=False, solid=True)
            mask = add_plate(rng, image, air, [plate], SATURATED, half)
            if mask is not None:
                return mask
    return None


def add_bead(rng: np.random.Generator, image: Field, geometry: Geometry) -> Mask:
    """A lead bead taped beside the nipple or onto the skin."""
    on_skin = np.flatnonzero(np.abs(geometry.depth - 0.5) < 0.4)
    if rng.random() < 0.6:
        far = geometry.radius.ravel()[on_skin]
        on_skin = on_skin[far < max(14.0, far.min() + 2)]
    row, column = divmod(int(on_skin[rng.integers(len(on_skin))]), INPUT_SHAPE[1])
    return _disc(image, geometry, row, column, rng.uniform(0.8, 1.2), SATURATED)


def add_clip(rng: np.random.Generator, image: Field, geometry: Geometry) -> Mask:
    """A biopsy clip: a few mm of bent metal in the tissue."""
    deep = np.flatnonzero((geometry.depth > 10) & (geometry.muscle < -3))
    if not len(deep):
        deep = np.flatnonzero(geometry.depth > 3)
    row, column = divmod(int(deep[rng.integers(len(deep))]), INPUT_SHAPE[1])
    start = np.array([row * geometry.spacing[0], column * geometry.spacing[1]])
    canvas = np.zeros(INPUT_SHAPE, np.uint8)
    turn = rng.uniform(0.35, 0.75) * rng.choice([-1, 1])
    angles = rng.uniform(0, 6.3) + turn * np.arange(9)
    points = start + np.cumsum(np.stack([np.sin(angles), np.cos(angles)], 1), 0) * rng.uniform(0.4, 0.6)
    draw_line(canvas, points, np.full(8, 255.0), 0.5, geometry.spacing)
    metal = cv2.GaussianBlur(canvas, (0, 0), 0.7).astype(np.float32) / 255
    image += metal * (250 - image)
    return metal > 0.35


def add_skin_fold(rng: np.random.Generator, image: Field, geometry: Geometry) -> Mask:
    """A fold of skin: a bright band, two to four mm wide, with a darker line beside it, near the breast's ends."""
    height = INPUT_SHAPE[0] * geometry.spacing[0]
    width = INPUT_SHAPE[1] * geometry.spacing[1]
    upper = rng.random() < 0.5
    start = np.array(
        [height * (rng.uniform(0.02, 0.14) if upper else rng.uniform(0.84, 0.95)), rng.uniform(2, 0.3 * width)]
    )
    heading = rng.uniform(0.1, 0.7) * (1 if upper else -1)
    points = curve(rng, start, heading, rng.uniform(25, 55), 0.012, 30)
    canvas = np.zeros(INPUT_SHAPE, np.uint8)
    draw_line(
        canvas, points, 255 * np.sin(np.linspace(0.3, np.pi - 0.3, 29)) ** 0.5, rng.uniform(1.8, 3.2), geometry.spacing
    )
    band = cv2.GaussianBlur(canvas, (0, 0), 4.0).astype(np.float32) / 255
    shadow = np.roll(band, round(rng.choice([-1, 1]) * 3.0 / geometry.spacing[0]), axis=0)
    inside = smoothstep(geometry.depth, 0.0, 3.0)
    image += inside * (rng.uniform(30, 55) * band - 16 * shadow)
    return (band > 0.35) & (geometry.depth > 0)


def add_benign_speck(rng: np.random.Generator, image: Field, geometry: Geometry) -> Mask:
    """A single large round calcification, as many breasts have."""
    deep = np.flatnonzero(geometry.depth > 6)
    row, column = divmod(int(deep[rng.integers(len(deep))]), INPUT_SHAPE[1])
    return _disc(image, geometry, row, column, rng.uniform(0.4, 0.9), float(rng.uniform(185, 230)))


def _disc(image: Field, geometry: Geometry, row: int, column: int, radius: float, level: float) -> Mask:
    centre = float(geometry.row[row, 0]), float(geometry.column[0, column])
    window = window_of(centre, radius + 0.12, geometry.spacing)
    down, across = geometry.row[window[0]], geometry.column[:, window[1]]
    distance = np.hypot(down - geometry.row[row], across - geometry.column[:, column])
    soft = (1 - smoothstep(distance, radius - 0.12, radius + 0.12)).astype(np.float32)
    image[window] += soft * (level - image[window])
    mask = np.zeros(image.shape, bool)
    mask[window] = soft > 0.5
    return mask
