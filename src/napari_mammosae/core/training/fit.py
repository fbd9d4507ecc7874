"""From images to a trained sparse autoencoder, and what it is worth on images it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import SettingsError
from ..base.progress import Report, ignore
from ..runs.making.decode_pool import DecodePool
from ..runs.sources import Entry, Sources, read_sources
from ..stats.measures import FloatArray
from .checkpoint import EpochRecord
from .features import FeatureStore, check_share, store_features
from .folder import TrainingFolder
from .reconstruction import Fidelity, fidelity
from .results import FittedSAE
from .sae_training import evaluate_parts, train_saes
from .settings import SAETrainingSettings, differing

if TYPE_CHECKING:
    from ..models.model import MammoSAE
    from ..models.sae.autoencoder import SparseAutoencoder


def fit_saes(
    images: str | Path,
    model: "MammoSAE",
    folder: TrainingFolder,
    settings: Mapping[str, SAETrainingSettings],
    *,
    labels: Sequence[Path] = (),
    share: float = 1.0,
    skip_background: bool = False,
    hold_out: float = 0.1,
    workers: int = 1,
    batch: int = 1,
    crop: bool = True,
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, FittedSAE]:
    """Train SAEs on a model's features of images, or resume a training that was stopped.

    The features are computed once, and read once an epoch, for all of them.

    Parameters
    ----------
    images, labels
        As for `write_run`.
    model
        Its own SAE, if any, is not used; its layer is the one trained on.
    folder
        Keeps features and checkpoints; it stays until `finish_training` removes it.
    settings
        Of each training, by a name that its checkpoint has; they differ in `l1` or in `k` alone.
    share
        Of each training image's cells.
    skip_background
        Whether cells that lie wholly in the background are not trained on. Measured are all, and those inside alone.
    hold_out
        Share of the patients whose images are measured and not trained on, drawn by the settings' seed. Without a
        table that names patients each image counts as one.
    workers, batch, crop
        As for `write_run`.
    progress
        Called with the number of images whose features are computed, then of steps.
    cancelled
        Asked between batches.

    Raises
    ------
    ImageError, FindingsError, RunError, WriteError
        The images or tables cannot be used, there is no room for the features, or the folder holds another training.
    SettingsError
        A setting has no meaning.
    Cancelled
        `cancelled` said so.
    """
    report = progress or ignore
    settled = {name: one.settle(model.width) for name, one in settings.items()}
    common, seed = asdict(next(iter(settled.values()))), next(iter(settled.values())).seed
    if len(settled) > 1:
        name, values = differing(settled)
        common[name] = list(values)
    check_share(share)
    sources = read_sources(images, labels or None)
    learning, measured = split_by_patient(sources, hold_out, seed)
    done, total = 0, len(sources.entries)

    def counted(count: int) -> None:
        nonlocal done
        done += count
        report("Computing features", done, total)

    asked = {
        "images": sources.digest, "labels": sources.labels_sha256, "model": model.model_sha256, "layer": model.layer,
        "feature_precision": model.precision, "share": share,
        "skip_background": skip_background, "hold_out": hold_out, "crop": crop, **common,
    }  # fmt: skip
    with folder.used_for(asked), DecodePool(workers) as pool:

        def stored(name: str, entries: Sequence[Entry], share: float, *, skip: bool) -> FeatureStore:
            return store_features(
                entries, model, folder.features(name), pool, share=share, skip_background=skip, seed=seed, batch=batch,
                crop=crop, counted=counted, cancelled=cancelled,
            )  # fmt: skip

        train = stored("train", learning, share, skip=skip_background)
        held = stored("held-out", measured, 1.0, skip=False) if measured else None
        epochs: dict[str, EpochRecord] = {}

        def epoch(name: str, record: EpochRecord) -> None:
            epochs[name] = record

        saes = train_saes(
            train.vectors, settled, device=model.device, each_epoch=epoch, each_step=partial(report, "Training"),
            cancelled=cancelled, checkpoints={name: folder.checkpoint(name) for name in settled},
        )  # fmt: skip
        found: dict[str, FittedSAE] = {}
        for name, sae in saes.items():
            stats, stats_inside = evaluate_parts(sae, (held or train).vectors, (held or train).inside)
            kept_prediction, kept_inside = ({}, {}) if held is None else _fidelity(sae, model, held, sources)
            found[name] = FittedSAE(
                sae=sae,
                settings=settled[name],
                stats=stats,
                stats_inside=stats_inside,
                fidelity=kept_prediction,
                fidelity_inside=kept_inside,
                trained=len(train.entries),
                held_out=len(held.entries) if held else 0,
                failed=len(train.failed) + (len(held.failed) if held else 0),
                cells=len(train.vectors),
                last=epochs[name],
            )
        del train, held  # Windows removes no file that is still mapped
    return found


def split_by_patient(sources: Sources, hold_out: float, seed: int) -> tuple[list[Entry], list[Entry]]:
    """Split images into those trained on and those held out, all images of a patient on one side.

    Raises
    ------
    SettingsError
        The share is below 0 or leaves no one to train on.
    """
    if not 0 <= hold_out < 1:
        raise SettingsError(f"a share of {hold_out:g} was to be held out; expected 0 to below 1.")
    names = [entry.image_id for entry in sources.entries]
    if sources.labels is not None and "patient" in sources.labels:
        known = sources.labels["patient"]
        names = [str(p) if isinstance(p, str) else name for p, name in zip(known, names, strict=True)]
    patients = sorted(set(names))
    count = round(hold_out * len(patients)) or int(hold_out > 0 and len(patients) > 1)
    if count == len(patients):
        raise SettingsError(f"holding out {hold_out:g} of {len(patients)} patients leaves none to train on.")
    drawn = {patients[i] for i in np.random.default_rng(seed).permutation(len(patients))[:count]}
    sides: tuple[list[Entry], list[Entry]] = ([], [])
    for entry, name in zip(sources.entries, names, strict=True):
        sides[name in drawn].append(entry)
    return sides


def _fidelity(
    sae: "SparseAutoencoder", model: "MammoSAE", held: FeatureStore, sources: Sources
) -> tuple[dict[str, Fidelity], dict[str, Fidelity]]:
    """Compare predictions by class: all cells through the SAE, and those inside alone, the background as it is.

    Only where means of cells give the predictions, and the images of both kinds are known.
    """
    means = model.block is None and model.backbone.tail == "mean"
    if sources.labels is None or not means or model.task == "multiclass":
        return {}, {}
    both: tuple[dict[str, Fidelity], dict[str, Fidelity]] = ({}, {})
    for found, with_sae in zip(both, _logits_with(sae, model, held), strict=True):
        for index, name in enumerate(model.classes):
            if f"label.{name}" not in sources.labels:
                continue
            labels = sources.labels[f"label.{name}"].to_numpy(np.float64)[[entry.image for entry in held.entries]]
            known = ~np.isnan(labels)
            if set(labels[known]) == {0.0, 1.0}:
                zero = np.asarray(model.head_bias[index])
                found[name] = fidelity(labels[known], held.logits[known, index], with_sae[known, index], zero)
    return both


def _logits_with(sae: "SparseAutoencoder", model: "MammoSAE", held: FeatureStore) -> tuple[FloatArray, FloatArray]:
    """Logits (n, C) of whole images: of the reconstructions of all cells, and of those inside alone."""
    import torch

    pooled, inside = [], []
    for start, end in zip(held.starts[:-1], held.starts[1:], strict=True):
        with torch.inference_mode():
            x = torch.from_numpy(np.asarray(held.vectors[start:end], np.float32))
            decoded = sae(x)
            pooled.append(decoded.double().mean(0).numpy())
            own = torch.from_numpy(held.inside[start:end])[:, None]
            inside.append(torch.where(own, decoded, x).double().mean(0).numpy())
    weight, bias = model.head_weight.T, model.head_bias
    return np.asarray(np.stack(pooled) @ weight + bias), np.asarray(np.stack(inside) @ weight + bias)
