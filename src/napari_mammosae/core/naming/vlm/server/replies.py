"""What was asked and answered, kept in files of lines: nothing is asked twice, and every request leaves a trace."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from ....base.errors import RunError
from ....base.files import write_error
from ....base.reading import reads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOLDER = "names"
"""In the folder of a run."""
ANSWERS, REQUESTS = "answers.jsonl", "requests.jsonl"


class Reply(BaseModel):
    """What a server answered.

    Attributes
    ----------
    text
        Its words; empty where it gave none.
    whole
        Whether it ended by itself, rather than at the largest number of tokens.
    tokens
        The likeliest first tokens with the logarithms of their probabilities; None where the server gives none.
    used
        Tokens of the question and of the answer, as the server counts them.
    """

    model_config = ConfigDict(frozen=True)

    text: str = ""
    whole: bool = True
    tokens: tuple[tuple[str, float], ...] | None = None
    used: tuple[int, int] = (0, 0)


class Replies:
    """The answers that are known, by the hash of all that shaped them; each is on the disk before the next is asked.

    A line that a killed process left unfinished is dropped: its question is asked again.

    Parameters
    ----------
    folder
        Where the files are; no other process uses it meanwhile, see `working_in`.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._requests = folder / ANSWERS, folder / REQUESTS
        self._known: dict[str, Reply] = {}
        self._writing, self._closed = Lock(), False
        if self._path.exists():
            self._known = read_answers(self._path)
            with self._path.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def get(self, key: str) -> Reply | None:
        """Return the answer to a question; None where it was not asked."""
        return self._known.get(key)

    def keep(self, key: str, reply: Reply) -> None:
        """Write an answer down."""
        self._append(self._path, {"key": key, "reply": reply.model_dump(mode="json")})
        self._known[key] = reply

    def note_request(self, host: str, model: str, pictures: Sequence[str], size: int) -> None:
        """Write down that a request is sent: when, where to, which pictures by their hashes, how many bytes."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "host": host, "model": model, "pictures": list(pictures), "bytes": size}
        self._append(self._requests, line)

    def close(self) -> None:
        """Write nothing from now on: what a thread still waits for comes too late."""
        with self._writing:
            self._closed = True

    def _append(self, path: Path, entry: dict[str, Any]) -> None:
        with self._writing:
            if not self._closed:
                _append(path, entry)


@contextmanager
def working_in(folder: Path) -> Iterator[Replies]:
    """Hold a folder of answers, which is made if need be, and yield what is in it.

    Raises
    ------
    RunError
        Another process names latents of this run.
    WriteError
        The folder cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise RunError(f"Latents of {folder.parent.name} are being named already. Wait until that is done.") from None
    except OSError as error:
        raise write_error(f"{folder.parent.name}/{folder.name}", error) from error
    replies = None
    try:
        replies = Replies(folder)
        yield replies
    finally:
        if replies is not None:
            replies.close()
        lock.release()


@reads(RunError, "answers of a server")
def read_answers(path: Path) -> dict[str, Reply]:
    """Return the answers of a file by the keys of their questions; a damaged line is a question to be asked again.

    Raises
    ------
    RunError
        The file cannot be read.
    """
    found: dict[str, Reply] = {}
    with path.open("rb") as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                if line.endswith(b"\n"):
                    entry = json.loads(line)
                    found[str(entry["key"])] = Reply.model_validate(entry["reply"])
    return found


def _append(path: Path, entry: dict[str, Any]) -> None:
    try:
        with path.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
    except OSError as error:
        raise write_error(path.name, error) from error
