"""The one place where whatever goes wrong in reading a foreign file becomes a short error of this package."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from .errors import MammoSAEError
from .files import explain_unreadable
from .log import without_roots

LONGEST = 300
"""Characters of a message."""

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def reading(name: Path | str, error: type[MammoSAEError], expected: str) -> Iterator[None]:
    """Turn every exception of the block into `error`: one line of at most 300 characters, without an absolute path.

    Errors of this package keep their type and, where it is short enough, their message.

    Parameters
    ----------
    name
        Of the file: a path, of which the last part is shown, or the text to show.
    error
        Type of the errors raised.
    expected
        What the file should be, for the message: ``a run's table``.
    """
    path, shown = Path(name), name.name if isinstance(name, Path) else name
    try:
        check_ordinary(path, shown, error)
        yield
    except MammoSAEError as known:
        message = short_line(str(known))
        if message == str(known):
            raise
        raise type(known)(message) from known
    except OSError as unreadable:
        if unreadable.errno is None:  # decoders raise it too, without a number
            raise error(_damaged(shown, unreadable, expected)) from unreadable
        raise error(short_line(explain_unreadable(path, unreadable))) from unreadable
    except MemoryError as full:
        raise error(short_line(f"{shown}: needs more memory than is free; expected {expected}")) from full
    except RecursionError as deep:
        raise error(short_line(f"{shown}: its values are nested too deep; expected {expected}")) from deep
    except Exception as other:  # readers raise anything at a damaged file
        raise error(_damaged(shown, other, expected)) from other


def reads(error: type[MammoSAEError], expected: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function whose first argument is the file it reads: it raises as the block of `reading` does."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            name: Any = args[0] if args else next(iter(kwargs.values()))
            with reading(Path(name), error, expected):
                return function(*args, **kwargs)

        return wrapped

    return decorate


def check_ordinary(path: Path, name: str, error: type[MammoSAEError]) -> None:
    """Raise `error` for a pipe or a device, which would be waited for; what is not there is left to the reader."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise error(f"{name}: not an ordinary file, a pipe or a device; give another")


def short_line(text: str) -> str:
    r"""Return a text as one line of at most 300 printable characters, every path reduced to its last part.

    >>> short_line("cannot read /home/erika/a.png:\n it is empty")
    'cannot read a.png: it is empty'
    """
    line = without_roots(" ".join(text[: 4 * LONGEST].split()))
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def short_reason(error: BaseException) -> str:
    """Return what an exception of another library says, in its first line, shortened to a clause."""
    said = str(error).strip()
    first = short_line(said.splitlines()[0]) if said else ""
    return (first if len(first) <= 120 else f"{first[:119]}…") or type(error).__name__


def _damaged(name: str, error: Exception, expected: str) -> str:
    return short_line(f"{name}: cannot be read, expected {expected} ({short_reason(error)}); copy it again")
