import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import (
    Preprocessing,
    breast_box,
    check_varies,
    prepare,
    to_8bit,
)
from napari_mammosae.core.images.tensors import normalise

SMALL = Preprocessing(size=(60, 36))


def naive_longest_run(flags: list[bool]) -> tuple[int, int] | None:
    best = None
    for start in range(len(flags)):
        for stop in range(start + 1, len(flags) + 1):
            if all(flags[start:stop]) and (best is None or stop - start > best[1] - best[0]):
                best = (start, stop)
    return best


def naive_breast_box(grey: np.ndarray) -> tuple[int, int, int, int] | None:
    """The published rule, pixel by pixel."""
    image = [[0 if value <= 40 else int(value) for value in row] for row in grey]
    rows, cols = grey.shape
    central = range(rows // 2 - int(0.4 * rows), rows // 2 + int(0.4 * rows))
    columns = naive_longest_run([len({image[r][c] for r in central}) > 1 for c in range(cols)])
    if columns is None:
        return None
    width = columns[1] - columns[0]
    middle = range(columns[0] + width // 2 - int(0.4 * width), columns[0] + width // 2 + int(0.4 * width))
    lines = naive_longest_run([len({image[r][c] for c in middle}) > 1 for r in range(rows)])
    return None if lines is None else (lines[0], columns[0], lines[1], columns[1])


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 14), st.integers(1, 14)),
        elements=st.sampled_from([0, 17, 40, 41, 90, 255]),
    )
)
def test_the_crop_is_the_published_rule(grey: np.ndarray) -> None:
    expected = naive_breast_box(grey)
    if expected is None:
        with pytest.raises(ImageError, match="no breast"):
            breast_box(grey)
    else:
        assert breast_box(grey) == expected


def test_of_equal_runs_the_first_counts() -> None:
    grey = np.zeros((20, 11), np.uint8)
    grey[5:15, 1:4] = grey[5:15, 7:10] = 200
    grey[8:12, 1:10] += np.arange(9, dtype=np.uint8) * (grey[8:12, 1:10] > 0)
    assert breast_box(grey)[1::2] == (1, 4)


def test_forty_is_background_and_forty_one_is_not() -> None:
    grey = np.zeros((20, 20), np.uint8)
    grey[4:16, 4:16] = np.where(np.indices((12, 12)).sum(0) % 2, 40, 0)
    with pytest.raises(ImageError, match="no breast"):
        breast_box(grey)
    grey[4:16, 4:16] = np.where(np.indices((12, 12)).sum(0) % 2, 41, 0)
    assert breast_box(grey) == (4, 4, 16, 16)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_empty_margins_only_move_the_crop(top: int, left: int, bottom: int, right: int) -> None:
    random = np.random.default_rng(1)
    inner = random.integers(41, 255, (40, 30), dtype=np.uint8)
    grey = np.zeros((40 + top + bottom, 30 + left + right), np.uint8)
    grey[top : top + 40, left : left + 30] = inner
    assert breast_box(grey) == (top, left, top + 40, left + 30)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "uint32", "float32", "float64", ">u2"])
def test_eight_bit_is_the_published_formula(dtype: str) -> None:
    random = np.random.default_rng(2)
    low = -900 if np.dtype(dtype).kind in "if" else 3
    pixels = random.integers(low, 255 if dtype == "uint8" else 4095, (30, 40)).astype(dtype)
    values = pixels.astype(np.float64)
    expected = ((values - values.min()) / (values.max() - values.min()) * 255).astype(np.uint8)
    result = to_8bit(pixels)
    assert result.dtype == np.uint8
    assert_array_equal(result, expected)


@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
def test_the_whole_range_of_values_is_exact(top: int) -> None:
    values = np.arange(top + 1, dtype=np.uint16)[None]
    assert_array_equal(to_8bit(values)[0], np.floor(values[0] / top * 255))


def test_a_range_beyond_the_floats_is_refused() -> None:
    with pytest.raises(ImageError, match="span"):
        to_8bit(np.array([[-1.7e308, 1.7e308]]))


def breast(rows: int = 200, cols: int = 130) -> np.ndarray:
    image = np.zeros((rows, cols), np.uint16)
    image[20:180, 0:90] = np.random.default_rng(3).integers(1000, 4095, (160, 90))
    image[100, 50] = 4095
    return image


def area_resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mean over the exact area each new pixel covers: what INTER_AREA is when both sides shrink."""

    def weights(old: int, new: int) -> np.ndarray:
        edges = np.arange(new + 1) * old / new
        overlap = np.minimum(edges[1:, None], np.arange(1, old + 1)) - np.maximum(edges[:-1, None], np.arange(old))
        return np.clip(overlap, 0, None) * new / old

    return weights(image.shape[0], size[0]) @ image @ weights(image.shape[1], size[1]).T


@pytest.mark.parametrize("border", [0, 5])
def test_crops_are_resized_by_area(border: int) -> None:
    image = breast()
    made = prepare(image, SMALL, border=border)
    inner = image[border : 200 - border, border : 130 - border]
    box = np.array(naive_breast_box(to_8bit(inner)))
    assert made.frame.crop == tuple(box + border)
    assert made.frame.source_shape == (200, 130)
    crop = to_8bit(inner)[box[0] : box[2], box[1] : box[3]]
    assert made.pixels.shape == (60, 36)
    assert np.abs(made.pixels - area_resized(crop.astype(float), (60, 36))).max() <= 0.51


def test_small_crops_are_enlarged() -> None:
    grey = np.zeros((40, 30), np.uint8)
    grey[5:35, 2:20] = np.random.default_rng(4).integers(60, 255, (30, 18))
    made = prepare(grey, Preprocessing(size=(120, 72)))
    assert made.pixels.shape == (120, 72)
    block = made.pixels.reshape(30, 4, 18, 4).mean(axis=(1, 3))
    source = to_8bit(grey)[5:35, 2:20]
    assert np.corrcoef(block.ravel(), source.ravel())[0, 1] > 0.97


def test_images_of_the_right_size_are_taken_as_they_are() -> None:
    grey = np.random.default_rng(5).integers(3, 200, (60, 36), dtype=np.uint8)
    made = prepare(grey, SMALL, border=5)
    assert_array_equal(made.pixels, grey)
    assert made.frame.crop == (0, 0, 60, 36)


def test_sixteen_bit_images_of_the_right_size_are_scaled() -> None:
    image = np.random.default_rng(5).integers(0, 4000, (60, 36), dtype=np.uint16)
    assert_array_equal(prepare(image, SMALL).pixels, to_8bit(image))


def test_without_cropping_the_size_must_fit() -> None:
    with pytest.raises(ImageError, match=r"scan\.png: the image has 200 x 130 .* needs exactly 60 x 36"):
        prepare(breast(), Preprocessing(size=(60, 36), crop=False), name="scan.png")


def test_a_border_that_takes_everything_is_refused() -> None:
    with pytest.raises(ImageError, match="too few"):
        prepare(np.arange(90, dtype=np.uint8).reshape(10, 9), SMALL, border=5)


def test_what_is_constant_inside_the_border_is_refused() -> None:
    image = np.full((30, 30), 7, np.uint8)
    image[0, 0] = 200
    with pytest.raises(ImageError, match="every pixel has the value 7"):
        prepare(image, SMALL, border=5)


def test_normalisation_is_the_published_one() -> None:
    pixels = np.array([[10, 20], [60, 110]], np.uint8)
    expected = ((np.array([[0, 10], [50, 100]]) / 100) - 0.3089279) / 0.25053555408335154
    result = read_mammogram(pixels).to_input(Preprocessing(size=(2, 2)))
    assert (result.dtype, result.shape) == (torch.float32, (1, 3, 2, 2))
    assert_allclose(result[0], np.stack([expected] * 3), rtol=1e-6)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("more", [{}, {"mean": (0.1, 0.2, 0.3)}, {"stretch": False}, {"channels": 1}])
def test_planes_of_a_batch_are_normalised_each_by_itself(device: str, more: dict) -> None:
    planes = np.random.default_rng(0).integers(7, 240, (3, 40, 30)).astype(np.uint8)
    planes[1] //= 2
    found = normalise(torch.from_numpy(planes).to(device), how := Preprocessing(size=(40, 30), **more)).cpu().numpy()
    assert found.shape == (3, how.channels, 40, 30)
    exact = planes.astype(np.float64)
    low, high = (0, 255) if not how.stretch else (exact.min((1, 2), keepdims=True), exact.max((1, 2), keepdims=True))
    exact = ((exact - low) / (high - low))[:, None]
    exact = (exact - np.reshape(how.mean, (-1, 1, 1))) / np.reshape(how.std, (-1, 1, 1))
    assert_allclose(found, np.broadcast_to(exact, found.shape), rtol=0, atol=1e-6)


def test_a_constant_model_input_is_refused() -> None:
    with pytest.raises(ImageError, match="value 9"):
        check_varies(np.full((4, 4), 9, np.uint8))


@pytest.mark.parametrize("wrong", [{"size": (0, 4)}, {"size": (4,)}, {"std": 0.0}])
def test_impossible_preprocessing_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        Preprocessing(**wrong)


@pytest.mark.parametrize(
    ("fit", "crop", "edges"),
    [
        ("crop", (20, 0, 180, 90), None),
        ("resize", (0, 0, 200, 130), None),
        ("pad", (-8, 0, 209, 130), "above and below"),
        ("crop-pad", (20, -3, 180, 93), "beside"),
    ],
)
def test_what_part_of_an_image_a_model_sees(fit: str, crop: tuple[int, ...], edges: str | None) -> None:
    pixels = breast()
    made = prepare(pixels, Preprocessing(size=(60, 36), fit=fit))
    assert made.frame.crop == crop
    seen = made.frame.cut(pixels).astype(np.float64)
    assert seen.shape == (crop[2] - crop[0], crop[3] - crop[1])
    grey = np.floor(seen / 4095 * 255)
    rows, cols = grey.shape
    wide = np.kron(grey, np.ones((60, 36))).reshape(60, rows, 36, cols).mean((1, 3))
    assert np.abs(made.pixels - wide).max() <= 1
    if edges:  # one scale along both axes: nothing is distorted
        assert made.frame.scale[0] == pytest.approx(made.frame.scale[1], rel=0.01)
    points = np.array([[30, 20], [100.5, 60]])
    np.testing.assert_allclose(made.frame.to_source_points(made.frame.to_input_points(points)), points)


def test_eight_bit_images_keep_their_values_where_they_are_not_stretched() -> None:
    pixels = np.full((40, 40), 60, np.uint8)
    pixels[10:, 10:] = 180
    as_they_are = Preprocessing(size=(20, 20), fit="resize", stretch=False, mean=0.0, std=1.0)
    made = prepare(pixels, as_they_are)
    assert (made.pixels.min(), made.pixels.max()) == (60, 180)
    assert_allclose(read_mammogram(pixels).to_input(as_they_are)[0, 0], made.pixels / 255, rtol=1e-6)
    assert prepare(pixels, Preprocessing(size=(20, 20), fit="resize")).pixels.max() == 255
