import numpy as np
import pytest

from napari_mammosae.core.base.products import product


@pytest.mark.parametrize("shape", [(300,), (4, 300), (2, 5, 300)])
@pytest.mark.parametrize("columns", [1, 7, 60_000])
def test_small_and_large_products_are_those_of_the_operator(shape, columns):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape), rng.standard_normal((columns, 300)).T
    np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-12, atol=1e-10)
