"""From a list of images to part files, block by block."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

from ...base.errors import Cancelled
from ..files.layout import Layout
from ..settings import RunSettings
from ..sources import Entry
from .compute import Computer
from .decode import Decoded, Decoder, Failed
from .decode_pool import DecodePool
from .image_notes import ImageNotes
from .part_files import Block

STOPPED = "The run was stopped. Give the same command again to resume it."

Counted = Callable[[int, int], None]
"""Called after every batch: images done since the last call, and how many of them failed."""

Blocks = Mapping[int, Sequence[Entry]]
"""Number of a block -> its images."""


def blocks_of(entries: Sequence[Entry], size: int) -> dict[int, Sequence[Entry]]:
    """Split the list of images into blocks of consecutive ones."""
    return {number: entries[start : start + size] for number, start in enumerate(range(0, len(entries), size))}


def run_blocks(
    blocks: Blocks,
    settings: RunSettings,
    layout: Layout,
    computer: Computer,
    pool: DecodePool,
    decode: Decoder,
    counted: Counted,
    cancelled: Callable[[], bool],
    notes: ImageNotes | None = None,
) -> None:
    """Compute and write blocks, while later images are decoded and the block before is written.

    A batch never spans two blocks, so that results do not depend on which blocks were done before.
    What is to be said of single images is added to `notes`.

    Raises
    ------
    RunError
        A part cannot be written, or memory ran out.
    Cancelled
        `cancelled` said so; finished blocks are kept.
    """
    ahead = 2 * (computer.batch + pool.parallel)
    stream = pool.decode(chain.from_iterable(blocks.values()), decode, ahead)
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
        written: Future[int] | None = None
        for number, entries in blocks.items():
            block = Block(number, settings.classes, settings.maps, settings.layer)
            for batch in _batches(stream, len(entries), computer.batch):
                if cancelled():
                    raise Cancelled(STOPPED)
                if notes is not None:
                    notes.add(batch)
                counted(len(batch), _compute(batch, computer, block, notes))
            if written is not None:
                written.result()
            written = writer.submit(block.write, layout)
        if written is not None:
            written.result()


def _batches(stream: Iterator[Decoded | Failed], count: int, size: int) -> Iterator[list[Decoded | Failed]]:
    """Take the next `count` images of a stream, a batch at a time."""
    for start in range(0, count, size):
        yield [next(stream) for _ in range(min(size, count - start))]


def _compute(batch: Sequence[Decoded | Failed], computer: Computer, block: Block, notes: ImageNotes | None) -> int:
    """Add a batch's results to its block; return how many images failed."""
    images = [image for image in batch if isinstance(image, Decoded)]
    failed = [image for image in batch if isinstance(image, Failed)]
    for image, result in zip(images, computer(images), strict=True):
        if isinstance(result, Failed):
            failed.append(result)
        else:
            block.add(image, result)
            if notes is not None:
                notes.add_alarm(image, result)
    block.failures += sorted(failed, key=lambda failure: failure.entry.image)
    return len(failed)
