"""From the command line to a screenshot of the demo with all latents: seconds and peak memory of the whole process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import Report


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "demo.png"
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "napari_mammosae", "demo", "--screenshot", str(picture)], check=True)
        took = time.perf_counter() - start
        written = picture.stat().st_size
    gibibytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # kilobytes on Linux
    report = Report("Start", "`napari-mammosae demo --screenshot`: model loaded, latents computed, every dock open.")
    report.add("to the screenshot", took, "s", at_most=30)
    report.add("peak memory", gibibytes, "GiB", at_most=2)
    report.add("size of the screenshot", written / 1024, "kB")
    report.finish()


if __name__ == "__main__":
    main()
