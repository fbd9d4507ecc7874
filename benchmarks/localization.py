"""Localisation of every live latent of 200 images: this package against the plain way, in turn in one process.

Plain: each heatmap upsampled to 1520 x 912 (OpenCV), then sums under masks and the brightest pixel; or its quantile,
mask, connected components, boxes, and matching box by box. Maps that are zero everywhere are not counted. The heatmaps
are random blobs on a 48 x 29 grid; the same numbers and the same boxes must come out.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
from _report import Report, median_seconds
from scipy.ndimage import gaussian_filter

from napari_mammosae.core.anatomy.regions import region_masks
from napari_mammosae.core.images.cells import cell_shares
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.detections import SparseMaps, detect, sparse_maps
from napari_mammosae.core.localization.focus import Places, focus, places
from napari_mammosae.core.localization.matching import average_precision, match
from napari_mammosae.core.localization.upsampling import axis

SHAPE, GRID, IMAGES = (1520, 912), (48, 29), 200
LIVE = 24  # sparse maps an image
DENSE = 60
REGIONS = ("breast", "skin", "pectoral", "border", "marker")
THRESHOLD, OVERLAP = 0.95, 0.25

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def heatmaps(rng: np.random.Generator, count: int, dense: bool) -> np.ndarray:
    """Smooth blobs: on 0.2 to 4 % of the cells, or on 30 to 100 %."""
    out = np.zeros((count, *GRID), np.float16)
    for k in range(count):
        field = gaussian_filter(rng.standard_normal(GRID), rng.uniform(0.7, 2.0))
        share = rng.uniform(0.3, 1.0) if dense else np.exp(rng.uniform(np.log(0.002), np.log(0.04)))
        out[k] = np.maximum(field - np.quantile(field, 1 - share), 0) / field.std()
    return out


def columns_of(maps: np.ndarray, latent: np.ndarray, image: np.ndarray) -> Columns:
    k, cell = np.nonzero(maps.reshape(len(maps), -1))
    order = np.lexsort((cell, image[k], latent[k]))
    k, cell = k[order], cell[order]
    return latent[k], image[k], cell, maps.reshape(len(maps), -1)[k, cell]


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[dict[str, np.ndarray]]]:
    """Annotated boxes (owner, edges) and region masks of every image."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    breast = ((rows - 760) / 740) ** 2 + (cols / 800) ** 2 < 1
    inner = ((rows - 760) / 720) ** 2 + (cols / 780) ** 2 < 1
    border = np.ones(SHAPE, bool)
    border[30:-30, 30:-30] = False
    marker = np.zeros(SHAPE, bool)
    marker[100:140, 780:860] = True
    masks = dict(zip(REGIONS, (breast, breast & ~inner, rows + cols < 500, border, marker), strict=True))
    owner, boxes = [], []
    for image in range(IMAGES):
        for _ in range(rng.integers(1, 4)):
            row, col, height, width = rng.integers([100, 0, 75, 75], [1100, 500, 360, 360])
            owner.append(image)
            boxes.append((row, col, row + height, col + width))
    return np.array(owner), np.array(boxes, float), [masks] * IMAGES


def painted(owner: np.ndarray, boxes: np.ndarray, image: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for row0, col0, row1, col1 in boxes[owner == image].astype(int):
        mask[row0:row1, col0:col1] = True
    return mask


def plain_sums(maps: SparseMaps, under: dict[int, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Energy, lifts, shares and pointing of each heatmap from its pixels; masks are float32 and made beforehand."""
    names = ("pointing", "energy", "lift", "lift_image", "outside", *REGIONS[1:])
    out = {name: np.zeros(len(maps)) for name in names}
    areas = {
        image: {name: masks[name].mean(dtype=np.float64) for name in ("box", "breast", "box_in_breast")}
        for image, masks in under.items()
    }
    for k, (_, image, cells) in enumerate(maps):
        heatmap = cv2.resize(cells, SHAPE[::-1], interpolation=cv2.INTER_LINEAR).ravel()
        masks = under[image]
        total = heatmap.sum(dtype=np.float64)
        sums = {name: float(np.dot(heatmap, mask)) for name, mask in masks.items()}
        out["pointing"][k] = masks["box"][heatmap.argmax()]
        out["energy"][k] = sums["box"] / total
        area = areas[image]
        out["lift_image"][k] = sums["box"] / total / area["box"]
        share = sums["box_in_breast"] / sums["breast"] if sums["breast"] else np.nan
        out["lift"][k] = share / (area["box_in_breast"] / area["breast"])
        out["outside"][k] = 1 - sums["breast"] / total
        for name in REGIONS[1:]:
            out[name][k] = sums[name] / total
    return out


def plain_boxes(cells: np.ndarray) -> tuple[list[tuple[int, int, int, int]], list[float]]:
    heatmap = cv2.resize(cells, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    mask = (heatmap > np.quantile(heatmap, THRESHOLD)).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, labels = cv2.connectedComponents(mask, connectivity=8)
    boxes, scores = [], []
    for contour in contours:
        x, y, width, height = cv2.boundingRect(contour)
        if width * height >= 10:
            inside = labels[y : y + height, x : x + width] == labels[contour[0, 0, 1], contour[0, 0, 0]]
            boxes.append((y, x, y + height, x + width))
            scores.append(float(heatmap[y : y + height, x : x + width][inside].max()))
    return boxes, scores


def plain_iou(a: tuple, b: tuple) -> float:
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain_ap(maps: SparseMaps, owner: np.ndarray, boxes: np.ndarray) -> tuple[dict[int, float], list[list[tuple]]]:
    """Average precision of every latent, and the boxes of every heatmap."""
    truth = {image: [tuple(box) for box in boxes[owner == image].tolist()] for image in range(IMAGES)}
    found: dict[int, list[tuple]] = {}
    every = []
    for latent, image, cells in maps:
        mine, scores = plain_boxes(cells)
        every.append(sorted(mine))
        found.setdefault(latent, []).extend(
            (-score, image, -max(plain_iou(box, other) for other in truth[image]), box)
            for box, score in zip(mine, scores, strict=True)
        )
    out = {}
    for latent, rows in found.items():
        taken: set[tuple[int, int]] = set()
        hits, scores = [], []
        for score, image, _, box in sorted(rows):
            overlaps = [plain_iou(box, other) for other in truth[image]]
            best = (image, int(np.argmax(overlaps)))
            hits.append(max(overlaps) >= OVERLAP and best not in taken)
            scores.append(-score)
            if hits[-1]:
                taken.add(best)
        out[latent] = average_precision(scores, hits, len(boxes))
    return out, every


def own_ap(maps: SparseMaps, owner: np.ndarray, boxes: np.ndarray) -> tuple[dict[int, float], list[list[tuple]]]:
    found = detect(maps, SHAPE, f"quantile:{THRESHOLD}")
    hits = match(found.latent, found.image, found.score, found.boxes, owner, boxes, OVERLAP).hit
    out = {}
    for latent in np.unique(maps.latent).tolist():
        mine = found.latent == latent
        out[latent] = average_precision(found.score[mine], hits[mine], len(boxes))
    key = {pair: k for k, pair in enumerate(zip(maps.latent.tolist(), maps.image.tolist(), strict=True))}
    every: list[list[tuple]] = [[] for _ in range(len(maps))]
    for latent, image, box in zip(found.latent.tolist(), found.image.tolist(), found.boxes.tolist(), strict=True):
        every[key[latent, image]].append(tuple(box))
    return out, [sorted(rows) for rows in every]


def upsampled_places(under: dict[int, dict[str, np.ndarray]]) -> Places:
    """Weight of each cell in the upsampled heatmap's sum under a mask, in the place of its area share.

    Upsampling is linear, so with these weights the one pass gives the sums of the plain way without upsampling.
    """
    spread = []
    for cells, pixels in zip(GRID, SHAPE, strict=True):
        one = axis(cells, pixels)
        matrix = np.zeros((cells, pixels))
        np.add.at(matrix, (one.low, np.arange(pixels)), 1.0 - one.weight)
        np.add.at(matrix, (one.high, np.arange(pixels)), one.weight)
        spread.append(matrix)
    per_cell = SHAPE[0] * SHAPE[1] / (GRID[0] * GRID[1])

    def weights(name: str) -> np.ndarray:
        kept: dict[int, np.ndarray] = {}  # the same mask is not spread twice
        for masks in under.values():
            mask = masks[name]
            if id(mask) not in kept:
                kept[id(mask)] = (spread[0] @ mask.reshape(SHAPE) @ spread[1].T).ravel() / per_cell
        return np.stack([kept[id(masks[name])] for masks in under.values()])

    whole = (spread[0].sum(axis=1)[:, None] * spread[1].sum(axis=1)).ravel() / per_cell
    box = weights("box")
    regions = {name: weights(name) for name in REGIONS[1:]} | {"whole": np.tile(whole, (IMAGES, 1))}
    return Places(np.arange(IMAGES), box, box > 0.5, weights("breast"), weights("box_in_breast"), regions)


def main() -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    owner, boxes, masks = scene(rng)
    under = {}
    shared = {name: mask.astype(np.float32).ravel() for name, mask in masks[0].items()}
    for image in range(IMAGES):
        box = painted(owner, boxes, image)
        under[image] = shared | {
            "box": box.astype(np.float32).ravel(),
            "box_in_breast": (box & masks[image]["breast"]).astype(np.float32).ravel(),
        }
    image = np.repeat(np.arange(IMAGES), LIVE)
    latent = rng.permuted(np.tile(np.arange(120), (IMAGES, 1)), axis=1)[:, :LIVE].ravel()
    columns = columns_of(heatmaps(rng, image.size, dense=False), latent, image)
    maps = sparse_maps(*columns, GRID)
    on = np.diff(maps.start)
    report = Report(
        "Localisation",
        f"{IMAGES} images, {len(maps)} heatmaps that are not zero, on {on.min()} to {on.max()} of {GRID[0] * GRID[1]} "
        f"cells (median {np.median(on):.0f}); {len(boxes)} annotated boxes; one thread for OpenCV.",
    )

    # Energy, lift, shares, pointing.
    regions = {name: np.stack([cell_shares(masks[0][name], GRID).ravel()] * IMAGES) for name in REGIONS}

    def own_focus() -> object:
        where = places(np.arange(IMAGES), owner, boxes, SHAPE, GRID, regions)
        return focus(sparse_maps(*columns, GRID), where)

    start = time.perf_counter()
    expected = plain_sums(maps, under)
    plain = time.perf_counter() - start
    own = median_seconds(own_focus)
    report.add("energy, lift, shares, pointing: plain", plain, "s")
    report.add("the same in one pass over the kept cells, grouping and boxes included", own, "s")
    report.add("share of the plain time", own / plain, at_most=1 / 50)
    report.add("times faster", plain / own)
    same = focus(maps, upsampled_places(under))
    whole = same.shares["whole"]
    total = np.where(whole > 0, whole, 1)
    worst = max(
        float(np.nanmax(np.abs(got - expected[name])))
        for name, got in (
            ("energy", same.energy / total),
            ("lift", same.lift),
            *((name, same.shares[name] / total) for name in REGIONS[1:]),
        )
    )
    report.add("largest deviation when both weigh pixels alike (float32 sums)", worst, at_most=1e-4)
    measured = focus(maps, places(np.arange(IMAGES), owner, boxes, SHAPE, GRID, regions))
    report.add("energy by cells against by upsampled pixels, mean difference",
               float(np.mean(np.abs(measured.energy - expected["energy"]))))  # fmt: skip
    alike = np.abs(measured.pointing - expected["pointing"]) < 0.5
    report.add("pointing game, heatmaps with the same answer by cells and by pixels", 100 * float(alike.mean()), "%")

    # Boxes and average precision.
    for name, chosen in (("sparse", maps), ("dense", None)):
        if chosen is None:
            chosen = sparse_maps(*columns_of(heatmaps(rng, DENSE, dense=True), np.arange(DENSE) % 3,
                                             np.arange(DENSE)), GRID)  # fmt: skip
        start = time.perf_counter()
        ap, found = plain_ap(chosen, owner, boxes)
        plain = time.perf_counter() - start
        start = time.perf_counter()
        own_precision, own_found = own_ap(chosen, owner, boxes)
        own = time.perf_counter() - start
        report.add(f"AP, {name} maps: plain, a heatmap", plain / len(chosen) * 1e3, "ms")
        report.add(f"AP, {name} maps: this package, a heatmap", own / len(chosen) * 1e3, "ms")
        report.add(
            f"AP, {name} maps: share of the plain time", own / plain, at_most=1 / 5 if name == "sparse" else None
        )
        report.add(f"AP, {name} maps: times faster", plain / own)
        differ = sum(a != b for a, b in zip(found, own_found, strict=True))
        report.add(f"AP, {name} maps: heatmaps with other boxes, of {len(chosen)}", differ, at_most=0)
        report.add(f"AP, {name} maps: largest difference of AP",
                   max(abs(ap[i] - own_precision[i]) for i in ap), at_most=1e-9)  # fmt: skip

    # What a person waits for.
    field = gaussian_filter(rng.standard_normal(GRID), 1.2)
    cells = np.maximum(field - np.quantile(field, 0.4), 0).astype(np.float32)
    for text in ("quantile:0.95", "relative:0.3", "relative:0.6", "absolute:0.05"):
        regions_found = len(find_regions(cells, SHAPE, text))
        took = median_seconds(lambda text=text: find_regions(cells, SHAPE, text), repeats=20) * 1e3
        report.add(f"boxes of one heatmap at {text} ({regions_found} regions)", took, "ms", at_most=15)
    pixels = np.clip(cv2.resize(cells, SHAPE[::-1]) * 150, 0, 200).astype(np.uint8) * masks[0]["breast"] + 0
    pixels = (pixels + 40 * masks[0]["breast"]).astype(np.uint8)
    for view in ("CC", "MLO"):
        took = median_seconds(lambda view=view: region_masks(pixels, view=view)) * 1e3
        report.add(f"region masks of one {view} image", took, "ms", at_most=150)
    report.finish()


if __name__ == "__main__":
    main()
