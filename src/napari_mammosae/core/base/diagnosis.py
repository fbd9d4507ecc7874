"""A short report for those who help: versions, device, memory, caches and last errors; nothing about a person."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from .caches import all_caches
from .log import last_errors
from .text import size_text

QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
PACKAGES = (
    "napari", *QT_BINDINGS, "qtpy", "vispy", "torch", "torchvision", "timm", "numpy", "scipy", "pandas", "pyarrow",
    "scikit-image", "opencv-python-headless", "pydicom", "python-gdcm", "distributed", "huggingface_hub",
    "openvino",
)  # fmt: skip
"""What a fault can depend on; packages that are not installed are left out of the report."""

# A process of its own: to import torch takes seconds and hundreds of megabytes, which the viewer does without.
_ASK_TORCH = """
import torch
if torch.cuda.is_available():
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        print(torch.cuda.get_device_name(index), total, free, sep="\\t")
elif torch.backends.mps.is_available():
    print("Apple GPU (mps)")
"""


def diagnostic_report(*, opengl: str = "") -> str:
    """Return versions, device, memory, sizes of caches and the last errors as plain text.

    It holds no names of users, images, files or folders, so that it can be put into a public report. torch is asked
    for the GPU in another process, which takes a few seconds.

    Parameters
    ----------
    opengl
        The renderer that draws the window, where there is one.

    Examples
    --------
    >>> diagnostic_report().startswith("napari-mammosae")
    True
    """
    import psutil

    memory = psutil.virtual_memory()
    now = datetime.now(UTC)
    rows = [
        ("System", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("Processors", str(os.cpu_count() or "unknown")),
        ("Memory", f"{size_text(memory.total)}, {size_text(memory.available)} available"),
        *(("GPU", text) for text in gpus()),
        ("OpenGL", opengl or "not asked, no window"),
        *((f"Cache {cache.name}", size_text(cache.size())) for cache in all_caches()),
        *versions().items(),
    ]
    width = max(len(title) for title, _ in rows)
    errors = last_errors() or ["none"]
    lines = [
        f"napari-mammosae {_own_version()}, diagnostic report, {now:%Y-%m-%d %H:%M} UTC",
        "",
        *(f"{title:{width}}  {text}" for title, text in rows),
        "",
        "Last errors in the log, without their messages:",
        *errors,
    ]
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """Versions of the packages that matter, as far as they are installed; none of them is imported."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def gpus(timeout: float = 60) -> list[str]:
    """Name and memory of each GPU that torch can use, or one line that says why there is none.

    Parameters
    ----------
    timeout
        Seconds to wait for torch.
    """
    if find_spec("torch") is None:
        return ["not asked, torch is not installed"]
    command = [sys.executable, "-P", "-W", "ignore", "-c", _ASK_TORCH]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
    except (OSError, subprocess.SubprocessError):
        return ["not known, torch did not answer"]
    return [_gpu_text(*line.split("\t")) for line in done.stdout.splitlines()] or ["none that torch can use"]


def _gpu_text(name: str, total: str = "", free: str = "") -> str:
    return f"{name}, {size_text(int(total))}, {size_text(int(free))} free" if total else name


def _own_version() -> str:
    from ... import __version__

    return __version__
