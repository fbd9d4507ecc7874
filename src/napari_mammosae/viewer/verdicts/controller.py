"""What a user does to judge latents: a verdict on a key, the next one without, undo and redo, evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QTimer

from ...core.verdicts.store import Event, Evidence, Verdict
from ...core.verdicts.suggestions import Suggestion
from ..app.preferences import preferences, remember
from ..context import Context, Controller
from .book import VerdictBook

_LOOK_AGAIN = 2_000  # milliseconds between looks for what other programs wrote
_PAUSE = 1_500  # milliseconds of quiet after which a note is saved while it is being written


@dataclass(frozen=True, slots=True)
class Typed:
    """What is typed about a latent and not saved yet; None where nothing is."""

    latent: int | None = None
    concept: str | None = None
    note: str | None = None


class Reviewer(Controller):
    """Judges the current latent of a viewer. What is typed is saved when the latent changes, at the latest.

    Attributes
    ----------
    book
        The verdicts.
    typed
        The concept and the note that are being typed.
    with_screenshot
        Whether a picture of the canvas is kept with each verdict.
    judged
        Emits (latent, sentence): what was just recorded or taken back.
    editing
        Emits a suggested name that is to be edited before it becomes the concept.
    """

    judged = Signal(int, str)
    editing = Signal(str)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        with_qt = QCoreApplication.instance() is not None
        self._jobs = self.new_jobs() if with_qt else None
        self.book = VerdictBook(self.session, preferences().annotator, self._jobs)
        self.book.failed.connect(self._on_failed)
        self.typed = Typed()
        self.with_screenshot = False
        self._live: tuple[Any, NDArray[np.intp]] | None = None
        self._pause = self.debounced(self.hand_in, _PAUSE)
        self._watch = QTimer(interval=_LOOK_AGAIN)
        self._watch.timeout.connect(self._poll)
        if with_qt:
            self._watch.start()
        self.listen(self.session.events.current, self._on_current)
        self.reload()

    def close(self) -> None:
        """Hand in what was typed and close the file."""
        self.hand_in()
        self._watch.stop()
        super().close()
        self.book.close()

    def reload(self) -> None:
        """Read the verdict file again."""
        with self.status.telling():
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
            self.status.tell("Choose a latent first.", error=True)
            return
        self.hand_in()
        with self.status.telling():
            self._said(self.book.decide(latent, verdict, evidence=self.evidence()), "is")

    def judge_all(self, latents: Sequence[int], verdict: Verdict, concept: str = "") -> int:
        """Record a verdict on latents that do not have it yet; return how many have it then."""
        self.hand_in()
        evidence = self.evidence()
        with self.status.telling():
            for latent in latents:
                if self.book.verdict(latent) != verdict:
                    self._said(self.book.decide(latent, verdict, concept=concept or None, evidence=evidence), "is")
        return sum(self.book.verdict(latent) == verdict for latent in latents)

    # Names that methods suggest

    @property
    def suggested(self) -> Suggestion | None:
        """The name suggested for the current latent; None without one, and in blind mode."""
        latent = self.session.current
        return None if latent is None else self.book.names.get(latent)

    def accept_name(self) -> None:
        """Take the suggested name of the current latent as its concept."""
        if (name := self._offered()) is not None:
            self.hand_in()
            self._answer(name, "accepted", concept=name.name)

    def reject_name(self) -> None:
        """Reject the suggested name of the current latent; another method's may take its place."""
        if (name := self._offered()) is not None:
            own = self.book.mine.get(name.latent)
            names = [*(own.rejected.splitlines() if own is not None else ()), name.name]
            self._answer(name, "rejected", rejected="\n".join(names))

    def edit_name(self) -> None:
        """Put the suggested name where it can be edited."""
        if (name := self._offered()) is None:
            return
        if len(self.editing):
            self.editing.emit(name.name)
        else:
            self.status.tell("Open the Verdicts dock to edit the name.", error=True)

    def _offered(self) -> Suggestion | None:
        name = self.suggested
        if name is None:
            why = "Names are hidden in blind mode" if self.session.blind else "No name is suggested for this latent"
            self.status.tell(f"{why}.", error=True)
        return name

    def _answer(self, name: Suggestion, done: str, concept: str | None = None, rejected: str | None = None) -> None:
        with self.status.telling():
            self.book.decide(name.latent, concept=concept, rejected=rejected, evidence=self.evidence())
            sentence = f"Latent {name.latent}: “{name.name}” {done}."
            self.status.tell(sentence)
            self.judged.emit(name.latent, sentence)

    def describe(self, latent: int, *, concept: str | None = None, note: str | None = None) -> bool:
        """Record a concept or a note; True when it is on the disk."""
        with self.status.telling():
            self.book.decide(latent, concept=concept, note=note, evidence=self.evidence())
            self.judged.emit(latent, f"Latent {latent}: saved.")
            return True
        return False

    def undo(self) -> None:
        """Take the last decision back and go to its latent."""
        self.hand_in()
        with self.status.telling():
            self._stepped(self.book.undo(), "There is nothing to undo in this session.")

    def redo(self) -> None:
        """Decide again what was taken back, and go to its latent."""
        self.hand_in()
        with self.status.telling():
            self._stepped(self.book.redo(), "There is nothing to redo.")

    def _stepped(self, event: Event | None, nothing: str) -> None:
        if event is None:
            self.status.tell(nothing)
            return
        if event.subject == self.book.subject:
            self.session.current = event.latent
        self._said(event, "is again marked")

    def _said(self, event: Event, verb: str) -> None:
        concept = f"has the concept {event.concept}" if event.concept else "has no verdict again"
        text = f"{verb} {event.verdict}" if event.verdict else concept
        sentence = f"Latent {event.latent} {text}."
        self.status.tell(sentence)
        self.judged.emit(event.latent, sentence)

    def evidence(self) -> Evidence:
        """What is on the screen: the image's identifier and how it is shown, never a path or a person."""
        image, scene = self.session.image, self.scene
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
        viewer: Any = self.scene.viewer
        if not hasattr(viewer, "screenshot"):
            return None
        import cv2

        picture = viewer.screenshot(canvas_only=True, flash=False)
        encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., 2::-1]))
        return data.tobytes() if encoded else None

    # What is being typed

    def type_note(self, text: str) -> None:
        """Take a note on the current latent as it is being typed; saved in a pause."""
        self.typed = replace(self._typed_here(), note=text)
        self._pause()

    def type_concept(self, text: str) -> None:
        """Take a concept as it is being typed; half a word is saved only when the latent changes."""
        self.typed = replace(self._typed_here(), concept=text)

    def hand_in(self) -> None:
        """Save the concept and the note if they were changed."""
        self._pause.cancel()
        typed, latent = self.typed, self.typed.latent
        if latent is None or self.book.subject is None:
            return
        self.typed = Typed()
        event = self.book.mine.get(latent)
        known = {"concept": event.concept, "note": event.note} if event is not None else {"concept": "", "note": ""}
        changed = {
            key: text.strip()
            for key, text in (("concept", typed.concept), ("note", typed.note))
            if text is not None and text.strip() != known[key]
        }
        if changed and not self.describe(latent, **changed):
            self.typed = typed

    def _typed_here(self) -> Typed:
        return self.typed if self.typed.latent == self.session.current else Typed(self.session.current)

    def _on_current(self, latent: int | None) -> None:
        if latent != self.typed.latent:
            self.hand_in()

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
        self.hand_in()
        if self.book.reading:
            self.status.tell("The verdicts are still being read. Try again in a moment.")
            return
        live = self.live_latents()
        left = live[[not self.book.verdict(int(latent)) for latent in live]] if live.size else live
        if not left.size:
            self.status.tell("Every live latent has a verdict." if live.size else "There are no live latents yet.")
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
        self.hand_in()
        with self.status.telling():
            self.book.annotator = name
            remember("verdicts", annotator=self.book.annotator)

    def use_file(self, path: Path | None) -> None:
        """Write into another file from now on; None for the usual one.

        Raises
        ------
        VerdictError
            As `VerdictBook.use_path` does.
        """
        self.hand_in()
        self.book.use_path(path)

    def set_blind(self, blind: bool) -> None:
        """Hide scores, labels, predictions and other people's verdicts, or show them again."""
        self.session.blind = blind

    def _on_failed(self, text: str) -> None:
        self.status.tell(text, error=True)

    def _poll(self) -> None:
        with self.status.telling():
            self.book.poll()
