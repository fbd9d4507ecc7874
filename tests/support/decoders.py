"""What decoding processes do in tests, in a module as light as the processes are to be."""

import multiprocessing
import os
import sys

from napari_mammosae.core.runs.files.layout import Layout
from napari_mammosae.core.runs.making.decode import Decoded, Decoder, Failed
from napari_mammosae.core.runs.making.part_files import Block
from napari_mammosae.core.runs.sources import Entry


class Crashing(Decoder):
    """Brings its process down on some images, as a native decoder might."""

    __slots__ = ()

    def __call__(self, entry: Entry) -> Decoded | Failed:
        if entry.image in (2, 5):
            os._exit(3)
        return super().__call__(entry)


class Listing(Decoder):
    """Decodes, then fails with the names of the modules that its process has imported."""

    __slots__ = ()

    def __call__(self, entry: Entry) -> Decoded | Failed:
        assert isinstance(super().__call__(entry), Decoded)
        return Failed(entry, " ".join(sys.modules))


class DyingBlock(Block):
    """Brings the process down that writes it, unless that is the main one."""

    def write(self, layout: Layout) -> int:
        if multiprocessing.parent_process() is not None or "loky" in " ".join(sys.argv):
            os._exit(3)
        return super().write(layout)


def end_at_once(*_: object) -> None:
    """In place of what a decoding process begins with."""
    os._exit(3)
