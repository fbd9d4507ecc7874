"""The exam in the *Images* dock: what is shown, steps from one to the next, and the figures of the latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QCheckBox, QHeaderView, QTreeWidget, QTreeWidgetItem

from ...core.base.text import counted
from ...core.exams.figures import compare_sides, compare_views
from ..app.keymap import tooltip
from ..widgets import ui
from ..widgets.parts import Part, hint, row
from ..widgets.plain import ElidedLabel, plain

if TYPE_CHECKING:
    from ...core.exams.figures import SideDifference, ViewAgreement, ViewFigures
    from .controller import ExamView

NO_RUN = "Open a run to see the images of a patient together."
LEAD = "Show exam puts all views of the patient beside each other, with the same latent over each."
_MS = 60  # the figures follow once the slider rests
_SIDES = {"R": "Right", "L": "Left"}


class ExamPart(Part):
    """Shows an exam, goes to the next one, and compares its views."""

    def __init__(self, exam: ExamView) -> None:
        super().__init__(exam.context)
        self.exam = exam
        self._later = self.debounced(self._show_figures, _MS)
        self.title = ElidedLabel()
        self.show_button = ui.button(
            "Show exam",
            tooltip("All views of the exam together", "toggle_exam"),
            self._toggle,
            checkable=True,
        )
        self.previous_button = ui.button(
            "◀ Previous exam", tooltip("Previous exam of the run", "previous_exam"), exam.previous_exam
        )
        self.next_button = ui.button("Next exam ▶", tooltip("Next exam of the run", "next_exam"), exam.next_exam)
        self.prior_box = ui.tipped(
            QCheckBox("With prior"), "Show the patient's previous exam on the right; needs studies with known dates"
        )
        self.table = _ViewTable()
        self.notes = ui.tipped(
            hint(ui.wrapped()),
            "Left minus right; in brackets and for the area as a share of both together, from -100 % (right alone) to "
            "+100 % (left alone). A structure lies about as far from the nipple in CC as in MLO.",
        )
        walk = row(self.previous_button, self.next_button)
        walk.layout().setStretch(1, 1)
        ui.column(
            self,
            self.title,
            row(self.show_button, self.prior_box),
            self.table,
            self.notes,
            walk,
            grow=self.table,
            spacing=4,
        )
        self.prior_box.clicked.connect(self._choose_prior)
        self.table.itemActivated.connect(self._go_to)
        for event in (exam.changed, exam.toggled, exam.browser.moved):
            self.listen(event, self.follow)
        self.listen(exam.stepped, self._later)
        self.refresh()

    def _toggle(self) -> None:
        self.exam.toggle()
        self.refresh()  # reading takes a while, and it may not come to anything

    def _choose_prior(self) -> None:
        self.exam.with_prior = self.prior_box.isChecked()

    def _go_to(self, item: QTreeWidgetItem) -> None:
        """Make a view the image that the other docks are about."""
        shown, at = self.exam.shown, self.table.indexOfTopLevelItem(item)
        if shown is not None and at < len(shown.images):
            self.exam.browser.show(shown.images[at].row)

    def refresh(self) -> None:
        """Follow the exam."""
        exams, place = self.exam.exams, self.exam.place
        self.setEnabled(self.session.run is not None)
        if self.session.run is None:
            self.title.setText(NO_RUN)
        elif place is None:
            self.title.setText(counted(len(exams), "exam"))
        else:
            self.title.setText(f"{exams[place].title} ({place + 1:,} of {len(exams):,})")
        self.show_button.setChecked(self.exam.shown is not None)
        self.previous_button.setEnabled(bool(place))
        self.next_button.setEnabled(place is None or place + 1 < len(exams))
        self.prior_box.setChecked(self.exam.with_prior)
        self.prior_box.setEnabled(self.exam.with_prior or self.exam.has_prior)
        self._show_figures()

    def _show_figures(self) -> None:
        shown, figures = self.exam.shown, self.exam.figures()
        if shown is None:
            self.table.clear()
            self.notes.setText(LEAD)
            return
        names = [shown.title_of(one) for one in shown.images]
        self.table.fill(names, figures)
        own = [one for one, image in zip(figures, shown.images, strict=True) if one and image.row in shown.exam.rows]
        lines = [*map(side_line, compare_sides(own)), *map(agreement_line, compare_views(own))]
        if any(image.mirrored for image in shown.images):
            lines.append("Mirrored views: left and right exchanged, so that the chest wall is in the middle")
        self.notes.setText("\n".join(lines) or "Left and right, CC and MLO are compared where an exam has both.")


class _ViewTable(QTreeWidget):
    """One row a view; activating one goes to its image."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("The latent on the views of the exam")
        self.setColumnCount(4)
        self.setHeaderLabels(["View", "Maximum", "Area", "To nipple"])
        for column, tip in enumerate(
            (
                "Side and view, else the name of the image",
                "Largest activation of the latent",
                "Area of the cells in which the latent fires: in the breast where the pixel size is known",
                "From the strongest cell to the nipple, whose place is estimated from the breast's outline",
            )
        ):
            self.headerItem().setToolTip(column, tip)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)  # a name gives way to the figures

    def sizeHint(self) -> QSize:
        """Four views without scrolling."""
        height = self.header().sizeHint().height() + 5 * (self.fontMetrics().height() + 6)
        return QSize(super().sizeHint().width(), height)

    def minimumSizeHint(self) -> QSize:
        """Little: a low window scrolls."""
        return QSize(120, 90)

    def fill(self, names: list[str], figures: list[ViewFigures | None]) -> None:
        """Show other figures; the rows stay where they are as long as the views do."""
        if [self.topLevelItem(at).text(0) for at in range(self.topLevelItemCount())] != names:
            self.clear()
            self.addTopLevelItems([QTreeWidgetItem([name]) for name in names])
            for at, name in enumerate(names):
                self.topLevelItem(at).setToolTip(0, plain(name))
        for at, one in enumerate(figures):
            for column, text in enumerate(view_texts(one), 1):
                self.topLevelItem(at).setText(column, text)
                self.topLevelItem(at).setTextAlignment(column, Qt.AlignmentFlag.AlignRight)


def view_texts(figures: ViewFigures | None) -> tuple[str, str, str]:
    """Maximum, area and distance as people read them; dashes where there is nothing."""
    if figures is None:
        return "–", "–", "–"
    if not figures.cells:
        return "silent", "–", "–"
    area = f"{figures.area / 100:.3g} cm²" if figures.in_mm else f"{figures.area:,.0f} px²"
    return f"{figures.maximum:.3g}", area, _length(figures.nipple_distance, figures.in_mm)


def side_line(difference: SideDifference) -> str:
    """Left minus right of a view, in a line."""
    if np.isnan(difference.maximum_share):
        return f"{difference.view}: silent on both sides"
    area = "" if np.isnan(difference.area_share) else f", area {difference.area_share:+.0%}"
    maximum = f"{difference.maximum:+.3g} ({difference.maximum_share:+.0%})"
    return f"{difference.view}, left - right: maximum {maximum}{area}"


def agreement_line(agreement: ViewAgreement) -> str:
    """How far from the nipple the latent is strongest in both views of a breast, in a line."""
    cc, mlo, apart = (_length(one, agreement.in_mm) for one in (agreement.cc, agreement.mlo, agreement.difference))
    return f"{_SIDES[agreement.laterality]} breast, to nipple: CC {cc}, MLO {mlo}, difference {apart}"


def _length(value: float | None, in_mm: bool) -> str:
    return "–" if value is None else f"{value:.0f} mm" if in_mm else f"{value:,.0f} px"
