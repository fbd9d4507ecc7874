"""The Intervene dock with networks whose head is no mean of the cells: it says so, and every edit is a pass."""

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtCore import Qt

import timm_kit
import tiny
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.process.local import LocalModel
from napari_mammosae.viewer.docks import InterveneDock
from napari_mammosae.viewer.image import tasks


def idle(qtbot, dock):
    qtbot.waitUntil(
        lambda: not any(one.busy for one in (dock.workspace.jobs, dock.intervention.passing)), timeout=20_000
    )


@pytest.mark.parametrize(
    ("name", "width", "words"),
    [
        ("test_convnext", 64, "The head is not linear in the cells: each edit is exact, by a pass through the rest"),
        ("test_vit3", 96, "The head is not linear in the cells: each edit is exact, by a pass through the rest"),
        ("test_vit", 64, "The head reads class tokens alone: patch latents have no direct effect on the prediction."),
    ],
)
def test_edits_are_passes(name, width, words, qtbot, qapp, tmp_path, monkeypatch):
    model = load_model(timm_kit.write_model(tmp_path, name, sae=width), device="cpu")
    monkeypatch.setattr(tasks, "load", lambda models, choice, report: LocalModel(model))
    viewer = ViewerModel()
    dock = InterveneDock(viewer)
    qtbot.addWidget(dock)
    dock.workspace.images.use_layer(viewer.add_image(tiny.picture(), name="picture"))
    idle(qtbot, dock)
    dock.workspace.images.compute()
    idle(qtbot, dock)
    assert dock.passing.why.text().startswith(words)
    assert not dock.set.flip_button.isEnabled()
    dock.set.k_slider.box.setValue(5)
    qtbot.mouseClick(dock.passing.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, dock)
    maps, network = dock.session.maps, model.backbone.network
    chosen = np.argsort(-maps.pooled_mean, kind="stable")[:5]
    with torch.inference_mode():
        raw = network.forward_features(dock.session.image.to_input(model.preprocessing))
        cells = raw[:, 1:] if raw.ndim == 3 else raw.permute(0, 2, 3, 1)
        z = model.autoencoder.encode(cells)
        z[..., chosen] = 0
        cells.copy_(model.autoencoder.decode(z))
        expected = network.forward_head(raw)[0].numpy()
    np.testing.assert_allclose(dock.intervention.view.effect.after, expected, atol=1e-6)
    assert np.allclose(expected, maps.logits, atol=1e-6) == (name == "test_vit")
    dock.workspace.close()
