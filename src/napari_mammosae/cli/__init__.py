"""The headless face of the core: `napari-mammosae`. One file a command; `app` lists them.

Command modules import only typer and the standard library at the top, so that `--help` is quick: what a command works
with is imported when it runs.
"""

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from .console import one_line

logger = logging.getLogger(__name__)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.

    Errors that nobody foresaw are one line as well; `python -X dev -m napari_mammosae` shows where they come from.

    Parameters
    ----------
    args
        The words after the program's name; by default those it was called with.
    """
    from ..core.base.errors import MammoSAEError
    from ..core.base.log import start_log
    from .app import app

    start_log()
    with warnings.catch_warnings():
        warnings.showwarning = _note
        try:
            app(None if args is None else list(args), prog_name="napari-mammosae")
        except SystemExit as end:  # typer ends every command so, 130 standing for Ctrl-C
            if end.code == 130:
                return _fail("stopped")
            return end.code if isinstance(end.code, int) else 0
        except MammoSAEError as error:
            return _fail(str(error), error)
        except OSError as error:
            name = f"{Path(error.filename).name} cannot be used" if error.filename else "a file cannot be used"
            return _fail(f"{name} ({error.strerror or error}). Check the path, or choose another place.", error)
        except Exception as error:  # the edge of the program: what comes further is the interpreter's traceback
            if sys.flags.dev_mode:
                raise
            return _fail(f"Unexpected {type(error).__name__}: {error}", error)
    return 0


def _fail(reason: str, error: Exception | None = None) -> int:
    if error is not None:
        logger.error("the command failed", exc_info=error, extra={"shown": True})
    sys.stderr.write(f"Error: {one_line(reason)}\n")
    return 1


def _note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Show what the core has to say in passing; the warnings of libraries are for developers."""
    if category is UserWarning:
        sys.stderr.write(f"Note: {one_line(str(message))}\n")
