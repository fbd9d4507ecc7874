"""The images of the open run: a filter, a table, and steps from one to the next."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit

from ..app.keymap import tooltip
from ..widgets import ui
from ..widgets.parts import Part, row
from ..widgets.plain import Label
from ..widgets.table_view import ColumnTableView
from .image_columns import ImageFilter, finding_choices, splits
from .image_list import RunImageList

NO_RUN = "Open a run to list its images here."
ALL, ANY_SPLIT = "all images", "any split"
_DELAY = 120  # milliseconds after the last key stroke


class ImageListPart(Part):
    """Choose among the run's images. What is listed is what next and previous go through."""

    def __init__(self, images: RunImageList) -> None:
        super().__init__(images.context)
        self.images, self.browser = images, images.browser
        self._later = self.debounced(self._filter, _DELAY)
        self.text = ui.tipped(QLineEdit(), "Words that must all occur in the image's name, patient, laterality or view")
        self.text.setPlaceholderText("Filter: name, patient, L, CC …")
        self.text.setClearButtonEnabled(True)
        self.split_box, self.finding_box = ui.chooser(8, "Part of the data set"), ui.chooser(8, "Filter by label")
        self.wrong = ui.tipped(QCheckBox("Wrong only"), "Only images on which the prediction differs from the label")
        self.table = images.table
        self.view = ColumnTableView(self.table, one_click=True)
        self.view.setAccessibleName("Images of the run")
        self.view.setMinimumHeight(90)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of images differ at their ends
        self.previous_button = ui.button(
            "◀ Previous", tooltip("Previous image of the list", "previous_image"), self.browser.previous_image
        )
        self.next_button = ui.button("Next ▶", tooltip("Next image of the list", "next_image"), self.browser.next_image)
        self.count = Label()
        self.root_note = ui.wrapped()
        self.root_button = ui.button(
            "Choose folder…", "A run stores the names of its images, not their folder", self._choose_root
        )
        self.root_row = row(self.root_note, self.root_button)

        ui.column(
            self,
            row(self.text, self.split_box),
            row(self.finding_box, self.wrong),
            self.view,
            self.root_row,
            row(self.previous_button, self.count, self.next_button, stretch=1),
            grow=self.view,
            spacing=4,
        )

        self.text.textChanged.connect(self._later)
        self.text.returnPressed.connect(self._filter)
        for box in (self.split_box, self.finding_box):
            box.activated.connect(self._filter)
        self.wrong.clicked.connect(self._filter)
        self.view.entered.connect(self.browser.show)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._show)
        self.listen(self.browser.moved, self._on_moved)
        self.listen(self.table.rearranged, self._on_rearranged)
        self._on_run()

    def _on_run(self, *_: object) -> None:
        run, wanted = self.session.run, self.images.filter
        known = splits(run) if run is not None else ()
        ui.offer(self.split_box, [(ANY_SPLIT, ""), *((name, name) for name in known)], wanted.split)
        self.finding_box.clear()
        self.finding_box.addItem(ALL, ("", 1.0))
        if run is not None:
            for words, label, value in finding_choices(run):
                self.finding_box.addItem(words, (label, value))
            self.listen(self.browser.files_of(run).changed, self._show_root)
        self.text.setText(wanted.text)
        self.wrong.setChecked(wanted.wrong)
        asked = [self.finding_box.itemData(at) for at in range(self.finding_box.count())]
        at = asked.index((wanted.label, wanted.value)) if (wanted.label, wanted.value) in asked else 0
        self.finding_box.setCurrentIndex(at)
        self.split_box.setVisible(self.split_box.count() > 1)
        self._later.cancel()
        self._show()
        self._show_root()

    def _show(self, *_: object) -> None:
        """Labels and predictions stay away from a blind judge."""
        self.finding_box.setEnabled(not self.session.blind)
        self.wrong.setEnabled(not self.session.blind)
        self.setEnabled(self.session.run is not None)
        self._on_rearranged()

    def _filter(self, *_: object) -> None:
        self._later.cancel()
        label, value = self.finding_box.currentData() or ("", 1.0)
        split = self.split_box.currentData() or ""
        self.images.filter = ImageFilter(self.text.text(), split, label, value, self.wrong.isChecked())

    def _on_rearranged(self) -> None:
        self._on_moved(self.browser.row)

    def _on_moved(self, at: int | None) -> None:
        self.view.go_to(at)
        run, listed = self.session.run, self.table.visible.size
        if run is None:
            self.count.setText(NO_RUN)
            return
        index = self.view.currentIndex()
        place = f"{index.row() + 1:,} of " if index.isValid() else ""
        total = "" if listed == len(run) else f" ({len(run):,})"
        self.count.setText(f"{place}{listed:,}{total}")

    def _show_root(self, *_: object) -> None:
        run = self.session.run
        lost = run is not None and len(run) > 0 and self.browser.files_of(run).path(0) is None
        self.root_row.setVisible(lost)
        self.root_note.setText("The run's image files were not found.")

    def _choose_root(self) -> None:
        name, run = QFileDialog.getExistingDirectory(self, "Folder of the run's images"), self.session.run
        if name and run is not None:
            files: Any = self.browser.files_of(run)
            files.root = Path(name)
            if files.path(0) is None:
                wanted = run.images["path"].iloc[0]
                self.root_note.setText(f"{Path(name).name} has no {wanted}; choose the folder above it.")
