"""The images a user will look at next, read ahead in a thread of their own."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ...core.base.errors import ImageError, RunError
from ...core.base.progress import ignore
from ...core.images.mammogram import Mammogram
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ...core.runs.files.images import ImageFiles
from ...core.runs.run import Run
from ...process.handle import ModelHandle

KEPT = 7
"""Images kept ready: with both neighbours of the last few there is no waiting on the way back either."""


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """An image of a run as it is shown.

    Attributes
    ----------
    image, options
        The mammogram, and how its layer is to look.
    pixels
        (rows, cols) for the screen.
    maps
        All its latents: from the run's kept maps, or computed; None when there are neither.
    note
        Why there are no latents, for the user; empty when there are.
    """

    image: Mammogram
    pixels: Any
    options: dict[str, Any]
    maps: LatentMaps | None
    note: str = ""


def make_ready(run: Run, row: int, files: ImageFiles, handle: ModelHandle | None, *, compute: bool = False) -> Ready:
    """Read an image of a run, and its latents if the run keeps them.

    Parameters
    ----------
    run, row
        The run, and the image's row in its table.
    files
        Where the run's image files are.
    handle
        The model that is loaded; None while there is none. Kept maps of another model are not used.
    compute
        Compute latents that are not kept, if the model is there.

    Raises
    ------
    ImageError, RunError
        If the file or the kept maps cannot be read.
    """
    from ...core.images.mammogram import read_mammogram
    from ...core.runs.listed_names import listed_name
    from ..canvas.layers import mammogram_options

    path = files.fetch(row)
    if path is None:
        raise ImageError(not_found(run, row))
    image_id, name = run.images[["image_id", "path"]].astype(str).iloc[row]
    image = read_mammogram(path, image_id=image_id, listed=listed_name(image_id, name))  # longer where names clash
    options, pixels = mammogram_options(image), image.displayed()
    same = handle is None or fits(run, handle.facts)
    if same and run.has_maps:
        if run.frame(row).source_shape == image.shape:
            return Ready(image, pixels, options, run.latents(int(run.numbers[row])))
        note = f"{path.name} has another size than when {run.path.name} was made; its kept maps are not shown."
    elif not same:
        note = f"{run.path.name} was made with a different model from the loaded one; its kept maps are not shown."
    else:
        note = f"{run.path.name} keeps no maps; compute the latents of an image to see them."
    if compute and handle is not None:
        return Ready(image, pixels, options, handle.compute(image, ignore, urgent=False))
    return Ready(image, pixels, options, None, note)


def not_found(run: Run, row: int) -> str:
    """Say that the file of an image of a run is not there, and what to do."""
    name = str(run.images["path"].iloc[row]).rpartition("/")[2]
    return f"{name} was not found; choose the folder of its images in the Images dock."


def fits(run: Run, model: ModelFacts) -> bool:
    """Whether a run's latents are those of a model."""
    try:
        run.check_model(model)
    except RunError:
        return False
    return True


class Prefetch:
    """Does work ahead, the last few results kept. What fails is done again, and then fails, when it is asked for."""

    def __init__(self, kept: int = KEPT) -> None:
        self._most = kept
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mammosae-prefetch")
        self._kept: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def want(self, wanted: Iterable[tuple[Hashable, Callable[[], Any]]]) -> None:
        """Begin what will be needed next, the most likely first; what waits and is not among it is dropped."""
        jobs = list(wanted)
        keys = {key for key, _ in jobs}
        for key in [key for key, future in self._kept.items() if key not in keys and future.cancel()]:
            del self._kept[key]
        for key, work in jobs:
            if key not in self._kept or self._failed(key):
                self._kept[key] = self._pool.submit(work)
            self._kept.move_to_end(key)
        while len(self._kept) > max(self._most, len(jobs)):
            self._kept.popitem(last=False)[1].cancel()

    def keep(self, key: Hashable, result: Any) -> None:
        """Take over a result that was made elsewhere."""
        future: Future[Any] = Future()
        future.set_result(result)
        self._kept[key] = future
        self._kept.move_to_end(key)

    def get(self, key: Hashable) -> Any:
        """Return the result if it is there, else None."""
        future = self._kept.get(key)
        if future is None or not future.done() or self._failed(key):
            return None
        self._kept.move_to_end(key)
        return future.result()

    def under_way(self, key: Hashable) -> Future[Any] | None:
        """Return what is being worked on, to wait for it in another thread."""
        future = self._kept.get(key)
        return future if future is not None and (future.running() or future.done()) else None

    def clear(self) -> None:
        """Forget everything."""
        for future in self._kept.values():
            future.cancel()
        self._kept.clear()

    def close(self) -> None:
        """Forget everything and end the thread."""
        self.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _failed(self, key: Hashable) -> bool:
        future = self._kept[key]
        return future.done() and (future.cancelled() or future.exception() is not None)
