"""The log: a small file that says what went wrong, without paths and without anything about a person."""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
SIZE = 1_000_000  # bytes of a file
FILES = 3  # the newest and two older ones

_READERS = {"pydicom", "gdcm"}  # what these say can quote the tags of a file, a patient's name among them
_FRAMES = 6

# A folder's name may hold spaces, but neither begins nor ends with one. Where a path ends in running text is a guess;
# this one takes away too much rather than too little.
_FOLDER = r"""[^\s/\\"'<>|](?:[^/\\"'<>|\r\n]*[^\s/\\"'<>|])?[/\\]+"""
_ROOT = r"""(?:file:/+|\b[A-Za-z]:[/\\]+|~[^\s/\\"']*[/\\]+|(?<![\w/.:])[/\\]{1,4}|(?<=:)/(?!/))(?=[^\s/\\])"""
_ABSOLUTE = re.compile(rf"{_ROOT}(?:{_FOLDER})*")
_RELATIVE = re.compile(r"(?<![\w:/\\.])(?:[\w.-]+[/\\]+)+(?=[\w.-]*\.[A-Za-z]\w*)")
_RECORD = re.compile(r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<level>[A-Z]+) (?P<where>[\w.]+): ")


def log_file() -> Path:
    """Return the newest log file, in the user's log folder; the older ones have the endings ``.1`` and ``.2``."""
    from platformdirs import user_log_path

    return user_log_path("napari-mammosae", appauthor=False) / "napari-mammosae.log"


def start_log() -> None:
    """Write what this package logs to `log_file` from now on; to call it again changes nothing.

    Only this package's logger gets the file: what other libraries log, and where a program sends its own log, stays
    as it is. Several processes may write at once.
    """
    logger, path = logging.getLogger(PACKAGE), str(log_file().absolute())
    for handler in [handler for handler in logger.handlers if isinstance(handler, _SharedFile)]:
        if handler.baseFilename == path:
            return
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(_SharedFile(path))
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def nameless(text: str) -> str:
    """Reduce every path in a text to the name at its end: folders often carry people's names.

    >>> nameless("cannot read /home/erika/My images/a.dcm: it is empty")
    'cannot read a.dcm: it is empty'
    """
    return _RELATIVE.sub("", without_roots(text))


def without_roots(text: str) -> str:
    """Reduce every absolute path in a text to the name at its end.

    >>> without_roots("cannot read /home/erika/My images/a.dcm; see run/run.json")
    'cannot read a.dcm; see run/run.json'
    """
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w-])", "~", text)
    return _ABSOLUTE.sub("", text)


def last_errors(count: int = 5) -> list[str]:
    """Return the last errors in the log, oldest first, one line each: when, where, and the type of the error.

    The messages are left out, because they can name files, and files are often named after people.
    """
    newest = log_file()
    found: list[str] = []
    for path in (newest.with_name(f"{newest.name}.1"), newest):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        wanted = False
        for line in lines:
            if record := _RECORD.match(line):
                if wanted := record["level"] in ("ERROR", "CRITICAL"):
                    found.append(f"{record['time']} {record['where']}")
            elif wanted and re.match(r" {4}\S", line):
                found[-1] += f": {line.strip()}"
    return found[-count:]


class _SharedFile(RotatingFileHandler):
    """Opens the file for one record at a time, under a lock that all processes share.

    A file that another process holds open cannot be renamed on Windows, and elsewhere would be written to after it was
    renamed. A log that cannot be written never disturbs the work.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, maxBytes=SIZE, backupCount=FILES - 1, encoding="utf-8", delay=True)
        self.setLevel(logging.INFO)
        self.setFormatter(_Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and what is a warning to standard error too where the program handles no log itself."""
        from filelock import FileLock

        path = Path(self.baseFilename)
        lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=2, fallback_to_soft=False)
        with suppress(OSError, NotImplementedError):  # a drive without locks; at worst a file is renamed too early
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            super().emit(record)
            if self.stream is not None:
                self.stream.close()
                self.stream = None
        finally:
            lock.release()
        last = logging.lastResort
        alone = last is not None and record.levelno >= last.level and not logging.getLogger().handlers
        if last is not None and alone and not getattr(record, "shown", False):
            last.handle(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing."""


class _Formatter(logging.Formatter):
    """One line a record, then two lines for each error behind it: where it was raised, and what it says."""

    def format(self, record: logging.LogRecord) -> str:
        message = " ".join(record.getMessage().split())
        where = record.name.removeprefix(f"{PACKAGE}.")
        lines = [f"{self.formatTime(record, '%Y-%m-%d %H:%M:%S')} {record.levelname} {where}: {message}"]
        if record.exc_info and record.exc_info[1] is not None:
            lines += _described(record.exc_info[1])
        return "\n".join(map(nameless, lines))


def _described(error: BaseException) -> Iterator[str]:
    """Yield lines about an error and those it came from, without the lines of code that Python would quote."""
    begin, seen, current = "", {id(error)}, error
    while True:
        frames = traceback.StackSummary.extract(traceback.walk_tb(current.__traceback__), lookup_lines=False)
        calls = [f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in reversed(frames)]
        yield f"    {begin}{type(current).__name__} in {' < '.join(calls[:_FRAMES]) or 'unknown code'}"
        quoting = bool(frames) and not _READERS.isdisjoint(Path(frames[-1].filename).parts)
        message = "(its message is left out)" if quoting else " ".join(str(current).split())
        if message:
            yield f"        {message}"
        before = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if before is None or id(before) in seen:
            return
        begin, current = "caused by ", before
        seen.add(id(current))
