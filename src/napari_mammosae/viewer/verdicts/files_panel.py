"""Who judges, in which file, and what goes in and out of it: export, merge, agreement."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QLabel, QLineEdit, QMenu, QPushButton

from ...core.base.errors import MammoSAEError
from ...core.verdicts.store import VERDICTS
from ..app.jobs import Jobs
from ..widgets.parts import NOTICE, Part, row

if TYPE_CHECKING:
    from ...core.base.progress import Report
    from ...core.verdicts.agreement import Agreement
    from ...core.verdicts.exchange import Merged
    from ...core.verdicts.store import Subject
    from ..image.controller import Controller

EXPORTS = "CSV (*.csv);;JSON (*.json)"
IMPORTS = "Verdicts (*.csv *.json *.sqlite *.db);;All files (*)"
FILES = "Verdict files (*.sqlite);;All files (*)"


class VerdictFilesPart(Part):
    """Chooses annotator and file, and moves verdicts in and out. Nothing here is deleted or overwritten unasked."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.reviewer, self.book = controller.reviewer, controller.reviewer.book
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self.annotator = QLineEdit(self.book.annotator)
        self.annotator.setToolTip("Who judges; verdicts of others stay as they are")
        self.file, self.file_button = QLabel(), QPushButton("Change")
        menu = QMenu(self.file_button)
        menu.addAction("Another file…").triggered.connect(self._choose_file)
        menu.addAction("The usual place").triggered.connect(lambda: self._use(None))
        self.file_button.setMenu(menu)
        self.export_button, self.merge_button = QPushButton("Export…"), QPushButton("Import / merge…")
        self.export_button.setToolTip("Write the verdicts as CSV or JSON, with where they come from; no screenshots")
        self.merge_button.setToolTip("Add verdicts of other files; the same file twice changes nothing")
        self.whole_log = QCheckBox("with history")
        self.whole_log.setToolTip("Every decision and undo, not only what holds now")
        self.first, self.second = QComboBox(), QComboBox()
        self.compare_button = QPushButton("Agreement")
        self.compare_button.setToolTip("Cohen's kappa of two annotators over the latents that both judged")
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for box in (self.first, self.second):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(6)
        form = QFormLayout(self)
        form.setContentsMargins(2, 4, 2, 2)
        form.setVerticalSpacing(4)
        form.addRow("Annotator", self.annotator)
        form.addRow("File", row(self.file, self.file_button))
        form.addRow(row(self.export_button, self.whole_log, self.merge_button))
        form.addRow(row(self.first, self.second, self.compare_button))
        form.addRow(self.result)

        self.annotator.editingFinished.connect(self._on_annotator)
        self.export_button.clicked.connect(self._choose_export)
        self.merge_button.clicked.connect(self._choose_merge)
        self.compare_button.clicked.connect(self.compare)
        self.listen(self.book.changed, self._refresh)
        self._refresh()

    def export(self, path: Path) -> None:
        """Write the verdicts on the current model's latents to a CSV or JSON file."""
        work = partial(_export, self.book.path, path, self.book.subject, not self.whole_log.isChecked())
        self.jobs.start(f"Exporting {path.name}", work, self._exported, self._failed)

    def merge(self, paths: list[Path]) -> None:
        """Add the verdicts of other files."""
        work = partial(_merge, self.book.path, self.book.annotator, paths)
        self.jobs.start("Merging verdicts", work, self._merged, self._failed)

    def compare(self) -> None:
        """Work out how far the two chosen annotators agree."""
        work = partial(_compare, self.book.path, self.first.currentText(), self.second.currentText(), self.book.subject)
        self.jobs.start("Comparing", work, self._compared, self._failed)

    def _exported(self, path: Path) -> None:
        self.result.setText(f"{path.name} written. {NOTICE}")

    def _merged(self, found: list[Merged]) -> None:
        self.book.reload()
        self.result.setText(
            "\n".join(f"{one.source}: {one.added:,} new, {one.known:,} known already." for one in found)
        )

    def _compared(self, found: Agreement) -> None:
        first, second = found.annotators
        if not found.n:
            self.result.setText(f"{first} and {second} have judged no latent in common.")
            return
        kappa = f"{found.kappa:.3f}" if found.kappa == found.kappa else "undefined (one verdict only)"
        lines = [
            f"Cohen's kappa {kappa} over {found.n:,} latents; the same verdict on {found.observed:.0%}.",
            f"Judged by one alone: {found.only_first:,} and {found.only_second:,}.",
        ]
        lines += [
            f"{first} {VERDICTS[i]}, {second} {VERDICTS[j]}: {int(found.counts[i, j]):,}"
            for i in range(len(VERDICTS))
            for j in range(len(VERDICTS))
            if i != j and found.counts[i, j]
        ]
        self.result.setText("\n".join(lines))

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.controller.report_failure(error)
        self.result.setText(str(error))

    def _refresh(self, *_: object) -> None:
        path, run = self.book.path, self.session.run
        usual = run is not None and path.parent == run.path
        self.file.setText(f"{path.name} in {'the run' if usual else path.parent.name}")
        self.file.setToolTip(f"{path}\n{self.book.notice}".strip())
        if not self.annotator.hasFocus():
            self.annotator.setText(self.book.annotator)
        others = {event.annotator for events in self.book.others.values() for event in events}
        names = sorted(others | ({self.book.annotator} if self.book.mine else set()))
        for place, box in enumerate((self.first, self.second)):
            if names != [box.itemText(i) for i in range(box.count())]:
                chosen = box.currentText()
                box.clear()
                box.addItems(names)
                box.setCurrentIndex(names.index(chosen) if chosen in names else min(place, len(names) - 1))
        if len(names) > 1 and self.first.currentText() == self.second.currentText():
            self.second.setCurrentIndex((self.first.currentIndex() + 1) % len(names))
        blind = self.session.blind
        self.compare_button.setEnabled(len(names) > 1 and not blind)
        self.export_button.setEnabled(bool(names))
        self.merge_button.setEnabled(self.book.subject is not None)
        if self.book.notice:
            self.result.setText(self.book.notice)

    def _on_annotator(self) -> None:
        self.reviewer.set_annotator(self.annotator.text())

    def _use(self, path: Path | None) -> None:
        try:
            self.reviewer.use_file(path)
        except MammoSAEError as error:
            self.result.setText(str(error))

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "File for verdicts", str(self.book.path), FILES, options=QFileDialog.Option.DontConfirmOverwrite
        )  # an existing file is gone on with, not overwritten
        if name:
            self._use(Path(name))

    def _choose_export(self) -> None:
        name, chosen = QFileDialog.getSaveFileName(self, "Export verdicts", "verdicts.csv", EXPORTS)
        if name:
            path = Path(name)
            self.export(path if path.suffix else path.with_suffix(".json" if "json" in chosen else ".csv"))

    def _choose_merge(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Verdicts to add", "", IMPORTS)
        if names:
            self.merge([Path(name) for name in names])


def _export(file: Path, path: Path, subject: Subject | None, current: bool, report: Report) -> Path:
    from ...core.verdicts.exchange import export_verdicts
    from ...core.verdicts.store import VerdictStore

    report(f"Writing {path.name}")
    with VerdictStore(file, create=False) as store:
        return export_verdicts(store, path, subject=subject, current=current)


def _merge(file: Path, annotator: str, paths: list[Path], report: Report) -> list[Merged]:
    from ...core.verdicts.exchange import merge_verdicts
    from ...core.verdicts.store import VerdictStore

    report("Merging verdicts")
    with VerdictStore(file, annotator) as store:
        return merge_verdicts(store, paths)


def _compare(file: Path, first: str, second: str, subject: Any, report: Report) -> Agreement:
    from ...core.verdicts.agreement import cohen_kappa
    from ...core.verdicts.store import VerdictStore

    report("Comparing")
    with VerdictStore(file, create=False) as store:
        return cohen_kappa(store, first, second, subject)
