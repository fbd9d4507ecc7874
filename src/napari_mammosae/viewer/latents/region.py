"""Ask which latents look at a place: a region drawn on the mammogram, and what every latent has inside it."""

from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from napari.layers import Labels, Shapes
from napari.layers.base import ActionType
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from ...core.anatomy.query import cell_weights
from ...core.base.progress import Report
from ...core.images.geometry import Frame
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ..context import Context, Controller

Tool: TypeAlias = Literal["rectangle", "polygon", "brush"]
Drawn: TypeAlias = tuple[str, NDArray[Any]]
TOOLS: dict[Tool, str] = {
    "rectangle": "Drag a rectangle on the mammogram",
    "polygon": "Click the corners of a polygon; double-click the last one to finish",
    "brush": "Paint the region; every stroke updates the table",
}
_MODES = {"rectangle": "add_rectangle", "polygon": "add_polygon"}
_COLOR = "#00e5ff"
_DELAY = 150  # milliseconds after the last stroke
_DRAWN = (ActionType.ADDED, ActionType.CHANGED, ActionType.REMOVED)


class RegionQuery(Controller):
    """The one drawn region of a viewer and what came of it.

    Attributes
    ----------
    changed
        Emits when `columns` changed.
    columns
        Column key -> (h,) values of every latent of the current image; empty while there is no region.
    """

    changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.columns: dict[str, NDArray[Any]] = {}
        self._later = self.debounced(self._ask, _DELAY)
        self.listen(self.session.events.image, self._on_image)
        self.listen(self.session.events.maps, self._on_maps)
        self.listen(self.scene.owned.deleted, self._on_deleted)

    @property
    def layer(self) -> Shapes | Labels | None:
        """The layer that holds the region, None while there is none."""
        layer: Shapes | Labels | None = self.scene.owned.find("region")
        return layer

    def draw(self, tool: Tool) -> None:
        """Get ready for drawing a region with a tool; what was drawn before goes."""
        scene = self.scene
        viewer, image = scene.viewer, self.session.image
        if viewer is None or scene.image_layer is None or image is None:
            self.status.tell("Open a mammogram first, then draw a region on it.", error=True)
            return
        if not scene.owned.is_flat:
            self.status.tell("Switch back to 2-D display to draw a region.", error=True)
            return
        layer = self._new_layer(tool, image.shape)
        viewer.layers.selection.active = layer
        layer.mode = _MODES.get(tool, "paint")
        layer.help = TOOLS[tool]
        self.status.tell(f"{TOOLS[tool]}.")

    def _new_layer(self, tool: Tool, shape: tuple[int, int]) -> Shapes | Labels:
        self.clear()
        layer: Shapes | Labels
        if tool == "brush":
            layer = brush_layer(shape)
            layer.events.paint.connect(self._on_drawn)
        else:
            layer = shape_layer(shape[0])
            layer.events.data.connect(self._on_shape)
        layer.events.visible.connect(self._on_visible)
        self.scene.owned.add(layer, "region")
        return layer

    @property
    def region(self) -> Drawn | None:
        """What is drawn: the kind of a shape and its corners (n, 2), or "brush" and a mask; in source pixels."""
        layer = self.layer
        if isinstance(layer, Labels):
            mask = np.asarray(layer.data) != 0
            return ("brush", mask) if mask.any() else None
        if layer is None or not len(layer.data):
            return None
        return layer.shape_type[-1], np.asarray(layer.data[-1])

    def put(self, region: Drawn) -> None:
        """Draw a region, as `region` returns it, and measure it; ValueError where it does not fit the image."""
        kind, drawn = region
        image = self.session.image
        if self.scene.viewer is None or self.scene.image_layer is None or image is None:
            return
        if kind == "brush" and drawn.shape != image.shape:
            raise ValueError(f"a region of {drawn.shape} pixels on an image of {image.shape}")
        layer = self._new_layer("brush" if kind == "brush" else "polygon", image.shape)
        if isinstance(layer, Labels):
            layer.data = drawn.astype(np.uint8)
        else:
            with layer.events.data.blocker(self._on_shape):  # it is measured once, below
                layer.add(np.asarray(drawn, np.float64), shape_type=kind)
        self._ask()

    def clear(self) -> None:
        """Remove the region and what came of it."""
        layer, viewer = self.layer, self.scene.viewer
        if layer is not None and viewer is not None:
            viewer.layers.remove(layer)
        self._take({})

    def _on_image(self, *_: object) -> None:
        """A region belongs to the image it was drawn on."""
        self.clear()

    def _on_maps(self, maps: LatentMaps | None) -> None:
        if maps is not None and self.layer is not None:
            self._later()
        else:
            self._take({})

    def _on_deleted(self, layer: Any, role: str) -> None:
        if role == "region":
            self._take({})

    def _on_visible(self, event: Any) -> None:
        """Nobody draws what is not seen."""
        if not event.source.visible:
            event.source.mode = "pan_zoom"

    def _on_drawn(self, *_: object) -> None:
        self._later()

    def _on_shape(self, event: Any) -> None:
        if event.action in _DRAWN:
            self._later()
            if event.action == ActionType.ADDED:
                QTimer.singleShot(0, self._keep_last)  # napari is still in the middle of drawing

    def _keep_last(self) -> None:
        """A new shape takes the place of the one before, and the mouse pans and zooms again."""
        layer, scene = self.layer, self.scene
        if not isinstance(layer, Shapes):
            return
        if len(layer.data) > 1:
            layer.selected_data = set(range(len(layer.data) - 1))
            layer.remove_selected()
        layer.selected_data = set()
        layer.mode = "pan_zoom"
        if scene.viewer is not None and scene.stack_layer is not None:
            scene.viewer.layers.selection.active = scene.stack_layer

    def _ask(self) -> None:
        layer, session = self.layer, self.session
        maps, model = session.maps, session.model
        if layer is None:
            self._take({})
            return
        if maps is None or maps.frame is None:
            self.status.tell("Compute the latents to see which fire in the region.")
            return
        if (region := self.region) is None:
            self._take({})
            return
        work = partial(ask, region[1] if region[0] == "brush" else region, maps, maps.frame, model)
        self.jobs.start("Measuring the region", work, partial(self._take_answer, session.generation), self._failed)

    def _take_answer(self, generation: int, columns: dict[str, NDArray[Any]]) -> None:
        if not self.session.is_stale(generation) and self.layer is not None:
            self._take(columns)

    def _failed(self, error: Exception) -> None:
        self.status.tell(f"The region cannot be used: {error}", error=True)

    def _take(self, columns: dict[str, NDArray[Any]]) -> None:
        if columns or self.columns:
            self.columns = columns
            self.changed.emit()


def shape_layer(image_rows: int) -> Shapes:
    """Make an empty layer for a drawn rectangle or polygon, in source pixels."""
    return Shapes(
        ndim=2,
        name="region",
        edge_color=_COLOR,
        edge_width=max(1.0, image_rows / 300),
        face_color="transparent",
        axis_labels=("row", "column"),
    )


def brush_layer(shape: tuple[int, int]) -> Labels:
    """Make an empty layer for brush strokes, a source pixel a pixel."""
    layer = Labels(
        np.zeros(shape, np.uint8),
        name="region",
        opacity=0.5,
        colormap=DirectLabelColormap(color_dict={0: "transparent", None: _COLOR}),
        axis_labels=("row", "column"),
    )
    layer.brush_size = max(8, shape[0] // 25)
    return layer


def ask(
    region: NDArray[Any] | Drawn,
    maps: LatentMaps,
    frame: Frame,
    model: ModelFacts | None,
    report: Report,
) -> dict[str, NDArray[Any]]:
    """What every latent has inside a region, as columns of the table by latent number; silent latents have nothing.

    Returns
    -------
    dict
        ``region.energy`` (activation inside, in cells), ``region.share``, ``region.lift``, and
        ``region.logit.<class>`` where the model can tell.
    """
    report("Measuring the region")
    from ...core.anatomy.query import query_region

    weights = cell_weights(region, frame, maps.shape[1:])
    report("Measuring every latent")
    inside = query_region(maps.latents, maps.values, weights)
    latents, h = inside["latent"].to_numpy(), maps.shape[0]

    def spread(values: Any, elsewhere: float) -> NDArray[np.float64]:
        out = np.full(h, elsewhere)
        out[latents] = values
        return out

    lift = spread(inside["lift"], np.nan)
    lift[np.setdiff1d(maps.latents, latents)] = 0.0  # it fires, but not there; a silent latent has no lift at all
    columns = {
        "region.energy": spread(inside["activation"], 0.0),
        "region.share": np.where(np.isnan(lift), np.nan, spread(inside["energy"], 0.0)),
        "region.lift": lift,
    }
    if model is not None and model.attribution is not None:
        for name, attribution in zip(model.classes, model.attribution, strict=True):
            table = query_region(maps.latents, maps.values, weights, attribution=attribution)
            logit = np.zeros(h)
            logit[table["latent"].to_numpy()] = table["contribution"]
            columns[f"region.logit.{name}"] = logit
    return columns
