"""A model that decides otherwise without its SAE: the canvas and the dock say so, to a blind judge neither."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

import fakes
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.canvas.texts import PREDICTION
from napari_mammosae.viewer.image.panels.latent import PredictionPart
from napari_mammosae.viewer.workspace import workspace_of

SAID = "Model and SAE disagree on mass"


@pytest.fixture
def shown(viewer, qtbot):
    """What canvas and dock say of a prediction, by its logits without and with the SAE."""
    workspace = workspace_of(viewer)
    viewer.add_layer(mammogram_layer(fakes.mammogram(shape=fakes.INPUT)))
    workspace.session.handle = fakes.FakeModel()
    part = PredictionPart(workspace.context)
    qtbot.addWidget(part)

    def show(logits, logits_sae, blind=False):
        maps = fakes.latent_maps(workspace.session.model)
        workspace.session.maps = replace(maps, logits=np.array(logits), logits_sae=np.array(logits_sae))
        workspace.session.blind = blind
        qtbot.wait(1)
        canvas = viewer.canvas.overlays[PREDICTION]
        dock = "\n".join(label.text() for label in part.findChildren(QLabel) if not label.isHidden())
        return canvas.text.replace("  \n", " "), canvas.box, dock

    yield show
    part.cleanup()


def test_a_decision_that_the_latents_do_not_explain_is_said_to_be_one(shown):
    canvas, amber, dock = shown([0.5, -1.0], [-0.5, -1.2])
    assert SAID in canvas
    assert amber
    assert SAID in dock


@pytest.mark.parametrize(("logits", "blind"), [([0.5, -1.0], False), ([-0.5, -1.0], True)])
def test_nothing_is_said_where_they_agree_and_to_a_blind_judge(shown, logits, blind):
    canvas, amber, _ = shown(logits, [0.6, -1.2], blind)
    assert "disagree" not in canvas
    assert not amber


def test_the_next_image_takes_it_away(shown):
    shown([0.5, -1.0], [-0.5, -1.2])
    canvas, amber, dock = shown([0.5, -1.0], [0.4, -1.2])
    assert "disagree" not in canvas + dock
    assert not amber
