"""Compute, cancel, unload; what is going on, and what went wrong."""

from ...app.keymap import help_rows
from ...widgets import ui
from ...widgets.job_bar import JobBar
from ...widgets.key_list import show_keys
from ...widgets.parts import NOTICE, Part, hint, row
from ...widgets.plain import Label
from ..controller import ImageController
from .preferences import edit_preferences


class JobPart(Part):
    """The buttons for heavy work, its progress, and the status line."""

    def __init__(self, images: ImageController) -> None:
        super().__init__(images.context)
        self.jobs = images.jobs
        self.compute_button = ui.button(
            "Compute latents", "Run the model on the image and stack every latent over it", images.compute
        )
        self.unload_button = ui.button("Unload", "Unload the model and free its memory", images.unload)
        self.progress = JobBar(images.jobs)
        self.warning = ui.warning_sign()
        self.status = ui.wrapped()
        notice = hint(Label(NOTICE))
        self.preferences_button = ui.button(
            "Preferences…",
            "Model, device, colours and annotator that a new window starts with",
            lambda: edit_preferences(self),
        )
        keys = ui.button("Keys ?", key_table(), lambda: show_keys(self.window()))

        ui.column(
            self,
            row(self.compute_button, self.progress, self.unload_button, self.preferences_button),
            row(self.warning, self.status, stretch=1),
            row(notice, keys),
        )

        self.progress.cancel_button.clicked.connect(images.cancel)
        self.progress.turned.connect(self._refresh)
        self.progress.said.connect(self._on_told)
        self.listen(self.context.status.told, self._on_told)
        self.listen(self.session.events.model, self._refresh)
        self.listen(self.session.events.image, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        busy = self.jobs.busy
        self.compute_button.setEnabled(not busy)
        self.compute_button.setVisible(not busy)
        self.unload_button.setEnabled(self.session.model is not None)
        self._on_told(*((self.progress.text, False) if busy else self.context.status.last_told))

    def _on_told(self, text: str, error: bool = False) -> None:
        self.warning.setVisible(error)
        self.status.setText(text)


def key_table() -> str:
    """Every key and what it does, as a table for a tooltip."""
    return (
        "<table>"
        + "".join(f"<tr><td><b>{key}</b>&nbsp;</td><td>{help}</td></tr>" for key, help in help_rows())
        + "</table>"
    )
