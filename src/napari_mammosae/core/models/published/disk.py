"""Published files as they are on a disk: the archive, its unpacked folder, or single files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import DownloadError, ModelError
from ...base.files import sha256_file
from ..files.model_schema import FileEntry
from .catalogue import PublishedFile, PublishedModel, published_model, published_models
from .fetch import extract_member, opened_zip
from .hub import find_cached
from .paths import base_name, choose, is_member, is_published_name, listed
from .places import known_entries, locate, model_toml, models_folder, write_model_toml

if TYPE_CHECKING:
    from ...base.progress import Report

_WEIGHTS = (".pth", ".pt", ".tar", ".zip")


@dataclass(frozen=True, slots=True)
class Source:
    """A file on a disk, or a member of an archive there.

    Attributes
    ----------
    file
        The file, or the archive.
    shown
        How messages call it: its path below the folder that was searched, or in the archive.
    member
        Name of the member; "" for a file.
    """

    file: Path
    shown: str
    member: str = ""

    @property
    def path(self) -> str:
        """The path that says what it is."""
        return self.member or str(self.file)


@dataclass(slots=True)
class Added:
    """What came of adding files: names of the models that were added, and notes, those of refusals among them."""

    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def add_from_disk(path: Path, report: "Report", name: str = "", part: str = "") -> Added:
    """List the published models whose files are at a place, each with a `model.toml`.

    Files stay where they are; of an archive the members are unpacked into the user's data folder.

    Parameters
    ----------
    path
        A folder, an archive, or a file.
    report
        Called at every file; may raise `Cancelled`.
    name
        The published model that the file is; by default it follows from folders and names.
    part
        Part of the path of the files to take, where several fit.

    Raises
    ------
    ModelError
        Nothing that was published is there, or what is there may be one thing or the other.
    """
    path = path.absolute()
    if not path.exists():
        raise ModelError(f"{path.name}: no such file or folder; check the path")
    added = Added()
    every = list(_sources(path, report, added))
    sources = [one for one in every if part in one.path]
    sae = _add_sae(sources, added) or _add_sae(every, added)
    models = [published_model(name)] if name else published_models().values()
    for model in models:
        kind = "classifier" if model.classifier is not None else "backbone"
        found = [one for one in sources if _is(one, model)]
        if name:
            found = found or [one for one in sources if _may_be(one, model)]
        if not found:
            continue
        try:
            _add(model, kind, _only(model, found, path.name), sae, report)
            added.names.append(model.name)
        except (ModelError, DownloadError) as error:
            added.notes.append(str(error))
    added.names += _complete_with_sae(sae, added)
    if not added.names:
        raise ModelError(added.notes[0] if added.notes else _nothing(path, sources))
    return added


def _sources(path: Path, report: "Report", added: Added) -> Iterator[Source]:
    """Find weights files, those that are members of archives among them."""
    for file in _walk(path):
        shown = file.name if file == path else file.relative_to(path).as_posix()
        report(f"Looking at {file.name}")
        if file.suffix.casefold() != ".zip":
            yield Source(file, shown)
            continue
        try:
            with opened_zip(file, file.name) as archive:
                yield from [
                    Source(file, info.filename, info.filename) for info in archive.filelist if not info.is_dir()
                ]
        except DownloadError as error:
            added.notes.append(str(error))


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            if name.casefold().endswith(_WEIGHTS) and not name.startswith("._"):
                yield Path(folder, name)


def _is(source: Source, model: PublishedModel) -> bool:
    """Whether a file is what a model needs, by its folders and name."""
    if model.backbone is not None:
        return not source.member and is_published_name(model.backbone.name, source.path)
    return is_member(model, source.path)


def _may_be(source: Source, model: PublishedModel) -> bool:
    """Whether a file can be what a model needs, once its user says so."""
    endings = (".pth",) if model.classifier is not None else (".tar",)
    return source.path.casefold().endswith(endings)


def _only(model: PublishedModel, found: Sequence[Source], where: str) -> Source:
    """Return the one source; copies of one file count once, and a file goes before the archive it came from."""
    files = _different([one for one in found if not one.member]) or list(found)
    if model.classifier is not None:
        shown = choose(model, [one.shown for one in files], where)
        return next(one for one in files if one.shown == shown)
    if len(files) != 1:
        raise ModelError(f"{model.name}: {len(files)} files of {where} fit: {listed([one.shown for one in files])}")
    return files[0]


def _different(files: Sequence[Source]) -> list[Source]:
    if len(files) < 2:
        return list(files)
    return list({(one.file.stat().st_size, sha256_file(one.file)): one for one in reversed(files)}.values())[::-1]


def _add(model: PublishedModel, kind: str, source: Source, sae: FileEntry | None, report: "Report") -> None:
    report(f"Adding {model.name}")
    if source.member:
        target = model_toml(model.name).parent / base_name(source.member)
        with opened_zip(source.file, source.file.name) as archive:
            sha256 = extract_member(archive, archive.getinfo(source.member), target, report)
        entry = FileEntry(path=target.name, sha256=sha256)
    else:
        entry = FileEntry(path=str(source.file), sha256=sha256_file(source.file))
    entries = {kind: entry}
    if model.sae is not None and sae is not None:
        entries["sae"] = sae
    write_model_toml(model, entries)


def _add_sae(sources: Sequence[Source], added: Added) -> FileEntry | None:
    """Return the published SAE: of these files, of a model added before, or of the hub's cache."""
    published = _published_sae()
    found = _different([one for one in sources if not one.member and is_published_name(published.name, one.path)])
    if len(found) > 1:
        added.notes.append(
            f"{len(found)} different files are called {published.name}: {listed([one.shown for one in found])}. "
            "Choose one with --member and a part of its path"
        )
    elif found:
        entry = FileEntry(path=str(found[0].file), sha256=sha256_file(found[0].file))
        write_model_toml(PublishedModel("sae", "the SAE alone, for models that are added later"), {"sae": entry})
        added.names.append(published.name)
        return entry
    for toml in sorted(models_folder().glob("*/model.toml")):
        known = known_entries(toml.parent.name).get("sae")
        if known is not None and locate(known, toml) is not None:
            return known
    cached = find_cached(published.address)
    return None if cached is None else FileEntry(path=str(published.address), sha256=sha256_file(cached))


def _complete_with_sae(sae: FileEntry | None, added: Added) -> list[str]:
    """Give the SAE to models that were added before without one; note those that still have none."""
    completed, without = [], []
    for model in published_models().values():
        entries = known_entries(model.name)
        if model.sae is None or not entries:
            continue
        if "sae" in entries and locate(entries["sae"], model_toml(model.name)) is not None:
            continue
        if sae is None:
            without.append(model.name)
        else:
            write_model_toml(model, entries | {"sae": sae})
            completed.append(model.name)
    if without:
        added.notes.append(
            f"{', '.join(without)}: no SAE, so no latents. Add {_published_sae().name}, or download the model"
        )
    return completed


def _published_sae() -> PublishedFile:
    return next(model.sae for model in published_models().values() if model.sae is not None)


def _nothing(path: Path, sources: Sequence[Source]) -> str:
    loose = [one.shown for one in sources if one.path.casefold().endswith(".pth")]
    if loose:
        return (
            f"{loose[0]}: its folders do not say which model it is; expected folders such as fine_tune/mass. Say which "
            "with --as, for example `--as mass-finetuned`"
        )
    return (
        f"{path.name} has none of the published files; expected the archive of downstream checkpoints, its folders "
        f"(fine_tune/mass/*.pth and so on), {_published_sae().name}, or a pre-training checkpoint"
    )
