"""Thresholds, upsampling, regions: against published boxes and against the plain way on whole heatmaps."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.thresholds import Threshold
from napari_mammosae.core.localization.upsampling import upsample

PARITY = Path(__file__).parents[2] / "data" / "parity"


def plain_regions(cells: np.ndarray, shape: tuple[int, int], text: str, min_area: float = 10) -> list[tuple]:
    """Boxes and statistics by upsampling everything and labelling it; scikit-image and numpy alone."""
    heatmap = upsample(cells, shape)
    if not heatmap.any():
        return []
    kind, value = text.split(":")
    level = {
        "quantile": lambda: np.quantile(heatmap.astype(np.float64), float(value)),
        "relative": lambda: float(value) * float(heatmap.max()),
        "absolute": lambda: float(value),
    }[kind]()
    mask = heatmap.astype(np.float64) > level
    outside = np.pad(~mask, 1, constant_values=True)
    reached = label(outside, connectivity=1, background=False)
    reached = (reached == reached[0, 0])[1:-1, 1:-1]  # background that is not a hole
    ring = np.pad(reached, 1, constant_values=True)
    out = []
    for region in regionprops(label(mask, connectivity=2)):
        r0, c0, r1, c1 = region.bbox
        # Outermost: some pixel of the region has true background beside it.
        touched = any(
            ring[r + 1 + dr, c + 1 + dc]
            for r, c in region.coords.tolist()
            for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
        if touched and (r1 - r0) * (c1 - c0) >= min_area:
            inside = heatmap[tuple(region.coords.T)].astype(np.float64)
            out.append(((r0, c0, r1, c1), inside.max(), inside.mean(), inside.sum(), inside.size))
    return sorted(out)


def assert_same_regions(cells: np.ndarray, shape: tuple[int, int], text: str, min_area: float = 10) -> int:
    expected = plain_regions(cells, shape, text, min_area)
    found = find_regions(cells, shape, text, min_area=min_area)
    statistics = (found.maximum, found.mean, found.energy, found.area)
    got = sorted(zip(map(tuple, found.boxes.tolist()), *(s.tolist() for s in statistics), strict=True))
    assert [g[0] for g in got] == [e[0] for e in expected]
    if got:
        np.testing.assert_allclose([g[1:] for g in got], [e[1:] for e in expected], rtol=2e-6)
    return len(got)


@pytest.mark.parametrize("name", ["b5_small", "b2_small"])
@pytest.mark.parametrize(("key", "threshold"), [("relative_0.3", "relative:0.3"), ("quantile_0.95", "quantile:0.95")])
def test_published_boxes(name: str, key: str, threshold: str) -> None:
    data = np.load(PARITY / f"{name}.npz")
    for latent, expected in json.loads(str(data["boxes_json"])).items():
        found = find_regions(data["latents0"][:, :, int(latent)], tuple(data["size"]), threshold)
        assert sorted(found.boxes[:, [1, 0, 3, 2]].tolist()) == sorted(expected[key])
        assert found.level > 0
        assert not found.note


@pytest.mark.parametrize(
    ("grid", "shape"), [((48, 29), (1520, 912)), ((6, 4), (190, 114)), ((5, 1), (7, 9)), ((9, 8), (6, 5))]
)
def test_upsampling_is_that_of_torch_and_opencv(grid: tuple[int, int], shape: tuple[int, int]) -> None:
    cells = np.random.default_rng(0).normal(size=grid).astype(np.float32)
    tensor = torch.from_numpy(cells)[None, None].double()
    expected = torch.nn.functional.interpolate(tensor, size=shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    np.testing.assert_allclose(upsample(cells, shape), expected, rtol=0, atol=3e-6)
    resized = cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(upsample(cells, shape), resized, rtol=0, atol=3e-6)
    assert np.unique(upsample(np.full(grid, 0.1), shape)).size == 1


kept_values = st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.3, 0.5, 1.0, 1.0, 2.0, 0.0009765625, 7.5])
thresholds = st.one_of(
    st.sampled_from(
        [
            "quantile:0.95",
            "quantile:0.5",
            "quantile:0",
            "quantile:1",
            "relative:0.3",
            "relative:0",
            "relative:1",
            "absolute:0",
            "absolute:0.5",
        ]
    ),
    st.floats(0, 1).map("quantile:{}".format),
    st.floats(0, 1).map("relative:{}".format),
    st.floats(0, 8).map("absolute:{}".format),
)


@st.composite
def maps_and_shapes(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    grid = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    cells = draw(st.lists(kept_values, min_size=grid[0] * grid[1], max_size=grid[0] * grid[1]))
    return np.array(cells, np.float32).reshape(grid), shape


@given(maps_and_shapes(), thresholds, st.sampled_from([0, 1, 10, 100]))
def test_sparse_way_finds_what_the_plain_way_finds(drawn: tuple, threshold: str, min_area: float) -> None:
    assert_same_regions(*drawn, threshold, min_area)


@pytest.mark.parametrize("density", [0.003, 0.02, 0.06, 0.3, 1.0])
@pytest.mark.parametrize("threshold", ["quantile:0.95", "relative:0.3", "absolute:0.4"])
def test_full_size_maps(density: float, threshold: str) -> None:
    rng = np.random.default_rng(round(density * 1000))
    cells = rng.exponential(size=(48, 29)) * (rng.random((48, 29)) < density)
    assert assert_same_regions(cells.astype(np.float16), (1520, 912), threshold) > 0


def test_signed_maps() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        cells = rng.normal(-0.5, 1, size=(7, 6)).astype(np.float32)
        for threshold in ("quantile:0.95", "quantile:0.2", "relative:0.3", "absolute:0"):
            assert_same_regions(cells, (40, 50), threshold)


def test_island_in_a_hole_is_not_reported_and_not_counted() -> None:
    cells = np.zeros((15, 15), np.float32)
    cells[2:13, 2:13] = 1.0
    cells[4:11, 4:11] = 0.0
    cells[7, 7] = 9.0
    found = find_regions(cells, (150, 150), "absolute:0.5")
    assert found.boxes.tolist() == [[20, 20, 130, 130]]
    assert found.maximum.tolist() == [1.0]
    cells[2:13, 2:4] = 0.0  # open the ring: the island is an outermost region now
    assert len(find_regions(cells, (150, 150), "absolute:0.5")) == 2


def test_diagonal_neighbours_are_one_region() -> None:
    cells = np.diag(np.ones(6)).astype(np.float32)
    assert len(find_regions(cells, (6, 6), "absolute:0.5", min_area=1)) == 1


def test_small_boxes_are_dropped_and_said_so() -> None:
    cells = np.zeros((20, 20), np.float32)
    cells[3, 3:6] = 1.0
    found = find_regions(cells, (20, 20), "absolute:0.5")
    assert (len(found), found.dropped) == (0, 1)
    assert "smaller" in found.note
    assert len(find_regions(cells, (20, 20), "absolute:0.5", min_area=3)) == 1


def test_a_quantile_of_zero_is_said() -> None:
    cells = np.zeros((48, 29), np.float32)
    cells[20, 10] = 2.0
    found = find_regions(cells, (1520, 912), "quantile:0.95")
    assert (found.level, found.zero_quantile) == (0.0, True)
    assert "quantile is 0" in found.note
    heatmap = upsample(cells, (1520, 912))
    rows, columns = np.nonzero(heatmap)
    assert found.boxes.tolist() == [[rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]]
    assert found.area.tolist() == [rows.size]


def test_silent_and_constant_maps() -> None:
    for threshold in ("quantile:0.95", "relative:0.3", "absolute:0"):
        silent = find_regions(np.zeros((4, 4)), (40, 40), threshold)
        assert silent.silent
        assert len(silent) == 0
        assert "silent" in silent.note
    constant = np.full((48, 29), 0.1, np.float32)
    assert len(find_regions(constant, (1520, 912), "quantile:0.95")) == 0
    assert "above" in find_regions(constant, (1520, 912), "quantile:0.95").note
    assert find_regions(constant, (1520, 912), "relative:0.3").boxes.tolist() == [[0, 0, 1520, 912]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_maps_that_are_no_heatmaps(bad: float) -> None:
    cells = np.zeros((4, 4))
    cells[1, 1] = bad
    with pytest.raises(ValueError, match="NaN"):
        find_regions(cells, (40, 40))
    with pytest.raises(ValueError, match="two dimensions"):
        find_regions(np.zeros(4), (40, 40))


def test_threshold_text() -> None:
    assert Threshold.parse(" quantile:0.95") == Threshold("quantile", 0.95)
    assert str(Threshold.parse("relative:0.3")) == "relative:0.3"
    assert Threshold.parse(Threshold("absolute", 12.5)).value == 12.5
    for text in (
        "quantile",
        "quantile:",
        "median:0.5",
        "quantile:1.5",
        "relative:-0.1",
        "absolute:-1",
        "absolute:inf",
        "absolute:nan",
        "0.95",
    ):
        with pytest.raises(SettingsError):
            Threshold.parse(text)
