"""Writing part files while later images are computed."""

from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..files.layout import Layout
from .part_files import Block
from .process import Processes

if TYPE_CHECKING:
    from concurrent.futures import Future


class PartWriter:
    """Writes blocks one after the other, each while the next one is computed.

    Parameters
    ----------
    layout
        Of the run.
    apart
        Whether a process of its own writes, which leaves the interpreter to the main process: worth the copies where a
        block comes several times a second, as on a GPU. Otherwise a thread writes.
    """

    def __init__(self, layout: Layout, *, apart: bool) -> None:
        self._layout, self._processes = layout, Processes(int(apart), "write")
        self._block: Block | None = None
        self._written: Future[int] | None = None

    def write(self, block: Block) -> None:
        """Have a block written, once the one before is.

        Raises
        ------
        RunError
            The block before could not be written.
        """
        self._wait()
        self._block = block
        try:
            self._written = self._processes.submit(block.write, self._layout)
        except BrokenProcessPool:
            self._write_here()

    def _wait(self) -> None:
        written, self._written = self._written, None
        try:
            if written is not None:
                written.result()
        except BrokenProcessPool:
            self._write_here()

    def _write_here(self) -> None:
        """Write a block in this process that was lost with another one; files appear whole or not at all."""
        assert self._block is not None
        self._block.write(self._layout)
        self._processes.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait()
        finally:
            self._processes.close()
