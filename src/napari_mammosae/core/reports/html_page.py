"""Parts of pages in HTML that load nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(rows: Iterable[Sequence[str]], *names: str) -> str:
    """Return a table; `names` of the columns are escaped here, the cells of `rows` are HTML already.

    >>> html_table([["17", "&lt;mass&gt;"]], "latent", "a & b").count("<td>")
    2
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def html_page(title: str, style: str, parts: Iterable[str]) -> str:
    """Return a whole page; the title is escaped here, `parts` are HTML already."""
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )
