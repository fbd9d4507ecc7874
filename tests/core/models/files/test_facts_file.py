"""A model's facts written and read back."""

import numpy as np
import pytest

from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.files.facts_file import read_facts, write_facts
from napari_mammosae.core.models.loading import load_model


def test_all_that_is_known_of_a_model_comes_back(tiny_model, tmp_path):
    facts = load_model(tiny_model, device="cpu").facts
    write_facts(tmp_path / "facts.safetensors", facts)
    found = read_facts(tmp_path / "facts.safetensors")
    for name in (
        "name",
        "layer",
        "n_latents",
        "grid",
        "preprocessing",
        "domain",
        "model_sha256",
        "sae_sha256",
        "notes",
    ):
        assert getattr(found, name) == getattr(facts, name), name
    np.testing.assert_array_equal(found.attribution, facts.attribution)
    np.testing.assert_array_equal(found.constant, facts.constant)
    assert found.classes == facts.classes
    assert found.task == facts.task
    np.testing.assert_array_equal(found.heads[0].weight, facts.heads[0].weight)
    logits = np.array([[0.5] * len(facts.classes)])
    np.testing.assert_array_equal(found.probabilities(logits), facts.probabilities(logits))


@pytest.mark.parametrize("content", [b"", b"no such file", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_said_to_be(tmp_path, content):
    path = tmp_path / "facts.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"facts\.safetensors"):
        read_facts(path)
