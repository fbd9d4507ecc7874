"""`demo` and `view`: napari with this plugin set up."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import caution, say


def _png(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{path.name}: a screenshot must be a .png file.")
    return path


Screenshot = Annotated[
    Path | None,
    typer.Option(
        "--screenshot",
        metavar="OUT.png",
        dir_okay=False,
        callback=_png,
        help="Save a screenshot of the window and exit.",
    ),
]


def demo(screenshot: Screenshot = None, quiet: options.Quiet = False) -> None:
    """Open the embedded example in the viewer, with all docks."""
    _check_screen()
    from ..viewer.launch import launch_demo

    launch_demo(screenshot)
    _written(screenshot, quiet)


def view(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Mammograms to open. The latents of the first are computed."),
    ],
    model: Annotated[str | None, typer.Option(metavar="M", help="A name from `models list`, or a model.toml.")] = None,
    boxes: options.Boxes = None,
    screenshot: Screenshot = None,
    device: options.PreferredDevice = None,
    precision: options.PreferredPrecision = None,
    no_crop: options.NoCrop = False,
    quiet: options.Quiet = False,
) -> None:
    """Open mammograms in the viewer and compute all latents of the first."""
    _check_screen()
    from ..viewer.launch import launch_view

    launch_view(
        images, model, boxes, screenshot, device=device, precision=precision, crop=not no_crop,
        notice=lambda text: caution([text], quiet=quiet),
    )  # fmt: skip
    _written(screenshot, quiet)


def _written(screenshot: Path | None, quiet: bool) -> None:
    if screenshot is not None:
        say(f"wrote {screenshot}", quiet=quiet)


def _check_screen() -> None:
    """Say what is missing before Qt does: without a display it would abort the process."""
    from ..core.base.errors import SettingsError

    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in screens):
        raise SettingsError(
            "There is no display to open a window on. For a screenshot, run this command with --screenshot OUT.png "
            "under xvfb-run (package xvfb); for numbers, use `inspect`."
        )
    try:
        import qtpy  # noqa: F401
    except ImportError:
        raise SettingsError(
            'The viewer needs a Qt binding, and none is installed: pip install "napari-mammosae[all]".'
        ) from None
