"""The views of an exam in napari's grid: a cell holds an image, its latents and its boxes; all share a camera."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from napari.layers import Image, Vectors

from ...core.annotations.finding_colors import finding_color
from ...core.exams.hanging import hang_beside, hang_views
from ...core.exams.placement import place_view
from ...core.images.geometry import BOX, cell_affine
from ..canvas.boxes.lines import draw_lines, lines_layer
from ..canvas.layers import latents_layer, line_width, rectangles, stack_affine
from ..canvas.redraw import FONT, garbage_later
from ..canvas.stack import LatentStack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from ...core.annotations.boxes import Findings
    from ...core.exams.hanging import Hanging
    from ...core.models.latents import LatentMaps
    from ..canvas.scene import Scene
    from .state import ExamImage, ShownExam

Cell: TypeAlias = "tuple[Image, Image, Vectors] | tuple[Image, Image]"
"""Image, latents, and boxes where any view of the exam has some."""
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
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.cells: list[Cell] = []
        self.images: list[ExamImage | None] = []
        self._structure: Any = None
        self._fitted: tuple[ShownExam | None, tuple[int, int], int] = (None, (0, 0), 0)

    def show(
        self, viewer: ViewerModel, shown: ShownExam, order: NDArray[np.intp], findings: Findings | None
    ) -> tuple[tuple[int, int], int]:
        """Show an exam; return rows and columns of its grid, and how many layers a cell has.

        Latents come in `order`; their limits are set apart.
        """
        hanging = hang_exam(shown)
        self.images = [None if at is None else shown.images[at] for row in hanging for at in row]
        boxes = [_boxes_of(image, findings) for image in self.images]
        shape, with_boxes = (len(hanging), len(hanging[0])), any(map(len, boxes))
        structure = shape, with_boxes, [_map_shape(image) for image in self.images]
        if structure != self._structure:
            with garbage_later():
                self.remove()
            self._structure = structure
        there = bool(self.cells)
        if shown is not self._fitted[0]:
            self._fitted = shown, *self._fit(viewer, shown, shape)
        _, area, gap = self._fitted
        with nullcontext() if there else viewer.layers.selection.events.blocker_all():  # it ends as it was
            for place, image in enumerate(self.images):
                layers = self.cells[place] if there else _new_cell(image, order, self._scene.colormap, with_boxes)
                where = on_cells = np.eye(3)
                if image is not None:
                    size, side = image.ready.pixels.shape, image.laterality
                    where = place_view(size, area, side, mirrored=image.mirrored, gap=gap)
                    maps = image.ready.maps
                    on_cells = where if maps is None else where @ _cells_to_pixels(maps)
                    if there:
                        _fill(layers, image, order)
                    layers[0].name = shown.title_of(image)
                for at, layer in enumerate(layers):
                    matrix = on_cells if at == 1 else where
                    self._lay_out(layer, matrix)
                    if there:
                        self._scene.owned.lay(layer, matrix)
                    else:
                        self._scene.owned.add(layer, "exam", matrix, at=len(layers) * place + at)
                if not there:
                    self.cells.append(layers)
                if with_boxes:
                    _draw(layers[-1], boxes[place])
        for layers, image in zip(self.cells, self.images, strict=True):  # last: all texts are laid out anew
            layers[0].name_overlay.visible = image is not None
        return shape, len(self.cells[0])

    def remove(self) -> None:
        """Take all layers out of the viewer."""
        cells, self.cells, self._structure = self.cells, [], None
        self._fitted = None, (0, 0), 0
        for cell in cells:
            for layer in cell:
                self._scene.owned.remove(layer)

    def __contains__(self, layer: Any) -> bool:
        return any(layer in cell for cell in self.cells)

    def set_order(self, order: NDArray[np.intp]) -> None:
        """Stack the latents of all views in another order."""
        for (_, stack, *_), image in zip(self.cells, self.images, strict=True):
            if image is not None and image.ready.maps is not None and isinstance(stack.data, LatentStack):
                stack.data.show(image.ready.maps, order)
                stack.refresh(extent=False)

    def set_limits(self, limits: tuple[float, float]) -> None:
        """Colour the latent on all views on one scale."""
        for _, stack, *_ in self.cells:
            if tuple(stack.contrast_limits) != limits:
                stack.contrast_limits = limits

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
            layer.affine = matrix if layer.ndim == 2 else stack_affine(matrix)


def hang_exam(shown: ShownExam) -> Hanging:
    """Hang an exam, and the one before it at its right."""
    own, before = (_hang(images) for images in (shown.own, shown.before))
    return hang_beside(own, before, len(shown.own)) if shown.before else own


def _hang(images: Sequence[ExamImage]) -> Hanging:
    return hang_views([image.laterality for image in images], [image.view for image in images])


def _new_cell(image: ExamImage | None, order: NDArray[np.intp], colormap: str, with_boxes: bool) -> Cell:
    """Make the layers of a place in the grid."""
    maps = image.ready.maps if image is not None else None
    if image is None:
        mammogram = _nothing("no image")
    else:
        ready = image.ready
        mammogram = Image(ready.pixels, **{name: value for name, value in ready.options.items() if name != "metadata"})
        mammogram.name_overlay.font_size = FONT
        # outside, where there is air, and below, since the latent's text lies above
        mammogram.name_overlay.position = "bottom_right" if image.laterality == "L" else "bottom_left"
    if maps is None:
        latents = _nothing("no latents")
    else:
        latents = latents_layer(LatentStack(maps, order), (0.0, 1.0), colormap)
        latents.events.thumbnail.block()  # a step would have the list of layers painted for each of them
    if not with_boxes:
        return mammogram, latents
    return mammogram, latents, lines_layer("boxes", line_width(mammogram.data.shape[0]))


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


def _fill(layers: Cell, image: ExamImage, order: NDArray[np.intp]) -> None:
    """Put another view into the layers of a place."""
    mammogram, latents, *_ = layers
    ready = image.ready
    mammogram.data = ready.pixels
    low, high = ready.options["contrast_limits"]
    mammogram.contrast_limits_range = min(low, float(ready.pixels.min())), max(high, float(ready.pixels.max()))
    mammogram.contrast_limits = low, high
    if ready.maps is not None:
        latents.data.show(ready.maps, order)
        latents.refresh(extent=False)


def _map_shape(image: ExamImage | None) -> Any:
    """What the layers of a place are made for: nothing, an image without latents, or maps of some shape."""
    return None if image is None else () if image.ready.maps is None else image.ready.maps.shape
