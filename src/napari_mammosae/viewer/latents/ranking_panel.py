"""Choose the ranking of the open run: which label, which class, by which score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QVBoxLayout

from ...core.ranking.titles import SCORES
from ..widgets.parts import Part, hint, row
from ..widgets.plain import Label

if TYPE_CHECKING:
    from .ranking import LatentRanking

ALL_IMAGES = "all images"


class RankingPart(Part):
    """The three choosers, and what there is to say about the ranking."""

    def __init__(self, ranking: LatentRanking) -> None:
        super().__init__(ranking.context)
        self.ranking = ranking
        self.label_box, self.class_box, self.score_box = QComboBox(), QComboBox(), QComboBox()
        for box, tip, width in (
            (self.label_box, "Label of the run's images", 8),
            (self.class_box, "Class to compare with the rest", 6),
            (self.score_box, "Score that ranks the latents", 7),
        ):
            box.setToolTip(tip)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(width)
        self.choosers = row(self.label_box, self.class_box, self.score_box)
        self.note = Label()
        self.note.setWordWrap(True)
        hint(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.choosers)
        layout.addWidget(self.note)

        self.label_box.activated.connect(lambda: ranking.choose(label=self.label_box.currentData()))
        self.class_box.activated.connect(lambda: ranking.choose(category=self.class_box.currentData()))
        self.score_box.activated.connect(lambda: ranking.choose(score=self.score_box.currentData()))
        self.listen(ranking.chosen, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow the ranking."""
        run, ranking = self.session.run, self.ranking
        self.choosers.setVisible(run is not None)
        self.note.setText(ranking.note)
        if run is None:
            return
        labels = [(name.replace("_", " "), name) for name in run.labels]
        _fill(self.label_box, [*labels, (ALL_IMAGES, "")], ranking.choice.label)
        _fill(self.class_box, [(name, number) for number, name in ranking.classes], ranking.choice.category)
        self.class_box.setVisible(bool(ranking.choice.label))
        if _fill(self.score_box, [(SCORES[key][0], key) for key in ranking.scores], ranking.choice.score):
            for at, key in enumerate(ranking.scores):
                self.score_box.setItemData(at, SCORES[key][1], Qt.ItemDataRole.ToolTipRole)


def _fill(box: QComboBox, items: list[tuple[str, Any]], chosen: Any) -> bool:
    """Show items and which one is chosen; True where they are other ones."""
    other = [(box.itemText(at), box.itemData(at)) for at in range(box.count())] != items
    if other:
        box.clear()
        for title, data in items:
            box.addItem(title, data)
    box.setCurrentIndex(box.findData(chosen))
    return other
