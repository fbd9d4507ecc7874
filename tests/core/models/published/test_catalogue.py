"""The table of published models holds what the paper and the release say."""

import pytest

from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.files.model_files import find_model
from napari_mammosae.core.models.published.address import Address
from napari_mammosae.core.models.published.catalogue import published_model, published_models

# Table 1 of arXiv 2507.15227, AUROC without and with the SAE, by finding and variant
TABLE_1 = {
    "suspicious-calcification-pretrained": (0.951, 0.933),
    "suspicious-calcification-finetuned": (0.978, 0.979),
    "mass-pretrained": (0.786, 0.763),
    "mass-finetuned": (0.856, 0.855),
}


def test_the_cells_of_the_paper():
    cells = {name: model.table1 for name, model in published_models().items() if model.table1 is not None}
    assert {name: (cell.auroc, cell.auroc_sae) for name, cell in cells.items()} == TABLE_1
    assert all(len(published_model(name).table2) == 10 for name in TABLE_1)
    assert max(published_model("mass-finetuned").table2) == 0.316


def test_the_files_of_every_model():
    models = published_models()
    assert len(models) == 10
    assert len({model.member for model in models.values() if model.classifier is not None}) == 8
    for name, model in models.items():
        assert (model.classifier is None) != (model.backbone is None)
        assert (model.sae is None) == (name == "mammo-clip-b2")  # 1,408 features, which the published SAE cannot read
        assert not any(file.sha256 for file in model.files.values())  # none is published


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://a/b/c.pt", ("a/b", "c.pt", "main")),
        ("hf://a-1/b.c/d/e f.zip", ("a-1/b.c", "d/e f.zip", "main")),
        ("hf://a/b@v1.0/c.pt", ("a/b", "c.pt", "v1.0")),
    ],
)
def test_addresses(text: str, parts: tuple[str, str, str]):
    address = Address.parse(text)
    assert (address.repo, address.path, address.revision) == parts
    assert str(address) == text


@pytest.mark.parametrize("text", ["hf://a/b", "hf://a", "https://a/b/c", "hf://a/b/../c", "hf://a/b/c//d", "hf:///b/c"])
def test_what_is_no_address(text: str):
    with pytest.raises(ModelError, match="expected hf://owner/repository/file"):
        Address.parse(text)


def test_names_that_are_near():
    for find in (published_model, find_model):
        with pytest.raises(ModelError, match=r"did you mean mass-finetuned\?"):
            find("mass-fintuned")
