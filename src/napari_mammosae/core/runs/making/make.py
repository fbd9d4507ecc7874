"""`write_run`: one pass over a data set, resumed where it was left."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...annotations.positives import Positive, Uncertain
from ...base.errors import RunError
from ...base.progress import Report, ignore
from ..files.images import remember_folder
from ..files.layout import Layout
from ..settings import RunSettings, check_same, kept_heads, model_settings, read_info, write_info
from ..sources import Sources, read_sources
from ..splits import sources_of_split
from .assemble import assemble
from .blocks import blocks_of, run_blocks
from .compute import Computer, compile_on_gpu
from .decode import Decoded, Decoder
from .decode_pool import DecodePool, processes_for
from .folder import begin_run, check_space, maps_bytes
from .image_notes import ImageNotes
from .model_spec import ModelSpec, load

logger = logging.getLogger(__name__)

BLOCK = 32
"""Images a block, unless another number is asked for."""
COMPILE_FROM = 50_000
"""Images of a list for which compiling the network pays on a GPU: some 30 seconds, against 0.6 ms saved an image."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended.

    Attributes
    ----------
    path
        Its folder.
    images, failed
        Images in the list, and how many of them could not be used (`failures.csv` says why).
    computed
        Images computed this time; the others were there.
    """

    path: Path
    images: int
    failed: int
    computed: int


def write_run(
    images: str | Path,
    model: ModelSpec,
    out: str | Path,
    *,
    labels: str | Path | Sequence[str | Path] | None = None,
    positive: Positive | None = None,
    uncertain: Uncertain = "unknown",
    split: str | None = None,
    maps: bool = False,
    workers: int | None = 1,
    batch: int | None = None,
    compile_long: bool = True,
    block: int = BLOCK,
    crop: bool = True,
    strict: bool = False,
    scheduler: str | None = None,
    decoder: type[Decoder] = Decoder,
    progress: Report | None = None,
    notice: Callable[[str], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> RunSummary:
    """Compute the latents of every image into a folder; see the folder's `run.json` and its Parquet files.

    The same call again resumes a run that was stopped, and does nothing on a complete one.

    Parameters
    ----------
    images
        A folder, a glob, a CSV with a column `path`, whose other columns are labels; or the root of a published data
        set, or a VinDr CSV.
    model
        See `ModelSpec`. With a scheduler it must be one that can be sent: not the model itself.
    out
        The run's folder.
    labels
        One or more label tables; see `read_labels`.
    positive, uncertain
        Which texts of labels are positive, and what uncertain ones count as; see `read_labels`.
    split
        Only images of this split of the label tables.
    maps
        Keep every non-zero cell of every latent, not only pooled values.
    workers
        Processes that decode images; 0 decodes in a thread of this one, None: as many as the device needs.
    batch
        Images computed at a time; None: one on the CPU, and on a GPU as many as fit, up to 16.
    compile_long
        Whether the network is compiled on a GPU where the list has `COMPILE_FROM` images or more; not for a model that
        is loaded already, nor for a scheduler's workers.
    block
        Images that are written, and after a crash computed again, together; a resumed run keeps its own.
    crop
        Whether images of another size than the model's are cropped and resized; otherwise they fail.
    strict
        Whether failed images are an error, raised after the run was completed.
    scheduler
        Address of a Dask scheduler that computes the blocks; its workers must see `images` and `out` under the same
        paths.
    decoder
        What the worker processes do with a file; not for a scheduler's workers.
    progress
        Called with how many images are finished, those of earlier starts and failed ones included, and their number.
    notice
        Called with sentences for the user (about space, memory, tables).
    cancel
        Asked between batches; True stops the run.

    Raises
    ------
    RunError
        The folder holds another run or cannot be written, or memory ran out.
    ImageError, FindingsError, ModelError, CheckpointError
        The images, tables, or model cannot be used at all.
    Cancelled
        The run was stopped; finished blocks are kept.
    """
    layout = Layout(Path(out).absolute())  # workers of a cluster start elsewhere
    say = notice or logger.info
    sources = read_sources(images, labels, positive, uncertain)
    if split is not None:
        sources = sources_of_split(sources, split)
    for note in sources.notes:
        say(note)
    info = read_info(layout.root)
    _check_folder(layout, info)
    complete = info is not None and info["complete"]
    if complete or (workers is None and scheduler is not None):
        workers = 0
    loaded = load(model) if workers is None else None
    if workers is None and loaded is not None:  # otherwise the processes start while it loads
        workers, why = processes_for(loaded)
        say(why)
    with DecodePool(workers or 0) as pool:
        loaded = loaded or load(model)
        for note in loaded.notes:
            say(f"{note}.")
        if compile_long and loaded is not model and scheduler is None and len(sources.entries) >= COMPILE_FROM:
            compile_on_gpu(loaded)
        computer = Computer(loaded, batch, say, cells=maps)
        settings = RunSettings(
            **model_settings(loaded),
            preprocessing=replace(loaded.preprocessing, crop=crop and loaded.preprocessing.crop),
            maps=maps,
            block=info["block"] if info else block,
            images=len(sources.entries),
            list_sha256=sources.digest,
            labels_sha256=sources.labels_sha256,
        )
        decode = decoder(settings.preprocessing, settings.grid)
        if info is not None:
            check_same(info, settings, layout.root)
        if info is not None and info["complete"]:
            return _ended(layout, settings, info["failed"], 0, strict)
        with begin_run(layout, new=info is None):
            layout.remove_unfinished()
            state = {"complete": False, "model": loaded.name, "heads": kept_heads(loaded)}
            if scheduler is None:
                computer.warm_up(progress or ignore)
            if info is None:
                if maps:
                    samples = _samples(sources, decode, computer, pool)
                    say(check_space(layout.root, maps_bytes(samples, settings.images)))
                write_info(layout, settings, **state)
            blocks = {
                number: entries
                for number, entries in blocks_of(sources.entries, settings.block).items()
                if not layout.part("images", number).exists()
            }
            left = sum(map(len, blocks.values()))
            counted = _Counter(settings.images, settings.images - left, progress or ignore)
            stop = cancel or _never
            if scheduler is None:
                notes = ImageNotes()
                run_blocks(blocks, settings, layout, computer, pool, decode, counted, stop, notes)
                for note in notes:
                    say(f"{note}.")
            else:
                from .dask_cluster import insecurity, schedule_blocks

                if note := insecurity(scheduler):
                    say(note)
                schedule_blocks(scheduler, model, blocks, settings, layout, batch, counted, stop)
                layout.remove_unfinished()  # by workers that were lost on the way
            failed = assemble(layout, settings, sources, state)
    if sources.root is not None:
        remember_folder(layout.root, sources.root)
    return _ended(layout, settings, failed, left, strict)


class _Counter:
    """Adds up the images that are finished and reports them, at once those of earlier starts."""

    def __init__(self, total: int, done: int, report: Report) -> None:
        self._total, self._done, self._failed = total, done, 0
        self._report = report
        self(0, 0)

    def __call__(self, done: int, failed: int) -> None:
        self._done += done
        self._failed += failed
        text = f"Computing latents, {self._failed:,} failed" if self._failed else "Computing latents"
        self._report(text, self._done, self._total)


def _check_folder(layout: Layout, info: dict[str, Any] | None) -> None:
    if info is None and layout.root.is_dir() and any(not path.name.startswith(".") for path in layout.root.iterdir()):
        raise RunError(f"{layout.root.name} holds other files, not a run. Give an empty or new folder.")


def _samples(sources: Sources, decode: Decoder, computer: Computer, pool: DecodePool) -> list[float]:
    """Non-zero cells of up to two images from different places of the list."""
    entries = sources.entries
    chosen = [entries[index] for index in sorted({len(entries) // 3, 2 * len(entries) // 3})]
    decoded = pool.decode(chosen, decode, ahead=2)
    found = computer([image for image in decoded if isinstance(image, Decoded)])
    return [cells for _, latents in found.parts for cells in latents.counts.tolist()]


def _ended(layout: Layout, settings: RunSettings, failed: int, computed: int, strict: bool) -> RunSummary:
    if strict and failed:
        raise RunError(
            f"{failed} of {settings.images} images could not be used; {layout.root.name}/failures.csv lists the "
            "reasons. The others are done."
        )
    return RunSummary(layout.root, settings.images, failed, computed)


def _never() -> bool:
    return False
