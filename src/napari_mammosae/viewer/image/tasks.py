"""What runs in the worker thread: loading a model and an image, computing the latents. Knows no Qt.

torch, pandas and all that needs them are imported here at the last moment, so that opening the dock costs nothing.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings
    from ...core.base.progress import Report
    from ...core.images.mammogram import Mammogram
    from ...core.models.latents import LatentMaps
    from ...core.models.model import MammoSAE


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

    @property
    def title(self) -> str:
        """What to call it while it loads."""
        source = self.classifier or self.backbone
        return Path(self.name).name if self.name else source.name if source else "no model"


def model_names() -> tuple[str, ...]:
    """Models that can be loaded by name."""
    from ...core.models.model_files import embedded_models

    return tuple(embedded_models())


def load(choice: ModelChoice, report: Report) -> MammoSAE:
    """Load a model."""
    _start_torch(report)
    from ...core.models.loading import load_model

    report(f"Loading {choice.title}")
    model = load_model(
        choice.name,
        backbone=choice.backbone,
        classifier=choice.classifier,
        sae=choice.sae,
        classes=choice.classes or None,
        device=choice.device,
        precision=choice.precision,  # type: ignore[arg-type]
    )
    if model.layer == "head" and model.sae is not None and model.classes:
        _ = model.attribution  # kept by the model; for a wide SAE too long for the thread of the window
    return model


def _start_torch(report: Report) -> None:
    """Import torch and what needs it, announced: the import holds up the window for moments that no thread can avoid.

    It makes so many objects that Python would look through all of them for garbage soon after, and stop everything
    meanwhile; that is put off and done once, before anything else is announced.
    """
    if "napari_mammosae.core.models.model" in sys.modules and "timm" in sys.modules:
        return
    report("Starting PyTorch; the window may pause for a moment")
    time.sleep(0.1)  # for the window to say so before it cannot
    gc.disable()
    try:
        from ...core.models import model  # noqa: F401
        from ...core.models.timm_import import import_timm

        import_timm()
        gc.collect()
    finally:
        gc.enable()


def compute(model: MammoSAE, image: Mammogram, report: Report) -> LatentMaps:
    """Compute every latent of an image."""
    from ...core.models.compute import compute_latents

    report(f"Computing {model.n_latents:,} latents of {image.image_id} on {model.device}")
    maps = compute_latents(model, image)
    report("Showing the latents")
    return maps


def read_image(path: Path, report: Report) -> Mammogram:
    """Read a mammogram file."""
    from ...core.images.mammogram import read_mammogram

    return read_mammogram(path)


def image_from_pixels(pixels: Any, image_id: str, path: Path | None, report: Report) -> Mammogram:
    """Take the pixels of a layer that another reader opened."""
    from ...core.images.mammogram import read_mammogram

    return read_mammogram(pixels, image_id=image_id, path=path)


def read_boxes(path: Path, report: Report) -> Findings:
    """Read a table of ground-truth boxes."""
    from ...core.annotations.boxes import read_findings

    return read_findings(path)


def is_ready(model: Any) -> bool:
    """Whether what latents add to the logits is known already: working it out takes too long for the GUI thread."""
    return model.layer == "head" and bool(model.classes) and {"attribution", "constant"} <= set(vars(model))


def prepare_edits(model: MammoSAE, report: Report) -> MammoSAE:
    """Work out what latents add to the logits, and return the model.

    Raises
    ------
    ModelError
        If what follows the SAE is not linear, or there is no classifier.
    """
    report("Preparing edits")
    _ = model.attribution, model.constant
    return model
