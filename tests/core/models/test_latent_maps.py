"""One image's latents as an array, a table and an xarray, against a dense array built by hand."""

import sys

import numpy as np
import pytest

from napari_mammosae.core.base.errors import MissingPackageError, SettingsError
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.models.latents import LatentMaps

H, GRID = 9, (4, 3)
LIVE = np.array([1, 4, 7], np.int32)


@pytest.fixture
def dense():
    rng = np.random.default_rng(0)
    values = np.zeros((H, *GRID), np.float32)
    values[LIVE] = rng.gamma(1.0, 1.0, (3, *GRID)) * (rng.random((3, *GRID)) < 0.6)
    return values


@pytest.fixture
def maps(dense):
    frame = Frame((100, 60), (10, 0, 90, 60), (40, 30))
    flat = dense.reshape(H, -1)
    return LatentMaps(
        (H, *GRID), LIVE, dense[LIVE].astype(np.float16), flat.mean(1), flat.max(1), (flat > 0).sum(1).astype(np.int32),
        np.zeros(1), np.zeros(1), 0.0, frame,
    )  # fmt: skip


@pytest.mark.parametrize(
    "index",
    [0, 4, -1, -2, np.int32(7), slice(3, 8), slice(None, None, -2), slice(20, 30), [4, 0, -2, 4], np.array([], int),
     np.arange(H) % 2 == 1],
    ids=str,
)  # fmt: skip
def test_indices_are_those_of_numpy(maps, dense, index):
    expected = dense.astype(np.float16).astype(np.float32)[index]
    found = maps[index]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("index", [H, -H - 1, [0, H], np.ones(H + 1, bool), [[0], [1]], "4"])
def test_other_indices_are_errors(maps, index):
    with pytest.raises(IndexError):
        maps[index]


def test_all_latents_in_turn(maps, dense):
    np.testing.assert_array_equal(np.stack(list(maps)), dense.astype(np.float16).astype(np.float32))
    assert len(maps) == H
    assert repr(maps) == "<LatentMaps 9 x 4 x 3: 3 latents fire>"


def test_no_latent_fires(maps):
    silent = LatentMaps(
        (H, *GRID), LIVE[:0], np.zeros((0, *GRID), np.float32), *np.zeros((2, H), np.float32), np.zeros(H, np.int32),
        np.zeros(0), np.zeros(0), 0.0,
    )  # fmt: skip
    assert not silent[-1].any()
    assert silent[2:5].shape == (3, *GRID)
    assert silent.to_xarray().shape == (0, *GRID)


def test_the_table_has_every_latent(maps, dense):
    table = maps.table()
    assert table["latent"].tolist() == list(range(H))
    np.testing.assert_allclose(table["mean"], dense.mean((1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(table["active_cells"], (dense > 0).sum((1, 2)))
    by_max = maps.table(sort="max")
    assert by_max["latent"].tolist() == sorted(range(H), key=lambda i: (-dense[i].max(), i))
    with pytest.raises(SettingsError, match="sort by one of latent, mean, max, active_cells"):
        maps.table(sort="score")


def test_xarray_knows_where_the_cells_lie(maps, dense):
    array = maps.to_xarray()
    assert array.dims == ("latent", "row", "column")
    assert array.latent.values.tolist() == LIVE.tolist()
    np.testing.assert_array_equal(array.sel(latent=4), dense[4].astype(np.float16).astype(np.float32))
    # 80 source rows from row 10 on are 4 cells of 20, 60 columns 3 cells of 20; centres of pixels lie on integers
    np.testing.assert_allclose(array.row, 10 + 20 * (np.arange(4) + 0.5) - 0.5)
    np.testing.assert_allclose(array.column, 20 * (np.arange(3) + 0.5) - 0.5)
    assert maps.to_xarray([0, 4]).latent.values.tolist() == [0, 4]


def test_without_xarray_the_error_says_what_to_install(maps, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingPackageError, match="pip install xarray"):
        maps.to_xarray()
