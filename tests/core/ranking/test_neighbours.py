import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from sklearn.metrics.pairwise import cosine_similarity

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.ranking.neighbours import coactivation_neighbours, decoder_neighbours, top_images


def test_decoder_neighbours_have_the_highest_cosine():
    rng = np.random.default_rng(0)
    decoder = rng.normal(0, 1, (8, 20)).astype(np.float32) * rng.uniform(0.5, 3, 20).astype(np.float32)
    decoder[:, 3] = 0
    expected = cosine_similarity(decoder.T)[5]
    latents, cosines = decoder_neighbours(decoder, 5, 6)
    assert latents.tolist() == [i for i in np.argsort(-expected) if i != 5][:6]
    assert cosines == pytest.approx(expected[latents], abs=1e-6)
    assert decoder_neighbours(decoder, 3, 2)[1].tolist() == [0, 0]


def test_coactivation_is_the_correlation_over_images():
    rng = np.random.default_rng(1)
    dense = rng.random((60, 9)) * (rng.random((60, 9)) < rng.random(9))
    dense[:, 4] = 0  # never fires
    dense[:, 7] = 0.3  # fires alike on all images: near to none, whatever it has in common
    latents, correlations, common = coactivation_neighbours(scipy.sparse.csc_array(dense), 2, 8)
    assert sorted(latents) == [0, 1, 3, 4, 5, 6, 7, 8]
    for latent, r, both in zip(latents, correlations, common, strict=True):
        expected = 0.0 if latent in (4, 7) else scipy.stats.pearsonr(dense[:, 2], dense[:, latent]).statistic
        assert r == pytest.approx(expected, abs=1e-12)
        assert both == ((dense[:, 2] > 0) & (dense[:, latent] > 0)).sum()
    assert (np.diff(correlations) <= 0).all()
    assert (coactivation_neighbours(scipy.sparse.csc_array((5, 3)), 0)[1] == 0).all()


def test_latents_that_fire_on_every_image_are_told_apart():
    rng = np.random.default_rng(3)
    own = 1 + rng.random(40)
    dense = np.stack([own, own + 0.01 * rng.random(40), 1 + rng.random(40)], axis=1)
    latents, correlations, common = coactivation_neighbours(scipy.sparse.csc_array(dense), 0)
    assert latents.tolist() == [1, 2]
    assert correlations[0] > 0.99 > abs(correlations[1])
    assert common.tolist() == [40, 40]


def test_top_images_do_not_repeat_patients_and_leave_silent_ones_out():
    values = [0.0, 3.0, 5.0, 3.0, 4.0, 0.0]
    assert top_images(values).tolist() == [2, 4, 1, 3]
    assert top_images(values, list("abbcbd")).tolist() == [2, 3]
    assert top_images(values, count=1).tolist() == [2]
    assert top_images(np.zeros(3), list("abc")).size == 0
    with pytest.raises(SettingsError, match="patients"):
        top_images(values, ["a"])


@pytest.mark.parametrize("latent", [-1, 3])
def test_a_latent_out_of_range_is_refused(latent):
    with pytest.raises(SettingsError, match="no latent"):
        decoder_neighbours(np.ones((2, 3)), latent)
    with pytest.raises(SettingsError, match="no latent"):
        coactivation_neighbours(scipy.sparse.csc_array((2, 3)), latent)
