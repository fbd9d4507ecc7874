"""Several latents as one heatmap or one set of boxes, against masks drawn pixel by pixel on the whole input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.combination import CombinedMap, combine_maps
from napari_mammosae.core.localization.upsampling import upsample

GRID, SHAPE = (8, 6), (64, 48)


def boxes_of(mask, min_area=10):
    """Boxes of 8-connected regions that touch what is outside everything."""
    outside, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    edge = ndimage.binary_dilation(outside == outside[0, 0])[1:-1, 1:-1]
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    found = []
    for number in range(1, count + 1):
        rows, columns = np.nonzero(regions == number)
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        if edge[rows, columns].any() and (box[2] - box[0]) * (box[3] - box[1]) >= min_area:
            found.append(box)
    return sorted(map(list, np.array(found, int).reshape(-1, 4).tolist()))


def level_of(heatmap, kind, value):
    """In float64: compared with a plain number, numpy would round the level to float32."""
    return {
        "quantile": np.quantile(heatmap.astype(np.float64), value),
        "relative": value * np.float64(heatmap.max()),
        "absolute": np.float64(value),
    }[kind]


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, columns, k = (draw(st.integers(low, high)) for low, high in ((3, 9), (3, 9), (1, 5)))
    shape = rows * draw(st.integers(1, 7)) + draw(st.integers(0, 3)), columns * draw(st.integers(1, 7))
    maps = np.maximum(rng.normal(draw(st.sampled_from([-2.0, -1.0, 0.5])), 1, (k, rows, columns)), 0)
    maps = (np.round(maps) if draw(st.booleans()) else maps).astype(np.float32)
    if draw(st.booleans()):
        maps[rng.integers(k)] = 0
    kind, value = draw(st.sampled_from(["quantile", "relative", "absolute"])), draw(st.integers(0, 100)) / 100
    return maps, shape, kind, value, rng.normal(0, 1, k)


@given(cases())
def test_a_union_joins_the_masks_of_all(case) -> None:
    maps, shape, kind, value, _ = case
    mask, greatest = np.zeros(shape, bool), np.full(shape, -np.inf)
    for cells in maps:
        heatmap = upsample(cells, shape)
        if cells.any():
            mask |= heatmap > level_of(heatmap, kind, value)
        greatest = np.maximum(greatest, heatmap)
    found = CombinedMap.of(maps, shape, "union").regions(f"{kind}:{value}")
    assert sorted(found.boxes.tolist()) == boxes_of(mask)
    for box, top in zip(found.boxes, found.maximum, strict=True):
        part = slice(box[0], box[2]), slice(box[1], box[3])
        assert top <= np.where(mask, greatest, -np.inf)[part].max() + 1e-6
    assert found.silent == (not maps.any())


@given(cases())
def test_a_class_activation_map_counts_only_what_speaks_for_the_class(case) -> None:
    maps, shape, kind, value, weights = case
    cells = combine_maps(maps, "logit", weights)
    np.testing.assert_allclose(cells, np.einsum("k,kij->ij", weights, maps.astype(float)), atol=1e-5)
    heatmap = upsample(cells, shape)
    found = CombinedMap.of(maps, shape, "logit", weights).regions(f"{kind}:{value}")
    if not cells.any():
        assert found.silent
        return
    assert sorted(found.boxes.tolist()) == boxes_of(heatmap > max(level_of(heatmap, kind, value), 0.0))
    assert (found.maximum > 0).all()


def test_the_strong_hide_the_weak_only_in_the_maximum() -> None:
    maps = np.zeros((3, *GRID), np.float32)
    maps[0, 1, 1], maps[1, 5, 4] = 1.0, 100.0
    assert len(CombinedMap.of(maps, SHAPE, "maximum").regions("relative:0.3")) == 1
    union = CombinedMap.of(maps, SHAPE, "union").regions("relative:0.3")
    assert sorted(union.boxes.tolist()) == sorted(
        box for cells in maps[:2] for box in find_regions(cells, SHAPE, "relative:0.3").boxes.tolist()
    )
    assert union.maximum.max() == pytest.approx(upsample(maps[1], SHAPE).max())


def test_a_sum_that_is_negative_everywhere_has_no_boxes_and_says_why() -> None:
    maps = np.ones((2, *GRID), np.float32)
    for threshold in ("quantile:0.5", "relative:0.3", "absolute:0"):
        found = CombinedMap.of(maps, SHAPE, "logit", [-1.0, -2.0]).regions(threshold)
        assert len(found) == 0
        assert found.note


def test_one_latent_is_itself() -> None:
    maps = np.maximum(np.random.default_rng(3).normal(0, 1, (1, *GRID)), 0).astype(np.float32)
    alone = find_regions(maps[0], SHAPE, "relative:0.5")
    for how in ("union", "maximum", "logit"):
        found = CombinedMap.of(maps, SHAPE, how, [1.0]).regions("relative:0.5")
        assert found.boxes.tolist() == alone.boxes.tolist()
        np.testing.assert_allclose(found.energy, alone.energy, rtol=1e-5)


def test_progress_is_told_and_may_stop_it() -> None:
    maps = np.ones((3, *GRID), np.float32)
    told = []
    CombinedMap.of(maps, SHAPE, "union", progress=lambda *at: told.append(at)).regions(
        progress=lambda *at: told.append(at)
    )
    assert told == [("Combining heatmaps", done, 3) for done in (0, 1, 2)] * 2


@pytest.mark.parametrize("wrong", [("logit", None), ("mean", None), ("logit", [1.0])])
def test_wrong_combinations(wrong) -> None:
    maps = np.ones((3, *GRID), np.float32)
    with pytest.raises(SettingsError):
        combine_maps(maps, *wrong)
    with pytest.raises(SettingsError):
        CombinedMap.of(maps, SHAPE, *wrong)
    with pytest.raises(SettingsError):
        combine_maps(np.zeros((0, *GRID)))
