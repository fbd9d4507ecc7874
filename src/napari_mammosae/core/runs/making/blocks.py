"""From a list of images to part files, block by block."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from ...base.errors import Cancelled
from ..files.layout import Layout
from ..settings import RunSettings
from ..sources import Entry
from .compute import Begun, Computer
from .decode import Decoded, Decoder, Failed
from .decode_pool import DecodePool
from .image_notes import ImageNotes
from .part_files import Block
from .writer import PartWriter

STOPPED = "The run was stopped. Give the same command again to resume it."

_DECODERS = 3
"""Processes that decode for each one that writes parts: with maps, writing an image takes a third of decoding it."""

Counted = Callable[[int, int], None]
"""Called after every batch: images done since the last call, and how many of them failed."""

Blocks = Mapping[int, Sequence[Entry]]
"""Number of a block -> its images."""

Batch = list[Decoded | Failed]


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

    A batch never spans two blocks, so that results do not depend on which blocks were done before. Where batches are
    computed beside each other, one is taken up once the next was begun. What is to be said of single images is added to
    `notes`.

    Raises
    ------
    RunError
        A part cannot be written, or memory ran out.
    Cancelled
        `cancelled` said so; finished blocks are kept.
    """
    ahead = 2 * (computer.batch + pool.parallel)
    stream = pool.decode(chain.from_iterable(blocks.values()), decode, ahead)
    writers = 0 if computer.model.device == "cpu" else pool.parallel // _DECODERS
    begun: deque[tuple[Block, Batch, bool, Begun]] = deque()
    with PartWriter(layout, writers) as writer:
        try:
            for block, batch, last in _batches(stream, blocks, settings, computer):
                if cancelled():
                    raise Cancelled(STOPPED)
                begun.append((block, batch, last, computer.begin([one for one in batch if isinstance(one, Decoded)])))
                while len(begun) > computer.ahead:
                    _finish(*begun.popleft(), computer, writer, counted, notes)
            while begun:
                _finish(*begun.popleft(), computer, writer, counted, notes)
        finally:
            for *_, left in begun:
                computer.drop(left)


def _batches(
    stream: Iterator[Decoded | Failed], blocks: Blocks, settings: RunSettings, computer: Computer
) -> Iterator[tuple[Block, Batch, bool]]:
    """Take the images of each block from a stream, a batch at a time; say which batch is its last one."""
    for number, entries in blocks.items():
        block = Block(number, settings.classes, settings.maps, settings.layer)
        left = len(entries)
        while left:
            batch = [next(stream) for _ in range(min(computer.batch, left))]
            left -= len(batch)
            yield block, batch, not left


def _finish(
    block: Block,
    batch: Batch,
    last: bool,
    begun: Begun,
    computer: Computer,
    writer: PartWriter,
    counted: Counted,
    notes: ImageNotes | None,
) -> None:
    """Add a batch's results to its block, and write the block after its last batch."""
    found = computer.finish(begun)
    failed = [*(one for one in batch if isinstance(one, Failed)), *found.failed]
    for images, latents in found.parts:
        block.add(images, latents)
    block.failures += sorted(failed, key=lambda failure: failure.entry.image)
    if notes is not None:
        notes.add(batch)
        notes.add_computed(found)
    counted(len(batch), len(failed))
    if last:
        writer.write(block)
