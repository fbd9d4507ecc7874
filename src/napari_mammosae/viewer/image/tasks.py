"""What runs in the worker thread: loading a model and an image, computing the latents. Knows no Qt.

pandas and all that needs it are imported here at the last moment, so that opening the dock costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.base.errors import ModelError
from ...process.batch import BatchJob

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings
    from ...core.base.progress import Report
    from ...core.images.mammogram import Mammogram
    from ...core.models.heads import Head
    from ...core.models.latents import LatentMaps
    from ...core.models.published.catalogue import PublishedModel
    from ...core.models.text.space import JointSpace
    from ...core.runs.run import Run
    from ...process.handle import MemoryUse, ModelHandle
    from ...process.opening import ModelOpener


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model as chosen in the dock: a name (or the path of a `model.toml`), or files; and how to run it."""

    name: str | None = "demo"
    backbone: Path | None = None
    classifier: Path | None = None
    sae: Path | None = None
    classes: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "float32"
    engine: str = "auto"
    layer: str | None = None

    @property
    def title(self) -> str:
        """What to call it while it loads."""
        source = self.classifier or self.backbone
        return Path(self.name).name if self.name else source.name if source else "no model"

    @property
    def recipe(self) -> dict[str, Any]:
        """The arguments of `load_model` for it."""
        settled = {"classes": self.classes or None, "engine": None if self.engine == "auto" else self.engine}
        return {field.name: getattr(self, field.name) for field in fields(self)} | settled


def model_names() -> tuple[str, ...]:
    """Models that have a name, whether their files are here or not."""
    from ...core.models.files.model_files import embedded_models
    from ...core.models.published.catalogue import published_models

    return (*embedded_models(), *published_models())


def missing_model(name: str | None) -> tuple[PublishedModel, str] | None:
    """Return a published model that lacks files, and what to say of it; None for all others."""
    from ...core.models.published.catalogue import published_models
    from ...core.models.published.places import READY, state_of

    model = published_models().get(name or "")
    return None if model is None or (state := state_of(model)) == READY else (model, state)


def plan_download(name: str, report: Report) -> str:
    """Return size and licence of each file that a model lacks, a line each."""
    from ...core.models.published.download import plan_download

    return "\n".join(file.describe() for file in plan_download(name, report))


def download(name: str, report: Report) -> None:
    """Download what a model lacks."""
    from ...core.models.published.download import download_model

    download_model(name, report)


def stamps(choice: ModelChoice) -> Any:
    """Return what differs where a file of a chosen model is another one now."""
    from ...core.models.files.model_files import file_stamps

    return file_stamps(choice.recipe)


def load(models: ModelOpener, choice: ModelChoice, report: Report) -> ModelHandle:
    """Load a model."""
    report(f"Loading {choice.title}")
    return models.open(choice.recipe, report)


def compute(handle: ModelHandle, image: Mammogram, report: Report) -> tuple[LatentMaps, MemoryUse]:
    """Compute every latent of an image; also return what memory the model takes then."""
    maps = handle.compute(image, report)
    report("Showing the latents")
    return maps, handle.memory()


def add_prompt(
    handle: ModelHandle, texts: tuple[str, str], approximate: bool, report: Report
) -> tuple[Head, JointSpace]:
    """Make a prompt one more head of a model, unless it is one; also return the space its texts share with images."""
    from ...core.naming.text.heads import find_prompt, make_head

    report("Reading the prompt")
    head = find_prompt(handle.facts.heads, *texts)
    if head is None:
        head = make_head(handle, *texts, approximate=approximate)
        handle.add_head(head)
    return head, handle.joint_space()


def train_head(handle: ModelHandle, run: Run, label: str, base: str | None, report: Report) -> tuple[Head, str]:
    """Train a head for a label of a run in a process of its own, add it to the model, and say what it is worth."""
    if label in handle.facts.classes and label not in run.classes:
        raise ModelError(f"The model has a head for {label!r} already.")
    report("Starting the training")
    head, said = BatchJob("train_head", run.path, label, run.chosen, base).result(report)
    handle.add_head(head)
    return head, said


def reopen_head(handle: ModelHandle, path: Path, report: Report) -> None:
    """Give a model the head again that was trained for it and kept in a file, unless it has one of the name."""
    from ...core.models.files.head_files import read_trained_head

    report(f"Opening {path.name}")
    head = read_trained_head(path, handle.facts.model_sha256)
    if head.name not in {one.name for one in handle.facts.heads}:
        handle.add_head(head)


def read_image(path: Path, report: Report) -> Mammogram:
    """Read a mammogram file."""
    from ...core.images.mammogram import read_mammogram

    return read_mammogram(path)


def image_from_pixels(pixels: Any, image_id: str, path: Path | None, report: Report) -> Mammogram:
    """Take the pixels of a layer that another reader opened."""
    from ...core.images.mammogram import read_mammogram

    return read_mammogram(pixels, image_id=image_id, path=path)


def read_boxes(path: Path, report: Report) -> Findings:
    """Read ground-truth boxes: a table, or the folder of a data set."""
    from ...core.datasets.find import read_boxes as read

    return read(path)
