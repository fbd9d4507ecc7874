"""A file on the hub, read where it is needed by range requests; what was read is kept, so a download can be resumed."""

import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import DownloadError, WriteError
from ...base.files import is_full
from ...base.text import size_text
from .hub import Remote, explaining, transport_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from ...base.progress import Report

BLOCK = 4 << 20
"""Bytes that are kept or fetched again together."""

_CHUNK = 1 << 18
_TRIES = 5  # without a new block in between
_PAUSE = 1.0  # seconds before the next try


class NoRanges(DownloadError):
    """The server sends whole files only."""


class RemoteFile(io.RawIOBase):
    """A file on the hub, read as if it were here.

    Its blocks lie in `mirror` at their places; a second file beside it marks those that are there. Both outlive the
    process, under a name that stands for one content.

    Parameters
    ----------
    remote
        The file.
    mirror
        Where its blocks are kept.
    report
        Called while blocks come in.
    """

    def __init__(self, remote: Remote, mirror: Path, report: "Report") -> None:
        super().__init__()
        self.remote, self.mirror, self.report = remote, mirror, report
        self._place = 0
        blocks = -(-remote.size // BLOCK)
        self._marks_file = mirror.with_name(f"{mirror.name}.blocks")
        mirror.parent.mkdir(parents=True, exist_ok=True)
        known = self._marks_file.read_bytes() if mirror.exists() and self._marks_file.exists() else b""
        self._there = bytearray(known if len(known) == blocks else bytes(blocks))
        self._marks_file.write_bytes(self._there)
        self._file = mirror.open("r+b" if mirror.exists() else "w+b")

    def fetch(self, start: int, stop: int) -> None:
        """Have the bytes from `start` up to `stop` here.

        Raises
        ------
        NoRanges
            The server sends whole files only.
        DownloadError
            The connection failed, or the server sends something else.
        WriteError
            The disk has no room for them; what was fetched is removed.
        """
        wanted = range(start // BLOCK, -(-min(stop, self.remote.size) // BLOCK))
        missing = sum(not self._there[block] for block in wanted)
        if not missing:
            return
        check_room(self.mirror.parent, missing * BLOCK, self.remote.address.name)
        try:
            with explaining(self.remote.address):
                self._fetch_with_patience(wanted)
        except WriteError:
            self.discard()
            raise

    def _fetch_with_patience(self, wanted: range) -> None:
        from huggingface_hub.errors import HfHubHTTPError

        tries, before = _TRIES, -1
        while missing := [block for block in wanted if not self._there[block]]:
            end = next((block for block in range(missing[0], wanted.stop) if self._there[block]), wanted.stop)
            try:
                self._stream(missing[0], end, wanted)
            except HfHubHTTPError:
                raise
            except transport_error():
                tries = tries - 1 if len(missing) == before else _TRIES
                if not tries:
                    raise
                before = len(missing)
                time.sleep(_PAUSE)

    def _stream(self, block: int, end: int, wanted: range) -> None:
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        name, size = self.remote.address.name, self.remote.size
        at, stop = block * BLOCK, min(end * BLOCK, size)
        headers = build_hf_headers() | {"Range": f"bytes={at}-{stop - 1}", "Accept-Encoding": "identity"}
        with get_session().stream("GET", self.remote.url, headers=headers) as response:
            hf_raise_for_status(response)
            if response.status_code != 206:
                raise NoRanges(f"{name}: the server sends whole files only")
            if response.headers.get("Content-Range", "").replace(" ", "") != f"bytes{at}-{stop - 1}/{size}":
                raise DownloadError(f"{name}: the server sends another part than was asked for. Try again later")
            self._file.seek(at)
            for chunk in response.iter_bytes(_CHUNK):
                at += len(chunk)
                if at > stop:
                    raise DownloadError(f"{name}: the server sends more than was asked for. Try again later")
                self._file.write(chunk)
                while block < end and at >= min((block + 1) * BLOCK, size):
                    self._mark(block)
                    block += 1
                here = sum(self._there[one] for one in wanted)
                self.report(f"Downloading {name} (MB)", here * BLOCK >> 20, len(wanted) * BLOCK >> 20)

    def _mark(self, block: int) -> None:
        self._file.flush()
        self._there[block] = 1
        with self._marks_file.open("r+b") as marks:
            marks.seek(block)
            marks.write(b"\1")

    def discard(self) -> None:
        """Remove what was fetched."""
        self.close()
        for file in (self.mirror, self._marks_file):
            file.unlink(missing_ok=True)

    def move_to(self, place: Path) -> None:
        """Give the file, of which every byte was fetched, its place."""
        self.close()
        self.mirror.replace(place)
        self._marks_file.unlink()

    def close(self) -> None:
        """Close the files on the disk; they stay."""
        if not self.closed:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read anywhere: yes."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Read on from another place."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.remote.size}[whence]
        if self._place < 0:
            raise ValueError("before the beginning of the file")
        return self._place

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read bytes, fetching those that are not here."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.remote.size - self._place))
        self.fetch(self._place, self._place + count)
        self._file.seek(self._place)
        view[:count] = self._file.read(count)
        self._place += count
        return count


@contextmanager
def alone(remote: Remote, report: "Report") -> Iterator[None]:
    """Wait until no other process downloads the same file, then keep others waiting."""
    from filelock import FileLock, Timeout

    remote.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(remote.lock, fallback_to_soft=False)
    while True:
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            report(f"Waiting for another download of {remote.address.name}")
            continue
        except (OSError, NotImplementedError) as error:  # a drive without locks
            if is_full(error):
                raise
        break
    try:
        yield
    finally:
        lock.release()


def check_room(folder: Path, size: int, name: str) -> None:
    """Raise WriteError where a folder's disk has no room for `size` bytes of a file."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise WriteError(
            f"The disk is full: {name} needs {size_text(size)}, {size_text(free)} are free. Free some space, then try "
            "again."
        )
