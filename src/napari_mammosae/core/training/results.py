"""A trained autoencoder as a file, with the record of what it was trained on and what it is worth beside it."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import WriteError
from ..base.files import is_full
from ..base.provenance import NOTICE, beside, provenance, write_results
from .checkpoint import EpochRecord
from .folder import TrainingFolder
from .reconstruction import Fidelity, ReconstructionStats
from .settings import SAETrainingSettings

if TYPE_CHECKING:
    from ..models.model import MammoSAE
    from ..models.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, slots=True, eq=False)
class FittedSAE:
    """A trained autoencoder and its report card.

    Attributes
    ----------
    sae
        The autoencoder, on the CPU.
    settings
        What it was trained with; nothing is left to a default.
    stats, stats_inside
        Explained variance, L0 and dead latents on the held-out images; on the training cells where none was held out.
        Of all cells, and of those that do not lie wholly in the background.
    fidelity, fidelity_inside
        Prediction without and with the SAE on the held-out images, by class, where labels allow it. With all cells
        reconstructed, and with those that do not lie wholly in the background.
    trained, held_out, failed
        Numbers of images.
    cells
        Feature vectors trained on.
    last
        How the last epoch went.
    """

    sae: "SparseAutoencoder"
    settings: SAETrainingSettings
    stats: ReconstructionStats
    stats_inside: ReconstructionStats
    fidelity: dict[str, Fidelity]
    fidelity_inside: dict[str, Fidelity]
    trained: int
    held_out: int
    failed: int
    cells: int
    last: EpochRecord

    def __repr__(self) -> str:
        variance = f"{self.stats.explained_variance:.3f}"
        return f"<FittedSAE {self.sae.n_latents} latents from {self.trained} images: explained variance {variance}>"

    def figures(self) -> dict[str, Any]:
        """Return the report card as plain values."""
        return {
            "images_trained_on": self.trained,
            "images_held_out": self.held_out,
            "images_failed": self.failed,
            "cells": self.cells,
            "latents": self.sae.n_latents,
            "measured_on": "held-out images" if self.held_out else "the training cells",
            "kind": self.settings.kind,
            "input_scale": self.sae.input_scale,
            "last_loss": self.last.loss,
            **_measured(self.stats, self.fidelity),
            "without_background": {
                "cells": self.stats_inside.cells,
                **_measured(self.stats_inside, self.fidelity_inside),
            },
        }


def _measured(stats: ReconstructionStats, prediction: Mapping[str, Fidelity]) -> dict[str, Any]:
    return {
        "explained_variance": stats.explained_variance,
        "l0": stats.l0,
        "dead_share": stats.dead_share,
        "prediction": {
            name: {
                "auroc": one.auroc,
                "auroc_sae": one.auroc_sae,
                "auroc_change": one.auroc_change,
                "loss_recovered": one.loss_recovered,
            }
            for name, one in prediction.items()
        },
    }


def finish_training(
    folder: TrainingFolder,
    trained: Mapping[Path, FittedSAE],
    model: "MammoSAE",
    chosen: Mapping[str, Any],
) -> None:
    """Write weights and their records, and remove what the training kept; it stays when they cannot be written.

    Where the disk is full, the features go first: they take the most room, and can be computed again.

    Raises
    ------
    WriteError
        The disk is full, or the file cannot be written.
    """
    for path, fitted in trained.items():
        try:
            try:
                write_sae(path, fitted, model, chosen)
            except WriteError as error:
                if not is_full(error):
                    raise
                folder.remove_features()
                write_sae(path, fitted, model, chosen)
        except WriteError as error:
            reason = "the disk is full" if is_full(error) else getattr(error.__cause__, "strerror", None) or error
            raise WriteError(
                f"{path.name} was not written ({reason}). The training is kept in {folder.root.name}: give the same "
                "command again to write it."
            ) from error.__cause__
    folder.remove()


def write_sae(path: Path, fitted: FittedSAE, model: "MammoSAE", chosen: Mapping[str, Any]) -> None:
    """Write the weights as safetensors whose metadata says what they were trained on, and how; beside it the record.

    Raises
    ------
    WriteError
        The disk is full, or a file cannot be written; neither is there then.
    """
    from safetensors.torch import save

    settings = {name: value for name, value in asdict(fitted.settings).items() if value is not None}
    metadata: dict[str, Any] = {
        "layer": model.layer,
        "model": model.name,
        "model_sha256": model.model_sha256,
        "images": fitted.trained,
        "cells": fitted.cells,
        "scale": fitted.sae.input_scale,
        **settings,
        "use": NOTICE,
    }
    tensors = {name: value.contiguous() for name, value in fitted.sae.state_dict().items()}
    content = save(tensors, {name: str(value) for name, value in metadata.items()})
    record = provenance("train-sae", {**chosen, **settings}, model)
    record["model"].pop("sae_sha256")
    record |= {"sha256": hashlib.sha256(content).hexdigest(), "results": fitted.figures()}
    with write_results(beside(path, ".json"), record, path) as (file,):
        file.write_bytes(content)
