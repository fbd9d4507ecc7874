"""What tests of widgets without OpenGL share: a viewer without a window, and a run of the tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_mammosae.viewer.workspace import controller_of
from review_kit import make_tiny_run


@pytest.fixture
def viewer(qapp: QApplication) -> Iterator[ViewerModel]:
    """What a window would show."""
    viewer = ViewerModel()
    yield viewer
    controller_of(viewer).cleanup()


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A run with maps over pictures beside it, one to a file of tests."""
    return make_tiny_run(tmp_path_factory.mktemp("tiny-run"), tiny_model)
