import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from napari_mammosae.core.images.geometry import Frame, cell_affine, cell_scale_translate, clip_boxes


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    rows, cols = draw(st.integers(1, 5000)), draw(st.integers(1, 5000))
    row0, col0 = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
    row1, col1 = draw(st.integers(row0 + 1, rows)), draw(st.integers(col0 + 1, cols))
    return Frame((rows, cols), (row0, col0, row1, col1), (draw(st.integers(1, 2000)), draw(st.integers(1, 2000))))


coordinates = st.floats(-1e4, 1e4)
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=8).map(np.array)


@given(frames(), points)
def test_points_return_from_a_round_trip(frame: Frame, given_points: np.ndarray) -> None:
    there_and_back = frame.to_input_points(frame.to_source_points(given_points))
    assert_allclose(there_and_back, given_points, atol=1e-6)


@given(frames(), st.lists(st.tuples(*[coordinates] * 4), max_size=6))
def test_boxes_return_from_a_round_trip(frame: Frame, boxes: list) -> None:
    back = frame.boxes_to_source(frame.boxes_to_input(boxes))
    assert back.shape == (len(boxes), 4)
    assert_allclose(back, np.reshape(boxes, (-1, 4)), atol=1e-6)


@given(frames(), points)
def test_the_affine_is_the_map_of_points(frame: Frame, given_points: np.ndarray) -> None:
    homogeneous = np.c_[given_points, np.ones(len(given_points))] @ frame.affine.T
    assert_allclose(homogeneous[:, :2], frame.to_source_points(given_points), atol=1e-6)
    assert_allclose(homogeneous[:, 2], 1)


@given(frames(), points)
def test_edges_are_centres_shifted_by_half_a_pixel(frame: Frame, corners: np.ndarray) -> None:
    """The centre c and the edge c + 0.5 are the same place, in either grid."""
    boxes = np.tile(corners + 0.5, 2)
    assert_allclose(frame.boxes_to_input(boxes)[:, :2] - 0.5, frame.to_input_points(corners), atol=1e-6)


@given(frames())
def test_the_crop_fills_the_input(frame: Frame) -> None:
    assert_allclose(frame.boxes_to_input([frame.crop]), [[0, 0, *frame.input_shape]], atol=1e-9)


def test_a_worked_example() -> None:
    frame = Frame((3518, 2800), (105, 55, 3145, 1879), (1520, 912))
    assert frame.scale == (2.0, 2.0)
    assert_allclose(frame.to_source_points([[0, 0]]), [[105.5, 55.5]])  # the middle of a 2 x 2 block
    assert_allclose(frame.boxes_to_input([[105, 55, 205, 255]]), [[0, 0, 50, 100]])


def test_identity_changes_nothing() -> None:
    frame = Frame.identity((7, 9))
    assert frame.crop == (0, 0, 7, 9)
    assert_allclose(frame.affine, np.eye(3))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 2000), st.integers(1, 2000))
def test_cells_tile_the_input(rows: int, cols: int, height: int, width: int) -> None:
    (scale_row, scale_col), (row, col) = cell_scale_translate((height, width), (rows, cols))
    assert row - scale_row / 2 == pytest.approx(-0.5)
    assert col - scale_col / 2 == pytest.approx(-0.5)
    assert row + (rows - 0.5) * scale_row == pytest.approx(height - 0.5)
    assert col + (cols - 0.5) * scale_col == pytest.approx(width - 0.5)


def test_cells_lie_where_bilinear_upsampling_puts_them() -> None:
    (scale_row, scale_col), (row, col) = cell_scale_translate((1520, 912), (48, 29))
    assert 3 * scale_row + row == pytest.approx(3.5 * 1520 / 48 - 0.5)
    assert 7 * scale_col + col == pytest.approx(7.5 * 912 / 29 - 0.5)


@given(frames(), st.integers(1, 50), st.integers(1, 50))
def test_cells_reach_the_source_through_the_input(frame: Frame, rows: int, cols: int) -> None:
    cell = np.array([rows - 1, cols // 2], dtype=float)
    scale, translate = cell_scale_translate(frame.input_shape, (rows, cols))
    expected = frame.to_source_points([cell * scale + translate])[0]
    assert_allclose((cell_affine(frame, (rows, cols)) @ [*cell, 1])[:2], expected, atol=1e-6)


@pytest.mark.parametrize("crop", [(0, 0, 0, 5), (3, 0, 2, 5), (2, 4, 5, 4)])
def test_impossible_crops_are_refused(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="crop"):
        Frame((10, 8), crop, (4, 4))


def test_an_input_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        Frame((10, 8), (0, 0, 1, 1), (0, 4))


@pytest.mark.parametrize("wrong", [[1, 2, 3, 4], [[1, 2, 3]], np.zeros((2, 2, 4))])
def test_arrays_of_another_shape_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        Frame.identity((4, 4)).boxes_to_input(wrong)


def test_boxes_are_clipped_to_their_image() -> None:
    boxes = [[1, 1, 3, 3], [-2, 1, 3, 30], [10, 1, 12, 3], [4, 4, 4, 6]]
    clipped, changed, outside = clip_boxes(boxes, (10, 8))
    assert_allclose(clipped[:2], [[1, 1, 3, 3], [0, 1, 3, 8]])
    assert changed.tolist() == [False, True, True, False]
    assert outside.tolist() == [False, False, True, True]
    assert_allclose(clip_boxes([[1, 1, 99, 99]], [(np.inf, 5)])[0], [[1, 1, 99, 5]])
