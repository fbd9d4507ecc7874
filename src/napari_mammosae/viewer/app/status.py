"""The line that tells the user what happened last, and what went wrong."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from psygnal import Signal

from ...core.base.errors import MammoSAEError

logger = logging.getLogger(__name__)


class Status:
    """What the user should read.

    Attributes
    ----------
    told
        Emits (text, is_error) for every new line.
    last_told
        The line that holds now, and whether it is an error.
    """

    told = Signal(str, bool)

    def __init__(self, text: str = "") -> None:
        self.last_told: tuple[str, bool] = (text, False)

    def tell(self, text: str, *, error: bool = False) -> None:
        """Put a line where the user looks for it."""
        self.last_told = text, error
        self.told.emit(text, error)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turn this package's errors inside into a line for the user."""
        try:
            yield
        except MammoSAEError as error:
            self.tell(str(error), error=True)

    def report_failure(self, error: Exception) -> None:
        """Tell the user what went wrong in a job; what was not foreseen goes to the log as well."""
        if isinstance(error, MammoSAEError):
            self.tell(str(error), error=True)
        else:
            logger.error("A job failed", exc_info=error)
            self.tell(f"Unexpected {type(error).__name__}: {error}", error=True)
