"""Reader of mammograms for napari: keeps spacing, windows, laterality and view, which the built-in reader drops."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.images.mammogram import Mammogram

PLUGIN = "napari-mammosae"
# DICOM files, this package's phantoms, and the published VinDr-Mammo PNGs, named by 32 hexadecimal digits. Other PNGs
# are left to napari, which would otherwise ask at every one of them; the dock's Open button reads them all.
_VINDR = "*" + "[0-9a-f]" * 32 + ".png"
_OWN = ("*.dcm", "*.dicom", "*.dic", "*.DCM", "*.DICOM", "*phantom-[0-9]*.png", _VINDR)


def get_reader(path: str | list[str] | None = None) -> Callable[[str | list[str]], list[Any]] | None:
    """Return a reader for one file or several; each becomes a layer of its own.

    napari's command palette lists every command and gives this one no path: then the user chooses the files.
    """
    if path is None:
        _open_chosen()
        return None
    return read


def _open_chosen() -> None:
    import napari
    from qtpy.QtWidgets import QFileDialog

    from .image.panels.image import IMAGES

    if (viewer := napari.current_viewer()) is not None:
        names, _ = QFileDialog.getOpenFileNames(
            getattr(viewer, "__wrapped__", viewer).window._qt_window, "Open mammograms", "", IMAGES
        )
        if names:
            viewer.open(names, plugin=PLUGIN)


def read(path: str | list[str]) -> list[Any]:
    """Read mammograms as image layers; a file that is not one is left out, and a notification and the dock say why.

    Raises
    ------
    ImageError
        If no file is a mammogram.
    """
    from ..core.base.errors import ImageError
    from .canvas.layers import mammogram_options

    try:
        images, note = read_usable([Path(name) for name in ([path] if isinstance(path, str) else path)])
    except ImageError as error:
        _tell(str(error))
        raise
    if note:
        _tell(note)
    import napari

    from .workspace import workspace_of

    if (viewer := napari.current_viewer()) is not None:
        workspace_of(viewer)  # it shows the image opened last alone; on each other they would be one picture
    return [(image.displayed(), mammogram_options(image), "image") for image in images]


def read_usable(paths: Sequence[Path], *, crop: bool = True) -> tuple[list["Mammogram"], str]:
    """Read the mammograms among files; return them, and what to say of the others, empty without any.

    Raises
    ------
    ImageError
        If no file is a mammogram.
    """
    from ..core.base.errors import ImageError
    from ..core.images.mammogram import read_mammogram

    images, refused = [], []
    for path in paths:
        try:
            images.append(read_mammogram(path, crop=crop))
        except ImageError as error:
            refused.append(error)
    if refused and not images:
        raise refused[0]
    return images, f"Images left out: {len(refused)}. {refused[0]}" if refused else ""


def _tell(text: str) -> None:
    """Say what is wrong with a file: napari's own dialog, which offers the other readers, does not."""
    import napari
    from napari.utils.notifications import show_error

    from .widgets.plain import plain
    from .workspace import has_workspace, workspace_of

    show_error(plain(text))
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
