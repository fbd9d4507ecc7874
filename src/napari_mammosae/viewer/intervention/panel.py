"""The *Intervene* dock: keep, remove or scale latents, and watch the prediction."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from ...core.base.errors import MammoSAEError
from ..app.jobs import Jobs
from ..widgets.parts import NOTICE, Dock, PageTabs, Scrolled, hint, row
from ..workspace import controller_of
from .controller import intervention_of, is_ready, prepare
from .pass_panel import PassPart
from .result_panel import ResultPart
from .run_panel import RunPart
from .set_panel import SetPart


class InterveneDock(Dock):
    """Edits of latents on the image shown and on the open run.

    The edit itself belongs to the viewer: it stays on, and the canvas says so, when this widget is closed.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = controller_of(napari_viewer)
        self.session = self.controller.session
        self.intervention = intervention_of(self.controller)
        self._undo = ExitStack()
        self.destroyed.connect(self._undo.close)
        self.jobs, self.exporting = Jobs(), Jobs()
        self._undo.callback(self.jobs.cancel)
        self._gone = False
        self._undo.callback(self._leave)
        self.set = SetPart(self.controller, self.intervention)
        self.passing = PassPart(self.controller, self.intervention)
        self.result = ResultPart(self.controller, self.intervention)
        self.run = RunPart(self.controller, self.intervention)
        for part in (self.set, self.passing, self.result, self.run):
            self._undo.callback(part.cleanup)
        self.export_button, self.status = QPushButton("Export…"), QLabel()
        self.export_button.setToolTip("Write the edit, its predictions, terms, curve and flips as CSV, JSON and PNG")
        self.status.setWordWrap(True)
        notice = hint(QLabel(NOTICE))
        self.tabs = PageTabs()
        for part, title, tip in (
            (self.result, "This image", "The prediction of this image before and after, and where it comes from"),
            (self.run, "The run", "What the edit does to all images of the open run"),
        ):
            page = QWidget()
            inner = QVBoxLayout(page)
            inner.setContentsMargins(4, 4, 4, 4)
            inner.addWidget(part)
            self.tabs.add(page, title, tip)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.set)
        layout.addWidget(self.passing)
        layout.addWidget(self.tabs, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.set.banner)
        outer.addWidget(Scrolled(content), 1)
        foot = row(notice, self.export_button)
        foot.layout().setContentsMargins(6, 0, 6, 6)
        outer.addWidget(self.status)
        outer.addWidget(foot)
        self.status.setVisible(False)
        self.export_button.clicked.connect(self._on_export)
        self._listen(self.session.events.maps, self._prepare)
        self._listen(self.session.events.model, self._prepare)
        self._listen(self.intervention.changed, self._refresh)
        self._listen(self.controller.told, self._on_told)
        if self.controller.scene.image_layer is None and (candidates := self.controller.candidates()):
            self.controller.use_layer(candidates[-1])
        self._prepare()
        self._refresh()

    def cleanup(self) -> None:
        """End what runs and stop listening; destroying the widget does the same."""
        self._undo.close()

    def _leave(self) -> None:
        self._gone = True

    def export(self, path: Path) -> None:
        """Write everything about the present edit beside `path`, a CSV, while the window goes on.

        Raises
        ------
        SettingsError
            If there is no edit to write.
        """
        from .export import record_of, write_edit

        work = partial(write_edit, path, record_of(self.session, self.intervention, self.run))
        self._say(f"Writing {path.name} …")
        self.exporting.start(f"Writing {path.name}", work, self._written, self._not_written)
        self._refresh()

    def _written(self, paths: list[Path]) -> None:
        self._tell(f"Wrote {', '.join(one.name for one in paths)}")

    def _not_written(self, error: Exception) -> None:
        self._tell(str(error), error=True)

    def _tell(self, text: str, *, error: bool = False) -> None:
        """An export goes on when the dock is closed: then it is said elsewhere."""
        if self._gone:
            self.controller.tell(text, error=error)
        else:
            self._say(text)
            self._refresh()

    def _listen(self, event: Any, callback: Any) -> None:
        event.connect(callback)
        self._undo.callback(partial(event.disconnect, callback, missing_ok=True))

    def _prepare(self, *_: object) -> None:
        """Work out attributions beside the window, the first time."""
        model = self.session.model
        if model is not None and self.session.maps is not None and model.layer == "head" and not is_ready(model):
            work = partial(_prepared, model)
            self.jobs.start("Preparing edits", work, self._on_prepared, self._failed)

    def _on_prepared(self, model: Any) -> None:
        if model is self.session.model:
            self.intervention.update()

    def _refresh(self, *_: object) -> None:
        self.export_button.setEnabled(self.intervention.view is not None and not self.exporting.busy)

    def _on_export(self) -> None:
        image = self.session.image
        name = f"{image.image_id}-edit.csv" if image is not None else "edit.csv"
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the edit", name, "Table (*.csv)")
        if not chosen:
            return
        path = Path(chosen)
        try:
            self.export(path if path.suffix else path.with_suffix(".csv"))
        except MammoSAEError as error:
            self._failed(error)

    def _on_told(self, text: str, is_error: bool) -> None:
        """What goes wrong elsewhere is said here as well: the dock that started it may be closed."""
        self._say(text if is_error else "")

    def _failed(self, error: Exception) -> None:
        self._say(str(error))

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))


def _prepared(model: Any, report: Any) -> Any:
    report("Preparing edits")
    prepare(model)
    return model
