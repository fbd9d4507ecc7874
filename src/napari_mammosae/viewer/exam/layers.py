"""The views of an exam in napari's grid: a cell holds an image, its latents and its boxes; all share a camera."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from napari.layers import Image

from ...core.annotations.finding_colors import finding_color
from ...core.exams.hanging import hang_beside, hang_views
from ...core.exams.placement import place_view
from ...core.images.geometry import BOX, cell_affine
from ..canvas.boxes.lines import draw_lines, lines_layer
from ..canvas.colors import heat_colormap
from ..canvas.layers import line_width, rectangles
from ..canvas.redraw import drawn_whole, garbage_later, pictured_later, refilled
from ..canvas.sides import FONT, air_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from ...core.annotations.boxes import Findings
    from ...core.exams.hanging import Hanging
    from ...core.images.mammogram import Mammogram
    from ...core.models.latents import LatentMaps
    from ..canvas.scene import Scene
    from ..canvas.tools.ruler import Ruler
    from .state import ExamImage, ShownExam

Cell: TypeAlias = "tuple[Any, ...]"
"""Image, latents, boxes where any view of the exam has some, and a ruler once something was measured."""
_FILL = 0.9  # of a cell: the names above the views hide little of them


class ExamLayers:
    """Adds the layers of an exam below all others, changes them for the next one, and removes them.

    Attributes
    ----------
    cells
        Layers by place in the grid, from left to right and from top to bottom. Those of a place that stays empty show
        nothing.
    images
        What each of `cells` shows; None for an empty place.
    dress, ruler
        Give a mammogram's layer the window of the one that is open, and the lines that were measured on it.
    """

    def __init__(self, scene: Scene, dress: Callable[[Image, Mammogram], None], ruler: Ruler) -> None:
        self._scene, self._dress, self._ruler = scene, dress, ruler
        self.cells: list[Cell] = []
        self.images: list[ExamImage | None] = []
        self._structure: Any = None
        self._has_rulers = False
        self._fitted: tuple[ShownExam | None, tuple[int, int], int] = (None, (0, 0), 0)

    def show(self, viewer: ViewerModel, shown: ShownExam, findings: Findings | None) -> tuple[tuple[int, int], int]:
        """Show an exam; return rows and columns of its grid, and how many layers a cell has.

        `show_latent` fills in the latent.
        """
        hanging = hang_exam(shown)
        images = [None if at is None else shown.images[at] for row in hanging for at in row]
        boxes = [_boxes_of(image, findings) for image in images]
        shape, with_boxes = (len(hanging), len(hanging[0])), any(map(len, boxes))
        structure = shape, with_boxes, [_map_shape(image) for image in images]
        if structure != self._structure:
            self.remove()
            self._structure = structure
        self.images = images
        there = bool(self.cells)
        if shown is not self._fitted[0]:
            self._fitted = shown, *self._fit(viewer, shown, shape)
        _, area, gap = self._fitted
        with nullcontext() if there else viewer.layers.selection.events.blocker_all():  # it ends as it was
            for place, image in enumerate(self.images):
                layers = self.cells[place] if there else _new_cell(image, self._scene.colormap, with_boxes)
                where = on_cells = np.eye(3)
                if image is not None:
                    size, side = image.ready.pixels.shape, image.laterality
                    where = place_view(size, area, side, mirrored=image.mirrored, gap=gap)
                    maps = image.ready.maps
                    on_cells = where if maps is None else where @ _cells_to_pixels(maps)
                    if not there or layers[0].data is not image.ready.pixels:
                        _fill(layers, image)
                        self._dress(layers[0], image.ready.image)
                        if self._has_rulers:
                            self._scene.owned.facts(layers[-1])["measures"] = image.ready.image
                            self._ruler.fill(layers[-1], image.ready.image)
                    layers[0].name = shown.title_of(image)
                for at, layer in enumerate(layers):
                    matrix = on_cells if at == 1 else where
                    self._lay_out(layer, matrix)
                    if there:
                        self._scene.owned.lay(layer, matrix)
                    else:
                        self._scene.owned.add(layer, "exam", matrix, at=len(layers) * place + at)
                if image is not None:
                    self._scene.owned.facts(layers[0])["image"] = image.ready.image
                    if image.ready.maps is not None:
                        self._scene.owned.facts(layers[1])["air"] = air_side(layers[0], image.laterality)
                if not there:
                    self.cells.append(layers)
                if with_boxes:
                    _draw(layers[2], boxes[place])
        return shape, len(self.cells[0])

    def add_rulers(self, viewer: ViewerModel) -> None:
        """Give each place a layer of its own to measure in; the grid's stride grows by it."""
        self._has_rulers = True
        with garbage_later(), viewer.layers.batched_update():
            for place, (layers, image) in enumerate(zip(self.cells, self.images, strict=True)):
                ruler = _nothing("no ruler") if image is None else self._ruler.new_layer(image.ready.image)
                size = len(layers) + 1
                at = size * place + size - 1
                matrix = layers[0].affine.affine_matrix
                facts = {} if image is None else {"measures": image.ready.image}
                self._lay_out(ruler, matrix)
                self._scene.owned.add(ruler, "exam", matrix, at=at, **facts)
                self.cells[place] = (*layers, ruler)
            viewer.canvas.grid.stride = len(self.cells[0])

    def remove(self) -> None:
        """Take all layers out of the viewer."""
        cells, self.cells, self.images, self._structure, self._has_rulers = self.cells, [], [], None, False
        self._fitted = None, (0, 0), 0
        for cell in cells:
            for layer in cell:
                self._scene.owned.remove(layer)

    def __contains__(self, layer: Any) -> bool:
        return any(layer in cell for cell in self.cells)

    def show_latent(self, viewer: ViewerModel, latent: int, limits: tuple[float, float]) -> None:
        """Show a latent on all views on one scale."""
        with viewer.layers.events.blocker_all():  # else the list of layers is painted for each of them
            for (_, heat, *_), image in zip(self.cells, self.images, strict=True):
                if image is None or image.ready.maps is None:
                    continue
                if tuple(heat.contrast_limits) != limits:
                    heat.contrast_limits = limits
                heat.data[...] = image.ready.maps[latent]
                refilled(viewer, heat)

    def _fit(self, viewer: ViewerModel, shown: ShownExam, shape: tuple[int, int]) -> tuple[tuple[int, int], int]:
        """Bring all views into sight; return the area they share, and how far to move them for chest walls to meet."""
        sizes = np.array([image.ready.pixels.shape for image in shown.images])
        rows, columns = (int(size) for size in sizes.max(axis=0))
        cell = np.array(viewer.canvas.size, float) / shape
        zoom = _FILL * float(min(cell / (rows, columns)))
        both = {"L", "R"} <= {image.laterality for image in shown.images}
        gap = max(0, int((cell[1] / zoom - columns) / 2)) if both else 0
        camera = viewer.scene.camera
        camera.center = (*camera.center[:-2], (rows - 1) / 2, (columns - 1) / 2)
        camera.zoom = zoom
        return (rows, columns), gap

    def _lay_out(self, layer: Any, matrix: NDArray[np.float64]) -> None:
        """Lay a layer where it belongs, whether or not there is a mammogram to lay it over."""
        if self._scene.image_layer is None:
            layer.affine = matrix


def hang_exam(shown: ShownExam) -> Hanging:
    """Hang an exam, and the one before it at its right."""
    own, before = (_hang(images) for images in (shown.own, shown.before))
    return hang_beside(own, before, len(shown.own)) if shown.before else own


def _hang(images: Sequence[ExamImage]) -> Hanging:
    return hang_views([image.laterality for image in images], [image.view for image in images])


def _new_cell(image: ExamImage | None, colormap: str, with_boxes: bool) -> Cell:
    """Make the layers of a place in the grid."""
    maps = image.ready.maps if image is not None else None
    if image is None:
        mammogram = _nothing("no image")
    else:
        ready = image.ready
        mammogram = Image(ready.pixels, **{key: value for key, value in ready.options.items() if key != "metadata"})
        name = mammogram.name_overlay
        name.font_size, name.visible = FONT, True
        # outside, where there is air, and below, since the latent's text lies above
        name.position = "bottom_right" if image.laterality == "L" else "bottom_left"
    heat = _nothing("no latents") if maps is None else _heat(maps, colormap)
    for layer in (mammogram, heat):
        drawn_whole(layer)
    if not with_boxes:
        return mammogram, heat
    return mammogram, heat, lines_layer("boxes", line_width(mammogram.data.shape[0]))


def _heat(maps: LatentMaps, colormap: str) -> Image:
    """Make the layer of one latent on one view; its array is filled in place."""
    layer = Image(
        np.zeros(maps.shape[1:], np.float32),
        name="SAE latents",
        rgb=False,
        multiscale=False,
        contrast_limits=(0.0, 1.0),
        colormap=heat_colormap(colormap),
        blending="translucent",
        interpolation2d="linear",
        axis_labels=("row", "column"),
    )
    pictured_later(layer)
    return layer


def _nothing(name: str) -> Image:
    return Image(
        np.zeros((1, 1), np.float32), name=name, rgb=False, multiscale=False, contrast_limits=(0, 1), opacity=0
    )


def _boxes_of(image: ExamImage | None, findings: Findings | None) -> pd.DataFrame | tuple[()]:
    if image is None or findings is None:
        return ()
    source = image.ready.image
    return findings.boxes(source.full_name, shape=source.shape)


def _draw(lines: Any, boxes: pd.DataFrame | tuple[()]) -> None:
    edges = boxes[list(BOX)].to_numpy(float) if not isinstance(boxes, tuple) else np.zeros((0, 4))
    names = boxes["finding"] if not isinstance(boxes, tuple) else ()
    draw_lines(lines, rectangles(edges), [finding_color(str(name)) for name in names])


def _cells_to_pixels(maps: LatentMaps) -> NDArray[np.float64]:
    return np.eye(3) if maps.frame is None else cell_affine(maps.frame, maps.shape[1:])


def _fill(layers: Cell, image: ExamImage) -> None:
    """Put another view into the layers of a place."""
    mammogram, heat, *_ = layers
    ready = image.ready
    if mammogram.data is not ready.pixels:
        mammogram.data = ready.pixels
    low, high = ready.options["contrast_limits"]
    mammogram.contrast_limits_range = min(low, float(ready.pixels.min())), max(high, float(ready.pixels.max()))
    mammogram.contrast_limits = low, high
    heat.data[...] = 0  # nothing of the exam before


def _map_shape(image: ExamImage | None) -> Any:
    """What the layers of a place are made for: nothing, an image without latents, or maps of some shape."""
    return None if image is None else () if image.ready.maps is None else image.ready.maps.shape[1:]
