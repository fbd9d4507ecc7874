"""Naming the latents of a run with a vision-language model on a server, and testing the names on held-out patients."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ...base.caches import folder_beside
from ...base.errors import ConsentNeeded, ServerError, SettingsError
from ...base.progress import reporting
from ...base.provenance import provenance
from ..units import rows_in
from .asking import Asker
from .images_of_run import RunImages
from .naming import name_all
from .questions import VERSION
from .result import NamedLatent, ServerNames, mean_nulls
from .server.address import check_consent, find_server
from .server.client import RETRIES, TIMEOUT, Client, spoken
from .server.replies import FOLDER, working_in
from .tasks import Cost, Extent, cost_of, plan_tasks
from .testing import NameTest, names_of_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ...base.progress import Report
    from ...models.facts import ModelFacts
    from ...runs.run import Run
    from ...stats.measures import FloatArray
    from .measures import Score
    from .server.address import Server

MOST_LATENTS = 50
MOST_AT_ONCE = 64
"""Questions that are put to a server at once; it would only queue more."""
Test = Literal["detection", "regions", "ranks"]
TESTS: tuple[Test, ...] = get_args(Test)


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """Which server and model are asked, and what is allowed.

    Attributes
    ----------
    url
        Such as ``http://127.0.0.1:11434/v1``.
    model
        What the server calls it; empty for the only one that it has.
    allowed
        Hosts, other than this machine, that images may be sent to.
    timeout, retries
        Seconds to wait for an answer, and how often a request is repeated.
    parallel
        So many questions at once. What comes back is the same for any number.
    """

    url: str
    model: str = ""
    allowed: frozenset[str] = field(default_factory=frozenset)
    timeout: float = TIMEOUT
    retries: int = RETRIES
    parallel: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.parallel <= MOST_AT_ONCE:
            raise SettingsError(f"{self.parallel} questions at once; expected 1 to {MOST_AT_ONCE}.")


class NamingPlan:
    """What is to be asked of the latents of a run; made without any request.

    Parameters
    ----------
    run
        Made with maps.
    latents, most
        Which, or how many of those that contribute most.
    extent
        How much is asked of each.
    images
        The folder of the images, where they are not beside the run.
    weight
        (h,) what a unit of each latent adds to a logit, to choose by; by mean activation without it.
    decoder
        (d, h), for the nearest latents; without it those that fire on the same images count as near.
    seed
        Of the split by patient and all draws.

    Attributes
    ----------
    cost
        At most.
    notes
        What was left out.
    units
        What its latents are those of: the run's model.

    Raises
    ------
    RunError, SettingsError
        The run keeps no maps, its images are not found, or no latent fires on enough patients.
    """

    def __init__(
        self,
        run: Run,
        latents: Sequence[int] | None = None,
        most: int = MOST_LATENTS,
        extent: Extent | None = None,
        *,
        images: Path | None = None,
        weight: FloatArray | None = None,
        decoder: NDArray[Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.run, self.extent, self.seed = run, extent or Extent(), seed
        self.images = RunImages(run, images)
        self.tasks, self.patients, self.notes = plan_tasks(
            run, latents, most, self.extent, weight=weight, decoder=decoder, seed=seed
        )
        if len(set(self.patients.tolist())) == len(self.patients):
            self.notes.append("the run names no patients: every image counts as a separate patient")
        self.units = str(run.info["model"])
        self.near_by = "decoder" if decoder is not None else "images"
        self.cost: Cost = cost_of(self.tasks, self.extent)

    def settings(self) -> dict[str, Any]:
        """Return what the provenance of a result says."""
        return {
            "run": self.run.path, "latents": [task.latent for task in self.tasks], "seed": self.seed,
            "near_by": self.near_by, **asdict(self.extent),
        }  # fmt: skip


def name_with_server(
    plan: NamingPlan,
    choice: ServerChoice,
    *,
    tests: Collection[str] = TESTS,
    nulls: Sequence[NamingPlan] = (),
    progress: bool | Report = False,
) -> ServerNames:
    """Name the latents of a plan with a vision-language model, and test each name on patients who are held out.

    Every answer is kept in the run's folder before the next question, so that the same call resumes what was stopped,
    and asks no question twice.

    Parameters
    ----------
    plan
        Latents and images.
    choice
        Server and model.
    tests
        Which: "detection", "regions", "ranks".
    nulls
        Plans for runs over the same images with what is not a trained SAE; see `plan_null`. Their latents are named and
        tested in the same way, and `ServerNames.comparison` shows what names are worth there.
    progress
        Whether to show a progress bar, or a function that takes reports and may raise `Cancelled`.

    Raises
    ------
    ConsentNeeded
        Images would leave this machine, and the host was not allowed by name. Nothing was sent.
    ServerError
        The server cannot be reached, has no such model, or refuses.
    RunError, SettingsError, WriteError
        An image cannot be read, a setting has no meaning, or an answer cannot be kept.
    """
    asked = check_tests(tests)
    server = find_server(choice.url)
    cost = sum((other.cost for other in nulls), plan.cost)
    check_consent(server, choice.allowed, cost.images)
    with (
        reporting(progress) as report,
        working_in(folder_beside(plan.run.path, FOLDER)) as replies,
        _asking(server, choice, replies.note_request) as client,
    ):
        report("Looking for the model")
        model = _settle_model(client, choice, cost.images)
        asker = Asker(client, model, replies, report, cost.requests, choice.parallel)
        found = _name_and_test(plan, asker, asked)
        compared = [(other.units, tuple(_name_and_test(other, asker, asked))) for other in nulls]
    notes = list(plan.notes)
    if server.remote:
        notes.append(f"images were sent to {server.host}; text that is burnt into them is part of them")
    if unclear := sum(not one.named.name for one in found):
        notes.append(
            f"no name for {unclear} of {len(found)}: the server sees no common pattern, or gives no usable answer"
        )
    if asker.failed:
        notes.append(f"questions without a usable answer, left out: {asker.failed:,}")
    if asker.gives_tokens is False:
        notes.append("the server gives no probabilities; it was asked for a number from 0 to 10 instead")
    settings = plan.settings() | {
        "server": server.host,
        "model": spoken(model),
        "tests": list(asked),
        "wording": VERSION,
    }
    record = provenance("name", settings | {"from": "server"}) | {
        "made_with": plan.run.made_with, "requests": asker.describe(), "nulls": mean_nulls(found), "notes": notes,
        "at_most": asdict(cost), "compared_with": [other.run.path.name for other in nulls],
    }  # fmt: skip
    return ServerNames(tuple(found), cost, record, tuple(notes), tuple(compared))


def plan_null(plan: NamingPlan, run: Run, images: Path | None = None) -> NamingPlan:
    """Plan to name, of another run over the same images, as many latents as of a plan's: those that fire most.

    Parameters
    ----------
    plan
        Of the latents that are to be compared.
    run
        Made with ``--sae untrained``, ``random`` or ``channels``, or with any other SAE, and with maps.
    images
        The folder of the images, where they are not beside the run.

    Raises
    ------
    RunError, SettingsError
        It is not a run over these images, keeps no maps, or nothing in it can be named.
    """
    rows_in(run, plan.run, np.arange(len(plan.run)))
    return NamingPlan(run, None, len(plan.tasks), plan.extent, images=images, seed=plan.seed)


def check_tests(names: Iterable[str]) -> tuple[Test, ...]:
    """Return tests by their names, in order; SettingsError where there is no such test."""
    wanted = set(names)
    if unknown := wanted - set(TESTS):
        raise SettingsError(f"{unknown.pop()!r} is not a test of names; choose from {', '.join(TESTS)}.")
    return tuple(name for name in TESTS if name in wanted)


def weight_of(facts: ModelFacts) -> FloatArray | None:
    """Return the most that a unit of each latent (h,) adds to any logit; None where that is not linear."""
    return None if facts.attribution is None else np.asarray(np.abs(facts.attribution).max(axis=0))


def models_of_server(choice: ServerChoice) -> list[str]:
    """Return the models that a server lists; no image is sent, but a host must be allowed all the same."""
    server = find_server(choice.url)
    check_consent(server, choice.allowed, 0)
    with _asking(server, choice, lambda *_: None) as client:
        found = client.models()
    if found is None:
        raise ServerError(f"{server.host} does not list its models; name one.")
    return found


@contextmanager
def _asking(server: Server, choice: ServerChoice, note: Any) -> Iterator[Client]:
    client = Client(server, note, timeout=choice.timeout, retries=choice.retries)
    try:
        yield client
    finally:
        client.close()


def _settle_model(client: Client, choice: ServerChoice, images: int) -> str:
    """Return the model to ask, which the server has and which runs where images may be sent."""
    known, host, named = client.models(), client.server.host, choice.model
    listed = ", ".join(map(spoken, (known or [])[:10])) or "none"
    if known is None:
        if not named:
            raise ServerError(f"{host} does not list its models; name one.")
    elif not named:
        if len(known) != 1:
            raise ServerError(f"{host} has {len(known)} models; choose one: {listed}.")
        named = known[0]
    elif f"{named}:latest" not in known:
        found = [one for one in known if named in (one, spoken(one))]
        if not found:
            raise ServerError(f"{host} has no model {named!r}; it has {listed}.")
        named = found[0]
    cloud = client.cloud_of(named)
    if cloud and cloud.lower() not in {one.lower() for one in choice.allowed}:
        raise ConsentNeeded(
            f"{named} runs in a cloud behind {host}, and {images:,} images would be sent to {cloud}. To allow it, name "
            f"the host: --allow-remote {cloud}.",
            cloud,
        )
    return named


def _name_and_test(plan: NamingPlan, asker: Asker, tests: Collection[Test]) -> list[NamedLatent]:
    named = name_all(plan.tasks, asker, plan.images)
    names = names_of_all(
        {latent: one.name for latent, one in named.items()},
        {latent: one.category for latent, one in named.items()},
        plan.seed,
    )
    found = []
    for task in plan.tasks:
        scores: dict[Test, Score] = {}
        if task.latent in names:
            test = NameTest(task, names[task.latent], asker, plan.images, plan.patients, plan.extent)
            made = {"detection": test.detection, "regions": test.regions, "ranks": test.ranks}
            scores = {name: made[name]() for name in TESTS if name in tests}
        found.append(NamedLatent(task, named[task.latent], **scores))
    return found
