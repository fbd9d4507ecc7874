"""What the wheel says of the project that pyproject.toml cannot: its addresses, and a description readable anywhere.

The README is written to be read in the repository, with relative links. Package indexes show it without the
repository beside it, so links to its files are turned to `ADDRESS`, or to plain text while there is none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ADDRESS = ""
"""Where the repository is published, such as ``https://forge.org/group/napari-mammosae``; empty until it is known."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+://)([^)\s]+)\)")
_CAPTION = re.compile(r"^\*[^*\n]+\*\n", re.MULTILINE)


def describe(readme: str, address: str) -> str:
    """Return the README with links that lead somewhere from any place; pictures without an address are left out."""

    def turned(found: re.Match[str]) -> str:
        picture, title, target = found.groups()
        if not address:
            return "" if picture else title
        return f"{picture}[{title}]({address}/{'raw' if picture else 'blob'}/main/{target})"

    return _LINK.sub(turned, readme if address else _CAPTION.sub("", readme))


def addresses(address: str) -> dict[str, str]:
    """Return the project's URLs, by what they lead to; none without an address."""
    if not address:
        return {}
    return {
        "Homepage": address,
        "Documentation": f"{address}/blob/main/docs/README.md",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


class ProjectMetadata(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what depends on the address."""
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": describe(readme, ADDRESS)}
        if urls := addresses(ADDRESS):
            metadata["urls"] = urls
