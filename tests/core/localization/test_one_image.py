"""One latent on one image: against the definitions, with hand-made cases, and a word wherever there is no number."""

import numpy as np
import pytest

from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.matching import iou
from napari_mammosae.core.localization.one_image import best_overlaps, focus_on_image, heatmap_values, judge_regions
from napari_mammosae.core.localization.upsampling import upsample

SHAPE, GRID = (240, 180), (8, 6)


def blob(*cells):
    out = np.zeros(GRID, np.float32)
    for row, col, value in cells:
        out[row, col] = value
    return out


TWO = blob((1, 1, 1.0), (6, 4, 2.0))
"""Two lone cells; their regions above 0.3 of the maximum lie around (45, 45) and (195, 135)."""


def test_fates_of_found_and_annotated_boxes():
    regions = find_regions(TWO, SHAPE, "relative:0.3")
    assert len(regions) == 2
    first, far = regions.boxes[0], [0, 150, 20, 180]
    result = judge_regions(find_regions(TWO, SHAPE, "relative:0.3"), [far, first])
    assert result.fate == ("hit", "false")
    assert result.found.tolist() == [False, True]
    assert result.best_iou.tolist() == [0.0, 1.0]
    assert result.met_by.tolist() == [-1, 0]
    assert result.iou[0] == 1.0
    values = {measure.key: measure.value for measure in result.measures}
    assert values == {"recall": 0.5, "precision": 0.5, "mean_best_iou": 0.5}


def test_one_true_positive_a_box_and_the_more_confident_one():
    both = [0, 0, 240, 180]
    result = judge_regions(find_regions(TWO, SHAPE, "relative:0.3"), [both], iou=0.01)
    assert result.fate == ("false", "hit")  # the second region has the larger maximum


@pytest.mark.parametrize(("annotated", "fate"), [(True, "false"), (False, "unjudged")])
def test_nothing_annotated_is_not_the_same_as_nobody_looked(annotated, fate):
    result = judge_regions(find_regions(TWO, SHAPE, "relative:0.3"), [], annotated=annotated)
    assert set(result.fate) == {fate}
    measures = {measure.key: measure for measure in result.measures}
    assert np.isnan(measures["recall"].value)
    assert measures["recall"].reason
    assert np.isnan(measures["precision"].value) == (not annotated)
    assert bool(measures["precision"].reason) == (not annotated)


@pytest.mark.parametrize("cells", [TWO, np.zeros(GRID, np.float32), np.ones(GRID, np.float32)])
@pytest.mark.parametrize("truth", [[], [[30, 30, 60, 60]], [[0, 0, 1, 1]]])
@pytest.mark.parametrize("regions", [None, {"breast": np.ones(GRID)}, {"breast": np.zeros(GRID)}])
def test_no_number_without_a_reason_and_no_reason_with_a_number(cells, truth, regions):
    result = judge_regions(find_regions(cells, SHAPE, "quantile:0.95"), truth)
    for measure in (*result.measures, *focus_on_image(cells, SHAPE, truth, regions)):
        assert np.isnan(measure.value) == bool(measure.reason) or measure.key.startswith("share_"), measure


def test_focus_by_hand():
    cells = blob((1, 1, 3.0), (1, 2, 1.0))
    box = [30, 30, 60, 75]  # all of cell (1, 1), half of cell (1, 2)
    found = {measure.key: measure.value for measure in focus_on_image(cells, SHAPE, [box], {"breast": np.ones(GRID)})}
    assert found["pointing"] == 1.0
    assert found["energy"] == pytest.approx(3.5 / 4)
    assert found["lift_image"] == pytest.approx(3.5 / 4 / (30 * 45 / (240 * 180)))
    assert found["lift"] == pytest.approx(found["lift_image"])
    assert found["share_outside"] == pytest.approx(0.0)


def test_a_level_becomes_a_threshold_of_every_kind():
    rng = np.random.default_rng(0)
    cells = rng.gamma(1.0, size=GRID).astype(np.float32)
    heat, values = upsample(cells, SHAPE), heatmap_values(cells, SHAPE)
    for kind, exact in (("absolute", 0.8), ("relative", 0.8 / heat.max()), ("quantile", (heat <= 0.8).mean())):
        threshold = values.threshold_at(0.8, kind)
        assert threshold.kind == kind
        assert threshold.value == pytest.approx(exact, abs=0.02)
    assert values.threshold_at(-1.0, "relative").value == 0.0
    assert values.threshold_at(99.0, "relative").value == 1.0
    assert values.threshold_at(99.0, "quantile").value == 1.0


def test_the_histogram_leaves_zeros_out_and_says_how_many():
    values = heatmap_values(TWO, SHAPE)
    edges, counts = values.histogram(10)
    assert counts.sum() == pytest.approx((1 - values.zeros) * values.values.size)
    assert values.zeros == pytest.approx((upsample(TWO, SHAPE) == 0).mean(), abs=0.02)
    assert edges[-1] == values.maximum
    silent = heatmap_values(np.zeros(GRID), SHAPE)
    assert silent.zeros == 1.0
    assert silent.histogram()[1].sum() == 0
    assert silent.threshold_at(0.5, "relative").value == 0.0


def test_best_overlap_of_every_latent_with_a_box():
    rng = np.random.default_rng(1)
    maps = np.where(rng.random((9, *GRID)) < 0.1, 1.0, 0.0).astype(np.float32)
    maps[4] = 0
    box = [60, 60, 120, 120]
    steps = []
    overlaps = best_overlaps(
        maps, SHAPE, box, "relative:0.5", progress=lambda _, done, total: steps.append((done, total))
    )
    for cells, overlap in zip(maps, overlaps, strict=True):
        found = find_regions(cells, SHAPE, "relative:0.5").boxes
        assert overlap == (iou(found, [box]).max() if len(found) else 0.0)
    assert steps[-1][1] == 9
