"""napari's scale bar in millimetres: its own counts pixels here, since a pixel is one unit of the canvas."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pint
from napari.components.overlays import ScaleBarOverlay

from ..layers import world_affine
from ..sides import FONT, corner

if TYPE_CHECKING:
    from ..scene import Scene

BAR = "mammosae_scale"
"""Key of the bar among the canvas overlays."""


class MillimetreBar(ScaleBarOverlay):
    """A scale bar that knows how many millimetres a pixel of the canvas' world has; along columns."""

    millimetres: float = 1.0

    @property
    def unit(self) -> None:
        """Nothing: it is here since napari listens for it, and sets it no more."""

    @unit.setter
    def unit(self, value: object) -> None: ...


@cache
def _register() -> bool:
    """Have napari draw the bar. There is no public way to add a kind of overlay: without this one there is no bar."""
    try:
        from napari._vispy.overlays.scale_bar import VispyScaleBarOverlay
        from napari._vispy.utils.visual import overlay_to_visual
    except ImportError:
        return False

    class _Bar(VispyScaleBarOverlay):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.overlay.events.millimetres.connect(self._on_unit_change)

        def _on_unit_change(self) -> None:
            self._unit = self.overlay.millimetres * pint.Unit("mm")
            self._on_size_or_zoom_change(force=True)

    overlay_to_visual[MillimetreBar] = _Bar
    return True


class ScaleBar:
    """Shows the bar while an image is open whose scale is known."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._undo = ExitStack()
        if _register():
            for event in (scene.session.events.image, scene.arranged):
                event.connect(self._show)
                self._undo.callback(event.disconnect, self._show)

    def cleanup(self) -> None:
        """Follow the image no longer."""
        self._undo.close()

    def _show(self, *_: object) -> None:
        viewer, layer, image = self._scene.viewer, self._scene.image_layer, self._scene.session.image
        if viewer is None:
            return
        overlays, scale = viewer.canvas.overlays, image.scale if image is not None else None
        if scale is None or layer is None:
            if BAR in overlays:
                overlays[BAR].visible = False
            return
        if BAR not in overlays:
            overlays[BAR] = MillimetreBar(position=corner(viewer, "bottom", air=False), font_size=FONT)
        # A column is one unit of the canvas, unless the user has given the layer a scale of its own.
        overlays[BAR].millimetres = scale.per_pixel[1] / float(np.linalg.norm(world_affine(layer)[:2, 1]))
        overlays[BAR].visible = True
