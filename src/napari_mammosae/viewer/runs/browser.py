"""Going through the images of the open run: one layer, whose image changes from step to step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from psygnal import Signal

from ...core.base.names import ImageNames
from ...core.runs.listed_names import listed_names
from ...core.runs.ready import files_of_run
from ..canvas import camera, layers, window
from ..context import Controller
from .prefetch import Prefetch, Ready, make_ready, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image
    from numpy.typing import NDArray

    from ...core.base.progress import Report
    from ...core.runs.files.images import ImageFiles
    from ...core.runs.run import Run
    from ..canvas.actions import CanvasActions
    from ..context import Context
    from ..image.controller import ImageController


_NEAR = (1, -1, 2)  # which rows from here are read ahead, the likeliest first


class RunBrowser(Controller):
    """Shows images of the run in a viewer.

    Attributes
    ----------
    rows
        Rows of the run's table in the order in which next and previous go; a list may set it.
    moved
        Emits the row now shown (None: an image that is not in the run).
    """

    moved = Signal(object)

    def __init__(self, context: Context, images: ImageController, actions: CanvasActions) -> None:
        super().__init__(context)
        self.images, self.actions = images, actions
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._ids: dict[str, int] = {}
        self._names = ImageNames(())
        self._files: WeakKeyDictionary[Run, ImageFiles] = WeakKeyDictionary()
        self._going: int | None = None
        self._layer: Callable[[], Image | None] = lambda: None
        self._ahead = Prefetch()
        self._undo.callback(self._ahead.close)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.model, self._forget)
        self.listen(self.session.events.image, self._on_image)

    def files_of(self, run: Run) -> ImageFiles:
        """Return what is known about the files of a run's images."""
        if run not in self._files:
            self._files[run] = files_of_run(run)
        return self._files[run]

    @property
    def row(self) -> int | None:
        """Row of the image shown in the run's table; None when it is not one of the run's."""
        image = self.session.image
        if image is None:
            return None
        return self._ids.get(image.image_id) if image.listed else self._names.find(image.full_name)

    @property
    def goal(self) -> int | None:
        """Row of the image that is being read, else of the one shown."""
        return self._going if self._going is not None else self.row

    def next_image(self) -> None:
        """Go to the next image of the list."""
        self.step(1)

    def previous_image(self) -> None:
        """Go to the previous image of the list."""
        self.step(-1)

    def step(self, by: int) -> None:
        """Go some images on; from an image outside the list to its first one."""
        if self.session.run is None:
            self.status.tell("Open a run to go from image to image.", error=True)
            return
        if not self.rows.size:
            self.status.tell("No image matches the filters. Clear some filters.", error=True)
            return
        here = self.goal
        at = np.flatnonzero(self.rows == here) if here is not None else np.zeros(0, np.intp)
        place = int(at[0]) + by if at.size else 0
        if 0 <= place < self.rows.size:
            self.show(int(self.rows[place]))
        else:
            self.status.tell(
                "This is the last image in the list." if by > 0 else "This is the first image in the list."
            )

    def show(self, row: int) -> None:
        """Look at an image of the run, with its latents; the current latent and the order stay."""
        run, handle = self.session.run, self.session.handle
        files = self.files_of(run)
        path = files.path(row)
        if path is None:
            self.status.tell(not_found(run, row), error=True)
            return
        self._going = row
        ready = self._ahead.get((run, row, handle))
        if ready is not None:
            self.images.jobs.cancel()
            self._show(row, handle, ready)
            return

        waiting = self._ahead.under_way((run, row, handle))

        def work(report: Report) -> Ready:
            report(f"Reading {path.name}")
            found: Ready = waiting.result() if waiting is not None else make_ready(run, row, files, handle)
            report(f"Showing {path.name}")
            return found

        done = partial(self._take, run, row, handle)
        self.images.jobs.start(f"Reading {path.name}", work, done, self._failed)

    def keep(self, row: int, ready: Ready) -> None:
        """Take over an image of the run that was read elsewhere."""
        self._ahead.keep((self.session.run, row, self.session.handle), ready)

    def show_ready(self, row: int, ready: Ready) -> None:
        """Look at an image of the run that was read elsewhere, with its latents."""
        self.images.jobs.cancel()
        self._ahead.keep((self.session.run, row, self.session.handle), ready)
        self._show(row, self.session.handle, ready)

    def _take(self, run: Any, row: int, handle: Any, ready: Ready) -> None:
        if run is self.session.run and handle is self.session.handle:
            self._ahead.keep((run, row, handle), ready)
            self._show(row, handle, ready)

    def _failed(self, error: Exception) -> None:
        self._going = None
        self.images.report_failure(error)

    def _show(self, row: int, handle: Any, ready: Ready) -> None:
        self._going = None
        self._put(ready)
        run, image = self.session.run, ready.image
        label = f"{image.image_id} ({row + 1:,} of {len(run):,})"
        if ready.maps is not None:
            self.session.maps = ready.maps
            self.status.tell(f"{label}: {ready.maps.latents.size:,} latents fire.")
        elif handle is not None:
            self.images.compute()
        else:
            self.status.tell(f"{label}. {ready.note}")
        self._read_ahead(row)

    def _put(self, ready: Ready) -> None:
        """Put an image into the layer of the one before, or into a new one if that is gone."""
        scene, image = self.scene, ready.image
        viewer = scene.viewer
        layer: Any = self._layer()
        if viewer is None:
            return
        if layer is None or layer not in viewer.layers:
            layer = layers.mammogram_layer(image)
            self._layer = ref(layer)
            viewer.add_layer(layer)
            self.images.use_layer(layer)  # unless adding it has done so
            return
        moved = layer.data.shape != ready.pixels.shape
        scene.put(layer, ready.pixels, ready.options)
        layer.contrast_limits_range = _range(ready.pixels, ready.options["contrast_limits"])
        window.apply_preset(layer, image, self.actions.window)
        self.actions.windowed.emit()
        if not layer.visible or layer is not scene.image_layer:
            scene.look_at(layer)
        if ready.maps is not None:
            self.session.show(image, ready.maps)
        else:
            self.session.image = image
        if moved:
            camera.fit(viewer, layer)

    def _read_ahead(self, row: int) -> None:
        run, handle = self.session.run, self.session.handle
        at = np.flatnonzero(self.rows == row)
        if not at.size:
            return
        on_gpu = handle is not None and not handle.facts.device.startswith("cpu")
        wanted, files = [], self.files_of(run)
        for by in _NEAR:
            place = int(at[0]) + by
            if 0 <= place < self.rows.size and files.path(near := int(self.rows[place])):
                wanted.append(((run, near, handle), partial(make_ready, run, near, files, handle, compute=on_gpu)))
        self._ahead.want(wanted)

    def _on_run(self, run: Any) -> None:
        self._forget()
        self.rows = np.arange(len(run)) if run is not None else np.zeros(0, np.intp)
        ids = run.images["image_id"].astype(str) if run is not None else ()
        self._ids = {name: row for row, name in enumerate(ids)}
        self._names = ImageNames(listed_names(run.images) if run is not None else ())
        self.moved.emit(self.row)

    def _on_image(self, *_: object) -> None:
        self.moved.emit(self.row)

    def _forget(self, *_: object) -> None:
        self._going = None
        self._ahead.clear()


def _range(pixels: NDArray[Any], limits: tuple[float, float]) -> tuple[float, float]:
    """Range of the contrast slider that holds both the pixels and a window that reaches beyond them."""
    return min(float(pixels.min()), limits[0]), max(float(pixels.max()), limits[1])
