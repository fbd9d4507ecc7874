"""What belongs to one viewer, made and ended in one place: who acts in it, and who is whose neighbour."""

from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from qtpy.QtCore import QCoreApplication

from .annotation.controller import BoxEditor
from .app import keymap
from .app.jobs import Jobs
from .app.listening import call_while_alive
from .app.preferences import preferences
from .app.session import Session
from .app.status import Status
from .canvas.actions import CanvasActions
from .canvas.redraw import remember_cells, remember_shaders
from .canvas.scene import Scene
from .canvas.tools.scale_bar import ScaleBar
from .canvas.tools.window_drag import follow_right_button
from .comparison.controller import ModelComparer
from .context import Context, Controller
from .exam.controller import ExamView
from .image.controller import ImageController
from .image.open_layers import OpenLayers
from .intervention.controller import Intervention
from .intervention.export import EditExporter
from .intervention.over_run import EditOverRun
from .latents.controller import LatentList
from .latents.gallery.pictures import GalleryPictures
from .latents.pages import LatentPages
from .latents.ranking import LatentRanking
from .latents.region import RegionQuery
from .latents.side_by_side import SideBySide
from .localization.controller import Localizer
from .localization.over_run import RunMeasures
from .naming.controller import ConceptTable
from .naming.server import ServerNaming
from .runs.browser import RunBrowser
from .runs.image_list import RunImageList
from .runs.opener import RunOpener
from .runs.thumbnails import RunThumbnails
from .runs.top_images import TopImages
from .verdicts.controller import Reviewer
from .verdicts.exchange import VerdictExchange
from .verdicts.suspects import SuspectSearch
from .widgets.key_list import open_with_key

Owned = TypeVar("Owned", bound=Controller)

FIRST = "Open a mammogram, or a sample from the File menu."


class Workspace:
    """Everything that acts in one viewer. Docks come and go; it stays until the viewer is gone.

    What keys and the command line need is made at once; the rest when it is first asked for, and then it stays as well.

    Attributes
    ----------
    session, scene, jobs, status
        What the viewer looks at, how that looks, its one heavy job, and the line for the user; together the `context`.
    actions, images, layers, reviewer, browser, top_images, opener
        Drawing, image and model, the open layers, verdicts, the images of a run, those of a latent, and runs.
    companions
        What packages that build on this one add, by name; given to `own`, they end with it.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        chosen = preferences()
        remember_cells()
        remember_shaders()
        self._undo = ExitStack()
        self.companions: dict[str, Controller] = {}
        self.session, self.jobs, self.status = Session(), Jobs(), Status(FIRST)
        self.session.contrast = chosen.contrast  # type: ignore[assignment]
        self.scene = Scene(viewer, self.session, self.status.telling, chosen.colormap)
        self.context = Context(self.session, self.scene, self.jobs, self.status)
        self.actions = CanvasActions(self.scene, self.status.telling)
        self.scale_bar = ScaleBar(self.scene)
        self.images = ImageController(self.context, self.actions)
        self.layers = OpenLayers(self.images)
        self.reviewer = Reviewer(self.context)
        self.browser = RunBrowser(self.context, self.images, self.actions)
        self.top_images = TopImages(self.context, self.browser)
        self.opener = RunOpener(self.context, self.images, self.browser)
        self._undo.callback(self.images.close)
        self._undo.callback(self.scene.cleanup)
        self._undo.callback(self.scale_bar.cleanup)
        self._undo.callback(self.actions.cleanup)
        self._undo.callback(follow_right_button(viewer, self.actions))
        for controller in (self.layers, self.reviewer, self.browser, self.top_images, self.opener):
            self.own(controller)
        for target, keys in (
            (self.actions, keymap.KEYS),
            (self.reviewer, keymap.REVIEW_KEYS),
            (self.browser, keymap.BROWSE_KEYS),
            (self.top_images, keymap.TOP_KEYS),
            (self, keymap.EXAM_KEYS),
            (self, keymap.EDIT_KEYS),
        ):
            self._undo.callback(keymap.bind(viewer, target, keys))
        self.session.events.blind.connect(self._on_blind)
        self._undo.callback(self.session.events.blind.disconnect, self._on_blind)
        self.images.models.warm_up()
        if (window := getattr(viewer, "window", None)) is not None:  # gone with the window, not with garbage later
            open_with_key(window._qt_window)
            window._qt_window.destroyed.connect(call_while_alive(self.images.end_processes))
            window._qt_window.destroyed.connect(call_while_alive(self.layers.unload_others))
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self.close)
            self._undo.callback(self._disconnect_app)

    def close(self) -> None:
        """Stop what runs, give the model's memory back, cut every connection; layers stay as they are."""
        self.jobs.cancel()
        self._undo.close()

    # Made when first asked for

    @cached_property
    def image_list(self) -> RunImageList:
        """Which images of the run are listed."""
        return self.own(RunImageList(self.context, self.browser, self.reviewer.book.verdicts))

    @cached_property
    def thumbnails(self) -> RunThumbnails:
        """Small pictures of the run's images."""
        return self.own(RunThumbnails(self.context, self.browser, self.pictures.greys.get))

    @cached_property
    def editor(self) -> BoxEditor:
        """Boxes drawn by hand."""
        return self.own(BoxEditor(self.context))

    @cached_property
    def ranking(self) -> LatentRanking:
        """The ranking of the run's latents."""
        return self.own(LatentRanking(self.context))

    @cached_property
    def query(self) -> RegionQuery:
        """The drawn region."""
        return self.own(RegionQuery(self.context))

    @cached_property
    def latents(self) -> LatentList:
        """The table of latents."""
        return self.own(LatentList(self.context, self.ranking, self.query))

    @cached_property
    def concepts(self) -> ConceptTable:
        """What the run's latents stand for."""
        return self.own(ConceptTable(self.context, self.reviewer.book.suggest))

    @cached_property
    def server_naming(self) -> ServerNaming:
        """Names from a vision-language model."""
        return self.own(ServerNaming(self.context, self.browser, self.reviewer.book.suggest))

    @cached_property
    def pictures(self) -> GalleryPictures:
        """The pictures of the gallery."""
        return self.own(GalleryPictures(self.context, self.top_images))

    @cached_property
    def pages(self) -> LatentPages:
        """Pages about latents."""
        return self.own(LatentPages(self.context, self.browser, self._verdict_file))

    @cached_property
    def side_by_side(self) -> SideBySide:
        """The comparison of pinned latents."""
        return self.own(SideBySide(self.context))

    @cached_property
    def exam(self) -> ExamView:
        """All views of an exam together."""
        return self.own(ExamView(self.context, self.browser))

    @cached_property
    def suspects(self) -> SuspectSearch:
        """The search for suspects."""
        return self.own(SuspectSearch(self.context, self.reviewer.book, self.top_images))

    @cached_property
    def exchange(self) -> VerdictExchange:
        """Verdicts in and out of their file."""
        return self.own(VerdictExchange(self.context, self.reviewer))

    @cached_property
    def localizer(self) -> Localizer:
        """Boxes from heatmaps, drawn from the first call on."""
        return self.own(Localizer(self.context, self.reviewer.book.verdicts))

    @property
    def localises(self) -> bool:
        """Whether there are boxes from heatmaps already."""
        return "localizer" in vars(self)

    @cached_property
    def measures(self) -> RunMeasures:
        """Localisation over the run."""
        return self.own(RunMeasures(self.localizer))

    @cached_property
    def intervention(self) -> Intervention:
        """The edit of latents."""
        return self.own(Intervention(self.context, self.reviewer.book.verdicts))

    @cached_property
    def over_run(self) -> EditOverRun:
        """The edit over the run."""
        return self.own(EditOverRun(self.intervention))

    @cached_property
    def exporter(self) -> EditExporter:
        """The edit as files."""
        return self.own(EditExporter(self.over_run))

    @cached_property
    def comparer(self) -> ModelComparer:
        """Two runs compared."""
        return self.own(ModelComparer(self.context))

    def _on_blind(self, *_: object) -> None:
        """Order the stack by number for a blind judge, whether or not the dock of the table was ever open."""
        self.latents  # noqa: B018  (made now)

    def _verdict_file(self) -> Path:
        return self.reviewer.book.path

    def toggle_spurious(self) -> None:
        """Switch to predictions without the latents marked spurious, or back."""
        self.intervention.toggle_spurious()

    def toggle_exam(self) -> None:
        """Show all views of the patient's exam together, or the one image again."""
        self.exam.toggle()

    def next_exam(self) -> None:
        """Go to the next exam of the run."""
        self.exam.next_exam()

    def previous_exam(self) -> None:
        """Go to the previous exam of the run."""
        self.exam.previous_exam()

    def own(self, controller: Owned) -> Owned:
        """End a controller with the workspace."""
        self._undo.callback(controller.close)
        return controller

    def _disconnect_app(self) -> None:
        app = QCoreApplication.instance()
        if app is not None:
            with suppress(TypeError, RuntimeError):  # Qt's way to say: already gone
                app.aboutToQuit.disconnect(self.close)


_workspaces: WeakKeyDictionary[Any, Workspace] = WeakKeyDictionary()


def workspace_of(viewer: Any) -> Workspace:
    """Return the one workspace of a viewer, made on first call; it dies with the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy of the same viewer
    if viewer not in _workspaces:
        _workspaces[viewer] = Workspace(viewer)
    return _workspaces[viewer]


def has_workspace(viewer: Any) -> bool:
    """Whether this plugin is at work in a viewer."""
    return getattr(viewer, "__wrapped__", viewer) in _workspaces
