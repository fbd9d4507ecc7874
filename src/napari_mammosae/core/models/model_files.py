"""Models by name, and the `model.toml` that describes one."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..base.errors import ModelError
from ..base.reading import reads, short_reason
from ..base.structured import read_toml
from ..images.preprocessing import Preprocessing
from .choices import check_engine
from .facts import Domain
from .heads import Task
from .model_schema import FileEntry, HeadTable, InputTable, ModelTable, validated
from .sae.options import SaeOptions, settle_options

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"


@dataclass(frozen=True, slots=True)
class HeadSource:
    """A head as it is named before its weights are read.

    Attributes
    ----------
    name
        Of the head.
    classes, task
        One name a logit, and how logits become probabilities; empty and None for the defaults.
    file
        Its weights; None for the classifier's own head, whose weights are in the classifier's file.
    """

    name: str = "classifier"
    classes: tuple[str, ...] = ()
    task: Task | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files a model is put together from, and what they do not say themselves.

    Attributes
    ----------
    name
        Shown to people and kept with results.
    backbone, classifier, sae
        Weights files; see `load_model`.
    head
        The classifier's own head.
    extra_heads
        Others, each with a file.
    hashes
        Expected SHA-256 of files, by "backbone", "classifier" and "sae".
    sae_options
        What the SAE's file does not say.
    layer
        The layer that the SAE reads, "head" or "blocks.N".
    engine
        What computes the features; see `load_model`.
    preprocessing
        What the model expects of its input.
    domain
        What kind of images it is for.
    """

    name: str
    backbone: Path | None = None
    classifier: Path | None = None
    sae: Path | None = None
    head: HeadSource = field(default_factory=HeadSource)
    extra_heads: tuple[HeadSource, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    sae_options: SaeOptions = field(default_factory=SaeOptions)
    layer: str = "head"
    engine: str = "auto"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    domain: Domain = field(default_factory=Domain)

    def changed(
        self,
        *,
        classes: Sequence[str] | None = None,
        task: Task | None = None,
        layer: str | None = None,
        input_size: tuple[int, int] | None = None,
    ) -> "ModelFiles":
        """Return a copy with what is given, and not None, in place of what the file says."""
        head = replace(self.head, classes=tuple(classes or self.head.classes), task=task or self.head.task)
        size = input_size or self.preprocessing.size
        return replace(self, head=head, layer=layer or self.layer, preprocessing=replace(self.preprocessing, size=size))

    def with_sae(self, sae: Path | None) -> "ModelFiles":
        """Return a copy with another SAE, of which nothing is said yet; None for the one there is."""
        if sae is None:
            return self
        hashes = {kind: value for kind, value in self.hashes.items() if kind != "sae"}
        return replace(self, sae=sae, hashes=hashes, sae_options=SaeOptions())

    def with_sae_options(self, given: Mapping[str, Any] | None) -> "ModelFiles":
        """Return a copy with some of the SAE's options set; ModelError where one is not known or has a wrong value."""
        options = replace(self.sae_options, **settle_options(given).given())
        return replace(self, sae_options=options)


def embedded_models() -> dict[str, Path]:
    """Names of the models that come with the package, and their `model.toml`."""
    return {"demo": SAMPLE_DATA / "demo" / "model.toml"}


def find_model(name: str | Path) -> ModelFiles:
    """Return the files of a known model, or of the `model.toml` at a path.

    Raises
    ------
    ModelError
        If the name is not known, or the file is missing or not understood.
    """
    embedded = embedded_models()
    if str(name) in embedded:
        return read_model_file(embedded[str(name)])
    path = Path(name)
    if path.suffix == ".toml":
        return read_model_file(path)
    raise ModelError(
        f"no model is called {str(name)!r}; known are {', '.join(embedded)}. "
        "For other weights write a model.toml that names the files, or pass the files themselves"
    )


@reads(ModelError, "a model.toml")
def read_model_file(path: Path | str) -> ModelFiles:
    """Read a `model.toml`; its file names are relative to it.

    The keys are listed in the documentation, with the short spellings `classifier`, `backbone`, `sae`, `classes`,
    `task` and `input_size` at the top of the file.

    Raises
    ------
    ModelError
        If the file is missing, is not TOML, has unknown keys or values of another kind, or asks for what this version
        does not support.
    """
    path = Path(path)
    try:
        content = read_toml(path, ModelError)
    except FileNotFoundError:
        raise ModelError(
            f"{path.name}: no such file; check the path, or write a model.toml that names the weights files and sizes"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path.name} is not a TOML file ({short_reason(error)}); expected lines such as classifier = 'file.pth'"
        ) from None
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({error.strerror or error}); expected a model.toml") from None
    table = validated(content, path.name)
    named = {"backbone": table.files.backbone, "classifier": table.files.classifier, "sae": table.files.sae}
    files = {kind: _file(entry, f"files.{kind}", path) for kind, entry in named.items() if entry is not None}
    if not {"classifier", "backbone"} & set(files):
        raise ModelError(
            f"{path.name} names no weights; expected classifier = 'file', or backbone = 'file' for features without a "
            "prediction"
        )
    try:
        check_engine(table.engine)
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from None
    own, extra = _heads(table, path)
    return ModelFiles(
        name=table.name or path.parent.name or path.stem,
        head=own,
        extra_heads=extra,
        hashes={kind: entry.sha256 for kind, entry in named.items() if entry is not None and entry.sha256},
        sae_options=SaeOptions(**table.sae.model_dump()),
        layer=table.layer,
        engine=table.engine,
        preprocessing=_preprocessing(table.input),
        domain=Domain(table.domain.modality, table.domain.body_part, tuple(table.domain.words)),
        **files,
    )


def _file(entry: FileEntry, key: str, toml: Path) -> Path:
    if entry.path.startswith("hf://"):
        raise ModelError(f"{toml.name}: {key} = {entry.path!r} is not supported yet; download the file and name it")
    file = toml.parent / entry.path
    if not file.exists():
        raise ModelError(
            f"{toml.name} names {key} = {file.name!r}, which does not exist; file names are relative to {toml.name}"
        )
    return file


def _heads(table: ModelTable, toml: Path) -> tuple[HeadSource, tuple[HeadSource, ...]]:
    """Return the classifier's own head, and the others."""
    own = [one for one in table.head if one.file is None]
    if len(own) > 1:
        raise ModelError(f"{toml.name} has {len(own)} [[head]] without a file; only the classifier's own has none")
    if own and table.files.classifier is None:
        raise ModelError(f"{toml.name} describes a classifier's head but names none; name one, or the head's file")

    def source(one: HeadTable, place: int) -> HeadSource:
        file = None if one.file is None else _file(one.file, f"head.{place}.file", toml)
        return HeadSource(one.name, tuple(one.classes), one.task, file)

    heads = [source(one, place) for place, one in enumerate(table.head, start=1)]
    extra = tuple(head for head in heads if head.file is not None)
    return next((head for head in heads if head.file is None), HeadSource()), extra


def _preprocessing(said: InputTable) -> Preprocessing:
    given = said.model_dump(include={"size", "crop", "mean", "std"}, exclude_unset=True)
    if said.size is not None:
        given["size"] = (said.size[0], said.size[1])
    return Preprocessing(**given)
