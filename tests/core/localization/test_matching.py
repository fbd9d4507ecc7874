"""Matching and average precision against a second implementation written from the definition."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from napari_mammosae.core.localization.matching import (
    average_precision,
    froc,
    iou,
    match,
    precision_recall,
    weighted_average_precision,
)

Box = tuple[int, int, int, int]


def exact_iou(a: Box, b: Box) -> Fraction:
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(height, 0) * max(width, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return Fraction(shared, union)


def oracle_hits(found: list[tuple[int, float, Box]], truth: list[tuple[int, Box]], limit: Fraction) -> list[bool]:
    """Take found boxes one after another, in exact arithmetic."""

    def best(k: int) -> tuple[Fraction, int]:
        image, _, box = found[k]
        mine = [(exact_iou(box, other), -j) for j, (at, other) in enumerate(truth) if at == image]
        return max(mine, default=(Fraction(0), 1))

    turn = sorted(range(len(found)), key=lambda k: (-found[k][1], found[k][0], -best(k)[0], found[k][2]))
    taken: set[int] = set()
    hits = [False] * len(found)
    for k in turn:
        overlap, minus_j = best(k)
        if minus_j <= 0 and overlap >= limit and -minus_j not in taken:
            taken.add(-minus_j)
            hits[k] = True
    return hits


def oracle_average_precision(scores: list[float], hits: list[bool], n_boxes: int) -> Fraction:
    """Integrate over recall, from 0 to 1, the best precision at that or a higher recall."""
    points = []
    for level in set(scores):
        kept = [hit for score, hit in zip(scores, hits, strict=True) if score >= level]
        points.append((Fraction(sum(kept), n_boxes), Fraction(sum(kept), len(kept))))
    recalls = sorted({Fraction(0), *(recall for recall, _ in points)})
    area = Fraction(0)
    for low, high in pairwise(recalls):
        area += (high - low) * max(precision for recall, precision in points if recall >= high)
    return area


def random_case(seed: int) -> tuple[list, list]:
    """Images with none to four annotated boxes, confidences with many ties, boxes often near an annotated one."""
    rng = np.random.default_rng(seed)
    truth: list[tuple[int, Box]] = []
    found: list[tuple[int, float, Box]] = []

    def box(near: Box | None = None) -> Box:
        r, c = rng.integers(0, 30, 2)
        h, w = rng.integers(1, 12, 2)
        if near is not None:
            r, c, h, w = np.maximum(
                np.array([near[0], near[1], near[2] - near[0], near[3] - near[1]]) + rng.integers(-2, 3, 4),
                [0, 0, 1, 1],
            )
        return int(r), int(c), int(r + h), int(c + w)

    for image in range(int(rng.integers(1, 7))):
        mine = [box() for _ in range(rng.integers(0, 5))]
        if len(mine) > 1 and rng.random() < 0.3:
            mine[1] = mine[0]  # annotated twice
        truth += [(image, b) for b in mine]
        for _ in range(rng.integers(0, 8)):
            near = mine[rng.integers(len(mine))] if mine and rng.random() < 0.7 else None
            found.append((image, float(rng.integers(0, 4)), box(near)))
    return found, truth


def test_five_hundred_random_sets() -> None:
    total = ties = 0
    for seed in range(500):
        found, truth = random_case(seed)
        limit = (Fraction(1, 4), Fraction(1, 2), Fraction(1, 10))[seed % 3]
        scores = [score for _, score, _ in found]
        expected = oracle_hits(found, truth, limit)
        got = match(
            np.zeros(len(found)), [image for image, _, _ in found], scores, [b for *_, b in found],
            [image for image, _ in truth], [b for _, b in truth], float(limit),
        )  # fmt: skip
        assert got.hit.tolist() == expected, seed
        ties += len(scores) - len(set(scores))
        if truth:
            area = average_precision(scores, got.hit, len(truth))
            assert area == pytest.approx(float(oracle_average_precision(scores, expected, len(truth))), abs=1e-12)
            total += area > 0
        for group, j, best in zip(got.best_group, got.best_box, got.best_iou, strict=True):
            image, box = truth[j]
            assert group == 0
            assert best == pytest.approx(float(max(exact_iou(b, box) for at, _, b in found if at == image)))
    assert total > 300
    assert ties > 2000


def test_many_latents_at_once_are_each_matched_alone() -> None:
    cases = [random_case(seed)[0] for seed in range(8)]
    truth = random_case(99)[1]
    rows = [(group, *f) for group, found in enumerate(cases) for f in found]
    np.random.default_rng(0).shuffle(rows)
    group, image, score = (np.array([row[k] for row in rows]) for k in range(3))
    boxes = np.array([row[3] for row in rows], float)
    together = match(group, image, score, boxes, [i for i, _ in truth], [b for _, b in truth])
    for g in range(len(cases)):
        mine = group == g
        alone = match(group[mine], image[mine], score[mine], boxes[mine], [i for i, _ in truth], [b for _, b in truth])
        assert together.hit[mine].tolist() == alone.hit.tolist()
        assert together.best_iou[together.best_group == g].tolist() == alone.best_iou.tolist()


def test_a_taken_box_makes_a_false_positive() -> None:
    truth = [[0, 0, 10, 10], [0, 20, 10, 30]]
    found = [[0, 0, 10, 10], [0, 0, 10, 9], [0, 21, 10, 30]]
    got = match([0, 0, 0], [3, 3, 3], [1.0, 2.0, 0.5], found, [3, 3], truth)
    assert got.hit.tolist() == [False, True, True]  # the better box comes second, because it is less confident
    assert got.box.tolist() == [0, 0, 1]
    assert got.best_iou.tolist() == [1.0, 0.9]
    assert match([0], [1], [1.0], [[0, 0, 5, 5]], [3], [[0, 0, 5, 5]]).box.tolist() == [-1]


def test_equal_confidence_goes_by_image_then_overlap_then_position() -> None:
    truth = [[0, 0, 10, 10]]
    found = [[0, 0, 10, 8], [0, 0, 10, 9], [0, 1, 10, 10]]
    assert match([0] * 3, [0] * 3, [1.0] * 3, found, [0], truth).hit.tolist() == [False, True, False]
    assert match([0] * 3, [0] * 3, [1.0] * 3, found[::-1], [0], truth).hit.tolist() == [False, True, False]


def test_constant_confidence_gives_precision_times_recall() -> None:
    hits = [True, False, True, False, False]
    assert average_precision([1.0] * 5, hits, 3) == pytest.approx(2 / 5 * 2 / 3)


def test_defined_where_nothing_was_found_or_annotated() -> None:
    assert average_precision([], [], 4) == 0.0
    assert precision_recall([], [], 4).recall.size == 0
    with pytest.raises(ValueError, match="annotated"):
        average_precision([1.0], [False], 0)
    with pytest.raises(ValueError, match="without the finding"):
        froc([1.0], [True], [False], 1, 0)
    nothing = match([], [], [], np.zeros((0, 4)), [], np.zeros((0, 4)))
    assert nothing.hit.size == nothing.best_iou.size == 0


def test_weighted_equals_repeated_images() -> None:
    rng = np.random.default_rng(1)
    score, hit, image = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.3, rng.integers(0, 9, 60)
    boxes = np.bincount(image[hit], minlength=9) + rng.integers(0, 2, 9)
    weights = rng.integers(0, 4, (50, 9))
    got = weighted_average_precision(score, hit, image, weights, boxes)
    for value, weight in zip(got, weights, strict=True):
        repeat = weight[image]
        expected = average_precision(np.repeat(score, repeat), np.repeat(hit, repeat), int(weight @ boxes))
        assert value == pytest.approx(expected, abs=1e-12)


def test_froc_counts_false_positives_on_images_without_the_finding() -> None:
    curve = froc([3, 2, 2, 1], [True, False, True, False], [False, True, False, False], n_boxes=4, n_negative_images=2)
    assert curve.score.tolist() == [3, 2, 1]
    assert curve.sensitivity.tolist() == [0.25, 0.5, 0.5]
    assert curve.false_positives.tolist() == [0, 0.5, 0.5]


def test_iou_table() -> None:
    table = iou([[0, 0, 2, 2], [0, 0, 0, 0]], [[0, 1, 2, 3], [5, 5, 6, 6], [0, 0, 2, 2]])
    np.testing.assert_allclose(table, [[1 / 3, 0, 1], [0, 0, 0]])
