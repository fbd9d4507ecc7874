"""A model in a process of its own: what the viewer works with."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, finalize

from ..core.base.errors import ModelError, ProcessEnded
from ..core.base.progress import ignore
from ..core.models.choices import settle_recipe
from .child import Child
from .handle import MemoryUse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..core.base.progress import Report
    from ..core.images.mammogram import Mammogram
    from ..core.intervention.edit import Edit
    from ..core.models.contributions import Contributions, Method
    from ..core.models.facts import ModelFacts
    from ..core.models.heads import Head
    from ..core.models.latents import LatentMaps
    from ..core.models.text.space import JointSpace
    from ..core.models.text.tower import Vectors
    from ..core.stats.measures import FloatArray, IntArray


class ProcessModel:
    """A `ModelHandle` of a model in a process of its own, loaded from files.

    When the process is gone (killed by the system, a fault of a driver), whoever waits for it gets `ProcessEnded`, and
    the next request starts another one.

    Parameters
    ----------
    recipe
        Arguments of `load_model`, as plain values.
    facts
        What is known of the model; it is loaded with the first request.
    child
        A process that has loaded it already.
    spare
        A process that waits for a model, for the first request.

    Attributes
    ----------
    lost
        Called with a sentence, from a thread, when the process has ended by itself.
    """

    def __init__(
        self, recipe: Mapping[str, Any], facts: ModelFacts, child: Child | None = None, spare: Child | None = None
    ) -> None:
        self.lost: Callable[[str], None] | None = None
        self._recipe, self._facts = settle_recipe(recipe), facts
        self._lock = Lock()
        self._unloaded = False
        self._space: JointSpace | None = None
        self._child: Child | None = None
        self._spare = spare
        if spare is not None:
            finalize(self, spare.kill)
        if child is not None:
            self._take(child)

    @classmethod
    def load(cls, recipe: Mapping[str, Any], report: Report, child: Child) -> ProcessModel:
        """Load a model in a process.

        Raises
        ------
        CheckpointError, ModelError
            As `load_model`; the process is ended then.
        """
        try:
            _, facts = child.call("load", settle_recipe(recipe), (), report=report)
        except BaseException:
            child.kill()
            raise
        return cls(recipe, facts, child)

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model, as of its last answer."""
        return self._facts

    @property
    def pid(self) -> int | None:
        """Number of the process; None while there is none."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def compute(self, image: Mammogram, report: Report, *, urgent: bool = True) -> LatentMaps:
        """All latents and the prediction of an image; see `ModelHandle`."""
        prepared = image.prepared(self._facts.preprocessing)
        found: LatentMaps = self._ask("compute", prepared, image.image_id, image.name, report=report, urgent=urgent)
        return found

    def pass_edits(self, key: str, edits: Sequence[Edit], report: Report) -> FloatArray:
        """Logits (len(edits), C) of an image under edits of its latents; see `ModelHandle`."""
        found: FloatArray = self._ask("pass_edits", key, list(edits), report=report)
        return found

    def contributions(self, key: str, method: Method, report: Report) -> Contributions:
        """What each latent of an image adds to each logit, by gradients; see `ModelHandle`."""
        found: Contributions = self._ask("contributions", key, method, report=report)
        return found

    def neighbours(self, latent: int, count: int) -> tuple[IntArray, FloatArray]:
        """Latents whose decoder columns point most nearly the same way, and the cosines; see `ModelHandle`."""
        found: tuple[IntArray, FloatArray] = self._ask("neighbours", latent, count)
        return found

    def add_head(self, head: Head) -> None:
        """Add a head after the ones there are; see `ModelHandle`."""
        self._ask("add_head", head)

    def encode_texts(self, texts: Sequence[str]) -> tuple[Vectors, tuple[str, ...]]:
        """Unit vectors of texts, and the words that the text tower does not know; see `ModelHandle`."""
        found: tuple[Vectors, tuple[str, ...]] = self._ask("encode_texts", list(texts))
        return found

    def joint_space(self) -> JointSpace:
        """Where images and latents lie in the space they share with texts; see `ModelHandle`."""
        if self._space is None:
            self._space = self._ask("joint_space")
        return self._space

    def text_agreement(self) -> float:
        """How nearly images are embedded as by the text tower's own backbone; see `ModelHandle`."""
        return float(self._ask("text_agreement"))

    def memory(self) -> MemoryUse:
        """What the model takes of the memory now; nothing while there is no process."""
        child = self._child
        if child is None or not child.alive:
            return MemoryUse(self._facts.device, 0, 0)
        found: MemoryUse = self._ask("memory")
        return found

    def unload(self) -> None:
        """End the process: all memory is given back."""
        self._unloaded = True
        ended = self._child, self._spare
        self._child = self._spare = None
        for child in ended:
            if child is not None:
                child.kill(self._gone)

    @property
    def _gone(self) -> str:
        return f"{self._facts.name} was unloaded; load it again"

    def _ask(self, task: str, *args: Any, report: Report = ignore, urgent: bool = True) -> Any:
        try:
            value, facts = self._running(report).call(task, *args, report=report, urgent=urgent)
        except ProcessEnded as error:
            raise (ModelError(self._gone) if self._unloaded else error) from None
        if facts is not None:
            self._facts = facts
        return value

    def _running(self, report: Report) -> Child:
        """Return the process, a new one where the last has ended."""
        with self._lock:
            if self._unloaded:
                raise ModelError(self._gone)
            if self._child is not None and self._child.alive:
                return self._child
            spare, self._spare = self._spare, None
            child = spare if spare is not None and spare.alive else Child()
            try:
                _, facts = child.call("load", self._recipe, self._facts.heads, report=report)
                if (facts.model_sha256, facts.sae_sha256) != (self._facts.model_sha256, self._facts.sae_sha256):
                    raise ModelError(f"the files of {facts.name} have changed since it was loaded; load it again")
            except BaseException:
                child.kill()
                raise
            self._facts = facts
            self._take(child)
            if self._unloaded:
                child.kill(self._gone)
            return child

    def _take(self, child: Child) -> None:
        """Work with a process from now on; it ends with this object, which the process's threads do not keep alive."""
        method = WeakMethod(self._on_ended)
        child.ended = lambda why: None if (ended := method()) is None else ended(why)
        finalize(self, child.kill)
        self._child = child

    def _on_ended(self, why: str) -> None:
        if self.lost is not None and not self._unloaded:
            self.lost(why)
