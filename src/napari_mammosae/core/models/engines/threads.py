"""How many threads torch computes with."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside; afterwards with as many as before, for the process may be anyone's.

    Sums depend in their last bits on how they are split among threads.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(count: int) -> ThreadPoolExecutor:
    """Return `count` threads among which those that torch computes with here are shared out."""
    import torch

    every, started = torch.get_num_threads(), Barrier(count)

    def start() -> None:
        torch.get_num_threads()  # the first look takes the process's number; later it would undo the next line
        torch.set_num_threads(-(-every // count))
        started.wait()

    pool = ThreadPoolExecutor(count, "compute", start)
    for one in [pool.submit(torch.get_num_threads) for _ in range(count)]:
        one.result()
    torch.set_num_threads(every)  # what was set in those threads holds for others that start later, too
    return pool
