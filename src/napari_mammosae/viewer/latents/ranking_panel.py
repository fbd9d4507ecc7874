"""Choose the ranking of the open run: which label, which class, by which score."""

from superqt.utils import signals_blocked

from ...core.ranking.titles import SCORES
from ..widgets import ui
from ..widgets.parts import Part, hint, row
from .ranking import LatentRanking

ALL_IMAGES = "all images"


class RankingPart(Part):
    """The three choosers, and what there is to say about the ranking."""

    def __init__(self, ranking: LatentRanking) -> None:
        super().__init__(ranking.context)
        self.ranking = ranking
        self.label_box = ui.chooser(4, "Label of the run's images")
        self.class_box = ui.chooser(5, "Class to compare with the rest")
        self.score_box = ui.chooser(4, "Score that ranks the latents")
        self.protocol_box = ui.protocol_box()
        self.choosers = row(self.label_box, self.class_box, self.score_box)
        self.choosers.layout().setStretch(2, 1)  # names of scores are as long as those of labels
        self.note = hint(ui.wrapped())
        ui.column(self, self.choosers, self.protocol_box, self.note, spacing=2)

        self.label_box.activated.connect(lambda: ranking.choose(label=self.label_box.currentData()))
        self.class_box.activated.connect(lambda: ranking.choose(category=self.class_box.currentData()))
        self.score_box.activated.connect(lambda: ranking.choose(score=self.score_box.currentData()))
        self.protocol_box.toggled.connect(lambda on: ranking.choose(protocol="paper" if on else None))
        self.listen(ranking.chosen, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow the ranking."""
        run, ranking = self.session.run, self.ranking
        for widget in (self.choosers, self.protocol_box):
            widget.setVisible(run is not None)
        self.note.setText(ranking.note)
        if run is None:
            return
        with signals_blocked(self.protocol_box):
            self.protocol_box.setChecked(ranking.choice.protocol is not None)
        labels = [(name.replace("_", " "), name) for name in run.labels]
        ui.offer(self.label_box, [*labels, (ALL_IMAGES, "")], ranking.choice.label)
        ui.offer(self.class_box, [(name, number) for number, name in ranking.classes], ranking.choice.category)
        self.class_box.setVisible(bool(ranking.choice.label))
        ui.offer(
            self.score_box, [(SCORES[key][0], key, SCORES[key][1]) for key in ranking.scores], ranking.choice.score
        )
