"""What a published model needs before it can be loaded: its size, and a button that downloads it."""

from qtpy.QtWidgets import QApplication, QMessageBox

from ...widgets import ui
from ...widgets.parts import Part
from ...widgets.plain import ElidedLabel, plain
from ..controller import ImageController
from ..tasks import missing_model


class DownloadPart(Part):
    """Shown while the chosen model is a published one whose files are not here."""

    def __init__(self, images: ImageController) -> None:
        super().__init__(images.context)
        self.images = images
        self.text = ElidedLabel()
        tip = "Ask for the exact size and the licence, then download the model. Cancel keeps what was fetched"
        self.button = ui.button("Download…", tip, self._download)
        ui.form(self).addRow(self.text, self.button)
        self.listen(images.jobs.started, self.refresh)
        self.listen(images.jobs.ended, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Look again whether the files are here."""
        missing = missing_model(self.images.choice.name)
        self.setVisible(missing is not None)
        self.button.setEnabled(not self.images.jobs.busy)
        if missing is not None:
            model, state = missing
            self.text.setText(state)
            self.text.setToolTip(plain(f"{model.about}\n{model.licence}"))

    def _download(self) -> None:
        if (name := self.images.choice.name) is not None:
            self.images.download(name, accept)


def accept(name: str, files: str) -> bool:
    """Have a person accept sizes and licences."""
    text = f"{files}\n\nDownload, and accept the licence?"
    answer = QMessageBox.question(QApplication.activeWindow(), f"Download {name}", plain(text))
    return bool(answer == QMessageBox.StandardButton.Yes)
