"""Blocks on a Dask cluster: the same files as on one machine, written by the workers.

Start one on a single machine with ``dask scheduler --host 127.0.0.1`` and, in other terminals,
``dask worker tcp://127.0.0.1:8786 --nthreads 1``. Whoever reaches a scheduler can run code on its workers, so
beyond one machine it needs TLS, with the certificates of Dask's own configuration. Images, the run's folder and the
model's files must be visible to the workers under the same paths.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from distributed import Client, KilledWorker, WorkerPlugin, get_worker, wait

from ...base.errors import Cancelled, RunError
from ...models.threads import torch_threads
from ..files.layout import Layout
from ..settings import RunSettings, model_settings
from ..sources import Entry
from .blocks import STOPPED, Blocks, Counted, run_blocks
from .compute import Computer
from .decode import Decoder
from .decode_pool import DecodePool

if TYPE_CHECKING:
    from ...models.model import MammoSAE
    from .model_spec import ModelSpec

logger = logging.getLogger(__name__)

_LOCAL = ("127.", "localhost", "[::1]", "::1", "inproc:")

START_SECONDS = 30
"""How long a scheduler may take to answer, and then to have its first worker."""


def schedule_blocks(
    address: str,
    spec: "ModelSpec",
    blocks: Blocks,
    settings: RunSettings,
    layout: Layout,
    batch: int | None,
    counted: Counted,
    cancelled: Callable[[], bool],
) -> None:
    """Have the workers of a cluster compute and write blocks; the block of a lost worker goes to another.

    Raises
    ------
    RunError
        Nothing answers at the address, there are no workers, they do not see the files or load another model, or a
        block brings down one worker after the other.
    Cancelled
        `cancelled` said so; blocks under way are finished by their workers, the others are dropped.
    """
    import torch

    name = f"mammosae-{uuid4().hex}"
    with _connected(address) as client:
        client.register_plugin(ModelOnWorker(_sendable(spec), torch.get_num_threads()), name=name)
        try:
            pending = [
                client.submit(
                    _compute, name, block, entries, settings, layout, batch,
                    key=f"{name}-{block}", priority=-block, pure=False,
                )
                for block, entries in blocks.items()
            ]  # fmt: skip
            while pending:
                done = _some_done(pending)
                for future in done:
                    counted(*future.result())
                pending = [future for future in pending if future not in done]
                if cancelled():
                    client.cancel(pending)
                    raise Cancelled(STOPPED)
        except KilledWorker as error:
            raise RunError(
                f"Workers died one after the other on the same block ({error}); do they have enough memory?"
            ) from error
        finally:
            client.unregister_worker_plugin(name)


def insecurity(address: str) -> str:
    """Return what to say of a scheduler that other machines reach without TLS; empty of any other.

    >>> insecurity("tcp://127.0.0.1:8786"), insecurity("tls://10.0.0.5:8786")
    ('', '')
    """
    protocol, _, place = address.rpartition("://")
    if protocol in ("tls", "wss", "inproc") or place.startswith(_LOCAL):
        return ""
    return (
        f"The scheduler at {address} is used without TLS: whoever reaches it can run code on its workers. Start it "
        "with TLS, as the page on several machines says."
    )


class ModelOnWorker(WorkerPlugin):
    """Holds the model on a worker: loaded with the first block, let go with the run.

    Parameters
    ----------
    spec
        As for `write_run`.
    threads
        Threads of a computation: those of the machine that asks, because sums depend on how they are split.
    """

    def __init__(self, spec: "ModelSpec", threads: int) -> None:
        self._spec = spec
        self._threads = threads
        self._model: MammoSAE | None = None

    def setup(self, worker: Any) -> None:
        """Begin life on a worker."""
        self._lock = threading.Lock()  # one block at a time, whatever the worker's threads

    def teardown(self, worker: Any) -> None:
        """Give the memory back."""
        if self._model is not None:
            self._model.unload()
            self._model = None

    def compute(
        self, block: int, entries: Sequence[Entry], settings: RunSettings, layout: Layout, batch: int | None
    ) -> tuple[int, int]:
        """Compute and write one block; return its number of images and of failures."""
        counts: list[tuple[int, int]] = []
        with self._lock, torch_threads(self._threads), DecodePool(0) as pool:
            model = self._loaded(settings)
            if not layout.info.exists():  # else the parts would be written where nobody looks for them
                raise RunError(
                    f"A worker does not see {layout.root.name}/run.json: the run's folder must be on a drive that "
                    "all workers share, under the same path."
                )
            computer = Computer(model, batch, _say_in_log, cells=settings.maps)
            run_blocks(
                {block: entries},
                settings,
                layout,
                computer,
                pool,
                Decoder(settings.preprocessing, settings.grid),
                lambda done, failed: counts.append((done, failed)),
                lambda: False,
            )
        return sum(done for done, _ in counts), sum(failed for _, failed in counts)

    def _loaded(self, settings: RunSettings) -> "MammoSAE":
        from .model_spec import load

        if self._model is None:
            self._model = load(self._spec)
        here = model_settings(self._model)
        differing = [name for name, value in here.items() if value != getattr(settings, name)]
        if differing:
            raise RunError(f"A worker loaded another model: {', '.join(differing)} differ. Give all the same files.")
        return self._model


def _compute(
    plugin: str, block: int, entries: Sequence[Entry], settings: RunSettings, layout: Layout, batch: int | None
) -> tuple[int, int]:
    """What is sent to a worker."""
    holder = cast("ModelOnWorker", get_worker().plugins[plugin])
    return holder.compute(block, entries, settings, layout, batch)


def _connected(address: str) -> Client:
    try:
        client = Client(address, timeout=START_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:  # the last one: no certificate for an address that needs it
        raise RunError(
            f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler "
            "--host 127.0.0.1`, or check its certificates."
        ) from error
    try:
        client.wait_for_workers(1, timeout=START_SECONDS)
    except TimeoutError as error:
        client.close()  # type: ignore[no-untyped-call]
        raise RunError(
            f"The scheduler at {address} has no workers. Start some with `dask worker {address}`."
        ) from error
    return client


def _some_done(futures: list[Any]) -> set[Any]:
    try:
        return set(wait(futures, timeout=0.5, return_when="FIRST_COMPLETED").done)  # type: ignore[no-untyped-call]
    except TimeoutError:
        return set()


def _sendable(spec: "ModelSpec") -> "ModelSpec":
    """Make file names absolute, and refuse a model that lives in this process."""
    from ...models.model import MammoSAE

    if isinstance(spec, MammoSAE):
        raise RunError("A loaded model cannot be sent to a cluster; give its name or its model.toml.")
    if isinstance(spec, (str, Path)):
        return Path(spec).absolute() if Path(spec).is_file() else spec
    if isinstance(spec, Mapping):
        return {
            name: Path(value).absolute()
            if name in ("name", "backbone", "classifier", "sae") and _is_file(value)
            else value
            for name, value in spec.items()
        }
    return spec


def _is_file(value: Any) -> bool:
    return isinstance(value, (str, Path)) and Path(value).is_file()


def _say_in_log(sentence: str) -> None:
    logger.warning(sentence)
