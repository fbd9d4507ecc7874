"""What pydicom says in passing, kept from logs and screens: it names whole paths and quotes values of the header."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hushed() -> Iterator[list[str]]:
    """Yield a list that what pydicom logs in this thread goes to instead; its warnings are dropped."""
    said: list[str] = []
    thread = threading.get_ident()

    def let_pass(record: logging.LogRecord) -> bool:
        if record.thread == thread:
            said.append(record.getMessage())
        return record.thread != thread

    logger = logging.getLogger("pydicom")
    logger.addFilter(let_pass)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        logger.removeFilter(let_pass)
