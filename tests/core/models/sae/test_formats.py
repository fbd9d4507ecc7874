from pathlib import Path

import numpy as np
import pytest
import torch

import sae_files
from napari_mammosae.core.models.sae.options import settle_options
from napari_mammosae.core.models.sae.reading import read_sae


@pytest.mark.parametrize("name", sae_files.ALL)
def test_codes_and_reconstructions_are_those_of_the_formats_formula(tmp_path: Path, name: str) -> None:
    written = sae_files.ALL[name](tmp_path)
    sae = read_sae(written.path, settle_options(written.options))
    assert sae.kind == written.kind
    assert (sae.width, sae.n_latents) == (sae_files.D, sae_files.H)
    x = sae_files.features()
    codes, reconstructions = written.formula(x)
    given = torch.tensor(x, dtype=torch.float32)
    z = sae.encode(given)
    assert 0 < (z > 0).float().mean() < 1
    assert z.min() >= 0
    for found, expected in ((z, codes), (sae.decode(z, of=given), reconstructions), (sae(given), reconstructions)):
        assert np.abs(found.double().numpy() - expected).max() <= 2e-6 * np.abs(expected).max()
    np.testing.assert_array_equal(given, x.astype(np.float32))  # the input is left as it was
    live = torch.nonzero(z.amax(0) > 0).squeeze(1)
    torch.testing.assert_close(sae.decode(z[:, live], live, given), sae(given), atol=1e-5, rtol=1e-5)
