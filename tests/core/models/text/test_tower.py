"""The text tower of a checkpoint: equal to BERT written out by hand, and read without the rest of the file."""

import numpy as np
import psutil
import pytest
import torch

import text_kit
from napari_mammosae.core.base.errors import CheckpointError, UnsafeCheckpointError
from napari_mammosae.core.models.text.bert import Bert
from napari_mammosae.core.models.text.reading import TextFiles, read_text_side
from napari_mammosae.core.models.text.torch_bert import TorchBert
from napari_mammosae.core.models.weights.checkpoints import load_tensors

TEXTS = {
    "Mass": [2, 4, 3],
    "there is spiculated mass in the breast": [2, 7, 8, 16, 17, 4, 9, 10, 11, 3],
    "mammogram showing no skin folds": [2, 12, 13, 6, 23, 24, 25, 3],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("tower")
    text_kit.write_checkpoint(folder / "b5.tar", tiny_model.parent / "classifier.safetensors")
    text_kit.write_vocabulary(folder)
    return folder


@pytest.fixture(scope="module", params=[Bert, TorchBert])
def side(folder, request):
    return read_text_side(TextFiles(folder / "b5.tar", folder / "vocab.txt"), request.param)


@pytest.fixture(scope="module")
def tensors():
    return text_kit.text_tensors(256)


def test_vectors_are_those_of_an_independent_bert(side, tensors):
    found = side.tower.encode(list(TEXTS))
    wanted = [text_kit.vector_by_hand(tensors, ids) for ids in TEXTS.values()]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_array_equal(side.tower.encode(["mass"]), side.tower.encode(["Mass"]))
    threads = torch.get_num_threads()
    one_by_one = [side.tower.bert.encode([ids])[0] for ids in TEXTS.values()]
    for alone, among in zip(one_by_one, side.tower.bert.encode(list(TEXTS.values())), strict=True):
        np.testing.assert_allclose(alone, among, atol=1e-5)  # a text knows nothing of its neighbours
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("pooling", ["bos", "mean"])
def test_another_pooling_gives_other_vectors(folder, tiny_model, tensors, pooling):
    path = text_kit.write_checkpoint(
        folder / "other.tar", tiny_model.parent / "classifier.safetensors", pooling=pooling
    )
    found = read_text_side(TextFiles(path, folder / "vocab.txt")).tower.encode(list(TEXTS))
    wanted = [text_kit.vector_by_hand(tensors, ids, pooling) for ids in TEXTS.values()]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(found - [text_kit.vector_by_hand(tensors, ids) for ids in TEXTS.values()]).max() > 0.05


def test_weights_of_several_processes_and_projections(folder, tiny_model, tensors, side):
    path = text_kit.write_checkpoint(folder / "ddp.tar", tiny_model.parent / "classifier.safetensors", ddp=True)
    found = read_text_side(TextFiles(path, folder / "vocab.txt"))
    np.testing.assert_allclose(found.tower.encode(["mass"]), side.tower.encode(["mass"]), atol=1e-6)
    np.testing.assert_array_equal(found.weight, tensors["image_projection.projection.weight"].double().numpy())
    assert found.scale == pytest.approx(np.exp(2.659))


def test_what_is_not_needed_of_a_file_is_never_read(tmp_path):
    path = tmp_path / "large.tar"
    torch.save({"model": {"a": torch.arange(1000.0)}, "optimizer": {"m": torch.ones(50_000_000)}}, path)
    before = psutil.Process().memory_info().rss
    content = load_tensors(path, mapped=True)[0]
    assert content["model"]["a"].sum() == 499_500
    assert psutil.Process().memory_info().rss - before < 50e6  # of 200 MB
    content["model"]["a"][0] = 7  # stays in memory
    assert load_tensors(path)[0]["model"]["a"][0] == 0


def test_files_are_read_as_safely_when_they_are_mapped(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("boom",))

    path = tmp_path / "bomb.tar"
    torch.save({"model": {"image_projection.projection.weight": torch.ones(2, 2)}, "config": Bomb()}, path)
    with pytest.raises(UnsafeCheckpointError, match="print"):
        load_tensors(path, mapped=True)


def drop(name):
    return lambda state: {k: v for k, v in state.items() if not k.endswith(name)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("image_projection.projection.weight"), "x.tar holds no text tower"),
        (drop("layer.1.output.dense.bias"), "holds no whole BERT; missing encoder.layer.1.output.dense.bias"),
        (drop("text_projection.projection.weight"), "no text tower with linear projections"),
        (lambda s: s | {"logit_scale": torch.tensor(float("nan"))}, "logit_scale holds values that are not finite"),
        (lambda s: s | {"text_projection.projection.weight": torch.ones(16, 5)}, r"expected \(16, 32\)"),
    ],
)
def test_files_that_are_no_text_tower(tmp_path, tensors, change, words):
    config = {"model": {"text_encoder": {"num_attention_heads": 2}}}
    torch.save({"model": change(dict(tensors)), "config": config}, tmp_path / "x.tar")
    with pytest.raises(CheckpointError, match=words):
        read_text_side(TextFiles(tmp_path / "x.tar", text_kit.write_vocabulary(tmp_path)))


def test_settings_that_do_not_fit(tmp_path, tensors, folder):
    torch.save({"model": tensors}, tmp_path / "x.tar")
    with pytest.raises(CheckpointError, match="width 32 that does not say how many attention heads"):
        read_text_side(TextFiles(tmp_path / "x.tar", folder / "vocab.txt"))
    short = tmp_path / "short.txt"
    short.write_text("\n".join(text_kit.WORDS[:-1]))
    with pytest.raises(CheckpointError, match=r"short.txt has 29 words, b5.tar knows 30"):
        read_text_side(TextFiles(folder / "b5.tar", short))


def test_the_vocabulary_comes_from_the_local_cache_of_the_hub(folder, tmp_path, monkeypatch):
    files = TextFiles(folder / "b5.tar")
    with pytest.raises(CheckpointError, match=r"comes without its vocabulary: give the vocab.txt of example/none"):
        read_text_side(files)
    text_kit.write_vocabulary(tmp_path)

    def cached(repo, path, revision):
        return str(tmp_path / path) if repo == "example/none" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    assert read_text_side(files).tower.pieces.words == text_kit.WORDS
