"""What a loaded model can be asked, whether it computes here or in a process of its own. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a model takes of the memory, in bytes.

    Attributes
    ----------
    device
        Where its weights are.
    weights
        Of backbone, SAE and heads.
    features
        Kept for edits of an inner layer; always in the memory of the CPU.
    free, total
        Of the device as its driver counts them, other programs included; None where it does not tell.
    used
        What this process holds of the device, intermediate results included; None where that is not known.
    card
        What the device is called; "" where it does not tell.
    """

    device: str
    weights: int
    features: int
    free: int | None = None
    total: int | None = None
    used: int | None = None
    card: str = ""


@runtime_checkable
class ModelHandle(Protocol):
    """A loaded model.

    Methods may take seconds and are called from worker threads, several at a time; `facts` costs nothing. Work says how
    far it is through `report`, and stops where that raises. What a method raises leaves the model as it was, but for
    the device: out of memory, the model moves to the CPU for good, and a `UserWarning` says so.

    Attributes
    ----------
    lost
        To be called with a sentence, from any thread, when the model's process has ended by itself; the next request
        starts another one.
    """

    lost: Callable[[str], None] | None

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model, as of its last answer; the facts of the last one after unloading."""
        ...

    def compute(self, image: Mammogram, report: Report, *, urgent: bool = True) -> LatentMaps:
        """All latents and the prediction of an image; what is not `urgent`, because it is read ahead, waits.

        For an inner layer the image's features are kept, for `pass_edits`, under the `key` of what is returned; those
        of the images asked for last replace those of earlier ones.

        Raises
        ------
        ModelError
            If the model has no SAE or was unloaded, a computed value is not finite, or memory does not suffice.
        ImageError
            If the image cannot be made into the model's input.
        """
        ...

    def pass_edits(self, key: str, edits: Sequence[Edit], report: Report) -> FloatArray:
        """Logits (len(edits), C) of an image under edits of its latents, passed through the rest of the network.

        For inner layers, where there is no closed form; see `core.intervention.image_edit` for the last one.

        Parameters
        ----------
        key
            Of the image's latent maps.
        edits
            What to do to its latents.
        report
            Called before each edit.

        Raises
        ------
        FeaturesForgotten
            If nothing is kept under the key, or not any more; compute the image's latents again.
        SettingsError
            If an edit does not fit the model.
        ModelError
            If the model was unloaded, or memory does not suffice.
        """
        ...

    def contributions(self, key: str, method: Method, report: Report) -> Contributions:
        """What each latent of an image adds to each logit, by gradients through the rest of the network.

        Parameters
        ----------
        key, report
            As of `pass_edits`; errors too.
        method
            See `Contributions`.
        """
        ...

    def neighbours(self, latent: int, count: int) -> tuple[IntArray, FloatArray]:
        """Latents (count,) whose decoder columns point most nearly the same way, nearest first, and the cosines.

        Raises
        ------
        SettingsError
            If there is no such latent.
        ModelError
            If the model has no SAE or was unloaded.
        """
        ...

    def add_head(self, head: Head) -> None:
        """Add a head after the ones there are; hashes stay, `facts` has its classes.

        Latent maps computed before have no logits of it.

        Raises
        ------
        ModelError
            If it does not fit the model, or its name or one of its classes is taken.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> tuple[Vectors, tuple[str, ...]]:
        """Unit vectors (n, p) of texts, and the words that the text tower does not know; the tower is loaded once.

        Raises
        ------
        ModelError
            If the model has no text tower or was unloaded.
        CheckpointError, UnsafeCheckpointError
            If the tower's files are not what they should be.
        """
        ...

    def joint_space(self) -> JointSpace:
        """Where images and latents lie in the space they share with texts; errors as `encode_texts`."""
        ...

    def text_agreement(self) -> float:
        """How nearly images are embedded as by the backbone that the tower was trained with; errors as above."""
        ...

    def memory(self) -> MemoryUse:
        """What the model takes of the memory now; nothing after unloading."""
        ...

    def unload(self) -> None:
        """Give the memory back; from then on only `facts` and `memory` answer, and another `unload` does nothing."""
        ...
