"""Plain values over a connection of `multiprocessing`; arrays are neither pickled nor copied on the way."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PROTOCOL = 5
PIECE = 1 << 20
"""Bytes at a time: a connection asks for memory for a whole message whenever a part of it has arrived."""

Packed = tuple[bytes, list[memoryview]]
Parts = tuple[bytes, list[memoryview]]


def pack(value: Any) -> Packed:
    """Return a value as what it is made of: its pickle, and the memory of its arrays."""
    arrays: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, PROTOCOL, buffer_callback=arrays.append)
    return data, [array.raw() for array in arrays]


def send(connection: Connection, message: tuple[Any, ...], packed: Packed | None = None) -> None:
    """Send a message, and a packed value with it; one thread at a time."""
    data, arrays = packed or (b"", [])
    head = (message, data, [array.nbytes for array in arrays])
    connection.send_bytes(pickle.dumps(head, PROTOCOL))
    for array in arrays:
        for start in range(0, array.nbytes, PIECE):
            connection.send_bytes(array[start : start + PIECE])


def receive(connection: Connection) -> tuple[tuple[Any, ...], Parts]:
    """Return a message and the parts of the value that came with it, for `unpack`."""
    message, data, sizes = pickle.loads(connection.recv_bytes())
    arrays = [np.empty(size, np.uint8).data for size in sizes]  # not filled with zeros first
    for array in arrays:
        start = 0
        while start < array.nbytes:
            start += connection.recv_bytes_into(array, start)
    return message, (data, arrays)


def unpack(parts: Parts) -> Any:
    """Return the value."""
    data, arrays = parts
    return pickle.loads(data, buffers=arrays) if data else None
