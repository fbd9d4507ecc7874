"""Help for those who help: the diagnostic report on the clipboard, and the caches with their sizes."""

from functools import partial
from typing import Any

from qtpy.QtWidgets import QApplication, QGridLayout, QPushButton, QWidget
from superqt.utils import create_worker

from ....core.base.caches import Cache, all_caches
from ....core.base.diagnosis import diagnostic_report
from ....core.base.errors import MammoSAEError
from ....core.base.text import sentence, size_text
from ...app.session import Session
from ...widgets import ui
from ...widgets.plain import Label


class DiagnosisPanel(QWidget):
    """A button that copies the diagnostic report, and a row for each cache.

    Parameters
    ----------
    session
        What the viewer looks at, so that the cache which holds the open run is not emptied under it.
    """

    def __init__(self, session: Session | None = None) -> None:
        super().__init__()
        self._session = session
        self._worker: Any = None
        self.copy_button = ui.button(
            "Copy diagnostic report",
            "Copy versions, device, memory and the last errors to the clipboard.\n"
            "The report holds no names of people, files or folders.",
            self.copy_report,
        )
        self.status = ui.wrapped()
        self.status.hide()
        self._caches = QGridLayout()
        self._caches.setColumnStretch(0, 1)

        ui.column(self, self.copy_button, self._caches, self.status)

    def copy_report(self) -> None:
        """Make the report in a thread, because torch is asked for the GPU, and put it on the clipboard."""
        self.copy_button.setEnabled(False)
        self._tell("Collecting the report…")
        self._worker = create_worker(  # which starts it
            partial(diagnostic_report, opengl=opengl_renderer()),
            _connect={"returned": self._on_report, "errored": self._on_error},
        )

    def list_caches(self) -> None:
        """Show the caches and the room they take now."""
        while (item := self._caches.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for at, cache in enumerate(all_caches()):
            title, button = Label(f"Cache: {cache.holds}"), QPushButton("Empty")
            title.setWordWrap(True)
            button.setToolTip("Remove what this cache holds. It is made again when it is needed.")
            button.setEnabled(cache.size() > 0)
            button.clicked.connect(partial(self.empty, cache))
            for column, widget in enumerate((title, Label(size_text(cache.size())), button)):
                self._caches.addWidget(widget, at, column)

    def empty(self, cache: Cache, *_: object) -> None:
        """Empty one cache, and say what came of it."""
        before = cache.size()
        try:
            self._check_unused(cache)
            cache.empty()
        except MammoSAEError as error:
            self._tell(str(error))
        else:
            self._tell(f"{size_text(before)} freed.")
        self.list_caches()

    def showEvent(self, event: Any) -> None:
        """List the caches anew each time the panel is seen."""
        self.list_caches()
        super().showEvent(event)

    def _check_unused(self, cache: Cache) -> None:
        run = getattr(self._session, "run", None)
        entries = cache.entries() if hasattr(cache, "entries") else []
        if run is not None and any(run.path.resolve().is_relative_to(entry.resolve()) for entry in entries):
            raise MammoSAEError("This cache holds the open run. Close the run first.")

    def _on_report(self, text: str) -> None:
        QApplication.clipboard().setText(text)
        self.copy_button.setEnabled(True)
        self._tell("The report is on the clipboard. Read it before you send it.")

    def _on_error(self, error: Exception) -> None:
        self.copy_button.setEnabled(True)
        self._tell(sentence(f"The report could not be made: {error}"))

    def _tell(self, text: str) -> None:
        self.status.setText(text)
        self.status.show()


def opengl_renderer() -> str:
    """Return what draws napari's window, such as ``llvmpipe``; empty without a window. Call it in the GUI thread."""
    from vispy.gloo import gl
    from vispy.gloo.context import get_current_canvas

    canvas = get_current_canvas()
    if canvas is None:
        return ""
    try:
        canvas.set_current()
    except RuntimeError:  # the current canvas is of a window that was closed
        return ""
    return str(gl.glGetParameter(gl.GL_RENDERER) or "")
