"""What a user does to judge latents: a verdict on a key, the next one without, undo and redo, evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QTimer

from ...core.verdicts.store import Evidence
from ..app import keymap
from ..app.jobs import Jobs
from ..app.preferences import preferences, remember
from .book import VerdictBook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ...core.verdicts.store import Event, Verdict
    from ..image.controller import Controller

_LOOK_AGAIN = 2_000  # milliseconds between looks for what other programs wrote


class Reviewer:
    """Judges the current latent of a viewer. One a controller, as `controller.reviewer`.

    Attributes
    ----------
    book
        The verdicts.
    with_screenshot
        Whether a picture of the canvas is kept with each verdict.
    judged
        Emits (latent, sentence): what was just recorded or taken back.
    leaving
        Emits before another verdict, undo or redo is recorded, for forms to hand in what was typed.
    """

    judged = Signal(int, str)
    leaving = Signal()

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.session = controller.session
        with_qt = QCoreApplication.instance() is not None
        self._jobs = Jobs() if with_qt else None
        self.book = VerdictBook(self.session, preferences().annotator, self._jobs)
        self.book.failed.connect(self._on_failed)
        self.with_screenshot = False
        self._live: tuple[Any, NDArray[np.intp]] | None = None
        self._watch = QTimer(interval=_LOOK_AGAIN)
        self._watch.timeout.connect(self._poll)
        if with_qt:
            self._watch.start()
        viewer = controller.scene.viewer
        self._unbind: Callable[[], None] = (
            keymap.bind(viewer, self, keymap.REVIEW_KEYS) if viewer is not None else lambda: None
        )
        self.reload()

    def cleanup(self) -> None:
        """Hand in what was typed, close the file, let the keys go."""
        self.leaving.emit()
        self._watch.stop()
        self._unbind()
        self.book.close()

    def reload(self) -> None:
        """Read the verdict file again."""
        with self.controller.telling():
            self.book.reload()

    # Verdicts

    def judge_lesion(self) -> None:
        """The current latent sees lesions."""
        self.judge("lesion")

    def judge_anatomy(self) -> None:
        """The current latent sees normal anatomy."""
        self.judge("anatomy")

    def judge_spurious(self) -> None:
        """The current latent sees what has nothing to do with disease."""
        self.judge("spurious")

    def judge_unsure(self) -> None:
        """The current latent was looked at, without a result."""
        self.judge("unsure")

    def judge(self, verdict: Verdict | Literal[""]) -> None:
        """Record a verdict on the current latent; an empty one takes it back."""
        latent = self.session.current
        if latent is None:
            self.controller.tell("Choose a latent first.", error=True)
            return
        self.leaving.emit()
        with self.controller.telling():
            self._said(self.book.decide(latent, verdict, evidence=self.evidence()), "is")

    def describe(self, latent: int, *, concept: str | None = None, note: str | None = None) -> bool:
        """Record a concept or a note; True when it is on the disk."""
        with self.controller.telling():
            self.book.decide(latent, concept=concept, note=note, evidence=self.evidence())
            self.judged.emit(latent, f"Latent {latent}: saved.")
            return True
        return False

    def undo(self) -> None:
        """Take the last decision back and go to its latent."""
        self.leaving.emit()
        with self.controller.telling():
            self._stepped(self.book.undo(), "There is nothing to undo in this session.")

    def redo(self) -> None:
        """Decide again what was taken back, and go to its latent."""
        self.leaving.emit()
        with self.controller.telling():
            self._stepped(self.book.redo(), "There is nothing to redo.")

    def _stepped(self, event: Event | None, nothing: str) -> None:
        if event is None:
            self.controller.tell(nothing)
            return
        if event.subject == self.book.subject:
            self.session.current = event.latent
        self._said(event, "is again")

    def _said(self, event: Event, verb: str) -> None:
        text = f"{verb} {event.verdict}" if event.verdict else "has no verdict again"
        sentence = f"Latent {event.latent} {text}."
        self.controller.tell(sentence)
        self.judged.emit(event.latent, sentence)

    def evidence(self) -> Evidence:
        """What is on the screen: the image's identifier and how it is shown, never a path or a person."""
        image, scene = self.session.image, self.controller.scene
        viewer, stack = scene.viewer, scene.stack_layer
        if image is None or viewer is None:
            return Evidence()
        view: dict[str, Any] = {
            "zoom": round(float(viewer.scene.camera.zoom), 4),
            "center": [round(float(value), 1) for value in viewer.scene.camera.center[-2:]],
            "blind": self.session.blind,
        }
        if stack is not None:
            view["limits"] = [round(float(value), 6) for value in stack.contrast_limits]
        if image.laterality and image.view:
            view["projection"] = f"{image.laterality} {image.view}"
        return Evidence(image.image_id, view, self._screenshot() if self.with_screenshot else None)

    def _screenshot(self) -> bytes | None:
        """The canvas as a PNG; None where there is no window."""
        viewer: Any = self.controller.scene.viewer
        if not hasattr(viewer, "screenshot"):
            return None
        import cv2

        picture = viewer.screenshot(canvas_only=True, flash=False)
        encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., 2::-1]))
        return data.tobytes() if encoded else None

    # What is left to do

    def live_latents(self) -> NDArray[np.intp]:
        """Latents that fire on any image of the open run, else on the image shown, in ascending order."""
        run, maps, model = self.session.run, self.session.maps, self.session.model
        if run is not None and (model is None or model.n_latents == run.n_latents):
            if self._live is None or self._live[0] is not run:
                pooled = run.pooled("mean")
                self._live = run, np.flatnonzero(np.diff(pooled.indptr))
            return self._live[1]
        return maps.latents.astype(np.intp) if maps is not None else np.zeros(0, np.intp)

    def next_unreviewed(self) -> None:
        """Go to the next live latent without a verdict of the annotator: down the stack's order, then from its top."""
        self.leaving.emit()
        if self.book.reading:
            self.controller.tell("The verdicts are still being read; once more in a moment.")
            return
        live = self.live_latents()
        left = live[[not self.book.verdict(int(latent)) for latent in live]] if live.size else live
        if not left.size:
            self.controller.tell("Every live latent has a verdict." if live.size else "There are no live latents yet.")
            return
        order, rank = self.session.order, self.session.rank
        if order is None or order.latents.size <= int(left[-1]):
            self.session.current = int(left[0])
            return
        ranks = np.sort(order.ranks[left])
        after = ranks[ranks > rank] if rank is not None else ranks
        self.session.current = int(order.latents[after[0] if after.size else ranks[0]])

    # Who, where, and how

    def set_annotator(self, name: str) -> None:
        """Judge under another name from now on."""
        self.leaving.emit()
        with self.controller.telling():
            self.book.annotator = name
            remember("verdicts", annotator=self.book.annotator)

    def use_file(self, path: Path | None) -> None:
        """Write into another file from now on; None for the usual one.

        Raises
        ------
        VerdictError
            As `VerdictBook.use_path` does.
        """
        self.leaving.emit()
        self.book.use_path(path)

    def set_blind(self, blind: bool) -> None:
        """Hide scores, labels, predictions and other people's verdicts, or show them again."""
        self.session.blind = blind

    def _on_failed(self, text: str) -> None:
        self.controller.tell(text, error=True)

    def _poll(self) -> None:
        with self.controller.telling():
            self.book.poll()
