"""Start napari with this plugin set up: what `demo` and `view` on the command line do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..core.base.arguments import expect
from ..core.base.errors import MammoSAEError, ModelError
from ..core.base.progress import ignore
from ..core.base.provenance import beside, provenance, write_results
from .app.preferences import PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari import Viewer
    from napari.components import ViewerModel

    from ..core.annotations.boxes import Findings
    from ..core.images.mammogram import Mammogram
    from ..core.models.latents import LatentMaps
    from ..core.runs.making.model_spec import ModelSpec
    from ..core.runs.run import Run
    from ..process.handle import ModelHandle
    from .app.jobs import Jobs
    from .workspace import Workspace

MODEL_DOCK, LOCALIZE_DOCK, GUIDE_DOCK = "Model & image", "Localise", "Next steps"
GUIDE_COMMAND = f"{PLUGIN}.guide_dock"
PATIENCE = 5_000
"""Milliseconds that a window of the demo stays unpainted at most."""


def launch_demo(screenshot: Path | None = None) -> None:
    """Open the embedded example with every dock; with `screenshot`, write the window to that file and end.

    Raises
    ------
    MammoSAEError
        If the latents could not be computed (only with `screenshot`; otherwise the dock says so).
    """
    viewer = _viewer()
    workspace = show_demo(viewer)
    _run(viewer, workspace, screenshot)


def launch_view(
    images: Sequence[Path],
    model: str | Path | None = None,
    boxes: Path | None = None,
    screenshot: Path | None = None,
    *,
    device: str | None = None,
    precision: str | None = None,
    crop: bool = True,
    notice: Callable[[str], None] = lambda text: None,
) -> None:
    """Open mammograms and compute the latents of the first; with `screenshot`, write the window and end.

    Parameters
    ----------
    images
        Files; each becomes a layer.
    model
        A model's name or the path of a `model.toml`; by default the one of the preferences.
    boxes
        A table of ground-truth boxes.
    device, precision
        By default those of the preferences.
    crop
        False refuses images that do not have the model's input size.
    notice
        Told what was changed about the boxes, or that the table does not name the images.

    Raises
    ------
    MammoSAEError
        If no image can be read or the model is not known: said before a window opens.
    """
    from ..core.datasets.find import read_boxes
    from ..core.models.files.model_files import find_model
    from .reader import read_usable

    if model is not None:
        find_model(model)
    findings = read_boxes(boxes) if boxes is not None else None
    mammograms, left_out = read_usable(images, crop=crop)
    if left_out:
        notice(left_out)
    if findings is not None:
        for note in findings.notes_on({mammogram.full_name: mammogram.shape for mammogram in mammograms}):
            notice(note)

    from .canvas.layers import mammogram_layer
    from .workspace import workspace_of

    viewer = _viewer()
    workspace = workspace_of(viewer)
    workspace.session.findings = findings
    if model is not None:
        workspace.images.choice = replace(workspace.images.choice, name=str(model))
    chosen = workspace.images.choice
    workspace.images.choice = replace(chosen, device=device or chosen.device, precision=precision or chosen.precision)
    for mammogram in reversed(mammograms):
        viewer.add_layer(mammogram_layer(mammogram))
    open_dock(viewer, MODEL_DOCK)
    if mammograms:
        _fit_when_laid_out(workspace)
        workspace.images.compute()
    _run(viewer, workspace, screenshot)


def view(
    image: Mammogram | Path | str | None = None,
    *,
    model: ModelSpec | None = None,
    run: Run | Path | str | None = None,
    boxes: Findings | Path | str | None = None,
    maps: LatentMaps | None = None,
    show: bool = True,
) -> Viewer:
    """Open a mammogram in napari with the latents a model sees in it.

    Parameters
    ----------
    image
        A mammogram or its file; by default the first image of the run.
    model
        A loaded model, which is left to you; or the name of one, its `model.toml`, or the arguments of `load_model`.
        The viewer loads its files again in a process of its own, once it needs them. A model that was not loaded from
        files computes in this process, and a warning says so.
    run
        A run or its folder, to rank latents and to go from image to image.
    boxes
        Annotated boxes or their file.
    maps
        The image's latents, where they are computed already; else the model computes them, or the run has them.
    show
        True opens the window and returns when it is closed; False returns the viewer at once, without a window.

    Raises
    ------
    MammoSAEError
        A file cannot be read, or the run was made with another model.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.view("phantoms/phantom-000001.png", model="demo", run="run")  # doctest: +SKIP
    """
    from ..core.annotations.boxes import Findings
    from ..core.base.names import ImageNames
    from ..core.datasets.find import read_boxes
    from ..core.images.mammogram import Mammogram, read_mammogram
    from ..core.runs.listed_names import listed_names
    from ..core.runs.opening import open_run
    from ..core.runs.run import Run
    from ..process.opening import open_handles

    if maps is not None:
        expect(maps, "latents")
    handle, local = (None, None) if model is None else open_handles(model)
    opened = run if run is None or isinstance(run, Run) else open_run(run)
    if opened is not None and handle is not None:
        opened.check_model(handle.facts)
    findings = boxes if boxes is None or isinstance(boxes, Findings) else read_boxes(boxes)
    mammogram = image if image is None or isinstance(image, Mammogram) else read_mammogram(image)
    if mammogram is not None and maps is None:
        if handle is not None and handle.facts.n_latents:
            maps = (local or handle).compute(mammogram, ignore)
        elif opened is not None and opened.has_maps:
            row = ImageNames(listed_names(opened.images)).find(mammogram.full_name)
            maps = None if row is None else opened.latents(int(opened.numbers[row]))
    viewer = _viewer(show=show)
    put_objects(viewer, mammogram, handle, opened, findings, maps)
    open_dock(viewer, MODEL_DOCK)
    if show:
        import napari

        napari.run()
    return viewer


def put_objects(
    viewer: ViewerModel,
    image: Mammogram | None,
    handle: ModelHandle | None = None,
    run: Run | None = None,
    findings: Findings | None = None,
    maps: LatentMaps | None = None,
) -> None:
    """Hand objects to what works in a viewer."""
    from .canvas.layers import mammogram_layer
    from .workspace import workspace_of

    workspace = workspace_of(viewer)
    session = workspace.session
    session.findings = findings
    if handle is not None:
        workspace.images.take_model(workspace.images.choice, handle)
    if image is not None:
        viewer.add_layer(mammogram_layer(image))
    if maps is not None:
        session.maps = maps
    session.run = run
    if image is None and run is not None and len(run):
        workspace.browser.show(0)


def show_demo(viewer: Viewer) -> Workspace:
    """Open the example with every dock: the next steps at the left, the others as tabs at the right."""
    from qtpy.QtCore import QTimer

    workspace = show_example(viewer)
    _paint_once_filled(viewer, workspace)
    open_steps(viewer)
    docks = {name: open_dock(viewer, name) for name in (MODEL_DOCK, *_other_docks())}
    first = docks[MODEL_DOCK]
    first.show()

    def settle() -> None:  # after the others, each of which comes up when it joins
        first.raise_()
        _draw_boxes_once_seen(workspace, docks[LOCALIZE_DOCK])

    QTimer.singleShot(0, settle)
    _fit_when_laid_out(workspace)
    return workspace


def show_example(viewer: ViewerModel) -> Workspace:
    """Open the embedded model's run at a phantom with a mass and a view marker, and say what is seen."""
    from .guide.controller import guide_of
    from .workspace import workspace_of

    workspace = workspace_of(viewer)
    guide_of(workspace).start()
    return workspace


def open_steps(viewer: Any) -> None:
    """Open the *Next steps* at the left, where they stay in sight beside any other dock; not without a window."""
    from .sessions.window import docks_in, window_of

    window = window_of(viewer)
    if window is not None and GUIDE_COMMAND not in docks_in(window):
        open_dock(viewer, GUIDE_DOCK, area="left")


def open_docks(viewer: Viewer) -> None:
    """Open all docks that are not open, as tabs (menu File > IO Utilities > Mammo-SAE)."""
    from .sessions.window import open_commands, window_of

    open_commands(window_of(viewer))


def open_dock(viewer: Viewer, name: str, area: str = "right") -> Any:
    """Open a dock by its display name and return it.

    It goes by the name that napari's menus give it, so that the menu shows and hides this one: the window's own
    `add_plugin_dock_widget` names docks in another way, and the menu would open a second one.
    """
    from napari.plugins import menu_item_template
    from npe2 import PluginManager

    manifest = PluginManager.instance().get_manifest(PLUGIN)
    widget = next(one for one in manifest.contributions.widgets or [] if one.display_name == name)
    title = menu_item_template.format(manifest.display_name, name)
    return viewer.window.add_dock_widget(widget.get_callable()(viewer), name=title, area=area)


def _viewer(*, show: bool = True) -> Viewer:
    import napari
    from qtpy.QtGui import QGuiApplication

    from .reader import prefer_for_mammograms
    from .widgets.window_size import fit_window

    viewer = napari.Viewer(title="Mammo-SAE: research use only, not for diagnosis", show=show)
    fit_window(viewer.window._qt_window, QGuiApplication.primaryScreen().availableGeometry())
    prefer_for_mammograms()
    return viewer


def _fit_when_laid_out(workspace: Workspace) -> None:
    """Fit the mammogram once the docks have left the canvas its size."""
    from qtpy.QtCore import QTimer

    from .canvas.camera import fit

    scene = workspace.scene

    def fit_then() -> None:
        if scene.viewer is not None and scene.image_layer is not None:
            fit(scene.viewer, scene.image_layer)

    QTimer.singleShot(0, fit_then)


def _other_docks() -> list[str]:
    from npe2 import PluginManager

    widgets = PluginManager.instance().get_manifest(PLUGIN).contributions.widgets or []
    return [widget.display_name for widget in widgets if widget.display_name not in (MODEL_DOCK, GUIDE_DOCK)]


def _run(viewer: Viewer, workspace: Workspace, screenshot: Path | None) -> None:
    import napari

    from ..core.models.domain import outside_domain

    if screenshot is None:
        napari.run()
        return
    try:
        _wait(workspace)
        text, is_error = workspace.status.last_told
        if is_error:
            raise MammoSAEError(text)
        if workspace.session.maps is None:
            raise ModelError("The latents were not computed.")
        image = workspace.session.image
        model = workspace.session.model
        caution = outside_domain(model, image) if model is not None and image is not None else ""
        settings = {"image": image and image.image_id, "outside_domain": caution}
        record = provenance("screenshot", settings, model)
        with write_results(beside(screenshot, ".json"), record, screenshot) as (temporary,):
            viewer.screenshot(path=str(temporary), canvas_only=False, flash=False)
    finally:
        viewer.close()


def _wait(workspace: Workspace) -> None:
    """Let the window work until no job runs, and once more until all is drawn."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    busy = True
    while busy:
        busy = workspace.jobs.busy or any(jobs.busy for jobs in _filling(workspace))
        QTimer.singleShot(300, loop.quit)
        loop.exec_() if hasattr(loop, "exec_") else loop.exec()


def _paint_once_filled(viewer: Viewer, workspace: Workspace) -> None:
    """Paint nothing until the run is open, ranked, and its first image shown: what is seen first is all of it.

    Where that takes long, what there is by then is painted.
    """
    from qtpy.QtCore import QTimer

    window, work = ref(viewer.window._qt_window), ref(workspace)  # the jobs must keep neither

    def paint(anyway: bool = False) -> None:
        there, of = window(), work()
        if there is not None and of is not None and (anyway or not any(jobs.busy for jobs in _filling(of))):
            there.setUpdatesEnabled(True)

    viewer.window._qt_window.setUpdatesEnabled(False)
    for jobs in _filling(workspace):
        jobs.ended.connect(paint)
    QTimer.singleShot(PATIENCE, partial(paint, True))


def _filling(workspace: Workspace) -> tuple[Jobs, ...]:
    return workspace.opener.jobs, workspace.ranking.jobs, workspace.over_run.jobs, workspace.pictures.jobs


def _draw_boxes_once_seen(workspace: Workspace, dock: Any) -> None:
    """Draw no found boxes before the dock for them is looked at."""
    workspace.localizer.drawn = False
    waiting = [ref(workspace.localizer)]  # the dock must keep neither itself nor the workspace

    def draw(seen: bool) -> None:
        if seen and waiting and (localizer := waiting.pop()()) is not None:
            localizer.drawn = True

    dock.visibilityChanged.connect(draw)
