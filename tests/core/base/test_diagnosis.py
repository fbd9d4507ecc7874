import getpass
import logging
import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from napari_mammosae.core.base import diagnosis
from napari_mammosae.core.base.caches import cache_folder
from napari_mammosae.core.base.diagnosis import diagnostic_report, gpus, versions
from napari_mammosae.core.base.log import start_log


@pytest.fixture
def _no_torch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(diagnosis, "gpus", lambda: ["stand-in"])


def row(report: str, title: str) -> str:
    (found,) = (line.removeprefix(title).strip() for line in report.splitlines() if line.startswith(f"{title}  "))
    return found


@pytest.mark.usefixtures("_no_torch")
def test_versions_memory_and_sizes_are_those_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (cache_folder() / "demo-x").mkdir(parents=True)
    (cache_folder() / "demo-x" / "a").write_bytes(bytes(2_500_000))
    report = diagnostic_report(opengl="llvmpipe")
    assert report.startswith(f"napari-mammosae {version('napari-mammosae')}, diagnostic report, ")
    assert row(report, "Python") == platform.python_version()
    assert row(report, "napari") == version("napari")
    assert row(report, "torch") == version("torch")
    assert row(report, "OpenGL") == "llvmpipe"
    assert row(report, "GPU") == "stand-in"
    assert row(report, "Cache demo") == "2.5 MB"
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert row(report, "Memory").startswith(f"{total / 1e9:.1f} GB, ")
    assert row(diagnostic_report(), "OpenGL") == "not asked, no window"
    assert "pydicom" in versions()
    assert "PyQt5" not in versions()


@pytest.mark.usefixtures("_no_torch")
def test_it_names_no_person_no_file_and_no_folder(tmp_path: Path):
    start_log()
    logger = logging.getLogger("napari_mammosae.core.runs")
    folder = tmp_path / "Mustermann_Erika"
    try:
        (folder / "mammogram-4711.dcm").read_bytes()
    except OSError as error:
        logger.error("cannot read %s of Mustermann", folder / "mammogram-4711.dcm", exc_info=error)
    report = diagnostic_report()
    assert "core.runs: FileNotFoundError in " in report
    secrets = ("Mustermann", "4711", str(tmp_path), str(Path.home()), socket.gethostname(), "/")
    assert not [secret for secret in secrets if secret in report]
    if getpass.getuser() != "root":  # a word that can occur for itself
        assert getpass.getuser() not in report


def answer(*lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], 0, "".join(f"{line}\n" for line in lines), "")


def test_gpus_are_those_that_torch_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer("GPU 9\t80000000000\t1500000000", "GPU 8\t1\t0"))
    assert gpus() == ["GPU 9, 80.0 GB, 1.5 GB free", "GPU 8, 1 bytes, 0 bytes free"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer("Apple GPU (mps)"))
    assert gpus() == ["Apple GPU (mps)"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer())
    assert gpus() == ["none that torch can use"]


def test_it_says_why_no_gpu_is_known(monkeypatch: pytest.MonkeyPatch):
    def late(*_: object, **options: float) -> None:
        raise subprocess.TimeoutExpired("python", options["timeout"])

    monkeypatch.setattr(subprocess, "run", late)
    assert gpus() == ["not known, torch did not answer"]
    monkeypatch.setattr(diagnosis, "find_spec", lambda name: None)
    assert gpus() == ["not asked, torch is not installed"]


ALONE = """
import sys
from napari_mammosae.core.base.diagnosis import diagnostic_report
report = diagnostic_report()
print(*sorted({"torch", "napari", "pandas", "skimage"} & set(sys.modules)), file=sys.stderr)
print(report)
"""


def test_the_real_report_imports_none_of_what_it_describes():
    import torch

    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
    shown = row(done.stdout, "GPU")
    assert torch.cuda.get_device_name(0) in shown if torch.cuda.is_available() else "none" in shown or "Apple" in shown
