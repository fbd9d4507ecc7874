"""A text tower of random weights under the released names, in a checkpoint of the published form; and BERT by hand."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.special import erf

from napari_mammosae.core.models.text.bert import Bert
from napari_mammosae.core.models.text.tower import TextTower

WORDS = (
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "mass", "##es", "no", "there", "is", "in", "the", "breast", "mammogram",
    "showing", "view", "marker", "spicul", "##ated", ",", "-", "a", "e", "##t", "skin", "fold", "##s", "clip", "xyz",
    "right", "left",
)  # fmt: skip
WIDTH, HEADS, LAYERS, INNER, LONGEST, SHARED = 32, 2, 2, 64, 40, 16
PREFIX = "text_encoder.text_encoder."


def write_vocabulary(folder: Path, words: tuple[str, ...] = WORDS) -> Path:
    path = folder / "vocab.txt"
    path.write_text("\n".join(words) + "\n", encoding="utf-8")
    return path


def text_tensors(features: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of tower and projections; positions of old files and the unused pooler included."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=g)

    found = {
        "embeddings.word_embeddings.weight": draw(len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": draw(LONGEST, WIDTH),
        "embeddings.token_type_embeddings.weight": draw(2, WIDTH),
        "embeddings.LayerNorm.weight": 1 + draw(WIDTH),
        "embeddings.LayerNorm.bias": draw(WIDTH),
        "embeddings.position_ids": torch.arange(LONGEST)[None],
        "pooler.dense.weight": draw(WIDTH, WIDTH),
        "pooler.dense.bias": draw(WIDTH),
    }
    sizes = {
        "attention.self.query": (WIDTH, WIDTH), "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH), "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (INNER, WIDTH), "output.dense": (WIDTH, INNER),
    }  # fmt: skip
    for layer in range(LAYERS):
        for name, (rows, cols) in sizes.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = draw(rows, cols)
            found[f"encoder.layer.{layer}.{name}.bias"] = draw(rows)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"encoder.layer.{layer}.{name}.weight"] = 1 + draw(WIDTH)
            found[f"encoder.layer.{layer}.{name}.bias"] = draw(WIDTH)
    return {f"{PREFIX}{name}": value for name, value in found.items()} | {
        "image_projection.projection.weight": draw(SHARED, features),
        "image_projection.projection.bias": draw(SHARED),
        "text_projection.projection.weight": draw(SHARED, WIDTH),
        "text_projection.projection.bias": draw(SHARED),
        "logit_scale": torch.tensor(2.659),
    }


def published_size(tower: TextTower) -> TextTower:
    """The same vocabulary before a BERT of twelve layers of 768, all with one layer's random weights."""
    rng = np.random.default_rng(0)
    width, inner, layers, shared = 768, 3072, 12, len(tower.weight)
    draw = lambda *shape: 0.02 * rng.standard_normal(shape, np.float32)  # noqa: E731
    sizes = {
        "attention.self.query": (width, width), "attention.self.key": (width, width),
        "attention.self.value": (width, width), "attention.output.dense": (width, width),
        "intermediate.dense": (inner, width), "output.dense": (width, inner),
    }  # fmt: skip
    layer = {f"{name}.weight": draw(*size) for name, size in sizes.items()}
    layer |= {f"{name}.bias": draw(size[0]) for name, size in sizes.items()}
    norms = [f"{name}.LayerNorm" for name in ("attention.output", "output")]
    layer |= {f"{name}.weight": 1 + draw(width) for name in norms} | {f"{name}.bias": draw(width) for name in norms}
    weights = {
        "embeddings.word_embeddings.weight": draw(len(tower.pieces.words), width),
        "embeddings.position_embeddings.weight": draw(512, width),
        "embeddings.token_type_embeddings.weight": draw(2, width),
        "embeddings.LayerNorm.weight": 1 + draw(width),
        "embeddings.LayerNorm.bias": draw(width),
    } | {f"encoder.layer.{i}.{name}": value for i in range(layers) for name, value in layer.items()}
    projection = np.asarray(draw(shared, width), np.float64)
    return TextTower(tower.pieces, Bert.of(weights, "random"), projection, np.zeros(shared))


def write_checkpoint(
    path: Path, classifier: Path, *, seed: int = 0, ddp: bool = False, finetuned: float = 0.0, **settings
) -> Path:
    """Write a pre-training checkpoint with the image encoder of a classifier, off by `finetuned` where that is set."""
    encoder = {k: v for k, v in load_file(classifier).items() if k.startswith("image_encoder.")}
    encoder = {k: v * (1 + finetuned) if v.ndim == 4 else v for k, v in encoder.items()}
    width = next(v for k, v in encoder.items() if k.endswith("conv_head.weight")).shape[0]
    state = encoder | text_tensors(width, seed)
    if ddp:
        state = {f"module.{name}": value for name, value in state.items()}
    text = {"name": "example/none", "pooling": "eos", "num_attention_heads": HEADS} | settings
    config = {"model": {"name": "clip_custom", "text_encoder": text}, "base": {"text_max_length": 256}}
    optimizer = {"state": {0: {"exp_avg": torch.ones(200_000)}}}
    torch.save({"model": state, "optimizer": optimizer, "config": config, "epoch": 7}, path)
    return path


def bert_by_hand(tensors: dict[str, torch.Tensor], ids: list[int]) -> np.ndarray:
    """Last hidden states (length, width), position by position and head by head, in double precision."""
    w = {k.removeprefix(PREFIX): v.double().numpy() for k, v in tensors.items() if k.startswith(PREFIX)}

    def norm(v, name):
        return (v - v.mean()) / np.sqrt(v.var() + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(v, name):
        return w[f"{name}.weight"] @ v + w[f"{name}.bias"]

    e = "embeddings"
    x = [
        norm(
            w[f"{e}.word_embeddings.weight"][i]
            + w[f"{e}.position_embeddings.weight"][place]
            + w[f"{e}.token_type_embeddings.weight"][0],
            f"{e}.LayerNorm",
        )
        for place, i in enumerate(ids)
    ]
    size = WIDTH // HEADS
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        q, k, v = ([dense(one, f"{layer}.attention.self.{name}") for one in x] for name in ("query", "key", "value"))
        mixed = []
        for place in range(len(x)):
            parts = []
            for head in range(HEADS):
                own = slice(head * size, (head + 1) * size)
                scores = np.array([q[place][own] @ other[own] / np.sqrt(size) for other in k])
                weights = np.exp(scores) / np.exp(scores).sum()
                parts.append(sum(weight * other[own] for weight, other in zip(weights, v, strict=True)))
            mixed.append(np.concatenate(parts))
        x = [
            norm(own + dense(one, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            for own, one in zip(x, mixed, strict=True)
        ]
        after = []
        for one in x:
            wide = dense(one, f"{layer}.intermediate.dense")
            wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
            after.append(norm(one + dense(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm"))
        x = after
    return np.array(x)


def vector_by_hand(tensors: dict[str, torch.Tensor], ids: list[int], pooling: str = "eos") -> np.ndarray:
    """Unit vector of one text."""
    states = bert_by_hand(tensors, ids)
    pooled = {"eos": states[-1], "bos": states[0], "mean": states.mean(axis=0)}[pooling]
    name = "text_projection.projection"
    vector = tensors[f"{name}.weight"].double().numpy() @ pooled + tensors[f"{name}.bias"].double().numpy()
    return vector / np.linalg.norm(vector)


def write_model(folder: Path) -> Path:
    """Write a tiny model that has a text tower, and return its model.toml."""
    import tiny

    toml = tiny.write_model(folder)
    write_checkpoint(folder / "b5.tar", folder / "classifier.safetensors")
    write_vocabulary(folder)
    toml.write_text(f'{toml.read_text()}\n[files]\ntext = "b5.tar"\nvocabulary = "vocab.txt"\n')
    return toml
