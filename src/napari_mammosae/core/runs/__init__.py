"""A run: one pass of a model over a data set, as a folder of Parquet files that any tool can read.

Names are loaded on first use: the worker processes that decode images import this package too, and they need
neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .demo import demo_run
    from .make import RunSummary, make_run
    from .progress import RunProgress
    from .reader import Run, open_run

_HOMES = {
    "Run": "reader",
    "RunProgress": "progress",
    "RunSummary": "make",
    "demo_run": "demo",
    "make_run": "make",
    "open_run": "reader",
}
__all__ = ["Run", "RunProgress", "RunSummary", "demo_run", "make_run", "open_run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
