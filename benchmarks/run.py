"""Run the benchmarks, each in a process of its own, print their tables and keep them in `results.md`.

    python benchmarks/run.py [NAME ...]

Without names all of them run. With names, the sections of the others stay as they are in `results.md`. On a machine
without a display the benchmarks run on a virtual screen.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.md"
PACKAGES = ("napari-mammosae", "napari", "PyQt6", "torch", "timm", "numpy", "pandas", "pyarrow")
NOT_HERE = "\nNot measured: "
SECTION = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def machine() -> str:
    """One line: processor, cores, memory, system, Python."""
    processor, memory = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        processor = found.group(1) if found else processor
        kilobytes = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
        memory = f", {int(kilobytes.group(1)) / 2**20:.0f} GiB memory" if kilobytes else ""
    python = platform.python_version()
    return f"{processor}, {os.cpu_count()} cores{memory}, {platform.system()}, Python {python}"


def run(script: Path) -> tuple[str, bool]:
    """Standard output of one benchmark as Markdown, and whether all its bounds hold."""
    command = [sys.executable, str(script)]
    on_linux_without_display = sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    if on_linux_without_display and shutil.which("xvfb-run"):
        command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", *command]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    took = time.perf_counter() - start
    output = done.stdout or f"## {script.stem}\n\nThe benchmark failed with status {done.returncode}.\n"
    return f"{output.rstrip()}\n\n{time.strftime('%Y-%m-%d')}, {took:.0f} s in all.\n", done.returncode == 0


def main(names: list[str]) -> int:
    """Run what is named, or everything."""
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.stem != "run" and path.stem[0] != "_"}
    unknown = sorted(set(names) - set(scripts))
    if unknown:
        sys.stderr.write(f"No benchmark {', '.join(unknown)}; there are {', '.join(scripts)}.\n")
        return 2
    before = dict(SECTION.findall(RESULTS.read_text())) if RESULTS.exists() else {}
    sections = {name: text for name, text in before.items() if name in scripts}
    missed = []
    for name in names or scripts:
        sys.stderr.write(f"{name} ...\n")
        found, holds = run(scripts[name])
        sys.stdout.write(found + "\n")
        sys.stdout.flush()
        if NOT_HERE not in found or name not in before:  # figures of a machine that can stay
            sections[name] = found
        if not holds:
            missed.append(name)
    software = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    text = f"# Benchmarks\n\nMade by `make bench`.\n\nMachine: {machine()}.\n\nSoftware: {software}.\n\n"
    text += "\n".join(f"<!-- {name} -->\n{sections[name]}<!-- end -->\n" for name in sorted(sections))
    RESULTS.write_text(text)
    if missed:
        sys.stderr.write(f"Failed, or missed a bound: {', '.join(missed)}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
