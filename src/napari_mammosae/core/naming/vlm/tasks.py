"""What is to be asked of each latent: settled before any request, so that cost and images are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from ...base.errors import SettingsError
from ...base.text import counted, text_of
from ...ranking.neighbours import coactivation_neighbours, decoder_neighbours
from .choice import HeldOut, diverse_images, held_out_images, look_alikes, split_patients

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from ...runs.run import Run
    from ...stats.measures import BoolArray, FloatArray, IntArray

DRAWS = 3
NEAREST = 5
FEWEST_PATIENTS = 5
"""On whom a latent must fire, in both halves of the patients, and on whom of those held out it must be silent."""
_TOKENS_A_PICTURE, _TOKENS_A_TEXT = 256, 150


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is asked of each latent, at most.

    Attributes
    ----------
    pairs, alike
        Images that it is named from, and images that look alike without it.
    detection
        Held-out images on which it fires, and as many on which it does not.
    regions, ranks
        Held-out images for the test of regions, and for the order of five names.
    """

    pairs: int = 5
    alike: int = 3
    detection: int = 20
    regions: int = 10
    ranks: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class LatentTask:
    """One latent: the images of each draw, those that look alike, and those that its name is tested on."""

    latent: int
    draws: tuple[IntArray, ...]
    alike: tuple[IntArray, ...]
    held_out: HeldOut

    def spread(self, count: int) -> IntArray:
        """Return so many of the held-out images on which it fires, from weak to strong."""
        rows = self.held_out.positives
        return np.asarray(rows[np.unique(np.linspace(0, rows.size - 1, min(count, rows.size)).round().astype(int))])


@dataclass(frozen=True, slots=True)
class Cost:
    """What naming takes, at most: requests, tokens of questions and answers, and images that are sent."""

    latents: int
    requests: int
    tokens: int
    images: int

    def __add__(self, other: Cost) -> Cost:
        """Return what both take at most."""
        return Cost(
            self.latents + other.latents, self.requests + other.requests, self.tokens + other.tokens,
            self.images + other.images,
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.latents:,} latent{'s' * (self.latents != 1)}: at most {counted(self.requests, 'request')}, about "
            f"{counted(self.tokens, 'token')}, {counted(self.images, 'image')}"
        )


def plan_tasks(
    run: Run,
    latents: Sequence[int] | None,
    most: int,
    extent: Extent,
    *,
    weight: FloatArray | None = None,
    decoder: NDArray[Any] | None = None,
    seed: int = 0,
) -> tuple[list[LatentTask], IntArray, list[str]]:
    """Choose latents and images.

    Parameters
    ----------
    run
        The run.
    latents
        Those to name; by default the `most` that contribute most: mean activation times `weight` (h,), if there is one.
    extent
        How much is asked of each.
    decoder
        (d, h), whose cosines say which latents are nearest; without it those that fire on the same images are.

    Returns
    -------
    tasks
        By latent. Those that fire on too few patients are left out.
    patients
        (n,) a number for each image's patient.
    notes
        What was left out.

    Raises
    ------
    SettingsError
        A latent does not exist, or none can be named.
    """
    patients = np.unique(run.images["patient"].astype(str).to_numpy(), return_inverse=True)[1]
    naming = split_patients(patients, seed)
    strength, codes = csr_array(run.pooled("max")).tocsc(), csr_array(run.pooled("mean"))
    usable = [_people(strength, patients, naming)[0], *_people(strength, patients, ~naming)]
    enough = np.min(usable, axis=0) >= FEWEST_PATIENTS
    notes = []
    if latents is None:
        size = np.asarray(codes.mean(axis=0)).ravel() * (1.0 if weight is None else np.abs(weight))
        order = np.argsort(-np.where(enough, size, -1.0), kind="stable")
        chosen = sorted(int(one) for one in order[: min(most, int(enough.sum()))])
    else:
        wanted = sorted(set(latents))[:most]
        if unknown := [one for one in wanted if not 0 <= one < run.n_latents]:
            raise SettingsError(f"there is no latent {unknown[0]}; they go from 0 to {run.n_latents - 1}.")
        chosen = [one for one in wanted if enough[one]]
        if rare := [one for one in wanted if not enough[one]]:
            notes.append(f"left out, as they fire or are silent on too few patients: {text_of(rare)}")
    if not chosen:
        raise SettingsError(
            f"no latent of {run.path.name} fires on {FEWEST_PATIENTS} patients, and is silent on as many, in each half "
            "of them; name latents of a larger run."
        )
    tasks = []
    for latent in chosen:
        values = strength[:, [latent]].toarray().ravel()
        near = _near(run, latent, decoder, strength)
        draws = tuple(
            diverse_images(codes, np.where(naming, values, 0.0), patients, extent.pairs, first)
            for first in range(DRAWS)
        )
        alike = tuple(look_alikes(codes, rows, values, naming, patients, extent.alike) for rows in draws)
        held = held_out_images(values, near, ~naming, patients, extent.detection, seed + latent)
        tasks.append(LatentTask(latent, draws, alike, held))
    return tasks, patients, notes


def cost_of(tasks: Sequence[LatentTask], extent: Extent) -> Cost:
    """Return what tasks take at most: a latent's name, another latent's name and a category are asked for alike."""
    requests = pictures = 0
    rows: set[int] = set()
    for task in tasks:
        for draw, alike in zip(task.draws, task.alike, strict=True):
            requests, pictures = requests + 1, pictures + 2 * draw.size + alike.size
            rows |= {*draw.tolist(), *alike.tolist()}
        tested = task.held_out.positives.size + task.held_out.negatives.size
        regions, ranks = 2 * task.spread(extent.regions).size, task.spread(extent.ranks).size
        requests += 3 * (tested + regions) + 4 * ranks
        pictures += 3 * (tested + regions) + 3 * 2 * ranks
        rows |= {*task.held_out.positives.tolist(), *task.held_out.negatives.tolist()}
    return Cost(len(tasks), requests, _TOKENS_A_PICTURE * pictures + _TOKENS_A_TEXT * requests, len(rows))


def _people(strength: Any, patients: IntArray, rows: BoolArray) -> tuple[IntArray, IntArray]:
    """On how many patients among some rows each latent (h,) fires, and on how many it is silent in some image."""
    chosen = np.flatnonzero(rows)
    names, person = np.unique(patients[chosen], return_inverse=True)
    member = csr_array((np.ones(chosen.size), (person, np.arange(chosen.size))))
    images = (member @ (csr_array(strength)[chosen] > 0).astype(np.float64)).tocoo()
    everywhere = images.data == np.bincount(person)[images.coords[0]]
    latents = strength.shape[1]
    fires = np.bincount(images.coords[1], minlength=latents)
    return fires, names.size - np.bincount(images.coords[1][everywhere], minlength=latents)


def _near(run: Run, latent: int, decoder: NDArray[Any] | None, strength: Any) -> BoolArray:
    """Whether any of the nearest latents fires on each image."""
    if decoder is None:
        nearest = coactivation_neighbours(run.pooled("max"), latent, NEAREST)[0]
    else:
        nearest = decoder_neighbours(decoder, latent, NEAREST)[0]
    return np.asarray(strength[:, nearest].max(axis=1).toarray().ravel() > 0)
