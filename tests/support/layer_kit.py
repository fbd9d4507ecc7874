"""Which layers of a viewer are the plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mammosae.viewer.workspace import workspace_of

if TYPE_CHECKING:
    from napari_mammosae.viewer.canvas.owned import OwnedLayers


def owned(viewer: Any) -> OwnedLayers:
    return workspace_of(viewer).scene.owned
