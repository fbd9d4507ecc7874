"""Hooks of mkdocs: pages from the root of the repository, from the examples, and from the public names of the package.

The Markdown files are written to be read in the repository. Here their links are turned to the pages of the site; a
link to a file that is not on the site becomes plain text.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = "napari_mammosae"
FROM_ROOT = {
    "README.md": "index.md",
    "docs/README.md": "contents.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    f"src/{PACKAGE}/sample_data/MODEL_CARD.md": "model-card.md",
    "LICENSE": "LICENSE",
    "CITATION.cff": "CITATION.cff",
}
"""Files of the repository that are pages, or files beside them, under another name."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def relink(text: str, source: Path) -> str:
    """Turn the links of a Markdown file of the repository to pages of the site."""

    def turned(found: re.Match[str]) -> str:
        sign, title, target = found.groups()
        name, mark, anchor = target.partition("#")
        if "://" in target or not name:
            return found[0]
        path = (source.parent / name).resolve()
        if (page := _page_of(path)) is None:
            return title
        return f"{sign}[{title}]({page}{mark}{anchor})"

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(turned, part) for part in parts)


def _page_of(path: Path) -> str | None:
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
    if name in FROM_ROOT:
        return FROM_ROOT[name]
    if path.suffix == ".py" and path.parent == ROOT / "examples":
        return f"examples/{path.stem}.md"
    return path.relative_to(DOCS).as_posix() if path.is_relative_to(DOCS) and path.is_file() else None


def example_pages() -> dict[str, str]:
    """Return a page for each example: its docstring as text, then its code."""
    pages = {}
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        tree = ast.parse(code)
        title, _, rest = (ast.get_docstring(tree) or path.stem).partition("\n")
        after = tree.body[0].end_lineno if ast.get_docstring(tree) else 0
        body = "\n".join(code.splitlines()[after:]).strip()
        pages[f"examples/{path.stem}.md"] = (
            f"# {title.rstrip('.')}\n{rest}\n\n`examples/{path.name}`\n\n```python\n{body}\n```\n"
        )
    return pages


def api_pages() -> dict[str, str]:
    """Return a page for each package that public names come from, in the order in which they are published."""
    package = import_module(PACKAGE)
    names: dict[str, list[str]] = {}
    for name in package.__all__:
        if not name.startswith("__"):
            value = getattr(package, name)
            names.setdefault(_concept(value.__module__), []).append(f"{value.__module__}.{value.__name__}")
    pages = {}
    for concept, members in names.items():
        what = (import_module(concept).__doc__ or "").strip().partition("\n")[0]
        title = concept.rpartition(".")[2].replace("_", " ").capitalize()
        blocks = "\n\n".join(f"::: {member}" for member in members)
        pages[f"api/{concept.rpartition('.')[2]}.md"] = f"# {title}\n\n{what}\n\n{blocks}\n"
    return pages


def _concept(module: str) -> str:
    """``napari_mammosae.core.images.mammogram`` -> ``napari_mammosae.core.images``."""
    parts = module.split(".")
    return ".".join(parts[:3] if parts[1] == "core" else parts[:2])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the made pages into the navigation."""
    if str(ROOT / "src") not in sys.path:
        sys.path.insert(0, str(ROOT / "src"))
    sections = [{"Examples": list(example_pages())}, {"Names": list(api_pages())}]
    python = [{"In a notebook": "python.md"}] if (DOCS / "python.md").exists() else []
    for section in config.nav:
        if "Python" in section:
            section["Python"] = python + [part for part in sections if any(part.values())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    from mkdocs.structure.files import File

    readme = files.get_file_from_path("README.md")
    if readme is not None:
        files.remove(readme)
    for name, page in FROM_ROOT.items():
        path = ROOT / name
        if page.endswith(".md"):
            files.append(File.generated(config, page, content=relink(path.read_text(encoding="utf-8"), path)))
        else:
            files.append(File.generated(config, page, abs_src_path=os.fspath(path)))
    for page, text in {**example_pages(), **api_pages()}.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn the links of a page of docs/."""
    return relink(markdown, DOCS / page.file.src_uri) if page.file.generated_by is None else markdown
