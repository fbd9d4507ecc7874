"""Files from the hub: whole ones into the hub's own cache, and single members of an archive."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

from ...base.caches import cache_folder
from ...base.errors import DownloadError
from ...base.files import sha256_file, write_atomic
from ...base.limits import check_grown, check_limit
from ...base.reading import reading
from .address import Address
from .catalogue import PublishedModel
from .hub import Remote, explaining, find_cached, hub_sha256, look_up
from .paths import choose, is_member
from .remote_file import NoRanges, RemoteFile, alone, check_room

if TYPE_CHECKING:
    from ...base.progress import Report

_LOCAL_HEADER = 1 << 16  # bytes before a member's data, at most
_CHUNK = 1 << 20


def fetch_file(address: Address, report: "Report", expected: str = "") -> Path:
    """Return a file of the hub's cache, downloaded first where it is not there.

    Parameters
    ----------
    address
        The file.
    report
        Called while it comes in; may raise `Cancelled`. What has come in is kept, and the next call goes on from there.
    expected
        SHA-256 that it must have, "" for the one the hub gives.

    Raises
    ------
    DownloadError
        It cannot be fetched, or has another SHA-256 than it should: it is removed then.
    WriteError
        The disk is full.
    """
    if (there := find_whole(address)) is not None:
        return there
    remote = look_up(address)
    expected = expected or remote.sha256
    with explaining(address):
        with alone(remote, report):
            if find_cached(address) is None and not remote.blob.exists():
                try:
                    _fetch_blob(remote, report, expected)
                except NoRanges:
                    return _fetch_at_once(remote, report, expected)
        return _link(address)


def find_whole(address: Address) -> Path | None:
    """Return a file of the hub's cache; None where it is not there, and where it was damaged: that one is removed."""
    path = find_cached(address)
    if path is None or hub_sha256(path) in ("", sha256_file(path)):
        return path
    _remove(path)
    return None


def _remove(path: Path) -> None:
    for file in (path.resolve(), path):
        file.unlink(missing_ok=True)


def _fetch_blob(remote: Remote, report: "Report", expected: str) -> None:
    blob = remote.blob
    file = RemoteFile(remote, blob.with_name(f"{blob.name}.parts"), report)
    try:
        file.fetch(0, remote.size)
        file.flush()
        report(f"Verifying {remote.address.name}")
        try:
            check_sha256(file.mirror, remote.address.name, expected)
        except DownloadError:
            file.discard()
            raise
        file.move_to(blob)
    finally:
        file.close()


def _link(address: Address, **options: Any) -> Path:
    """Have the hub's library list a file in its cache, and download it if its content is not there."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(address.repo, address.path, revision=address.revision, **options))


def _fetch_at_once(remote: Remote, report: "Report", expected: str) -> Path:
    from huggingface_hub.utils import tqdm

    name = remote.address.name

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})  # type: ignore[no-untyped-call]
            self.done = options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self.done += n or 0
            report(f"Downloading {name} (MB)", int(self.done) >> 20, max(1, remote.size >> 20))

    path = _link(remote.address, tqdm_class=Bar)
    report(f"Verifying {name}")
    try:
        check_sha256(path, name, expected)
    except DownloadError:
        _remove(path)
        raise
    return path


def check_sha256(path: Path, name: str, expected: str) -> str:
    """Return a file's SHA-256; DownloadError where another one is expected."""
    found = sha256_file(path)
    if expected and found != expected:
        raise DownloadError(
            f"{name} has the SHA-256 {found[:12]}…, and {expected[:12]}… is expected: not what was published. Nothing "
            "of it was kept; try again"
        )
    return found


@contextmanager
def opened_archive(address: Address, report: "Report") -> Iterator[tuple[ZipFile, RemoteFile | None]]:
    """Open an archive of the hub; only the parts that are read are downloaded.

    Yields
    ------
    archive, file
        The archive, and the file on the hub behind it; None where the hub's cache has it as a whole.

    Raises
    ------
    NoRanges
        The server sends whole files only: `fetch_file` fetches it.
    """
    if (whole := find_whole(address)) is not None:
        with opened_zip(whole, address.name) as archive:
            yield archive, None
        return
    remote = look_up(address)
    with explaining(address), alone(remote, report):
        file = RemoteFile(remote, cache_folder() / "downloads" / remote.etag, report)
        try:
            with opened_zip(file, address.name) as archive:
                yield archive, file
        finally:
            file.close()


@contextmanager
def opened_zip(file: Path | RemoteFile, name: str) -> Iterator[ZipFile]:
    """Open a zip archive; DownloadError where it is none or damaged."""
    with ExitStack() as stack:
        with reading(name, DownloadError, "a zip archive"):
            archive = stack.enter_context(ZipFile(file))
            check_limit("keys", len(archive.filelist), f"{name}: {len(archive.filelist):,} members", DownloadError)
        yield archive


def find_member(archive: ZipFile, model: PublishedModel, name: str, part: str = "") -> ZipInfo:
    """Return the member of an archive that is a model's classifier; see `paths.choose`."""
    found = [info for info in archive.filelist if is_member(model, info.filename) and part in info.filename]
    return archive.getinfo(choose(model, [info.filename for info in found], name))


def is_extracted(info: ZipInfo, target: Path) -> bool:
    """Whether a member of an archive is at `target` already, by its size and the archive's checksum."""
    if not target.is_file() or target.stat().st_size != info.file_size:
        return False
    checksum = 0
    with target.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum == info.CRC


def extract_member(
    archive: ZipFile, info: ZipInfo, target: Path, report: "Report", file: RemoteFile | None = None, expected: str = ""
) -> str:
    """Write a member of an archive to `target`, whole or not at all, unless it is there; return its SHA-256.

    Parameters
    ----------
    archive, info
        The archive and its member.
    target
        Where it goes.
    report
        Called while it is fetched and written.
    file
        The file on the hub behind the archive, so that the member comes in one request.
    expected
        SHA-256 that it must have; "" where it is not known. The checksum in the archive is compared in any case.

    Raises
    ------
    DownloadError
        It is damaged, or has another SHA-256.
    WriteError
        The disk is full.
    """
    if is_extracted(info, target):
        return check_sha256(target, target.name, expected)
    check_grown(info.compress_size, info.file_size, target.name, DownloadError)
    if file is not None:
        file.fetch(info.header_offset, info.header_offset + _LOCAL_HEADER + info.compress_size)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_room(target.parent, info.file_size, target.name)
    with (
        write_atomic(target) as temporary,
        reading(target.name, DownloadError, "a member of the archive"),
        archive.open(info) as packed,
        temporary.open("wb") as unpacked,
    ):
        done = 0
        while chunk := packed.read(_CHUNK):
            unpacked.write(chunk)
            done += len(chunk)
            report(f"Unpacking {target.name} (MB)", done >> 20, max(1, info.file_size >> 20))
        unpacked.flush()
        return check_sha256(temporary, target.name, expected)
