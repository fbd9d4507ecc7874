import numpy as np
import pytest

from fakes import FakeModel, latent_maps, mammogram, maps_of
from napari_mammosae.viewer.app.session import Session
from napari_mammosae.viewer.canvas.latent_view import prediction_text, predictions, resolve, shared_maximum


@pytest.fixture
def session():
    s = Session()
    s.image, s.handle, s.maps = mammogram(), FakeModel(), latent_maps()
    return s


def test_nothing_to_show_before_there_are_latents():
    assert resolve(Session()) is None


def test_rank_latent_score_maximum_are_in_the_text(session):
    latent = int(session.maps.latents[3])
    session.current = latent
    view = resolve(session)
    assert view.maximum == session.maps[latent].max()
    assert f"rank {view.rank + 1} of 64" in view.text
    assert f"latent {latent}" in view.text
    assert f"{view.score:.4g}" in view.text
    assert f"maximum {view.maximum:.3g}" in view.text
    assert f"fires in {(session.maps[latent] > 0).sum()} of 96 cells" in view.text


def test_a_verdict_is_shown(session):
    session.verdicts = {session.current: "spurious"}.get
    assert resolve(session).text.splitlines()[-1] == "spurious"


def test_a_silent_latent_says_so_and_has_limits_napari_takes(session):
    session.current = next(i for i in range(64) if i not in session.maps.latents)
    for mode in ("latent", "shared", "manual"):
        session.contrast = mode
        low, high = resolve(session).limits
        assert low < high
    assert "silent on this image" in resolve(session).text


def test_limits_by_mode(session):
    session.contrast = "latent"
    assert resolve(session).limits == (0.0, float(session.maps[session.current].max()))
    session.contrast = "shared"
    maxima = [session.maps[int(i)].max() for i in session.maps.latents]
    assert resolve(session).limits == (0.0, pytest.approx(np.quantile(maxima, 0.99)))
    session.manual_limits, session.contrast = (0.2, 0.7), "manual"
    assert resolve(session).limits == (0.2, 0.7)
    session.manual_limits = (0.7, 0.7)
    assert resolve(session).limits[0] < resolve(session).limits[1]


def test_an_image_on_which_nothing_fires():
    model = FakeModel()
    maps = maps_of(model, np.zeros(0, np.int32), np.zeros((0, *model.facts.grid), np.float32))
    s = Session()
    s.image, s.handle, s.contrast = mammogram(), model, "shared"
    s.maps = maps
    assert shared_maximum(maps) == 0
    assert resolve(s).limits == (0.0, 1.0)


def test_predictions_name_every_class_without_and_with_the_sae(session):
    rows = predictions(session.model, session.maps)
    assert [row.name for row in rows] == ["mass", "suspicious calcification"]
    assert rows[0].probability == pytest.approx(1 / (1 + np.exp(-session.maps.logits[0])))
    assert rows[1].probability_sae == pytest.approx(1 / (1 + np.exp(-session.maps.logits_sae[1])))
    text = prediction_text(rows)
    assert "suspicious calcification 0.881 (+2.00), SAE 0.870 (+1.90)" in text
