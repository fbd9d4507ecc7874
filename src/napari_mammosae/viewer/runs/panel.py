"""The *Images* dock: a run over many images, opened or made, and its images one after the other."""

from qtpy.QtWidgets import QSizePolicy, QStackedWidget

from ..widgets import ui
from ..widgets.parts import Dock, PageTabs, Scrolled
from .form_panel import RunForm
from .image_list import RunImageList
from .list_panel import ImageListPart
from .opener import RunOpener
from .pictures_panel import RunPictures
from .run_panel import RunPart
from .thumbnails import RunThumbnails


class ImagesPanel(Dock):
    """Opens a run and goes through its images; the current latent and the order stay."""

    def __init__(self, opener: RunOpener, images: RunImageList, thumbnails: RunThumbnails) -> None:
        super().__init__(opener.context)
        self.run = RunPart(opener)
        self.list = ImageListPart(images)
        self.form = RunForm(opener)
        self.pictures = RunPictures(thumbnails)
        self.own(self.run, self.list, self.form, self.pictures)
        self.pages = QStackedWidget()
        # else napari puts a stretch below it
        self.pages.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.tabs = PageTabs()
        self.tabs.add(self.list, "List", "The images of the run in a table")
        self.tabs.add(self.pictures, "Pictures", "The images of the run as pictures, by patient and study")
        self.pages.addWidget(self.tabs)
        self.pages.addWidget(Scrolled(self.form))
        ui.column(self, self.run, self.pages, grow=self.pages, spacing=4, margins=(6, 6, 6, 6))
        self.run.new_asked.connect(self._turn)
        self.form.started.connect(self._show_list)
        self.listen(self.session.events.run, self._show_list)

    def _turn(self) -> None:
        self.pages.setCurrentIndex(int(self.run.new_button.isChecked()))

    def _show_list(self, *_: object) -> None:
        self.run.new_button.setChecked(False)
        self._turn()
