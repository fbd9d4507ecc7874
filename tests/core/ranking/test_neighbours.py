import numpy as np
import pytest
import scipy.sparse
from sklearn.metrics import jaccard_score
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


def test_coactivation_is_the_jaccard_index_over_images():
    rng = np.random.default_rng(1)
    dense = rng.random((60, 9)) * (rng.random((60, 9)) < rng.random(9))
    dense[:, 4] = 0
    latents, indices = coactivation_neighbours(scipy.sparse.csc_array(dense), 2, 8)
    assert sorted(latents) == [0, 1, 3, 4, 5, 6, 7, 8]
    for latent, index in zip(latents, indices, strict=True):
        expected = jaccard_score(dense[:, 2] > 0, dense[:, latent] > 0, zero_division=0)
        assert index == pytest.approx(expected, abs=1e-12)
    assert (np.diff(indices) <= 0).all()
    assert (coactivation_neighbours(scipy.sparse.csc_array((5, 3)), 0)[1] == 0).all()


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
