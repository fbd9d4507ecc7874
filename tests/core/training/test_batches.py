"""Epochs of features: every cell once, in a new order, from memory or from a file that is larger than what is kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.training import batches
from napari_mammosae.core.training.batches import Epochs, read

CELLS, BATCH = 107, 8


@pytest.fixture
def file(tmp_path: Path) -> np.ndarray:
    """Cells (107, 4) in a mapped file; the first feature of a cell is its number."""
    cells = np.random.default_rng(0).normal(size=(CELLS, 4)).astype(np.float16)
    cells[:, 0] = np.arange(CELLS)
    cells.tofile(tmp_path / "features")
    return np.memmap(tmp_path / "features", np.float16, "r", shape=cells.shape)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Keep nothing whole, and shuffle four batches together."""
    monkeypatch.setattr(batches, "_WHOLE", 0)
    monkeypatch.setattr(batches, "_WINDOW", 4 * BATCH * 4 * 2)


def numbers(epochs: Epochs, seed: int, first: int = 0) -> list[list[int]]:
    return [x[:, 0].int().tolist() for x in epochs.shuffled(np.random.default_rng(seed), first)]


@pytest.mark.parametrize("windows", ["whole", "small"])
def test_an_epoch_has_every_cell_once_in_an_order_of_its_own(
    file: np.ndarray, windows: str, request: pytest.FixtureRequest
) -> None:
    if windows == "small":
        request.getfixturevalue("small_windows")
    epochs, order = Epochs(file, BATCH, "cpu"), np.random.default_rng(0)
    seen = []
    for _ in range(3):
        found = list(epochs.shuffled(order))
        assert [len(x) for x in found] == [8] * 13 + [3]
        assert len(found) == epochs.steps
        cells = torch.cat(found)
        assert cells.dtype == torch.float32
        rows = cells[:, 0].int().numpy()
        assert sorted(rows) == list(range(CELLS))
        np.testing.assert_array_equal(cells, file[rows].astype(np.float32))
        seen.append(tuple(rows))
    assert len(set(seen)) == 3


@pytest.mark.usefixtures("small_windows")
def test_windows_mix_places_from_all_over_the_file(file: np.ndarray) -> None:
    """A window's batches have cells of several shards, far from each other, and no cell of another window."""
    found = numbers(Epochs(file, BATCH, "cpu"), 1)
    spans = []
    for start in (0, 4, 8):
        cells = [cell for batch in found[start : start + 4] for cell in batch]
        shards = {cell // BATCH for cell in cells}
        assert len(shards) == 4
        assert sorted(cells) == sorted(cell for shard in shards for cell in range(BATCH * shard, BATCH * shard + BATCH))
        assert all(len({cell // BATCH for cell in batch}) > 1 for batch in found[start : start + 4])
        spans.append(max(shards) - min(shards))
    assert max(spans) > 6


@pytest.mark.parametrize("windows", ["whole", "small"])
@pytest.mark.parametrize("first", [1, 4, 6, 12, 13])
def test_an_epoch_is_taken_up_within_and_what_was_done_is_not_read(
    file: np.ndarray, first: int, windows: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if windows == "small":
        request.getfixturevalue("small_windows")
    epochs = Epochs(file, BATCH, "cpu")
    whole = numbers(epochs, 2)
    rows = []
    monkeypatch.setattr(batches, "read", lambda features, span: rows.append(span) or read(features, span))
    assert numbers(epochs, 2, first) == whole[first:]
    if windows == "small":
        assert sum(span.stop - span.start for span in rows) == CELLS - first // 4 * 4 * BATCH


@pytest.mark.usefixtures("small_windows")
def test_where_features_are_kept_does_not_change_the_order(file: np.ndarray) -> None:
    """As on a GPU that has room for all of them."""
    epochs = Epochs(file, BATCH, "cpu", 2.0)
    streamed = list(epochs.shuffled(np.random.default_rng(3)))
    epochs._resident = torch.from_numpy(np.array(file))
    kept = list(epochs.shuffled(np.random.default_rng(3)))
    assert all(torch.equal(a, b) for a, b in zip(streamed, kept, strict=True))


@pytest.mark.parametrize("windows", ["whole", "small"])
def test_a_value_that_is_not_finite_is_found(file: np.ndarray, windows: str, request: pytest.FixtureRequest) -> None:
    if windows == "small":
        request.getfixturevalue("small_windows")
    broken = np.array(file)
    broken[77, 2] = np.nan
    with pytest.raises(SettingsError, match="not finite"):
        list(Epochs(broken, BATCH, "cpu").shuffled(np.random.default_rng(0)))


def test_rows_of_a_part_of_a_mapped_file_are_its_own(file: np.ndarray) -> None:
    for part in (file, file[20:], file[::2], file[:, 1:]):
        np.testing.assert_array_equal(read(part, slice(5, 9)), np.array(part)[5:9])
        np.testing.assert_array_equal(read(part, np.array([9, 3])), np.array(part)[[9, 3]])
