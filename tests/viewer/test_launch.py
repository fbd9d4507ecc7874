"""Objects put into a viewer by `view`, without a window."""

import numpy as np
import pytest

from in_process import handle_of
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.progress import ignore
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.viewer.launch import put_objects
from napari_mammosae.viewer.workspace import workspace_of


@pytest.fixture
def objects(run_path, tiny_model, tmp_path):
    handle, run = handle_of({"name": tiny_model, "device": "cpu"}), open_run(run_path)
    image = read_mammogram(run_path.parent / "images" / "image-003.png")
    (tmp_path / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-003,mass,20,30,90,120\n")
    findings = read_findings(tmp_path / "boxes.csv")
    return image, handle, run, findings, handle.compute(image, ignore)


def test_objects_are_what_the_viewer_looks_at(viewer, objects):
    image, handle, run, findings, maps = objects
    put_objects(viewer, *objects)
    session = workspace_of(viewer).session
    assert session.image is image
    assert session.maps is maps
    assert session.run is run
    assert session.findings is findings
    assert session.handle is handle
    np.testing.assert_array_equal(owned(viewer).find("mammogram").data, image.displayed())
    assert len(owned(viewer).find("truth").data) == 1
    assert owned(viewer).find("latents") is not None


def test_the_model_stays_the_callers(viewer, objects, tiny_model):
    image, model = objects[0], load_model(tiny_model, device="cpu")
    before = model.predict(image)
    put_objects(viewer, image, handle_of(model), *objects[2:])
    workspace_of(viewer).images.unload()
    assert workspace_of(viewer).session.model is None
    assert model.predict(image) == before


def test_an_image_alone(viewer, objects):
    put_objects(viewer, objects[0])
    session = workspace_of(viewer).session
    assert session.image is objects[0]
    assert session.model is session.run is session.maps is None
