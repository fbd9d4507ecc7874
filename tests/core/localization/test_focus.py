"""Energy, lift and pointing game on cases worked out by hand, and shares of cells against fine grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.anatomy.cell_parts import BREAST_PARTS, parts_of, shares_in_both
from napari_mammosae.core.images.cells import box_shares, cell_shares, centres_inside
from napari_mammosae.core.localization.detections import sparse_maps
from napari_mammosae.core.localization.focus import focus, places

SHAPE, GRID = (40, 60), (4, 6)  # cells of 10 x 10 pixels


def measure(cells: np.ndarray, boxes: list, breast: np.ndarray | None = None, **regions: np.ndarray):
    """Return the measures of one map on image 7 as a dictionary of numbers."""
    rows, columns = np.nonzero(cells)
    maps = sparse_maps(np.zeros(rows.size), np.full(rows.size, 7), rows * 6 + columns, cells[rows, columns], GRID)
    shares = {name: value.reshape(1, -1) for name, value in regions.items()}
    if breast is not None:
        shares["breast"] = breast.reshape(1, -1)
    got = focus(maps, places([7], [7] * len(boxes), np.reshape(boxes, (-1, 4)), SHAPE, GRID, shares))
    names = ("total", "peak", "pointing", "energy", "lift", "lift_image", "lift_above_median")
    out = {name: getattr(got, name) for name in names} | dict(got.shares)
    return {name: value[0] if value.size else None for name, value in out.items()}


def spot(*where: tuple[int, int, float]) -> np.ndarray:
    cells = np.zeros(GRID)
    for row, column, value in where:
        cells[row, column] = value
    return cells


def test_box_of_whole_cells() -> None:
    got = measure(spot((1, 1, 3.0), (1, 2, 1.0), (3, 5, 4.0)), [[10, 10, 20, 30]])
    assert got["energy"] == 0.5
    assert got["lift_image"] == pytest.approx(0.5 / (2 / 24))
    assert got["pointing"] == 0.0
    assert got["total"] == 8.0
    assert np.isnan(got["lift"])  # the breast is not known


def test_box_that_cuts_cells() -> None:
    got = measure(spot((1, 1, 4.0), (0, 0, 4.0)), [[15, 12, 25, 20]])
    assert got["energy"] == pytest.approx(4.0 * 0.5 * 0.8 / 8.0)
    assert got["pointing"] == 0.5  # two maxima, the centre (15, 15) of one lies on the box's upper edge


def test_box_smaller_than_a_cell() -> None:
    assert measure(spot((1, 1, 2.0)), [[14, 14, 16, 16]])["pointing"] == 1.0
    assert measure(spot((1, 1, 2.0)), [[14, 14, 16, 16]])["energy"] == pytest.approx(0.04)
    assert measure(spot((1, 1, 2.0)), [[11, 11, 13, 13]])["pointing"] == 0.0
    assert measure(spot((1, 1, 2.0)), [[11, 11, 13, 13]])["energy"] == pytest.approx(0.04)


def test_overlapping_boxes_count_once() -> None:
    twice = measure(spot((1, 1, 2.0), (0, 0, 2.0)), [[10, 10, 20, 16], [10, 14, 20, 20], [10, 10, 20, 20]])
    assert twice["energy"] == pytest.approx(0.5)
    assert twice["lift_image"] == pytest.approx(0.5 * 24)


def test_box_outside_the_image() -> None:
    got = measure(spot((1, 1, 2.0)), [[50, 70, 60, 80]])
    assert (got["energy"], got["pointing"]) == (0.0, 0.0)
    assert np.isnan(got["lift_image"])
    clipped = measure(spot((0, 0, 2.0)), [[-100, -100, 10, 5]])
    assert clipped["energy"] == pytest.approx(0.5)


def test_image_without_boxes() -> None:
    got = measure(spot((1, 1, 2.0)), [], breast=np.ones(GRID))
    assert (got["energy"], got["pointing"], got["outside"]) == (0.0, 0.0, 0.0)
    assert np.isnan(got["lift"])
    assert np.isnan(got["lift_image"])


def test_constant_map_has_the_value_of_chance() -> None:
    breast = np.ones(GRID)
    breast[:, 4:] = 0.0
    breast[:, 3] = 0.25
    box = [5, 5, 25, 37]
    got = measure(np.full(GRID, 0.5), [box], breast)
    assert got["lift"] == pytest.approx(1.0)
    assert got["lift_image"] == pytest.approx(1.0)
    assert got["energy"] == pytest.approx(20 * 32 / 2400)
    assert got["pointing"] == pytest.approx(centres_inside([box], SHAPE, GRID).mean())
    assert got["outside"] == pytest.approx(1 - (12 + 1) / 24)
    assert np.isnan(got["lift_above_median"])  # nothing exceeds the median


def test_breast_lift_leaves_out_what_lies_outside() -> None:
    breast = np.zeros(GRID)
    breast[:, :3] = 1.0
    got = measure(spot((0, 0, 1.0), (1, 1, 1.0), (2, 5, 6.0)), [[0, 0, 10, 10]], breast, marker=spot((2, 5, 0.5)))
    assert got["lift"] == pytest.approx((1 / 2) / (1 / 12))
    assert got["lift_image"] == pytest.approx((1 / 8) / (1 / 24))
    assert got["outside"] == pytest.approx(6 / 8)
    assert got["marker"] == pytest.approx(3 / 8)


def test_map_that_avoids_the_box() -> None:
    cells = np.full(GRID, 2.0)
    cells[1, 1] = 0.0
    got = measure(cells, [[10, 10, 20, 20]], np.ones(GRID))
    assert got["lift"] == 0.0
    assert np.isnan(got["lift_above_median"])


def test_dense_map_is_seen_above_its_median() -> None:
    cells = np.full(GRID, 10.0)
    cells[1, 1] = 11.0
    got = measure(cells, [[10, 10, 20, 20]], np.ones(GRID))
    assert got["lift"] == pytest.approx(11 / 241 * 24)
    assert got["lift_above_median"] == pytest.approx(24.0)


def test_breast_without_activation_has_no_lift() -> None:
    breast = np.zeros(GRID)
    breast[0, 0] = 1.0
    assert np.isnan(measure(spot((3, 3, 1.0)), [[0, 0, 10, 10]], breast)["lift"])


def test_silent_latents_have_no_row_and_unknown_images_are_an_error() -> None:
    assert measure(np.zeros(GRID), [[0, 0, 10, 10]])["energy"] is None
    maps = sparse_maps([0], [3], [0], [1.0], GRID)
    with pytest.raises(KeyError, match="3"):
        focus(maps, places([7], [], np.zeros((0, 4)), SHAPE, GRID))


def test_rows_in_any_order() -> None:
    rng = np.random.default_rng(0)
    key = rng.choice(5 * 4 * 24, 200, replace=False)
    latent, image, cell = key // 96, key // 24 % 4, key % 24
    value = rng.random(200).astype(np.float16)
    where = places(np.arange(4), [0, 1, 1], [[0, 0, 15, 15], [3, 3, 33, 21], [8, 40, 40, 60]], SHAPE, GRID)
    got = focus(sparse_maps(latent, image, cell, value, GRID), where)
    for k in range(got.latent.size):
        mine = (latent == got.latent[k]) & (image == got.image[k])
        cells = np.zeros(24)
        cells[cell[mine]] = value[mine]
        assert got.energy[k] == pytest.approx(cells @ where.box[got.image[k]] / cells.sum())
        assert got.peak[k] == cells.max()
        assert got.pointing[k] == where.centre[got.image[k]][cells == cells.max()].mean()
    with pytest.raises(ValueError, match="twice"):
        sparse_maps([0, 0], [0, 0], [3, 3], [1, 2], GRID)
    with pytest.raises(ValueError, match="grid"):
        sparse_maps([0], [0], [24], [1], GRID)
    with pytest.raises(ValueError, match="negative"):
        sparse_maps([0], [0], [2], [-1], GRID)


edges = st.integers(-4, 44)


@given(st.lists(st.tuples(edges, edges, edges, edges), max_size=5), st.tuples(st.integers(1, 7), st.integers(1, 7)))
def test_box_shares_count_quarter_pixels(quarters: list, grid: tuple[int, int]) -> None:
    shape = (5, 9)
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in quarters]).reshape(-1, 4)
    fine = np.zeros((20, 36), bool)  # four steps to a pixel
    for r0, c0, r1, c1 in np.maximum(boxes, 0):
        fine[r0:r1, c0:c1] = True
    expected = fine.repeat(grid[0], 0).repeat(grid[1], 1).reshape(grid[0], 20, grid[1], 36).mean(axis=(1, 3))
    np.testing.assert_allclose(box_shares(boxes / 4, shape, grid), expected, atol=1e-12)
    area = box_shares(boxes / 4, shape, (1, 1))[0, 0] * shape[0] * shape[1]
    assert area == pytest.approx(fine.sum() / 16)
    mask = np.random.default_rng(0).random(shape) < 0.5
    both = fine & mask.repeat(4, 0).repeat(4, 1)
    expected = both.repeat(grid[0], 0).repeat(grid[1], 1).reshape(grid[0], 20, grid[1], 36).mean(axis=(1, 3))
    np.testing.assert_allclose(box_shares(boxes / 4, shape, grid, within=mask), expected, atol=1e-12)


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.integers(0, 99),
)
def test_cell_shares_count_fractions_of_pixels(shape: tuple[int, int], grid: tuple[int, int], seed: int) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.5
    fine = mask.repeat(grid[0], 0).repeat(grid[1], 1).reshape(grid[0], shape[0], grid[1], shape[1])
    np.testing.assert_allclose(cell_shares(mask, grid), fine.mean(axis=(1, 3)), atol=1e-12)


@pytest.mark.parametrize("grid", [(48, 29), (7, 5)])
def test_shares_are_never_a_rounding_below_nothing_or_above_all(grid: tuple[int, int]) -> None:
    shape = (1520, 912)
    mask = np.zeros(shape, bool)
    mask[100:1400, :777] = True
    rim = mask.copy()
    rim[103:1397, :774] = False
    for one in (mask, rim):
        shares = cell_shares(one, grid)
        assert shares.min() >= 0.0
        assert shares.max() <= 1.0


def test_a_map_wholly_inside_the_breast_has_nothing_outside() -> None:
    values = 0.1 * np.arange(1, 8)
    cells = np.zeros(GRID)
    cells[1, :6], cells[2, 0] = values[:6], values[6]
    breast = np.full(GRID, 1 + 1e-16)
    breast[1, :3] = np.nextafter(1.0, 2.0)
    assert measure(cells, [[0, 0, 10, 10]], breast)["outside"] == 0.0


FINE, CELLS = (320, 480), (4, 6)  # cells of 80 x 80 pixels, parts of 10 x 10
ROW, COLUMN = np.mgrid[: FINE[0], : FINE[1]]
OUTLINES = {
    "slanted": COLUMN + 0.5 * ROW < 300,
    "round": (ROW - 160.0) ** 2 + (COLUMN * 0.6) ** 2 < 150.0**2,
    "hole": ~((abs(ROW - 120) < 20) & (abs(COLUMN - 120) < 20)),
}
ON_SKIN = {
    "slanted": [[50, 200, 150, 330]],
    "round": [[20, 100, 90, 260], [200, 190, 260, 300]],
    "hole": [[90, 90, 110, 110], [95, 100, 200, 200]],
}


@pytest.mark.parametrize("name", OUTLINES)
def test_breast_lift_is_that_of_the_pixels_in_both(name):
    """The intersection of boxes and breast against that of their pixels, where both cut cells."""
    breast, boxes = OUTLINES[name], ON_SKIN[name]
    box = np.zeros(FINE, bool)
    for top, left, bottom, right in boxes:
        box[top:bottom, left:right] = True
    share = cell_shares(breast, CELLS)
    exact = cell_shares(breast & box, CELLS)
    both = shares_in_both(boxes, FINE, CELLS, share, parts_of(breast, CELLS))
    np.testing.assert_allclose(both, exact, atol=0.02)
    smaller = np.minimum(cell_shares(box, CELLS), share)
    assert abs(both - exact).max() < 0.2 * abs(smaller - exact).max()
    cells = np.random.default_rng(0).random(CELLS)
    at = np.arange(24)
    maps = sparse_maps(at * 0, at * 0, at, cells.ravel(), CELLS)
    known = {"breast": share.reshape(1, -1), BREAST_PARTS: parts_of(breast, CELLS).reshape(1, -1)}
    got = focus(maps, places([0], [0] * len(boxes), boxes, FINE, CELLS, known)).lift[0]
    expected = (cells * exact).sum() / (cells * share).sum() / (exact.sum() / share.sum())
    assert got == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("boxes", [[[20, 330, 60, 390]], [[20, 330, 60, 390], [250, 400, 300, 470]]])
def test_breast_lift_of_boxes_outside_the_breast_is_undefined(boxes):
    """The first box lies in air, in cells that the breast cuts."""
    breast = OUTLINES["slanted"]
    assert not any(breast[top:bottom, left:right].any() for top, left, bottom, right in boxes)
    share = cell_shares(breast, CELLS)
    breast_of_box = share[boxes[0][0] // 80, boxes[0][1] // 80]
    known = {"breast": share.reshape(1, -1), BREAST_PARTS: parts_of(breast, CELLS).reshape(1, -1)}
    maps = sparse_maps(np.zeros(24), np.zeros(24), np.arange(24), np.ones(24), CELLS)
    got = focus(maps, places([0], [0] * len(boxes), boxes, FINE, CELLS, known))
    assert np.isnan(got.lift[0])
    assert got.lift_image[0] == pytest.approx(1.0)
    assert breast_of_box >= 0
