"""Check what a built wheel holds: everything the plugin needs, nothing that does not belong, within its size.

python scripts/check_wheel.py dist/napari_mammosae-*.whl
"""

from __future__ import annotations

import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

LIMIT = 15 * 2**20  # bytes, compressed
PACKAGE = "napari_mammosae"
NEEDED = (
    rf"{PACKAGE}/__init__\.py",
    rf"{PACKAGE}/__init__\.pyi",  # the public names are read from it
    rf"{PACKAGE}/napari\.yaml",
    rf"{PACKAGE}/cli/app\.py",
    rf"{PACKAGE}/core/base/errors\.py",
    rf"{PACKAGE}/core/models/published/models\.toml",
    rf"{PACKAGE}/viewer/reader\.py",
    rf"{PACKAGE}/py\.typed",
    rf"{PACKAGE}/sample_data/.+/model\.toml",
    rf"{PACKAGE}/sample_data/.+\.safetensors",
    rf"{PACKAGE}/sample_data/.+\.png",
    rf"{PACKAGE}/sample_data/.+\.md",
    rf"{PACKAGE}-[^/]+\.dist-info/licenses/LICENSE",
    rf"{PACKAGE}-[^/]+\.dist-info/entry_points\.txt",
)
CODE = {".py", ".pyi", ".typed", ".yaml", ".toml", ".json", ".csv", ".md", ".svg"}
DATA = {*CODE, ".safetensors", ".png", ".jpg", ".parquet", ".npz", ".dcm", ".txt"}


def problems_of(wheel: Path) -> list[str]:
    """Everything wrong with a wheel, one line each."""
    found = []
    if wheel.stat().st_size > LIMIT:
        found.append(f"{wheel.stat().st_size / 2**20:.1f} MiB, more than {LIMIT / 2**20:.0f}")
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
        metadata_name = next(str(name) for name in names if name.name == "METADATA")
        metadata = Parser().parsestr(archive.read(metadata_name).decode())
        entry_points = archive.read(str(PurePosixPath(metadata_name).with_name("entry_points.txt"))).decode()
    found += [f"no {pattern}" for pattern in NEEDED if not any(re.fullmatch(pattern, str(name)) for name in names)]
    found += [f"does not belong: {name}" for name in names if not _belongs(name)]
    if "Framework :: napari" not in (metadata.get_all("Classifier") or []):
        found.append("METADATA lacks the classifier by which the napari hub finds plugins")
    if metadata["License-Expression"] != "BSD-3-Clause":
        found.append(f"METADATA says the licence is {metadata['License-Expression']}")
    links = re.findall(r"\]\((?!\w+://)([^)]+)\)", str(metadata.get_payload()))
    found += [f"the description links to {link}, which is not beside it" for link in links[:1]]
    required = metadata.get_all("Requires-Dist") or []
    found += [
        f"a base dependency brings a Qt binding: {line}"
        for line in required
        if "extra ==" not in line and re.match(r"(?i)pyqt\d|pyside|napari\[", line)
    ]
    found += [
        f"no entry point {line}"
        for line in (f"napari-mammosae = {PACKAGE}.cli:main", f"napari-mammosae = {PACKAGE}:napari.yaml")
        if line not in entry_points
    ]
    return found


def _belongs(name: PurePosixPath) -> bool:
    top = name.parts[0]
    if re.fullmatch(rf"{PACKAGE}-[^/]+\.dist-info", top):
        return True
    if top != PACKAGE or "__pycache__" in name.parts or name.name.startswith("."):
        return False
    return name.suffix in (DATA if "sample_data" in name.parts else CODE) or name.name == "py.typed"


def main() -> int:
    """Check each wheel named on the command line."""
    failed = False
    for wheel in map(Path, sys.argv[1:]):
        problems = problems_of(wheel)
        failed |= bool(problems)
        for problem in problems:
            sys.stderr.write(f"{wheel.name}: {problem}\n")
        if not problems:
            sys.stdout.write(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB, contents as they should be\n")
    return 1 if failed or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    raise SystemExit(main())
