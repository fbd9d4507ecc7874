"""Reader of mammograms for napari: keeps spacing, windows, laterality and view, which the built-in reader drops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

PLUGIN = "napari-mammosae"
# DICOM files, this package's phantoms, and the published VinDr-Mammo PNGs, named by 32 hexadecimal digits. Other PNGs
# are left to napari, which would otherwise ask at every one of them; the dock's Open button reads them all.
_VINDR = "*" + "[0-9a-f]" * 32 + ".png"
_OWN = ("*.dcm", "*.dicom", "*.dic", "*.DCM", "*.DICOM", "*phantom-[0-9]*.png", _VINDR)


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """Return a reader for one file or several; each becomes a layer of its own."""
    return read


def read(path: str | list[str]) -> list[Any]:
    """Read mammograms as image layers.

    Raises
    ------
    ImageError
        If a file is not a mammogram; a notification and the dock say why.
    """
    from ..core.base.errors import ImageError
    from ..core.images.mammogram import read_mammogram
    from .canvas.layers import mammogram_options

    layers = []
    for name in [path] if isinstance(path, str) else path:
        try:
            image = read_mammogram(Path(name))
        except ImageError as error:
            _tell(str(error))
            raise
        layers.append((image.displayed(), mammogram_options(image), "image"))
    return layers


def _tell(text: str) -> None:
    """Say what is wrong with a file: napari's own dialog, which offers the other readers, does not."""
    import napari
    from napari.utils.notifications import show_error

    from .workspace import has_workspace, workspace_of

    show_error(text)
    if (viewer := napari.current_viewer()) is not None and has_workspace(viewer):
        workspace_of(viewer).status.tell(text, error=True)


def prefer_for_mammograms(*_: object) -> None:
    """Open mammograms with this reader unless the user has chosen another; called when the plugin is first used.

    napari's own reader claims the same endings; without a preference napari would ask at every file. The log is started
    here too, because nothing else of the plugin is called as early.
    """
    from napari.settings import get_settings

    from ..core.base.log import start_log

    start_log()
    plugins = get_settings().plugins
    chosen = {pattern.lower() for pattern in plugins.extension2reader}
    missing = {pattern: PLUGIN for pattern in _OWN if pattern.lower() not in chosen}
    if missing:
        plugins.extension2reader = {**plugins.extension2reader, **missing}
