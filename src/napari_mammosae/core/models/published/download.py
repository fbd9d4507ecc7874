"""Downloading a published model: what it takes, so that a person can accept it, and the download itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import DownloadError
from ...base.files import sha256_file
from ...base.text import size_text
from ..files.model_schema import FileEntry
from .address import SCHEME, Address
from .catalogue import PublishedFile, PublishedModel, published_model, published_models
from .fetch import extract_member, fetch_file, find_member, find_whole, is_extracted, opened_archive, opened_zip
from .hub import hub_sha256, look_up
from .paths import base_name
from .places import known_entries, locate, model_toml, read_entries, write_model_toml
from .remote_file import NoRanges

if TYPE_CHECKING:
    from ...base.progress import Report


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that a download fetches.

    Attributes
    ----------
    name, address
        Of the file, and where it comes from.
    size
        Bytes to fetch, as the server says.
    licence
        Its name; "" where it is not stated.
    """

    name: str
    address: Address
    size: int
    licence: str

    def describe(self) -> str:
        """``sparse_autoencoder_final.pt: 268.5 MB from KKNakka/MammoSAE, licence not stated: see ...``."""
        licence = f"licence {self.licence}" if self.licence else "licence not stated"
        return f"{self.name}: {size_text(self.size)} from {self.address.repo}, {licence} (see {self.address.page})"


def plan_download(name: str, report: "Report", part: str = "") -> list[PlannedFile]:
    """Ask the hub what downloading a model takes; nothing where all its files are here.

    Parameters
    ----------
    name
        A published model, or a `model.toml` with files of the hub.
    report
        Called while the hub is asked.
    part
        Part of the path of the archive's member, where several fit.

    Raises
    ------
    DownloadError
        The hub cannot be reached, or does not have a file.
    ModelError
        The name is not known, or several members of the archive fit.
    """
    if name.endswith(".toml"):
        missing = [one for _, one in _addresses(Path(name)) if find_whole(one) is None]
        return [PlannedFile(one.name, one, look_up(one).size, _licence_of(one)) for one in missing]
    model = published_model(name)
    here = _files_here(model)
    planned = []
    for kind, file in model.files.items():
        report(f"Asking for the size of {file.name}")
        if kind in here:
            continue
        if kind == "classifier":
            planned += _plan_member(model, file, report, part)
        elif find_whole(file.address) is None:
            planned.append(PlannedFile(file.name, file.address, look_up(file.address).size, file.licence))
    return planned


def _plan_member(model: PublishedModel, file: PublishedFile, report: "Report", part: str) -> list[PlannedFile]:
    try:
        with opened_archive(file.address, report) as (archive, remote):
            member = find_member(archive, model, file.name, part)
            name = base_name(member.filename)
            if remote is None or is_extracted(member, model_toml(model.name).parent / name):
                return []
            return [PlannedFile(name, file.address, member.compress_size, file.licence)]
    except NoRanges:
        return [PlannedFile(file.name, file.address, look_up(file.address).size, file.licence)]


def download_model(name: str, report: "Report", part: str = "") -> list[str]:
    """Download what a model needs, list it under its name, and return a line about the checksum of each file.

    Parameters
    ----------
    name, report, part
        As for `plan_download`. `report` may raise `Cancelled`; what was fetched is kept for the next time.

    Raises
    ------
    DownloadError
        A file cannot be fetched, or is not what was published.
    WriteError
        The disk is full.
    """
    if name.endswith(".toml"):
        return [
            checksum_line(one.name, *_hash_cached(fetch_file(one, report, entry.sha256), entry.sha256))
            for entry, one in _addresses(Path(name))
        ]
    model = published_model(name)
    recorded = known_entries(name)
    entries, lines = _files_here(model), []
    for kind, file in model.files.items():
        if kind in entries:
            continue
        expected = file.sha256 or (recorded[kind].sha256 if kind in recorded else "")
        if kind == "classifier":
            entries[kind], known = _fetch_classifier(model, file, report, part, expected), expected
        else:
            sha256, known = _hash_cached(fetch_file(file.address, report, expected), expected)
            entries[kind] = FileEntry(path=str(file.address), sha256=sha256)
        lines.append(checksum_line(entries[kind].path.rpartition("/")[2], entries[kind].sha256, known))
    write_model_toml(model, {kind: entries[kind] for kind in model.files})
    return lines


def _fetch_classifier(
    model: PublishedModel, file: PublishedFile, report: "Report", part: str, expected: str
) -> FileEntry:
    folder = model_toml(model.name).parent
    try:
        with opened_archive(file.address, report) as (archive, remote):
            member = find_member(archive, model, file.name, part)
            target = folder / base_name(member.filename)
            sha256 = extract_member(archive, member, target, report, remote, expected)
            if remote is not None:
                remote.discard()
    except NoRanges:
        with opened_zip(fetch_file(file.address, report, file.sha256), file.name) as archive:
            member = find_member(archive, model, file.name, part)
            target = folder / base_name(member.filename)
            sha256 = extract_member(archive, member, target, report, expected=expected)
    return FileEntry(path=target.name, sha256=sha256)


def _hash_cached(path: Path, expected: str) -> tuple[str, str]:
    """Return the SHA-256 of a file of the hub's cache, and what it was compared with; the cache's names are such."""
    known = expected or hub_sha256(path)
    found = sha256_file(path)
    if known and found != known:
        raise DownloadError(
            f"{path.name} of the hub has the SHA-256 {found[:12]}…, and {known[:12]}… is expected: another version"
        )
    return found, known


def checksum_line(name: str, sha256: str, known: str) -> str:
    """Say what a file's SHA-256 is, and whether there was one to compare it with."""
    return (
        f"{name}: SHA-256 {sha256}, as expected"
        if known
        else (f"{name}: no published checksum; the file's SHA-256 is {sha256}, recorded")
    )


def _files_here(model: PublishedModel) -> dict[str, FileEntry]:
    """Return the files that a model's `model.toml` names and that are on this machine, whole."""
    found = {}
    for kind, entry in known_entries(model.name).items():
        file = locate(entry, model_toml(model.name))
        if kind in model.files and file is not None and entry.sha256 in ("", sha256_file(file)):
            found[kind] = entry
    return found


def _addresses(toml: Path) -> list[tuple[FileEntry, Address]]:
    entries = read_entries(toml).values()
    return [(entry, Address.parse(entry.path)) for entry in entries if entry.path.startswith(SCHEME)]


def _licence_of(address: Address) -> str:
    files = (file for model in published_models().values() for file in model.files.values())
    return next((file.licence for file in files if file.address == address), "")
