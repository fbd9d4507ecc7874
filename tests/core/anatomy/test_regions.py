"""Regions against the truth of synthetic phantoms, and what is asked of them: shares, queries, suspects."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_mammosae.core.anatomy.cell_parts import parts_of
from napari_mammosae.core.anatomy.query import (
    brush_weights,
    polygon_weights,
    query_region,
    rectangle_weights,
)
from napari_mammosae.core.anatomy.regions import REGIONS, region_cells, region_masks, region_shares
from napari_mammosae.core.images.cells import cell_shares
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.localization.detections import sparse_maps
from napari_mammosae.core.localization.suspects import SuspectTally
from napari_mammosae.core.phantoms.phantom import Phantom, make_phantom

SEEDS = (1, 3, 101, 103)  # left and right oblique views


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.fixture(scope="module", params=[*SEEDS, 0, 2])
def phantom(request: pytest.FixtureRequest) -> Phantom:
    return make_phantom(request.param, marker=True)


@pytest.mark.parametrize("known", [True, False])
def test_regions_of_a_phantom(phantom: Phantom, known: bool) -> None:
    facts = {"laterality": phantom.laterality, "view": phantom.view, "spacing": phantom.spacing} if known else {}
    masks = region_masks(phantom.pixels, **facts)
    assert tuple(masks) == REGIONS
    assert all(mask.shape == (1520, 912) and mask.dtype == bool for mask in masks.values())
    assert overlap(masks["breast"], phantom.masks["breast"]) > 0.975
    assert overlap(masks["skin"], phantom.masks["skin"]) > (0.5 if known else 0.4)
    letters = phantom.masks["marker"] | phantom.masks["device_tag"]
    assert (masks["marker"] & letters).sum() > 0.9 * letters.sum()
    assert not (masks["marker"] & phantom.masks["breast"] & ~phantom.masks["skin"]).any()
    if phantom.view == "MLO":
        assert overlap(masks["pectoral"], phantom.masks["pectoral"]) > 0.7
    else:
        assert not masks["pectoral"].any()
    assert masks["border"].sum() == 1520 * 912 - (1520 - 60) * (912 - 60)


def test_shares_are_those_of_the_masks(phantom: Phantom) -> None:
    """Up to the steps of the reduced image, which masks at full size have smoothed."""
    masks = region_masks(phantom.pixels)
    shares, parts = region_cells(phantom.pixels, (48, 29))
    assert shares.dtype == np.float32
    for name, share in zip(REGIONS, shares, strict=True):
        np.testing.assert_allclose(share, cell_shares(masks[name], (48, 29)), atol=0.005)
        assert share.sum() * 1520 * 912 / (48 * 29) == pytest.approx(masks[name].sum(), rel=3e-3)
    assert (parts == parts_of(masks["breast"], (48, 29))).mean() > 0.98


@pytest.mark.parametrize("spacing", [(0.12, 0.094), (0.1, 0.2), (0.031, 0.05)])
def test_skin_is_what_lies_near_air(phantom: Phantom, spacing: tuple[float, float]) -> None:
    masks = region_masks(phantom.pixels, spacing=spacing)
    breast, skin = (masks[name][2::4, 2::4] for name in ("breast", "skin"))  # as on the reduced image
    depth = distance_transform_edt(breast, sampling=4 * np.array(spacing))
    np.testing.assert_array_equal(skin, breast & (depth < 2 + 2 * np.mean(spacing)))


def test_images_without_air_or_without_anything() -> None:
    noise = np.random.default_rng(0).integers(90, 200, (380, 228)).astype(np.uint8)
    full = region_masks(noise)
    assert full["breast"].all()
    assert not full["skin"].any()
    assert not full["marker"].any()
    for name, mask in region_masks(np.zeros((380, 228), np.uint8)).items():
        assert mask.shape == (380, 228), name
    assert region_masks(np.full((9, 5), 7, np.uint8))["border"].any()
    with pytest.raises(ValueError, match="8 bit"):
        region_masks(np.zeros((380, 228)))


def test_places_drawn_in_either_frame_are_the_same() -> None:
    frame = Frame((400, 300), (20, 10, 380, 250), (180, 120))  # source pixels are half as large
    grid = (9, 6)
    rectangle = rectangle_weights([60, 50, 140, 130], (180, 120), grid, frame)
    np.testing.assert_allclose(rectangle, rectangle_weights([20, 20, 60, 60], (180, 120), grid), atol=1e-12)
    mask = np.zeros((400, 300), np.uint8)
    mask[60:140, 50:130] = 3  # as a label layer paints it
    mask[:15] = 3  # cropped off
    np.testing.assert_allclose(brush_weights(mask, grid, frame), rectangle, atol=1e-12)
    corners = np.array([[60, 50], [60, 130], [140, 130], [140, 50]]) - 0.5
    np.testing.assert_allclose(polygon_weights(corners, (180, 120), grid, frame), rectangle, atol=0.01)
    with pytest.raises(ValueError, match="source image"):
        brush_weights(mask[1:], grid, frame)
    assert brush_weights(mask[:180, :120], grid).shape == grid
    triangle = polygon_weights([[-0.5, -0.5], [-0.5, 119.5], [179.5, -0.5]], (180, 120), grid)
    assert triangle.sum() / 54 == pytest.approx(0.5, abs=0.01)


def test_query_ranks_what_looks_there() -> None:
    maps = np.zeros((4, 4, 6), np.float32)
    maps[0, 1, 1] = 2.0  # all inside
    maps[1] = 1.0  # everywhere
    maps[2, 3, 5] = 9.0  # elsewhere
    maps[3, 1, 1], maps[3, 0, 0] = 3.0, 5.0
    weights = rectangle_weights([10, 10, 20, 25], (40, 60), (4, 6))  # one cell and half of the next
    attribution = np.array([0, 0, -1.0, 2.0, 0, 0.5, 4.0])
    table = query_region([2, 3, 5, 6], maps, weights, attribution=attribution).set_index("latent")
    assert table.index.tolist() == [6, 2, 3]
    assert table["activation"].tolist() == [3.0, 2.0, 1.5]
    np.testing.assert_allclose(table["energy"], [3 / 8, 1.0, 1.5 / 24])
    np.testing.assert_allclose(table["lift"], [3 / 8 * 16, 16.0, 1.0])
    np.testing.assert_allclose(table["contribution"], [4 * 3 / 24, -2 / 24, 2 * 1.5 / 24])
    assert table["peak_inside"].tolist() == [False, True, False]
    assert query_region([2, 3, 5, 6], maps, weights, by="lift")["latent"].tolist() == [2, 6, 3]
    assert query_region([2, 3], maps[:2], weights)["contribution"].isna().all()
    assert not len(query_region([2, 3, 5, 6], maps, np.zeros((4, 6))))
    assert not len(query_region([], np.zeros((0, 4, 6)), weights))
    everything = query_region([2, 3, 5, 6], maps, np.ones((4, 6)), attribution=attribution)
    assert everything["contribution"].sum() == pytest.approx(maps.mean(axis=(1, 2)) @ attribution[[2, 3, 5, 6]])


def test_suspects() -> None:
    shape, grid = (40, 60), (4, 6)
    breast = np.zeros(grid)
    breast[:, :4] = 1.0
    marker, border = np.zeros(grid), np.zeros(grid)
    marker[0, 5] = 0.5
    border[:, 0] = 0.9
    maps = np.zeros((8, 6, *grid), np.float32)  # latent, image
    maps[0, :, 1, 1] = 2.0  # in the lesion
    maps[1, :, 0, 5] = 2.0  # on the marker
    maps[2, :, 3, 5] = 2.0  # in air
    maps[3, :3, 2, 0] = 1.0  # at the border
    maps[4, :, :, :4] = 1.0
    maps[4, :, 1, 1] = 0.0  # everywhere but in the lesion
    maps[6, :, 2, 3] = 1.0  # beside the lesion, on few cells
    tally = SuspectTally(8, shape, grid)
    for images in (np.arange(4), np.arange(4, 6)):
        latent, image, cell = np.nonzero(maps[:, images].reshape(8, images.size, -1))
        regions = {name: np.zeros((images.size, 24)) for name in ("skin", "pectoral")}
        regions |= {
            name: np.repeat(v.reshape(1, -1), images.size, 0)
            for name, v in (("breast", breast), ("marker", marker), ("border", border))
        }
        block = sparse_maps(
            latent, images[image], cell, maps[:, images].reshape(8, images.size, -1)[latent, image, cell], grid
        )
        tally.add(block, images, regions, images, [[10, 10, 20, 20]] * images.size)
    table = tally.table().set_index("latent")
    assert set(table.index) == {0, 1, 2, 3, 4, 6}  # silent latents are no suspects
    assert table.loc[[1, 2, 3, 4], "reason"].tolist() == ["marker", "outside", "border", "avoids_boxes"]
    assert table.loc[1, ["outside", "marker"]].tolist() == [1.0, 1.0]  # on a cell that a marker half covers
    assert table.loc[0, "suspicion"] == 0.0
    assert table.loc[0, "lift"] == pytest.approx(16.0)
    assert table.loc[4, "lift"] == 0.0
    assert table.loc[4, "suspicion"] == pytest.approx(15 / 16)
    assert table.loc[6, "suspicion"] < 0.1
    assert table.loc[3, "images_active"] == 3
    assert table["suspicion"].is_monotonic_decreasing


def test_shares_hold_no_rounding_noise() -> None:
    """Ratios of noise would be lifts below 0."""
    shares = region_shares(make_phantom(3).pixels, (48, 29))
    assert shares.min() == 0.0
    assert shares[shares > 0].min() > 1e-6
