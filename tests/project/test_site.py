"""The documentation as a site: links, examples and public names on it, and nothing from the web."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import docs_site
from check_site import loads_of
from docs_site import DOCS, FROM_ROOT, ROOT, api_pages, example_pages, relink


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("[a](docs/look.md#keys)", "README.md", "[a](look.md#keys)"),
        ("![a](docs/images/demo.png)", "README.md", "![a](images/demo.png)"),
        ("[a](docs/README.md)", "README.md", "[a](contents.md)"),
        ("[a](rank.md)", "docs/look.md", "[a](rank.md)"),
        ("[a](../CONTRIBUTING.md)", "docs/look.md", "[a](contributing.md)"),
        ("[a](#here) [b](https://example.org/b)", "docs/look.md", "[a](#here) [b](https://example.org/b)"),
        ("see [the script](../scripts/check_site.py).", "docs/look.md", "see the script."),
        ("```md\n[a](../README.md)\n```", "docs/look.md", "```md\n[a](../README.md)\n```"),
    ],
)
def test_links_lead_to_pages_of_the_site(text: str, source: str, expected: str):
    assert relink(text, ROOT / source) == expected


def nav_of(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    return [page for entry in (part if isinstance(part, list) else part.values()) for page in nav_of(entry)]


def test_every_page_is_in_the_navigation():
    nav = nav_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    made = {page for page in FROM_ROOT.values() if page.endswith(".md")}
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md", "python.md"}  # the script adds python.md
    assert set(nav) == pages | made
    assert len(set(nav)) == len(nav)
    assert all((ROOT / name).is_file() for name in FROM_ROOT)


def test_every_public_name_has_its_place():
    import napari_mammosae

    pages = api_pages()
    named = [
        line.rpartition(".")[2] for text in pages.values() for line in text.splitlines() if line.startswith("::: ")
    ]
    assert sorted(named) == sorted(name for name in napari_mammosae.__all__ if name != "__version__")
    assert "::: napari_mammosae.core.images.mammogram.read_mammogram\n" in pages["api/images.md"]
    first = import_module("napari_mammosae.core.images").__doc__.partition("\n")[0]
    assert pages["api/images.md"].startswith(f"# Images\n\n{first}\n")


def test_an_example_is_its_text_and_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.py").write_text('"""Look at one image.\n\nIt is a phantom.\n"""\n\nprint(1)\n')
    monkeypatch.setattr(docs_site, "ROOT", tmp_path)
    (text,) = example_pages().values()
    assert text.startswith("# Look at one image\n\nIt is a phantom.\n")
    assert "```python\nprint(1)\n```" in text


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="assets/a.js"></script><a href="https://example.org">b</a><img src="a.png">', []),
        ('<script src="https://example.org/a.js"></script>', ["https://example.org/a.js"]),
        ('<link rel="stylesheet" href="//example.org/a.css">', ["//example.org/a.css"]),
        ('<img srcset="a.png 1x, https://example.org/b.png 2x">', ["https://example.org/b.png"]),
        ("<style>@import 'https://example.org/f.css'; a { background: url(b.png) }</style>",
         ["https://example.org/f.css"]),
        ('<p style="background: url(http://example.org/a.png)">', ["http://example.org/a.png"]),
    ],
)  # fmt: skip
def test_what_a_page_loads_from_the_web_is_found(html: str, found: list[str], tmp_path: Path):
    page = tmp_path / "index.html"
    page.write_text(f"<html><body>{html}</body></html>")
    assert loads_of(page) == found
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "check_site.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if found else 0)
    assert ("index.html loads" in done.stderr) is bool(found)


def test_style_sheets_are_read_too(tmp_path: Path):
    sheet = tmp_path / "a.css"
    sheet.write_text(
        "@font-face { src: url('https://example.org/f.woff2') } b { background: url(data:image/png;base64,) }"
    )
    assert loads_of(sheet) == ["https://example.org/f.woff2"]
