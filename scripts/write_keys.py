"""Write the table of keys into docs/look.md, from the one the viewer binds.

python scripts/write_keys.py
"""

from pathlib import Path

from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.viewer.app.keymap import help_rows

PAGE = Path(__file__).parent.parent / "docs" / "look.md"
START, END = "<!-- keys: written by scripts/write_keys.py -->", "<!-- end of keys -->"


def key_table() -> str:
    """Return the table as Markdown."""
    rows = [("key", "what it does"), ("---", "---"), *((f"`{key}`", text) for key, text in help_rows())]
    return "\n".join(f"| {key} | {text} |" for key, text in rows)


def with_table(text: str) -> str:
    """Return a page with the table between its two marks."""
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n{key_table()}\n{END}{after}"


if __name__ == "__main__":
    page = with_table(PAGE.read_text(encoding="utf-8"))
    with write_atomic(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
