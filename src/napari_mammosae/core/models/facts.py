"""What is known of a model without its weights: all that the viewer and the statistics need. Knows no torch."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ModelError
from ..images.preprocessing import Preprocessing
from .adapters.kinds import TailKind
from .choices import Engine, Precision
from .files.found_again import FoundAgain
from .heads import HasHeads, Head


@dataclass(frozen=True, slots=True)
class Domain:
    """What kind of images a model is for, in words.

    Attributes
    ----------
    modality
        Such as "mammography".
    body_part
        Such as "breast".
    words
        What else describes the images, for prompts and notices.
    """

    modality: str = "mammography"
    body_part: str = "breast"
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ModelFacts(HasHeads):
    """A model's sizes, heads, hashes and linear tail at one moment; plain values that travel between processes.

    Shapes: d features, H' x W' cells, h latents, C logits of all heads.

    Attributes
    ----------
    name
        Shown to people and kept with results.
    heads
        In the order of their logits; empty without a classifier.
    layer
        Where the SAE sits: "head" (the last feature map), or "blocks.N".
    n_latents
        Number of latents, h; 0 without an SAE.
    grid
        Cells (H', W') of the SAE's layer.
    preprocessing
        What the model expects of its input.
    device, precision, engine
        Where and how it computes; out of memory can have moved it to the CPU since it was loaded.
    domain
        What kind of images it is for.
    model_sha256, sae_sha256
        Hashes of the weights files of backbone and SAE, empty when the weights did not come from a file. Heads added
        later do not change them.
    each_cell_normalised
        Whether the SAE normalises the features of each cell, so that a unit of a latent adds more to some cells.
    tail
        What follows the last feature map: "mean" of the cells and a linear layer, "token" where heads read class tokens
        alone, "rerun" where it is not linear.
    attribution
        float64 (C, h): what one unit of a latent's mean over the cells adds to each logit. None where what follows the
        SAE is not linear, and without SAE or head.
    cell_attribution
        float64 (C, h): for an SAE that normalises each cell and reads the last layer, what one unit of a latent's mean
        over the cells, each times its own size, adds to each logit; None else.
    notes
        What to know about the latents before they are compared, one sentence each.
    groups
        Sizes of a Matryoshka SAE's groups of latents, the most general first; empty for other SAEs.
    found_again
        In how many other trainings each latent was found again; None where it is not known.
    constant
        float64 (C,): the logits of an image on which no latent fires; None where `attribution` is.

    Examples
    --------
    >>> head = Head("classifier", ("mass",), "binary", np.ones((1, 2)), np.zeros(1))
    >>> facts = ModelFacts("example", (head,), "head", 4, (2, 3))
    >>> facts.classes, facts.task, facts.probabilities([0.0])
    (('mass',), 'binary', array([0.5]))
    """

    name: str
    heads: tuple[Head, ...]
    layer: str
    n_latents: int
    grid: tuple[int, int]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    device: str = "cpu"
    precision: Precision = "float32"
    engine: Engine = "torch"
    domain: Domain = field(default_factory=Domain)
    model_sha256: str = ""
    sae_sha256: str = ""
    each_cell_normalised: bool = False
    tail: TailKind = "mean"
    attribution: NDArray[np.float64] | None = field(default=None, repr=False)
    constant: NDArray[np.float64] | None = field(default=None, repr=False)
    cell_attribution: NDArray[np.float64] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    found_again: FoundAgain | None = field(default=None, repr=False)

    def linear_tail(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return attribution (C, h) and constant (C,).

        Raises
        ------
        ModelError
            If there are none; the message says why.
        """
        if self.attribution is None or self.constant is None:
            has_sae, has_head = bool(self.n_latents), bool(self.heads)
            raise ModelError(
                why_not_linear(self.name, self.layer, has_sae, has_head, self.each_cell_normalised, self.tail)
            )
        return self.attribution, self.constant

    @property
    def linear(self) -> bool:
        """Whether latents add up to the logits, so that edits have closed forms."""
        return not self.obstacle

    @property
    def obstacle(self) -> str:
        """What keeps latents from adding up to the logits, as the start of a sentence; empty where nothing does."""
        if self.layer != "head":
            return f"The SAE reads {self.layer}: the layers after it are not linear"
        if self.tail == "token":
            return "The head reads class tokens alone: patch latents have no direct effect on the prediction"
        if self.tail == "rerun":
            return "The head is not linear in the cells: latents do not add up to the logits"
        return "The SAE normalises each cell: latents do not add up to the logits" if self.each_cell_normalised else ""

    @property
    def pass_note(self) -> str:
        """What an edit takes where latents do not add up to the logits, a sentence or two; empty where they do."""
        if self.layer == "head" and self.tail == "token":
            return f"{self.obstacle}. To edit what they carry, load an SAE of an inner layer."
        start = self.obstacle.partition(":")[0]
        return f"{start}: each edit is exact, by a pass through the rest of the network." if start else ""


def why_not_linear(
    name: str, layer: str, has_sae: bool, has_head: bool, each_cell_normalised: bool, tail: TailKind = "mean"
) -> str:
    """Say why nothing is known of what each latent adds to the logits; an empty string where it is."""
    if layer != "head":
        return (
            f"the SAE reads {layer}; the layers after it are not linear, so no latent has an exact share of the logit"
        )
    if not has_head:
        return f"{name} has no classifier; load a downstream checkpoint to see attributions"
    if tail == "token":
        return f"the head of {name} reads class tokens alone, so no latent of a patch has a share of the logit"
    if tail == "rerun":
        return f"the head of {name} is not linear in the cells, so no latent has an exact share of the logit"
    if each_cell_normalised:
        return "the SAE normalises each cell by its own size, so no latent has one share of the logit"
    return "" if has_sae else f"{name} was loaded without a sparse autoencoder; give `sae` a file"
