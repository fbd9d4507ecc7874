from pathlib import Path

import numpy as np
import pytest
import torch

import sae_files
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.sae.export import export_sae
from napari_mammosae.core.models.sae.options import settle_options
from napari_mammosae.core.models.sae.reading import read_sae

NOT_IN = {
    "saelens": {"sparsify-groupmax", "msae-jumprelu", "msae-topk"},
    "dictionary_learning": {
        "sparsify-groupmax", "msae-jumprelu", "msae-topk", "openai-topk", "openai-tied", "prisma-topk",
        "saelens-layer_norm", "saelens-constant_norm_rescale",
    },
}  # fmt: skip


@pytest.mark.parametrize("format", ["saelens", "dictionary_learning"])
@pytest.mark.parametrize("name", sae_files.ALL)
def test_what_was_written_is_read_back(tmp_path: Path, name: str, format) -> None:
    written = sae_files.ALL[name](tmp_path)
    sae = read_sae(written.path, settle_options(written.options))
    if name in NOT_IN[format]:
        with pytest.raises(ModelError, match="no such SAE"):
            export_sae(sae, tmp_path / "out", format)
        return
    export_sae(sae, tmp_path / "out", format)
    again = read_sae(tmp_path / "out")
    assert again.groups == sae.groups
    x = torch.tensor(sae_files.features(), dtype=torch.float32)
    codes, reconstructions = written.formula(sae_files.features())
    for found, expected in ((again.encode(x), codes), (again(x), reconstructions)):
        assert np.abs(found.double().numpy() - expected).max() <= 2e-6 * np.abs(expected).max()
    if format == "saelens" or again.centred == sae.centred:
        assert torch.equal(again.encode(x), sae.encode(x))
        assert torch.equal(again(x), sae(x))
        for key, value in sae.named_parameters():
            if not key.startswith("activation."):  # thresholds may have another form
                assert torch.equal(dict(again.named_parameters())[key], value)


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    sae = read_sae(sae_files.saev(tmp_path, "Relu").path)
    with pytest.raises(ModelError, match="'gguf' is not known; choose saelens or dictionary_learning"):
        export_sae(sae, tmp_path / "out", "gguf")  # type: ignore[arg-type]
