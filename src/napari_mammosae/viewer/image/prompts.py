"""The prompts of a viewer: texts that become heads of the model, and what they say of the image shown."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from ...core.base.errors import MammoSAEError, SettingsError
from ..app.order import Order
from ..canvas.redraw import drawn_once
from ..context import Context, Controller
from . import tasks

if TYPE_CHECKING:
    from ...core.intervention.edit import Edit
    from ...core.intervention.prompt_scores import PromptScore
    from ...core.models.heads import Head
    from ...core.models.text.space import JointSpace
    from ...process.handle import ModelHandle


class Prompts(Controller):
    """Asks the model for the head of a text, and orders the latents by what they add to its logit.

    Attributes
    ----------
    changed
        Emits when anything below changed.
    asked
        Emits the place of a prompt's logit once its head is there.
    jobs
        The prompt that is being worked out.
    head
        Of the prompt shown; None without one.
    approximate
        Whether a backbone is allowed that the text tower was not trained with.
    note
        What there is to say.
    """

    changed = Signal()
    asked = Signal(int)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.head: Head | None = None
        self.approximate = False
        self.note = ""
        self._space: JointSpace | None = None
        self.listen(self.session.events.model, self._on_model)
        self.listen(self.session.events.maps, self._on_maps)

    def ask(self, text: str) -> None:
        """Make a text, or a pair with | between, a head of the model; an empty text leaves the prompt shown."""
        from ...core.naming.text.heads import split_prompt

        handle = self.session.handle
        if not text.strip():
            self._leave()
            return
        try:
            if handle is None or self.session.maps is None:
                raise SettingsError("Compute the latents of an image first.")
            texts = split_prompt(text)
        except MammoSAEError as error:
            self._say(str(error))
            return
        work = partial(tasks.add_prompt, handle, texts, self.approximate)
        self.jobs.start("Reading the prompt", work, partial(self._take, handle), self._failed)

    def score(self, edit: Edit | None = None) -> PromptScore | None:
        """Score the image shown, as it is or under an edit; None without a prompt, and where it cannot be scored."""
        from ...core.intervention.prompt_scores import score_image

        if self.head is None or self._space is None or self.session.maps is None:
            return None
        try:
            return score_image(self.head, self._space, self.session.maps, edit)
        except SettingsError:
            return None

    @property
    def place(self) -> int | None:
        """Place of the prompt's logit among the model's; None without a prompt."""
        model = self.session.model
        if self.head is None or model is None or self.head.classes[0] not in model.classes:
            return None
        return model.classes.index(self.head.classes[0])

    def _take(self, handle: ModelHandle, found: tuple[Head, JointSpace]) -> None:
        if handle is not self.session.handle:
            return
        self.head, self._space = found
        assert self.head.prompt is not None
        viewer = self.context.scene.viewer
        with nullcontext() if viewer is None else drawn_once(viewer):
            if self.session.maps is not None:
                self.session.renew_maps(self._order())
        self._say(self.head.prompt.note)
        if self.place is not None:
            self.asked.emit(self.place)

    def _order(self) -> Order | None:
        """Return the latents that add most to the prompt's logit on this image first.

        None where they do not add up, and for a blind judge, whom such an order would sway.
        """
        model, maps, place = self.session.model, self.session.maps, self.place
        if model is None or maps is None or place is None or not model.linear or self.head is None:
            return None
        if self.session.blind:
            return None
        assert self.head.prompt is not None
        scores = model.linear_tail()[0][place] * maps.pooled_mean
        return Order.by_score(scores, self.head.prompt.title, self.session.image)

    def _leave(self) -> None:
        self.head = None
        self._say("")

    def _failed(self, error: Exception) -> None:
        self._say(str(error))

    def _on_model(self, _: object) -> None:
        self.jobs.cancel()
        self.head = self._space = None
        self._say("")

    def _on_maps(self, _: object) -> None:
        self.changed.emit()

    def _say(self, text: str) -> None:
        self.note = text[:1].upper() + text[1:]
        self.changed.emit()
