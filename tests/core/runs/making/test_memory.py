"""The memory of a run: it holds the names of the images and those under way, however many there are."""

import sys

import pytest

import run_memory

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc"),
]

NAMES = 4096
"""Bytes an image for its names in the list and its row of the table."""
NOISE = 8 << 20


@pytest.fixture(scope="module")
def measured(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("many")
    images = {count: run_memory.list_images(folder, count) for count in (1000, 4000)}

    def measure(count, workers):
        return run_memory.measured(images[count], tiny_model, folder / f"run-{count}-{workers}", workers)

    return {case: measure(*case) for case in ((1000, 1), (4000, 1), (1000, 4))}


def test_memory_does_not_grow_with_the_images(measured):
    few, many = measured[1000, 1], measured[4000, 1]
    assert many["main"] - few["main"] < 3000 * NAMES + NOISE
    assert many["decoder"] - few["decoder"] < NOISE


def test_more_workers_take_no_more_than_the_images_they_are_ahead(measured):
    one, four = measured[1000, 1], measured[1000, 4]
    ahead = 2 * 3 * 200_000  # decoded images, pixels and cells of 0.1 MB, twice: sent and received
    assert four["main"] - one["main"] < ahead + NOISE
    assert four["decoder"] - one["decoder"] < NOISE
