"""`caches`: what the program keeps to save time, and how much room it takes."""

from typing import Annotated

import typer

from . import options
from .console import say

caches = typer.Typer(
    name="caches", help="List and empty the program's caches.", no_args_is_help=True, rich_markup_mode=None
)


@caches.command("list")
def list_caches() -> None:
    """Show each cache, its size, and what it holds."""
    from ..core.base.caches import all_caches
    from ..core.base.text import size_text

    for cache in all_caches():
        typer.echo(f"{cache.name}\t{size_text(cache.size())}\t{cache.holds}")


@caches.command()
def empty(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `caches list`.")],
    quiet: options.Quiet = False,
) -> None:
    """Remove what a cache holds; the program makes it again when it needs it."""
    from ..core.base.caches import cache_named
    from ..core.base.text import size_text

    cache = cache_named(name)
    before = cache.size()
    cache.empty()
    say(f"emptied {cache.name}, {size_text(before)} freed", quiet=quiet)
