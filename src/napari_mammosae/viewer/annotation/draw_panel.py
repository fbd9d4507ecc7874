"""Draw, correct and save annotated boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from ...core.annotations.image_boxes import texts
from ...core.base.names import slug
from ...core.base.text import readable
from ..widgets.parts import Part, row
from ..widgets.plain import Label, plain
from .controller import NOT_BLIND
from .files import finding_titles

if TYPE_CHECKING:
    from .controller import BoxEditor

FILES = "Plain CSV (*.csv);;COCO JSON (*.json)"


class DrawPart(Part):
    """Tools, the finding and note of the selected box, undo, and saving.

    Attributes
    ----------
    box
        Row of the box that finding and note belong to; None for the next one to be drawn.
    """

    def __init__(self, editor: BoxEditor) -> None:
        super().__init__(editor.context)
        self.editor = editor
        self.edit_button = QPushButton("Edit boxes")
        self.edit_button.setCheckable(True)
        self.edit_button.setToolTip("Draw and correct the annotated boxes of this image")
        self.draw_button, self.select_button = QPushButton("Draw"), QPushButton("Select")
        self.draw_button.setToolTip("Drag over the image to draw a box")
        self.select_button.setToolTip("Click a box to select it; drag it or its corners; Delete removes it")
        self._tools = QButtonGroup(self)
        for button in (self.draw_button, self.select_button):
            button.setCheckable(True)
            self._tools.addButton(button)
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.undo_button.setToolTip("Undo the last change to this image's boxes (Ctrl+Z over the image)")
        self.redo_button.setToolTip("Redo it (Ctrl+Shift+Z over the image)")
        self.finding_box = QComboBox()
        self.finding_box.setEditable(True)
        self.finding_box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.finding_box.setToolTip("Finding of the selected box, and of new ones; choose or type one")
        self.note_edit = QLineEdit()
        self.note_edit.setPlaceholderText("no note")
        self.note_edit.setToolTip("Note on the selected box, saved with it")
        self.remove_button = QPushButton("Delete")
        self.remove_button.setToolTip("Delete the selected box (undo brings it back)")
        self.about = Label()
        self.about.setWordWrap(True)
        self.save_button = QPushButton("Save boxes…")
        self.save_button.setToolTip("Write the boxes of all images to a CSV or COCO file of your choice")
        self.state = Label()
        self.state.setWordWrap(True)
        self.draft_text = Label()
        self.draft_text.setWordWrap(True)
        self.restore_button, self.discard_button = QPushButton("Restore"), QPushButton("Discard")
        self.restore_button.setToolTip("Continue with the boxes that were not saved last time")
        self.discard_button.setToolTip("Discard these boxes. This cannot be undone.")
        self.draft = QWidget()
        kept = QVBoxLayout(self.draft)
        kept.setContentsMargins(0, 0, 0, 0)
        kept.addWidget(self.draft_text)
        kept.addWidget(row(self.restore_button, self.discard_button))

        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Finding", self.finding_box)
        form.addRow("Note", row(self.note_edit, self.remove_button))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.draft)
        layout.addWidget(row(self.edit_button, self.draw_button, self.select_button))
        layout.addWidget(self.about)
        layout.addLayout(form)
        layout.addWidget(row(self.undo_button, self.redo_button, self.save_button, stretch=2))
        layout.addWidget(self.state)
        layout.addStretch(1)

        self.edit_button.toggled.connect(self._edit)
        self.draw_button.clicked.connect(self._draw)
        self.select_button.clicked.connect(self._select)
        self.undo_button.clicked.connect(editor.undo)
        self.redo_button.clicked.connect(editor.redo)
        self.finding_box.activated.connect(self._take_finding)
        self.finding_box.lineEdit().editingFinished.connect(self._take_finding)
        self.note_edit.editingFinished.connect(self._take_note)
        self.remove_button.clicked.connect(self._remove)
        self.save_button.clicked.connect(self._save)
        self.restore_button.clicked.connect(editor.restore_draft)
        self.discard_button.clicked.connect(editor.discard_draft)
        self.listen(editor.changed, self.refresh)
        self.listen(self.session.events.findings, self.refresh)
        self.listen(editor.jobs.ended, self.refresh)
        self.refresh()

    @property
    def box(self) -> int | None:
        """Row of the selected box."""
        return self.editor.selected

    def refresh(self, *_: object) -> None:
        """Follow the editor."""
        editor = self.editor
        editing, tool, box = editor.editing, editor.tool, self.box
        with signals_blocked(self.edit_button):
            self.edit_button.setChecked(editing)
        self.edit_button.setEnabled(self.session.image is not None and not self.session.blind)
        self._tools.setExclusive(False)  # so that neither can be down
        for button, name in ((self.draw_button, "draw"), (self.select_button, "select")):
            button.setEnabled(editing)
            button.setChecked(editing and tool == name)
        self._tools.setExclusive(True)
        self.undo_button.setEnabled(editor.can_undo)
        self.redo_button.setEnabled(editor.can_redo)
        self.remove_button.setEnabled(box is not None)
        self.note_edit.setEnabled(box is not None)
        self.finding_box.setEnabled(editing)
        self._show_box(box)
        self.about.setText(self._about(editing, box))
        findings, unsaved = self.session.findings, len(editor.unsaved)
        self.save_button.setEnabled(findings is not None and not editor.jobs.busy)
        self.state.setText(
            f"Not saved yet: changes on {unsaved} image{'s' * (unsaved > 1)}. A draft is kept until you save them."
            if unsaved
            else ""
        )
        self.state.setVisible(bool(unsaved))
        draft = editor.draft
        self.draft.setVisible(draft is not None and not self.session.blind)
        if draft is not None:
            n = len(draft.boxes)
            boxes = f"{n} box" if n == 1 else f"{n} boxes"
            self.draft_text.setText(f"{boxes} on this image, left unsaved on {draft.saved:%Y-%m-%d at %H:%M}.")

    def _show_box(self, box: int | None) -> None:
        boxes = self.editor.boxes() if box is not None else None
        finding, note = self.editor.finding, ""
        if box is not None and boxes is not None and box < len(boxes):
            finding, note = str(boxes["finding"].iloc[box]), texts(boxes, "note")[box]
        if not self.finding_box.lineEdit().hasFocus():
            with signals_blocked(self.finding_box):
                titles = finding_titles(self.session.findings)
                self.finding_box.clear()
                for name, title in titles.items():
                    self.finding_box.addItem(title, name)
                self.finding_box.setCurrentIndex(self.finding_box.findData(finding))
                self.finding_box.setEditText(readable(finding))
        if not self.note_edit.hasFocus():
            self.note_edit.setText(note)

    def _about(self, editing: bool, box: int | None) -> str:
        if self.session.image is None:
            return "Open a mammogram to draw on it."
        if self.session.blind:
            return NOT_BLIND
        if not editing:
            return "Press Edit boxes to draw missing boxes or correct existing ones."
        if box is not None:
            return f"Box {box + 1}: edit its finding and note here."
        if self.editor.tool == "draw":
            return "Drag over the image to draw a box of the finding below."
        return "Click a box to select it."

    def _edit(self, on: bool) -> None:
        if on:
            self.editor.start()
        else:
            self.editor.stop()
        self.refresh()

    def _draw(self) -> None:
        self.editor.tool = "draw"

    def _select(self) -> None:
        self.editor.tool = "select"

    def _remove(self) -> None:
        if (box := self.box) is not None:
            self.editor.remove(box)

    def _take_finding(self, *_: object) -> None:
        finding = slug(self.finding_box.currentText())
        if not finding:
            self.context.status.tell("A finding needs a name with Latin letters or digits.", error=True)
        elif (box := self.box) is not None:
            self.editor.set_finding(box, finding)
        else:
            self.editor.finding = finding

    def _take_note(self) -> None:
        if (box := self.box) is not None:
            self.editor.set_note(box, self.note_edit.text().strip())

    def _save(self) -> None:
        name, chosen = QFileDialog.getSaveFileName(
            self, "Save boxes", "boxes.csv", FILES, options=QFileDialog.Option.DontConfirmOverwrite
        )
        if not name:
            return
        path = Path(name)
        if path.suffix.lower() not in (".csv", ".json"):  # asked below about the name that is written
            path = path.with_name(path.name + (".json" if "json" in chosen else ".csv"))
        if may_replace(self, path):
            self.editor.save(path)
            self.refresh()


def may_replace(parent: QWidget, path: Path) -> bool:
    """Ask before a file is replaced; nothing to ask where there is none."""
    if not path.exists():
        return True
    answer = QMessageBox.question(parent, "Replace the file?", plain(f"{path.name} exists already. Replace it?"))
    return bool(answer == QMessageBox.StandardButton.Yes)
