"""What is known about the current latent: over the run, about the prediction, its neighbours, its images."""

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ...core.base.text import readable
from ...core.runs.classes import classes_of
from ..app.jobs import Jobs
from ..widgets import ui
from ..widgets.parts import Part, flatten
from ..widgets.plain import Label
from ..widgets.small_plot import class_colors
from .facts import LatentFacts, Neighbours, facts_of
from .gallery.panel import Gallery
from .gallery.pictures import GalleryPictures
from .plots import ActivationPlot, ClassMeansPlot
from .ranking import LatentRanking

_DELAY = 120  # milliseconds: walking through the table with a key held down asks for nothing
RUN_NEEDED = "Open a run to see how the latent behaves over many images."
MODEL_NEEDED = "Load the model to see what the latent adds to its logits."
READING = "Reading …"
_ROLE = Qt.ItemDataRole.UserRole


class LatentDetail(Part):
    """Tabs below the table. Numbers are worked out in a thread a moment after the last move."""

    def __init__(self, ranking: LatentRanking, pictures: GalleryPictures) -> None:
        super().__init__(ranking.context)
        self.ranking = ranking
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self._facts: LatentFacts | None = None
        self._later = self.debounced(self._update, _DELAY)
        self.gallery = Gallery(pictures)
        self._undo.callback(self.gallery.cleanup)
        self.histogram, self.means = ActivationPlot(), ClassMeansPlot()
        self.run_note, self.logit_note = Label(), Label()
        self.logits = QTableWidget(0, 3)
        self.logits.setAccessibleName("What the latent adds to each logit")
        self.by_decoder, self.by_images = (
            NeighbourList("by decoder direction"),
            NeighbourList("by activation"),
        )
        self.decoder_note, self.images_note, self.model_note = ui.wrapped(), ui.wrapped(), ui.wrapped()
        self.model_note.hide()
        self.tabs = QTabWidget()
        flatten(self.tabs)
        self.tabs.addTab(self.gallery, "Images")
        self._run_page, self._logit_page = self._run_tab(), self._logit_tab()
        self.tabs.addTab(self._run_page, "Over the run")
        self.tabs.addTab(self._logit_page, "Logit")
        self._near_page = self._near_tab()
        self.tabs.addTab(self._near_page, "Nearest")
        ui.column(self, self.model_note, self.tabs)

        self.tabs.currentChanged.connect(self.refresh)
        for chosen in (self.by_decoder, self.by_images):
            chosen.itemClicked.connect(self._go_to)
            chosen.itemActivated.connect(self._go_to)
        events = self.session.events
        for event in (events.current, events.run, events.model):
            self.listen(event, self.follow)
        self.listen(ranking.ranked, self.refresh)
        self.listen(events.maps, self._show_logits)
        self.listen(events.blind, self._on_blind)
        self._on_blind()
        self._show(None)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Look at the session again, a moment after the last change."""
        if self._facts is None:  # what is missing is said at once
            self._show(None)
        self._later()

    def _on_blind(self, *_: object) -> None:
        """Hide what could sway a judge."""
        for page in (self._run_page, self._logit_page):
            self.tabs.setTabVisible(self.tabs.indexOf(page), not self.session.blind)

    def _update(self) -> None:
        session = self.session
        latent, run, handle = session.current, self._run(), session.handle
        notes = () if session.model is None else session.model.notes
        self.model_note.setText(" ".join(f"{note}." for note in notes))
        self.model_note.setVisible(bool(notes))
        if self.tabs.currentWidget() is self.gallery:
            self.gallery.show_latent(latent if run is not None else None)
            return
        if latent is None or (run is None and handle is None):
            self._show(None)
            return
        label = self.ranking.choice.label
        label = label if run is not None and label in run.labels else ""
        names = dict(classes_of(run, label)) if run is not None and label else {}
        near = self.tabs.currentWidget() is self._near_page
        work = partial(facts_of, latent, run, label, names, handle, near=near)
        self.jobs.start(f"Latent {latent}", work, self._show, self._failed)

    def _run(self) -> Any:
        """The open run, if it is one of this SAE."""
        run, model = self.session.run, self.session.model
        other = run is not None and model is not None and model.n_latents != run.n_latents
        return None if other else run

    def _failed(self, error: Exception) -> None:
        self._show(None)
        self.run_note.setText(str(error))

    def _show(self, facts: LatentFacts | None) -> None:
        self._facts = facts
        bars = facts.histogram if facts is not None else None
        self.histogram.setVisible(bars is not None)
        self.means.setVisible(bars is not None)
        self.histogram.show_bars(bars)
        self.means.show_means(facts.means if facts is not None else ())
        if bars is None:
            self.run_note.setText(RUN_NEEDED if self._run() is None else READING)
        else:
            total = bars.fires + bars.silent
            note = next((one.note for one in facts.means if one.note), "") if facts is not None else ""
            share = bars.fires / max(total, 1)
            self.run_note.setText(
                f"Fires on {bars.fires:,} of {total:,} images ({share:.1%}).{colour_key(bars.names)}"
                + (f"<br>No interval: {escape(note)}." if note else "")
            )
        self._show_logits()
        self.by_decoder.show_neighbours(facts.by_decoder if facts is not None else None, self.session.verdicts)
        self.by_images.show_neighbours(facts.by_images if facts is not None else None, self.session.verdicts)
        self.decoder_note.setText(
            "Load the model to see these."
            if self.session.model is None
            else READING
            if facts is None or facts.by_decoder is None
            else "Decoder cosine"
        )
        self.images_note.setText(
            "Open a run to see these."
            if self._run() is None
            else READING
            if facts is None
            else "Fires with (r, images in common)"
        )

    def _show_logits(self, *_: object) -> None:
        """What the latent adds to each logit: for one unit of its mean, on this image, and on average over the run."""
        facts, model, maps = self._facts, self.session.model, self.session.maps
        known = facts is not None and facts.weights is not None and model is not None
        self.logits.setVisible(known)
        if not known or facts is None or facts.weights is None or model is None:
            obstacle = model.obstacle if model is not None else ""
            lacks = READING if facts is None and model is not None else MODEL_NEEDED
            self.logit_note.setText(f"{obstacle}." if obstacle else lacks)
            return
        self.logit_note.setText("Adds to the logit: its mean activation times (head · decoder column).")
        here = float(maps.pooled_mean[facts.latent]) if maps is not None else None
        self.logits.setRowCount(len(model.classes))
        self.logits.setVerticalHeaderLabels([readable(name) for name in model.classes])
        for line, weight in enumerate(facts.weights):
            for place, mean in enumerate((1.0, here, facts.run_mean)):
                text = "—" if mean is None else f"{weight * mean:+.4g}"
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.logits.setItem(line, place, item)

    def _go_to(self, item: QListWidgetItem) -> None:
        self.session.current = int(item.data(_ROLE))

    def _run_tab(self) -> QWidget:
        plots = QHBoxLayout()
        plots.setSpacing(2)
        plots.addWidget(self.histogram, 1)
        plots.addWidget(self.means, 1)
        self.run_note.setTextFormat(Qt.TextFormat.RichText)
        return _tab(self.run_note, plots)

    def _logit_tab(self) -> QWidget:
        self.logits.setHorizontalHeaderLabels(["one unit", "here", "run mean"])
        self.logits.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.logits.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.logits.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.logits.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        return _tab(self.logit_note, self.logits)

    def _near_tab(self) -> QWidget:
        lists = QHBoxLayout()
        lists.setSpacing(4)
        for note, found in ((self.decoder_note, self.by_decoder), (self.images_note, self.by_images)):
            side = QVBoxLayout()
            side.setSpacing(2)
            side.addWidget(note)
            side.addWidget(found)
            lists.addLayout(side, 1)
        return _tab(lists)


class NeighbourList(QListWidget):
    """Latents near another one; clicking goes there."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.setAccessibleName(f"Nearest latents {what}")
        self.setToolTip("Click to go to that latent")
        self.setUniformItemSizes(True)

    def show_neighbours(self, found: Neighbours | None, verdict_of: Any) -> None:
        """List them, nearest first, with their verdicts; latents that share nothing are left out."""
        self.clear()
        self.setVisible(found is not None)
        if found is None:
            return
        shared = [""] * found.latents.size if found.common is None else [f"   {n:,}" for n in found.common]
        for latent, nearness, common in zip(found.latents, found.nearness, shared, strict=True):
            if nearness <= 0:
                continue
            verdict = (verdict_of(int(latent)) if verdict_of is not None else None) or ""
            item = QListWidgetItem(f"{latent}   {nearness:.3f}{common}   {verdict}".rstrip())
            item.setData(_ROLE, int(latent))
            self.addItem(item)


def _tab(*parts: Any) -> QWidget:
    """A tab with widgets and layouts one below the other, the last one with the room that is left."""
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(2, 4, 2, 2)
    layout.setSpacing(3)
    for index, part in enumerate(parts):
        stretch = 1 if index == len(parts) - 1 else 0
        if isinstance(part, QWidget):
            if isinstance(part, QLabel):
                part.setWordWrap(True)
            layout.addWidget(part, stretch)
        else:
            layout.addLayout(part, stretch)
    if len(parts) > 1:
        layout.addStretch(0)
    return page


def colour_key(names: Sequence[str]) -> str:
    """Say in HTML which colour stands for which class; names may be texts of somebody's table.

    >>> "a &lt; b" in colour_key(["a < b", "rest"])
    True
    """
    pairs = zip(names, class_colors(len(names)), strict=True)
    return "".join(f" <span style='color:{color}'>■</span>&nbsp;{escape(readable(name))}" for name, color in pairs)
