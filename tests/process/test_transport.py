"""What travels between processes arrives as it was, whatever its size and shape."""

import threading
from multiprocessing import Pipe

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_mammosae.process import transport


def carried(value):
    here, there = Pipe()
    with here, there:
        sender = threading.Thread(target=transport.send, args=(there, ("result", 1), transport.pack(value)))
        sender.start()
        message, parts = transport.receive(here)
        sender.join()
    assert message == ("result", 1)
    return transport.unpack(parts)


@given(arrays(st.sampled_from(["u1", "i4", "f4", "f8", "?", "U3"]), array_shapes(min_dims=0, min_side=0)))
def test_arrays(array):
    found = carried({"a": array, "b": [array.T, 3, "x"]})
    for one, other in ((found["a"], array), (found["b"][0], array.T)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert found["b"][1:] == [3, "x"]


@pytest.mark.parametrize("size", [transport.PIECE - 1, transport.PIECE, transport.PIECE + 1, 5_000_001])
def test_large_arrays_arrive_in_pieces(size):
    array = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    frozen = array.copy()
    frozen.setflags(write=False)
    found = carried((array, array[::-2], frozen))
    for one, other in zip(found, (array, array[::-2], frozen), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [one.flags.writeable for one in found] == [True, True, False]


def test_nothing():
    assert carried(None) is None
