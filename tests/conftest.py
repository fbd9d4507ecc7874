"""What every test lives in: no network, no settings of the person running it, one thread to a process.

The environment is set at import, before napari, Qt, torch or huggingface_hub read it.
"""

import gc
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

_HOME = Path(tempfile.mkdtemp(prefix="napari-mammosae-tests-"))
_NUMBERS = count()
_LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0", ""}

# The tests start processes by the hundred, and each would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

os.environ["NAPARI_CONFIG"] = str(_HOME / "napari.yaml")
os.environ["HF_HOME"] = str(_HOME / "huggingface")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
os.environ["NAPARI_MAMMOSAE_ENGINE"] = "torch"  # whose results are compared bit for bit
for _variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ[_variable] = str(_HOME / _variable.lower())
if sys.platform == "linux":
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb")  # on the virtual screen of pytest-xvfb, whatever the desktop is
if "PYTEST_XDIST_WORKER" in os.environ:  # the processes share the cores
    for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[_variable] = "1"

settings.register_profile("project", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Let pure tests run without a virtual screen, `-p no:xvfb`, though the screen's size is in the configuration."""
    if pluginmanager.is_blocked("xvfb"):
        for option in ("xvfb_width", "xvfb_height"):
            parser.addini(option, "not used")


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave tests that need a GPU out where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="there is no GPU with CUDA here"))


class NetworkUsed(RuntimeError):
    """A test reached for the network; not an OSError, so that no code takes it for a failed connection."""


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Let sockets reach this machine only."""

    def guarded(method: Callable) -> Callable:
        def connect(self: socket.socket, address: object, *rest: object) -> object:
            inside = self.family not in (socket.AF_INET, socket.AF_INET6) or address[0] in _LOOPBACK
            # Connecting a datagram socket sends nothing: dask.distributed asks for its own address in this way.
            if not inside and self.type != socket.SOCK_DGRAM:
                raise NetworkUsed(f"a test tried to connect to {address[0]}")
            return method(self, address, *rest)

        return connect

    def getaddrinfo(host: str | bytes | None, *rest: object, **options: object) -> list:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in (None, socket.gethostname(), *_LOOPBACK):
            raise NetworkUsed(f"a test tried to look up {name}")
        return lookup(host, *rest, **options)

    lookup = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@pytest.fixture(autouse=True, scope="module")
def _garbage_of_the_module() -> None:
    """Let what collects garbage, napari does often, go through what tests made, not through all of torch."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own data and configuration; the cache, dear to fill, lasts for the session."""
    folder = _HOME / f"test_{next(_NUMBERS)}"  # pytest would look through those of all tests for the next number
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(folder / variable.lower()))


@pytest.fixture(autouse=True)
def _own_preferences() -> Iterator[None]:
    """Start each test with the preferences of a first start: napari keeps them in memory, whatever its file says."""
    yield
    if "napari.settings" in sys.modules:
        from napari.settings import get_plugin_settings

        with suppress(KeyError):  # of a plugin that napari has not met yet
            get_plugin_settings("napari-mammosae").reset()


@pytest.fixture(autouse=True)
def _models_stay_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models compute in this process, which spares each test seconds, except where a test is about processes."""
    if request.node.get_closest_marker("processes"):
        return
    from in_process import InProcess

    for module in ("batch", "opening", "remote"):
        monkeypatch.setattr(f"napari_mammosae.process.{module}.Child", InProcess)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model.toml` of a model with random weights that computes in a blink; see `tiny`."""
    import tiny

    return tiny.write_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def viewer(request: pytest.FixtureRequest) -> Iterator:
    """Give a real window to tests marked `opengl`, else what a window would show; what works in it is ended after."""
    from napari.components import ViewerModel

    from napari_mammosae.viewer.workspace import workspace_of

    if request.node.get_closest_marker("opengl"):
        viewer = request.getfixturevalue("make_napari_viewer")(show=True)
    else:
        request.getfixturevalue("qapp")
        viewer = ViewerModel()
    yield viewer
    workspace_of(viewer).close()


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Make a run with maps over pictures beside it, one to a file of tests."""
    from review_kit import make_tiny_run

    return make_tiny_run(tmp_path_factory.mktemp("tiny-run"), tiny_model)
