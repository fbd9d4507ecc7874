"""The parts a model is put together from, read from its files and checked against each other."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.errors import CheckpointError, ModelError
from ..base.files import sha256_file
from ..images.preprocessing import Preprocessing
from .backbone import EfficientNetBackbone
from .checkpoints import read_backbone, read_classifier, read_sae_weights
from .memory import out_of_memory
from .model import MammoSAE, Precision
from .model_files import ModelFiles, Task, find_model
from .released import architecture_of, rename_released
from .sae import SparseAutoencoder

DENSITY_CLASSES = ("density_a", "density_b", "density_c", "density_d")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Network with batch norms folded, head (float64 (C, d) and (C,)), autoencoder, and what the logits mean."""

    backbone: EfficientNetBackbone
    head_weight: NDArray[np.float64]
    head_bias: NDArray[np.float64]
    sae: SparseAutoencoder | None
    classes: tuple[str, ...]
    task: Task


def read_parts(files: ModelFiles) -> Parts:
    """Read the files of a model.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If a file is not what it should be.
    ModelError
        If no weights are named, or the classes do not fit the logits.
    """
    if files.classifier is not None:
        source = files.classifier
        classifier = read_classifier(source)
        encoder = rename_released(classifier.encoder) if classifier.released else classifier.encoder
        head_weight, head_bias = classifier.head_weight.double().numpy(), classifier.head_bias.double().numpy()
        if files.backbone is not None and not _same_weights(encoder, _pretrained(files.backbone)):
            warnings.warn(
                f"{source.name} holds backbone weights of its own, which differ from {files.backbone.name}; "
                "the classifier's are used",
                stacklevel=3,
            )
    elif files.backbone is not None:
        source = files.backbone
        encoder, head_weight, head_bias = _pretrained(source), np.zeros((0, 0)), np.zeros(0)
    else:
        raise ModelError("no weights: give a classifier checkpoint, or a backbone for features without a prediction")
    backbone = _build_backbone(encoder, source.name)
    if len(head_bias) and head_weight.shape[1] != backbone.out_channels:
        raise CheckpointError(
            f"{source.name}: the classification layer reads {head_weight.shape[1]} features, "
            f"the backbone beside it gives {backbone.out_channels}"
        )
    classes, task = _classes_and_task(len(head_bias), files, source.name)
    sae = None
    if files.sae is not None:
        sae = SparseAutoencoder.from_weights(read_sae_weights(files.sae)[0], files.sae.name)
    return Parts(backbone, head_weight, head_bias, sae, classes, task)


def _pretrained(path: Path) -> dict[str, Tensor]:
    weights, released = read_backbone(path)
    return rename_released(weights) if released else weights


def _build_backbone(weights: dict[str, Tensor], source: str) -> EfficientNetBackbone:
    try:
        architecture = architecture_of(weights)
    except ModelError as error:
        raise CheckpointError(f"{source}: {error}") from None
    with torch.device("meta"):
        network = EfficientNetBackbone(architecture)
    expected = network.state_dict()
    missing, unknown = sorted(set(expected) - set(weights)), sorted(set(weights) - set(expected))
    if missing or unknown:
        raise CheckpointError(
            f"{source} does not fit {architecture.name}: {len(missing)} weights missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}"
        )
    for key, tensor in weights.items():
        if tensor.shape != expected[key].shape:
            raise CheckpointError(
                f"{source}: {key} has shape {tuple(tensor.shape)}, "
                f"{architecture.name} expects {tuple(expected[key].shape)}"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{source}: {key} holds values that are not finite; the file is damaged")
    floats = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    network.load_state_dict(floats, assign=True)
    network.requires_grad_(False).eval().fold_batch_norms()
    return network


def _classes_and_task(logits: int, files: ModelFiles, source: str) -> tuple[tuple[str, ...], Task]:
    classes, task = files.classes, files.task
    if not classes:
        defaults: dict[int, tuple[str, ...]] = {0: (), 1: ("finding",), 4: DENSITY_CLASSES}
        if logits not in defaults:
            raise ModelError(f"{source} has {logits} logits and no names for them; give `classes`, one a logit")
        classes = defaults[logits]
        task = task or ("multiclass" if logits == 4 else "binary")
    if len(classes) != logits:
        raise ModelError(
            f"{source} has {logits} logits, but {len(classes)} classes were named: {', '.join(classes)}; "
            "give one name a logit"
        )
    task = task or ("binary" if logits <= 1 else "multilabel")
    if task not in get_args(Task):
        raise ModelError(f"{source}: task {task!r} is not known; choose one of {', '.join(get_args(Task))}")
    if task == "binary" and logits > 1:
        raise ModelError(f"{source} has {logits} logits, and a binary task has one; choose multilabel or multiclass")
    return classes, task


def _same_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    shared = [key for key in a if key in b and a[key].is_floating_point()]
    return bool(shared) and all(a[k].shape == b[k].shape and torch.equal(a[k].float(), b[k].float()) for k in shared)


def load_model(
    name: str | Path | None = None,
    *,
    backbone: Path | str | None = None,
    classifier: Path | str | None = None,
    sae: Path | str | None = None,
    classes: Sequence[str] | None = None,
    task: Task | None = None,
    layer: str | None = None,
    input_size: tuple[int, int] | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    compile: bool = False,
) -> MammoSAE:
    """Put a model together from a name or from files.

    Parameters
    ----------
    name
        "demo" (embedded, works offline), another known name, or a `model.toml` that names files and sizes.
    backbone
        Mammo-CLIP pre-training checkpoint; not needed beside a classifier, whose own backbone weights win.
    classifier
        Downstream checkpoint with the image encoder and the linear head.
    sae
        Sparse autoencoder; without it `encode` raises.
    classes, task
        One slug a logit, and how logits become probabilities; by default one logit is a binary `finding`, four are
        the multiclass densities a to d.
    layer
        The layer that the SAE reads, "head" or "blocks.N".
    input_size
        (H, W) of the model's input, 1520 x 912 by default.
    device
        "auto" (cuda, else mps, else cpu), or a torch device.
    precision
        "float32" is exact; "bfloat16" is faster and changes features by about 3 %.
    compile
        Compile the backbone with torch.compile: worth it for many images; a note and on without it where it fails.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If a file is not what it should be.
    ModelError
        If parts do not fit each other, or a name, device or precision is not known.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.load_model("demo", device="cpu")
    <MammoSAE 'demo': mass, suspicious_calcification; 2,048 latents on 48 x 29 cells of head; float32 on cpu>
    """
    if name is not None:
        if backbone or classifier or sae:
            raise ModelError("give either a model's name or files, not both")
        files = find_model(name)
    else:
        files = ModelFiles("local files", backbone=_path(backbone), classifier=_path(classifier), sae=_path(sae))
    given = {"classes": tuple(classes) if classes else None, "task": task, "layer": layer, "input_size": input_size}
    files = replace(files, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    if precision not in get_args(Precision):
        raise ModelError(f"precision {precision!r} is not known; choose one of {', '.join(get_args(Precision))}")
    device = resolve_device(device)
    parts = read_parts(files)
    put_together = partial(
        MammoSAE,
        backbone=parts.backbone,
        sae=parts.sae,
        head_weight=parts.head_weight,
        head_bias=parts.head_bias,
        classes=parts.classes,
        task=parts.task,
        layer=files.layer,
        preprocessing=Preprocessing(size=files.input_size),
        name=files.name,
        precision=precision,
        compile=compile,
        model_sha256=_hash(files.classifier or files.backbone),
        sae_sha256=_hash(files.sae),
    )
    try:
        return put_together(device=device)
    except RuntimeError as error:
        if device == "cpu" or not out_of_memory(error):
            raise
    warnings.warn(f"{files.name} does not fit into the memory of {device}; going on on the CPU.", stacklevel=2)
    return put_together(device="cpu")


def resolve_device(device: str) -> str:
    """Return the torch device that `device` ("auto", "cpu", "cuda", "cuda:1", "mps") means on this machine.

    Raises
    ------
    ModelError
        If the device is unknown or not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ModelError(f"device {device!r} is not known; choose auto, cpu, cuda or mps") from None
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.backends.mps.is_available()):
        raise ModelError(f"device {device!r} is not available on this machine; choose auto or cpu")
    return device


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


def _hash(path: Path | None) -> str:
    return "" if path is None else sha256_file(path)
