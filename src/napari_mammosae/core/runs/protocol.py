"""Which images, how often, in which order of latents: choices that several results share, and the paper's."""

from dataclasses import dataclass
from typing import Literal

from .sample import Unit

ProtocolName = Literal["paper"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a result is computed over.

    Attributes
    ----------
    rank_split, eval_split
        Splits that latents are ranked on and that results are measured on; None for all images.
    unit
        What counts as one: an image, or each of its finding rows.
    order
        The score that orders the latents; None where each result has an order of its own.
    ks
        Values of k of an intervention; empty for those of the program.
    """

    rank_split: str | None = None
    eval_split: str | None = None
    unit: Unit = "image"
    order: str | None = None
    ks: tuple[int, ...] = ()

    def best(self, n_latents: int) -> list[int] | None:
        """Return the values of k that a model with h latents has, its h included; None for those of the program."""
        return [*(k for k in self.ks if k < n_latents), n_latents] if self.ks else None


PAPER = Protocol("training", "test", "row", "diff", (0, 1, 5, 10, 50, 100, 250, 500, 1_000, 5_000, 10_000))
"""Nakka's: latents ranked on the training rows, predictions and boxes measured on the test rows."""


def choose(
    protocol: ProtocolName | None = None,
    *,
    split: str | None = None,
    rank_split: str | None = None,
    eval_split: str | None = None,
    unit: Unit | None = None,
    order: str | None = None,
) -> Protocol:
    """Return a protocol with what is said besides in its place; `split` stands for both splits.

    >>> choose("paper", unit="image").eval_split, choose(split="test").rank_split
    ('test', 'test')
    """
    base = PAPER if protocol == "paper" else Protocol()
    return Protocol(
        rank_split or split or base.rank_split,
        eval_split or split or base.eval_split,
        unit or base.unit,
        order or base.order,
        base.ks,
    )
