"""What a process of this package's own can be asked: a fixed table, so that no function travels between processes."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.annotations.positives import Uncertain, parse_positive
from ..core.base.errors import ModelError
from .local import LocalModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..core.base.progress import Report
    from ..core.images.preprocessing import ModelInput
    from ..core.intervention.edit import Edit
    from ..core.models.contributions import Method
    from ..core.models.facts import ModelFacts
    from ..core.models.heads import Head

Answer = tuple[Any, "ModelFacts | None"]
"""What was asked for, and the model's facts where they are others than those sent last."""


@dataclass(frozen=True, slots=True)
class RunJob:
    """A run to be made; see `write_run`.

    Attributes
    ----------
    images, out, labels, maps, batch, workers, positive, uncertain, compile_long
        As `write_run` takes them; `positive` in the words of the command line, LABEL=VALUE.
    """

    images: str
    out: Path
    labels: tuple[Path, ...] = ()
    maps: bool = True
    batch: int | None = None
    workers: int | None = None
    positive: tuple[str, ...] = ()
    uncertain: Uncertain = "unknown"
    compile_long: bool = True


class Models:
    """The model of a process."""

    def __init__(self) -> None:
        self._model: LocalModel | None = None
        self._sent: ModelFacts | None = None

    def warm(self) -> None:
        """Import what loading a model needs: hundreds of thousands of objects, none of them ever garbage."""
        gc.disable()
        try:
            from ..core.models import loading  # noqa: F401
            from ..core.models.timm_import import import_timm

            import_timm()
        finally:
            gc.freeze()
            gc.enable()

    def load(self, report: Report, recipe: Mapping[str, Any], heads: Sequence[Head]) -> Answer:
        """Load a model from its files, and add heads that it has besides."""
        from ..core.models.loading import load_model

        report("Starting PyTorch")
        self.warm()
        report("Loading the model")
        self._model = LocalModel(load_model(**recipe))
        known = {head.name for head in self._model.facts.heads}
        for head in heads:
            if head.name not in known:
                self._model.add_head(head)
        return self.answer(None)

    def answer(self, value: Any) -> Answer:
        """Return a value with the facts, if they are new."""
        facts = self.model.facts
        new, self._sent = facts is not self._sent, facts
        return value, facts if new else None

    @property
    def model(self) -> LocalModel:
        """The loaded model."""
        if self._model is None:
            raise ModelError("no model is loaded in this process")
        return self._model


def compute(models: Models, report: Report, prepared: ModelInput, image_id: str, name: str) -> Answer:
    """All latents of an image made ready for the model."""
    return models.answer(models.model.compute_prepared(prepared, image_id, name, report))


def pass_edits(models: Models, report: Report, key: str, edits: Sequence[Edit]) -> Answer:
    """Logits under edits of an inner layer."""
    return models.answer(models.model.pass_edits(key, edits, report))


def contributions(models: Models, report: Report, key: str, method: Method) -> Answer:
    """What latents of an inner layer add to the logits, by gradients."""
    return models.answer(models.model.contributions(key, method, report))


def neighbours(models: Models, report: Report, latent: int, count: int) -> Answer:
    """Latents whose decoder columns point most nearly the same way."""
    return models.answer(models.model.neighbours(latent, count))


def add_head(models: Models, report: Report, head: Head) -> Answer:
    """Add a head."""
    models.model.add_head(head)
    return models.answer(None)


def encode_texts(models: Models, report: Report, texts: Sequence[str]) -> Answer:
    """Unit vectors of texts, and the words that the text tower does not know."""
    return models.answer(models.model.encode_texts(texts))


def joint_space(models: Models, report: Report) -> Answer:
    """Where images and latents lie in the space they share with texts."""
    return models.answer(models.model.joint_space())


def text_agreement(models: Models, report: Report) -> Answer:
    """How nearly images are embedded as by the text tower's own backbone."""
    return models.answer(models.model.text_agreement())


def memory(models: Models, report: Report) -> Answer:
    """What the model takes of the memory."""
    return models.answer(models.model.memory())


def make_run(models: Models, report: Report, recipe: Mapping[str, Any], job: RunJob) -> tuple[Path, list[str]]:
    """Make a run, or finish it; return its folder and what there is to say of it."""
    from ..core.runs.making.make import write_run

    report("Starting PyTorch")
    models.warm()
    report("Loading the model")
    notices: list[str] = []
    made = write_run(
        job.images,
        recipe,
        job.out,
        labels=list(job.labels),
        maps=job.maps,
        batch=job.batch,
        workers=job.workers,
        compile_long=job.compile_long,
        positive=parse_positive(job.positive),
        uncertain=job.uncertain,
        progress=report,
        notice=notices.append,
    )
    return made.path, notices


def make_demo_run(models: Models, report: Report, recipe: Mapping[str, Any]) -> Path:
    """Make the embedded model's run over synthetic phantoms, or finish it; return its folder."""
    from ..core.runs.making.demo import demo_run

    report("Starting PyTorch")
    models.warm()
    return demo_run(report, model=recipe)


def train_head(
    models: Models, report: Report, path: Path, label: str, positive: Mapping[str, str], base: str | None
) -> tuple[Head, str]:
    """Train a head for a label of a run, keep it in the run's folder, and say what it is worth."""
    from ..core.runs.opening import open_run
    from ..core.training.heads.files import FOLDER, save_heads
    from ..core.training.heads.training import train_head as train

    trained = train(open_run(path, positive=positive or None), label, progress=report)
    written = save_heads([trained], path / FOLDER, base)
    kept = next(file for file in written if file.stem == trained.head.name)
    return replace(trained.head, file=kept), f"{trained.describe()}. Kept in {path.name}/{FOLDER}/{written[1].name}."


TASKS: dict[str, Callable[..., Any]] = {
    "load": Models.load,
    "compute": compute,
    "pass_edits": pass_edits,
    "contributions": contributions,
    "neighbours": neighbours,
    "add_head": add_head,
    "encode_texts": encode_texts,
    "joint_space": joint_space,
    "text_agreement": text_agreement,
    "memory": memory,
    "make_run": make_run,
    "make_demo_run": make_demo_run,
    "train_head": train_head,
}
