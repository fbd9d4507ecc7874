"""Check that a built site loads nothing from the web: no scripts, styles, fonts or pictures of others.

python scripts/check_site.py site
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

LOADS = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "audio": "src", "video": "src",
    "embed": "src", "object": "data", "image": "href",
}  # fmt: skip
"""Attributes that a browser loads by itself; links to click on are none of them."""
_WEB = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
_CSS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        target = values.get(LOADS.get(tag, "")) or ""
        if _WEB.match(target):
            self.found.append(target)
        for part in (values.get("srcset") or "").split(","):
            if _WEB.match(part):
                self.found.append(part.split()[0])
        self.found += _CSS.findall(values.get("style") or "")
        if "mermaid" in (values.get("class") or "").split():
            self.found.append("a mermaid diagram, whose script comes from the web")
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if self._style:
            self.found += _CSS.findall(data)


def loads_of(path: Path) -> list[str]:
    """Return what a page or a style sheet would load from the web."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return _CSS.findall(text)
    page = _Page()
    page.feed(text)
    return page.found


def main() -> int:
    """Check the site in the folder named on the command line."""
    site = Path(sys.argv[1])
    paths = [path for path in sorted(site.rglob("*")) if path.suffix in (".html", ".css", ".svg")]
    problems = [f"{path.relative_to(site)} loads {what}" for path in paths for what in loads_of(path)]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if not any(path.name == "index.html" for path in paths):
        sys.stderr.write(f"{site.name} holds no index.html; build the site first\n")
        return 1
    if not problems:
        sys.stdout.write(f"{len(paths)} files of the site load nothing from the web\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
