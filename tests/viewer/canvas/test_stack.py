import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import latent_maps, model_facts
from napari_mammosae.viewer.canvas.stack import LatentStack

MODEL = model_facts()
SHAPE = (MODEL.n_latents, *MODEL.grid)


def dense(maps, order):
    return np.stack([maps[int(i)] for i in order])


def part(length):
    whole = st.slices(length)
    return st.one_of(st.integers(-length, length - 1), whole)


@given(st.integers(0, 5), st.tuples(*(part(n) for n in SHAPE)), st.integers(1, 3), st.booleans())
def test_any_index_gives_what_the_dense_array_gives(seed, key, used, ellipsis):
    maps, order = latent_maps(MODEL, seed=seed), np.random.default_rng(seed).permutation(MODEL.n_latents)
    stack, full = LatentStack(maps, order), dense(maps, order)
    key = (..., *key[-used:]) if ellipsis else key[:used]
    np.testing.assert_array_equal(stack[key], full[key])


def test_it_looks_like_an_array():
    maps = latent_maps(MODEL)
    stack = LatentStack(maps, np.arange(MODEL.n_latents))
    assert (stack.shape, stack.ndim, stack.dtype, len(stack)) == (SHAPE, 3, np.float32, 64)
    assert stack.size == np.prod(SHAPE)
    np.testing.assert_array_equal(np.asarray(stack), dense(maps, range(64)))


def test_maps_of_another_shape_are_refused():
    stack = LatentStack(latent_maps(MODEL), np.arange(64))
    with pytest.raises(ValueError, match="cannot show"):
        stack.show(latent_maps(model_facts(n_latents=32)), np.arange(32))


def test_cleared_it_is_zero_everywhere():
    stack = LatentStack(latent_maps(MODEL), np.arange(64))
    stack.clear()
    assert not np.asarray(stack).any()
    assert stack[3].shape == MODEL.grid


def test_readers_in_other_threads_never_see_half_a_change():
    """Two contents whose maps and orders are permuted against each other, so that a mix would show."""
    contents = [(latent_maps(MODEL, seed=s), np.random.default_rng(s).permutation(64)) for s in (1, 2)]
    allowed = {dense(*content)[5].tobytes() for content in contents}
    stack, seen, stop = LatentStack(*contents[0]), set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(stack[5].tobytes())

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(400):
        stack.show(*contents[i % 2])
        time.sleep(0.0002)
    stop.set()
    for thread in threads:
        thread.join()
    assert seen <= allowed
    assert len(seen) == 2


def test_a_read_of_the_published_size_takes_under_five_milliseconds():
    model = model_facts(n_latents=16_384, grid=(48, 29))
    stack = LatentStack(latent_maps(model, live=800), np.random.default_rng(0).permutation(16_384))
    times = []
    for rank in range(200):
        start = time.perf_counter()
        stack[rank]
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.005
