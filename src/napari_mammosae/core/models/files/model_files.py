"""Models by name, and the `model.toml` that describes one."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...base.errors import ModelError
from ...base.reading import reads, short_reason
from ...base.structured import read_toml
from ...images.preprocessing import Preprocessing
from ..adapters.kinds import BackboneKind, NetworkSource, defaults_of
from ..choices import NO_SAE, check_engine
from ..facts import Domain
from ..heads import Task
from ..published.address import SCHEME
from ..published.catalogue import published_model, published_models
from ..published.places import locate, model_toml
from ..sae.options import CONFIGS, SaeOptions, settle_options
from .model_schema import FILE_KINDS, BackboneTable, FileEntry, HeadTable, InputTable, ModelTable, validated

SAMPLE_DATA = Path(__file__).parents[3] / "sample_data"


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
    backbone, classifier, sae, text, vocabulary
        Files; see `load_model`.
    head
        The classifier's own head.
    extra_heads
        Others, each with a file.
    hashes
        Expected SHA-256 of files, by "backbone", "classifier", "sae", "text" and "vocabulary".
    keys
        Which of several to take in a file, by "backbone", "classifier", "sae", "text" or a head's name; see
        `load_model`.
    sae_options
        What the SAE's file does not say.
    layer
        The layer that the SAE reads, "head" or "blocks.N".
    network
        What the backbone is.
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
    text: Path | None = None
    vocabulary: Path | None = None
    head: HeadSource = field(default_factory=HeadSource)
    extra_heads: tuple[HeadSource, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    sae_options: SaeOptions = field(default_factory=SaeOptions)
    layer: str = "head"
    network: NetworkSource = field(default_factory=NetworkSource)
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
        keys: Mapping[str, str] | None = None,
    ) -> "ModelFiles":
        """Return a copy with what is given, and not None, in place of what the file says.

        Raises
        ------
        ModelError
            If a key is for none of the files.
        """
        known = ("backbone", "classifier", "sae", "text", *(one.name for one in self.extra_heads))
        for name in keys or ():
            if name not in known:
                raise ModelError(f"keys has {name!r}; expected one of {', '.join(known)}")
        head = replace(self.head, classes=tuple(classes or self.head.classes), task=task or self.head.task)
        size = input_size or self.preprocessing.size
        return replace(
            self,
            head=head,
            keys={**self.keys, **(keys or {})},
            layer=layer or self.layer,
            preprocessing=replace(self.preprocessing, size=size),
        )

    def with_sae(self, sae: Path | str | None) -> "ModelFiles":
        """Return a copy with another SAE, of which nothing is said yet; None for the one there is, "none" for none."""
        if sae is None:
            return self
        sae = None if sae == NO_SAE else Path(sae)
        hashes, keys = ({k: v for k, v in said.items() if k != "sae"} for said in (self.hashes, self.keys))
        return replace(self, sae=sae, hashes=hashes, keys=keys, sae_options=SaeOptions())

    def with_text(self, text: Path | None, vocabulary: Path | None) -> "ModelFiles":
        """Return a copy with another text tower, and another vocabulary; None for the ones there are."""
        if text is not None:
            self = replace(self, text=text, vocabulary=None)
        return self if vocabulary is None else replace(self, vocabulary=vocabulary)

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
    if str(name) not in published_models():
        near = difflib.get_close_matches(str(name), [*embedded, *published_models()], 1, cutoff=0.5)
        if path.name and path.exists():
            raise ModelError(
                f"{path.name} is a {'folder' if path.is_dir() else 'file'}, not a model; give a name from `models "
                "list`, or a model.toml that names the weights files"
            )
        raise ModelError(
            f"no model is called {path.name!r}{f'; did you mean {near[0]}?' if near else '.'} `napari-mammosae models "
            "list` lists them. For other weights write a model.toml that names the files, or pass the files themselves"
        )
    toml = model_toml(str(name))
    if not toml.is_file():
        published = published_model(str(name))
        raise ModelError(
            f"{name} is not downloaded ({published.size}). Run `napari-mammosae models download {name}`, or `models "
            "add` for files that you have"
        )
    return read_model_file(toml)


def file_stamps(recipe: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    """Return name, time and size of the files that the arguments of `load_model` stand for: other ones, other files.

    Those that are missing or not understood are left out; `load_model` says what is wrong with them.
    """
    paths = [Path(recipe[kind]) for kind in FILE_KINDS if recipe.get(kind) is not None]
    if (name := recipe.get("name")) is not None:
        paths += [Path(name)] if Path(name).suffix == ".toml" else []
        try:
            files = find_model(name)
        except ModelError:
            pass
        else:
            named = (*(getattr(files, kind) for kind in FILE_KINDS), *(head.file for head in files.extra_heads))
            paths += [path for path in named if path is not None]
    there = [(one.name, one.stat()) for path in paths for one in _files_of(path) if one.exists()]
    return tuple((name, found.st_mtime_ns, found.st_size) for name, found in there)


def _files_of(path: Path) -> list[Path]:
    """Return a file and the settings that may lie beside it, or what a folder holds."""
    return sorted(path.iterdir()) if path.is_dir() else [path, *(path.with_name(name) for name in CONFIGS)]


@reads(ModelError, "a model.toml")
def read_model_file(path: Path | str) -> ModelFiles:
    """Read a `model.toml`; its file names are relative to it.

    The keys are listed in the documentation, with the short spellings `classifier`, `backbone`, `sae`, `classes`,
    `task` and `input_size` at the top of the file.

    Raises
    ------
    ModelError
        If the file is missing, is not TOML, or has unknown keys or values of another kind.
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
    if table.base:
        return _based(table, path)
    named: dict[str, FileEntry | None] = {kind: getattr(table.files, kind) for kind in FILE_KINDS}
    files: dict[str, Any] = {
        kind: _file(entry, table.key("files", kind), path) for kind, entry in named.items() if entry is not None
    }
    weights = files.get("classifier") or files.get("backbone")
    try:
        network = _network(table.backbone)
        usual = defaults_of(network, table.input.channels, weights)
        domain = Domain(**{**usual.domain, **_given(table.domain), "words": tuple(table.domain.words)})
        preprocessing = _preprocessing(table.input, dict(usual.input), domain)
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from None
    except ValueError as error:  # of the preparation, which names its field first
        name, _, why = str(error).partition(" ")
        raise ModelError(f"{path.name}: {table.key('input', name)} {why}") from None
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
    files_of_model = ModelFiles(
        name=table.name or path.parent.name or path.stem,
        head=own,
        extra_heads=extra,
        hashes={kind: entry.sha256 for kind, entry in named.items() if entry is not None and entry.sha256},
        sae_options=SaeOptions(**table.sae.model_dump()),
        layer=table.layer,
        network=network,
        engine=table.engine,
        preprocessing=preprocessing,
        domain=domain,
        **files,
    )
    try:
        return files_of_model.changed(keys=table.keys)
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from None


def _based(table: ModelTable, toml: Path) -> ModelFiles:
    """A model that has heads besides those of another one, and all else of it."""
    other = sorted(table.model_fields_set - {"base", "name", "head", "keys"})
    if other:
        raise ModelError(f"{toml.name}: {table.keys_in(other[0])} is that of its base; remove it, or base")
    if Path(table.base).suffix != ".toml":
        files = find_model(table.base)
    elif (base := toml.parent / table.base).resolve() == toml.resolve():
        raise ModelError(f"{toml.name} names itself as its base; name the model that the heads are added to")
    else:
        files = read_model_file(base)
    if own := next((one for one in table.head if one.file is None), None):
        raise ModelError(f"{toml.name}: the head {own.name!r} has no file; only a model without a base has one such")
    _, extra = _heads(table, toml)
    files = replace(files, name=table.name or f"{files.name}-heads", extra_heads=(*files.extra_heads, *extra))
    try:
        return files.changed(keys=table.keys)
    except ModelError as error:
        raise ModelError(f"{toml.name}: {error}") from None


def _file(entry: FileEntry, key: str, toml: Path) -> Path:
    try:
        file = locate(entry, toml)
    except ModelError as error:
        raise ModelError(f"{toml.name}: {key} = {error}") from None
    if file is None and entry.path.startswith(SCHEME):
        known = toml.parent.name if toml == model_toml(toml.parent.name) else toml.name
        raise ModelError(
            f"{toml.name} names {key} = {entry.path!r}, which is not downloaded; run `napari-mammosae models download "
            f"{known}`"
        )
    if file is None:
        raise ModelError(
            f"{toml.name} names {key} = {Path(entry.path).name!r}, which does not exist; file names are relative to "
            f"{toml.name}"
        )
    return file


def _heads(table: ModelTable, toml: Path) -> tuple[HeadSource, tuple[HeadSource, ...]]:
    """Return the classifier's own head, and the others."""
    own = [one for one in table.head if one.file is None]
    if len(own) > 1:
        raise ModelError(f"{toml.name} has {len(own)} [[head]] without a file; only the classifier's own has none")
    if own and table.files.classifier is None:
        raise ModelError(
            f"{toml.name} describes a classifier's head ({table.keys_in('head')}) but names none; name one, or the "
            "head's file"
        )

    def source(one: HeadTable, place: int) -> HeadSource:
        file = None if one.file is None else _file(one.file, table.key("head", place - 1, "file"), toml)
        return HeadSource(one.name, tuple(one.classes), one.task, file)

    heads = [source(one, place) for place, one in enumerate(table.head, start=1)]
    extra = tuple(head for head in heads if head.file is not None)
    return next((head for head in heads if head.file is None), HeadSource()), extra


def _network(said: BackboneTable) -> NetworkSource:
    given: tuple[tuple[BackboneKind, str], ...] = (("timm", said.timm), ("torchvision", said.torchvision))
    names = {kind: name for kind, name in given if name}
    named: BackboneKind = next(iter(names), "mammo-clip")
    kind = named if said.kind is None else said.kind
    if len(names) > 1 or not set(names) <= {kind}:
        raise ModelError("backbone names several networks; keep one of kind, timm and torchvision")
    if kind in ("timm", "torchvision") and kind not in names:
        raise ModelError(f"backbone.kind is {kind!r} without a name; write {kind} = 'resnet50' or the like")
    if said.member and kind != "mammoscreen":
        raise ModelError("backbone.member is for kind 'mammoscreen' alone; remove it")
    return NetworkSource(kind, names.get(kind, ""), said.member)


def _preprocessing(said: InputTable, usual: dict[str, Any], domain: Domain) -> Preprocessing:
    given = _given(said)
    for name in ("size", "mean", "std"):
        if isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    channels = usual.get("channels", 3)
    if given.get("channels", channels) != channels:
        raise ModelError(f"input.channels is {given['channels']}; this backbone reads {channels}")
    breast = "breast" in domain.body_part.lower()
    return Preprocessing(**{"fit": "crop" if breast else "resize", **usual, **given, "breast": breast})


def _given(table: BaseModel) -> dict[str, Any]:
    """Return what is said in a table."""
    return table.model_dump(exclude_unset=True, exclude_none=True)
