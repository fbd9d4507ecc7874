"""The parts a model is put together from, read from its files and checked against each other."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import CheckpointError, ModelError
from ..base.files import sha256_file
from ..base.progress import reporting
from ..base.reading import reading
from .adapters.kinds import NetworkSource
from .adapters.protocol import Backbone
from .adapters.reading import read_network
from .choices import (
    AnyEngine,
    Precision,
    check_device,
    check_engine,
    check_precision,
    choose_engine,
    settle_recipe,
    stand_in,
)
from .files.found_again import found_beside
from .files.head_files import check_head_file
from .files.model_files import HeadSource, ModelFiles, embedded_models, find_model
from .heads import Head, Task
from .memory import loaded_within_memory
from .model import MammoSAE
from .published.download import download_model
from .sae.autoencoder import SparseAutoencoder
from .sae.options import SaeOptions
from .sae.reading import read_sae, weights_file
from .sae.stand_ins import with_stand_in
from .text.reading import TextFiles
from .weights.building import build_backbone, renamed
from .weights.checkpoints import read_backbone, read_classifier, read_head
from .weights.file_kinds import check_weights_file

DENSITY_CLASSES = ("density_a", "density_b", "density_c", "density_d")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Network, heads (the classifier's own first), and autoencoder.

    Attributes
    ----------
    places
        By "model" and "sae": which of several in its file the backbone or the SAE is.
    """

    backbone: Backbone
    heads: tuple[Head, ...]
    sae: SparseAutoencoder | None
    places: dict[str, str]


def read_parts(files: ModelFiles) -> Parts:
    """Read the files of a model.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If a file is not what it should be.
    ModelError
        If no weights are named, or the classes do not fit the logits.
    """
    backbone, heads, places = _read_backbone(files)
    keys = files.keys
    for extra in files.extra_heads:
        if extra.file is not None:
            layer = read_head(extra.file, keys.get(extra.name), extra.name)
            heads.append(_new_head(extra, *layer, extra.file.name))
    for head in heads:
        if head.width != backbone.pooled_channels:
            raise CheckpointError(
                f"{head.source}: the classification layer reads {head.width} features, "
                f"the backbone with it gives {backbone.pooled_channels}"
            )
    sae = None
    if files.sae is not None:
        sae = read_sae(files.sae, files.sae_options, keys.get("sae"))
        places["sae"] = sae.place
    return Parts(backbone, tuple(heads), sae, places)


def _read_backbone(files: ModelFiles) -> tuple[Backbone, list[Head], dict[str, str]]:
    """Return the backbone, the classifier's own heads, and where the backbone's weights were."""
    heads: list[Head] = []
    places: dict[str, str] = {}
    keys = files.keys
    if files.network.kind != "mammo-clip":
        loaded = read_network(files)
        source, layer = files.classifier or files.backbone, loaded.backbone.layer
        if layer is not None and source is not None:
            heads = _own_heads(files.network, files.head, *layer, source.name)
        return loaded.backbone, heads, {"model": loaded.place}
    if files.classifier is not None:
        source = files.classifier
        classifier = read_classifier(source, keys.get("classifier"))
        encoder, places["model"] = renamed(classifier.encoder), classifier.encoder.place
        if files.backbone is not None and not _same_weights(
            encoder, renamed(read_backbone(files.backbone, keys.get("backbone")))
        ):
            warnings.warn(
                f"{source.name} holds backbone weights of its own, which differ from {files.backbone.name}; "
                "the classifier's are used",
                stacklevel=3,
            )
        heads.append(_new_head(files.head, classifier.head_weight, classifier.head_bias, source.name))
    elif files.backbone is not None:
        source = files.backbone
        pretrained = read_backbone(source, keys.get("backbone"))
        encoder, places["model"] = renamed(pretrained), pretrained.place
    else:
        raise ModelError("no weights: give a classifier checkpoint, or a backbone for features without a prediction")
    return build_backbone(encoder, source.name), heads, places


def _new_head(said: HeadSource, weight: Tensor, bias: Tensor, source: str) -> Head:
    """Put a head together; one logit and four logits have classes by default."""
    classes, task, logits = said.classes, said.task, len(bias)
    if not classes:
        defaults = {1: ("finding",), 4: DENSITY_CLASSES}
        if logits not in defaults:
            raise ModelError(f"{source} has {logits} logits and no names for them; give `classes`, one per logit")
        classes = defaults[logits]
        task = task or ("multiclass" if logits == 4 else "binary")
    task = task or ("binary" if logits == 1 else "multilabel")
    return Head(said.name, classes, task, weight.double().numpy(), bias.double().numpy(), source)


def _own_heads(network: NetworkSource, said: HeadSource, weight: Tensor, bias: Tensor, source: str) -> list[Head]:
    """Put the heads of a classification layer together: one, or for mammoscreen cancer and density."""
    if network.kind == "mammoscreen" and not said.classes and len(bias) == 1 + len(DENSITY_CLASSES):
        return [
            _new_head(HeadSource("cancer", ("cancer",), "binary"), weight[:1], bias[:1], source),
            _new_head(HeadSource("density", DENSITY_CLASSES, "multiclass"), weight[1:], bias[1:], source),
        ]
    return [_new_head(said, weight, bias, source)]


def _same_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    shared = [key for key in a if key in b and a[key].is_floating_point()]
    return bool(shared) and all(a[k].shape == b[k].shape and torch.equal(a[k].float(), b[k].float()) for k in shared)


def load_model(
    name: str | Path | None = None,
    *,
    backbone: Path | str | None = None,
    classifier: Path | str | None = None,
    sae: Path | str | None = None,
    text: Path | str | None = None,
    vocabulary: Path | str | None = None,
    sae_options: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    task: Task | None = None,
    layer: str | None = None,
    input_size: tuple[int, int] | None = None,
    keys: Mapping[str, str] | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    engine: AnyEngine | None = None,
    compile: bool = False,
    download: bool = False,
) -> MammoSAE:
    """Put a model together from a name or from files.

    Parameters
    ----------
    name
        "demo" (embedded, works offline), a published model that was downloaded or added ("mass-finetuned"), or a
        `model.toml` that names files and sizes.
    backbone
        Mammo-CLIP pre-training checkpoint; not needed beside a classifier, whose own backbone weights win.
    classifier
        Downstream checkpoint with the image encoder and the linear head.
    sae
        Sparse autoencoder, a file or folder of any tool named in the documentation; without it `encode` raises. Beside
        a name it replaces the named model's; "none" leaves that one out. For what a trained one has to beat:
        "untrained" stands for one of the same shape as training begins with, "random" for directions spread as its own
        are, and "channels" for the channels themselves.
    text, vocabulary
        For prompts: the pre-training checkpoint whose text tower is used, by default the `backbone`, and its
        `vocab.txt`, by default that in the local Hugging Face cache. Nothing of them is read before the first prompt.
    sae_options
        What its file does not say: `kind`, `k`, `threshold`, `scale`, and `clamp` for codes below zero; see
        `SaeOptions`.
    classes, task
        Of the classifier's head: one slug a logit, and how logits become probabilities; by default one logit is a
        binary `finding`, four are the multiclass densities a to d.
    layer
        The layer that the SAE reads, "head" or "blocks.N".
    input_size
        (H, W) of the model's input, 1520 x 912 by default.
    keys
        Where a file holds several of what is wanted, averaged weights beside plain ones for example: which to take, by
        "classifier", "backbone", "sae", "text" or the name of a head with a file, such as
        ``{"classifier": "model_ema"}``.
    device
        "auto" (cuda, else mps, else cpu), or a torch device.
    precision
        "float32" is exact; on a GPU "float16" is faster and changes features by about 0.3 %, "bfloat16" by about 3 %,
        and "tf32" lies between. An image that overflows float16 is computed in float32.
    engine
        What computes the features: "torch", "compiled" (torch.compile: worth it for many images), "openvino" (an extra
        to install: six tenths of the time on a CPU, equal to 1e-4), or "auto", which is OpenVINO on a CPU where it is
        installed. Where an engine fails, a warning says so and PyTorch computes. By default what the `model.toml` says,
        else "auto".
    compile
        The same as ``engine="compiled"``.
    download
        Download files of a published model that are not here, which accepts their licences. Without it nothing is ever
        fetched.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If a file is not what it should be.
    ModelError
        If parts do not fit each other, or a name, device, precision or engine is not known.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.load_model("demo", device="cpu")
    <MammoSAE 'demo': mass, suspicious_calcification; 2,048 latents on 48 x 29 cells of head; float32 on cpu>
    """
    given = settle_recipe({key: value for key, value in locals().items() if key not in ("compile", "download")})
    if (other := stand_in(sae)) is not None:
        sae = None
    if name is not None:
        if backbone or classifier:
            raise ModelError("give either a model's name or files, not both; only `sae` and `text` go with a name")
        if download and str(name) not in embedded_models():
            with reporting(True) as report:
                download_model(str(name), report)
        files = find_model(name).with_sae(sae)
    else:
        files = ModelFiles("local files", backbone=_path(backbone), classifier=_path(classifier), sae=_path(sae))
    files = files.with_text(_path(text), _path(vocabulary))
    files = files.changed(classes=classes, task=task, layer=layer, input_size=input_size, keys=keys)
    files = files.with_sae_options(sae_options)
    if files.sae is not None:
        files = replace(files, sae=weights_file(files.sae))
    asked = check_engine("compiled" if compile else engine or files.engine)
    if asked == "auto" and files.network.kind != "mammo-clip":
        asked = "torch"
    precision = check_precision(precision)
    device = "cpu" if (asked, device) == ("openvino", "auto") else resolve_device(device)
    chosen = choose_engine(asked, device)
    hashes = [_hash(files, name) for name in ("classifier" if files.classifier else "backbone", "sae")]
    for kind in ("text", "vocabulary"):
        if kind in files.hashes:
            _hash(files, kind)
    with reading(files.classifier or files.backbone or files.name, CheckpointError, "weights of a model"):
        parts = read_parts(files)
    model_sha256, sae_sha256 = (
        _hash_with(found, parts.places.get(name, "")) for found, name in zip(hashes, ("model", "sae"), strict=True)
    )
    for one in files.extra_heads:
        if one.file is not None:
            check_head_file(one.file, model_sha256)
    model_sha256 = _hash_with(model_sha256, files.network.words)
    if parts.sae is not None:
        sae_sha256 = _hash_with(sae_sha256, parts.sae.settings_sha256)
    found_again, found_note = None, ""
    if files.sae is not None and parts.sae is not None:
        found_again, found_note = found_beside(files.sae, sae_sha256, parts.sae.n_latents)
    put_together = partial(
        MammoSAE,
        backbone=parts.backbone,
        sae=parts.sae,
        heads=parts.heads,
        layer=files.layer,
        preprocessing=files.preprocessing,
        name=files.name,
        precision=precision,
        engine=chosen,
        domain=files.domain,
        model_sha256=model_sha256,
        sae_sha256=sae_sha256,
        text=_text_files(files),
        found_again=found_again,
        found_note=found_note,
    )
    model = loaded_within_memory(files.name, device, lambda device: put_together(device=device))
    if other is not None:
        model = with_stand_in(model, other)
    model.recipe = given | {"device": device, "engine": chosen}
    return model


def resolve_device(device: str) -> str:
    """Return the torch device that `device` ("auto", "cpu", "cuda", "cuda:1", "mps") means on this machine.

    Raises
    ------
    ModelError
        If the device is unknown or not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if check_device(device) == "auto":
        return next(kind for kind, available in there.items() if available)
    kind, _, number = device.partition(":")
    if not there[kind] or (number and int(number) >= torch.cuda.device_count()):
        raise ModelError(f"device {device!r} is not available on this machine; choose auto or cpu")
    return device


def _text_files(files: ModelFiles) -> TextFiles | None:
    """Where the text tower is: in a file of its own, else in the pre-training checkpoint."""
    text = files.text or files.backbone
    return None if text is None else TextFiles(text, files.vocabulary, files.keys.get("text"))


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


def _hash(files: ModelFiles, kind: str) -> str:
    """Hash of a file of the model, "" where there is none; CheckpointError where the model.toml expects another."""
    path = getattr(files, kind)
    if path is not None:
        check_weights_file(path)
    found = "" if path is None else sha256_file(path)
    expected = files.hashes.get(kind, found)
    if found != expected:
        raise CheckpointError(
            f"{path.name} has the SHA-256 {found[:12]}…, and {expected[:12]}… is expected; copy or download it again"
        )
    return found


def read_hashed_sae(path: Path, options: SaeOptions) -> tuple[SparseAutoencoder, str]:
    """Return an SAE from its file or folder, and the hash that a model with it has as `sae_sha256`.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If it cannot be read; see `read_sae`.
    """
    file = weights_file(path)
    check_weights_file(file)
    sae = read_sae(file, options)
    return sae, _hash_with(_hash_with(sha256_file(file), sae.place), sae.settings_sha256)


def _hash_with(sha256: str, more: str) -> str:
    """Hash of weights and of what else tells them from others: their place in a file that holds several, settings."""
    return hashlib.sha256(f"{sha256} {more}".encode()).hexdigest() if more else sha256
