"""Print how much of the package the tests reached, and the ten files of which they reached least.

python scripts/show_coverage.py .coverage.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

SHOWN = 10


def summary(report: dict, shown: int = SHOWN) -> list[str]:
    """Return the total and the least covered files of a JSON report of coverage.py, one line each."""
    rows = [(entry["summary"], name) for name, entry in report["files"].items() if entry["summary"]["num_statements"]]
    rows.sort(key=lambda row: (row[0]["percent_covered"], row[1]))
    lines = [_line(report["totals"], f"of {len(rows)} files"), f"The {shown} least covered files:"]
    return [*lines, *(_line(row, name.partition("napari_mammosae/")[2] or name) for row, name in rows[:shown])]


def _line(row: dict, name: str) -> str:
    return f"{row['percent_covered']:6.1f} %  {row['covered_lines']:6d} / {row['num_statements']:<6d} {name}"


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write("".join(f"{line}\n" for line in summary(json.loads(text))))
