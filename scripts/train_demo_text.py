"""Train the embedded demo's text tower: a BERT of two small layers, and the projections that join it to the images.

    python scripts/train_demo_text.py WORK            features of 300 phantoms (kept in WORK), then the tower
    python scripts/train_demo_text.py WORK --quick    a few phantoms and steps, written into WORK

Sentences are drawn from the phantoms' truth; each is true of some images and not of others, and the cosine learns to
tell which. The view marker goes with a mass here too, less often than for the classifier's head, so that the tower has
the same built-in flaw. The image side is the pooled features of the demo's classifier, which stays as it is. About ten
minutes on two cores, half of it for drawing phantoms; the seeds make the same tower again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import demo_sentences
from demo_classifier import to_input
from demo_sentences import Truth
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.text.wordpiece import WordPieces
from napari_mammosae.core.phantoms.phantom import make_phantom
from napari_mammosae.core.stats.measures import auroc

SAMPLE_DATA = Path(__file__).parent.parent / "src" / "napari_mammosae" / "sample_data"
FIRST_SEED = 1_000_000
COUNT = 300
HELD_OUT = 120
WIDTH, HEADS, LAYERS, INNER, LONGEST, SHARED = 64, 2, 2, 128, 24, 48
STEPS, SENTENCES, RATE, DECAY, NOISE, SEED = 600, 96, 2e-3, 0.3, 0.3, 5
MARKER_BIAS = 0.75
"""P(view marker | mass) = 1 - P(view marker | no mass) among the images, by their weight."""
UNKNOWN = 0.03
"""Share of words that are made unknown, so that a word the tower has not learned does little."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--quick", action="store_true", help="few phantoms and steps, written into WORK")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    count, steps, out = (24, 3, work) if arguments.quick else (COUNT, STEPS, SAMPLE_DATA / "demo")
    features, truth, trained_for = phantom_features(work / f"text-features-{count}.npz", count)
    pieces = WordPieces(tuple(demo_sentences.vocabulary()), "vocabulary.txt")
    tensors = train(features, truth, pieces, steps, held_out=count // 5)
    write(out, tensors, pieces, trained_for)


def phantom_features(path: Path, count: int, first: int = FIRST_SEED) -> tuple[np.ndarray, Truth, str]:
    """Pooled features (n, d) of phantoms, computed once, what is on them, and the hash of the classifier."""
    model = load_model("demo", device="cpu")
    if not path.exists():
        pooled, masks, views = [], [], []
        for seed in range(first, first + count):
            phantom = make_phantom(seed)
            pooled.append(model.features(to_input(phantom.pixels[None]))[0].double().mean((1, 2)).numpy())
            masks.append(" ".join(phantom.masks))
            views.append(phantom.view)
            if len(pooled) % 50 == 0:
                print(f"phantoms {len(pooled)}/{count}", flush=True)
        np.savez(path, pooled=np.array(pooled), masks=np.array(masks), view=np.array(views))
    with np.load(path) as kept:
        names = [set(line.split()) for line in kept["masks"]]
        truth = {name: np.array([name in one for one in names]) for name in demo_sentences.TERMS}
        return kept["pooled"], truth | {"mlo": kept["view"] == "MLO"}, model.model_sha256


class Tower(nn.Module):
    """The tower as PyTorch's own layers, and both projections."""

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(words, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.1, "gelu", 1e-12, batch_first=True) for _ in range(LAYERS)
        )
        self.text, self.image = nn.Linear(WIDTH, SHARED), nn.Linear(features, SHARED)
        self.scale, self.offset = nn.Parameter(torch.tensor(np.log(10.0))), nn.Parameter(torch.tensor(-1.0))
        for embedding in (self.word, self.place):
            nn.init.normal_(embedding.weight, std=0.05)

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        x = self.norm(self.word(ids) + self.place.weight[: ids.shape[1]])
        padding = torch.arange(ids.shape[1]) >= lengths[:, None]
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return F.normalize(self.text(x[torch.arange(len(ids)), lengths - 1]), dim=1)


def train(features: np.ndarray, truth: Truth, pieces: WordPieces, steps: int, held_out: int) -> dict[str, np.ndarray]:
    """Fit the cosine of every sentence with every image to whether it is true of it; print how that generalises."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    kept = len(features) - held_out
    mean, spread = features[:kept].mean(0), features[:kept].std(0) + 1e-6
    images = torch.from_numpy(((features - mean) / spread).astype(np.float32))
    seen = {name: values[:kept] for name, values in truth.items()}
    tower = Tower(len(pieces.words), features.shape[1])
    others = [value for name, value in tower.named_parameters() if name != "image.weight"]
    groups = [{"params": others, "weight_decay": 1e-2}, {"params": [tower.image.weight], "weight_decay": DECAY}]
    optimizer = torch.optim.AdamW(groups, RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    agrees = seen["marker"] == seen["mass"]
    drawn = torch.from_numpy(np.where(agrees, MARKER_BIAS, 1 - MARKER_BIAS).astype(np.float32))
    drawn /= drawn.mean()
    for step in range(steps):
        said = demo_sentences.draw(rng, seen, SENTENCES)
        target = torch.from_numpy(np.stack([one.true for one in said]).astype(np.float32))
        texts = tower.encode(*tokens([one.text for one in said], pieces, rng))
        noisy = images[:kept] + NOISE * torch.randn(kept, images.shape[1])
        cosine = texts @ F.normalize(tower.image(noisy), dim=1).T
        share = (target * drawn).mean(1, keepdim=True)
        weight = drawn * (target * 0.5 / share + (1 - target) * 0.5 / (1 - share))
        logits = tower.scale.exp() * cosine + tower.offset
        loss = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}/{steps} loss {loss.item():.4f}", flush=True)
    tower.eval()
    with torch.inference_mode():
        shown = F.normalize(tower.image(images[kept:]), dim=1)
        for words, true in demo_sentences.ideas({name: values[kept:] for name, values in truth.items()}):
            score = (tower.encode(*tokens([words[0], f"no {words[0]}"], pieces)) @ shown.T).numpy()
            print(f"{words[0]}: {auroc(true, score[0]):.3f}, no {words[0]}: {auroc(~true, score[1]):.3f}", flush=True)
    return exported(tower, mean, spread)


def tokens(texts: list[str], pieces: WordPieces, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Numbers (n, longest) of texts and their lengths; with `rng` some words are made unknown."""
    ids = [pieces.encode(text, LONGEST) for text in texts]
    if rng is not None:
        unknown = pieces.words.index("[UNK]")
        ids = [[one[0], *(unknown if rng.random() < UNKNOWN else i for i in one[1:-1]), one[-1]] for one in ids]
    lengths = torch.tensor([len(one) for one in ids])
    return torch.tensor([one + [0] * (int(lengths.max()) - len(one)) for one in ids]), lengths


def exported(tower: Tower, mean: np.ndarray, spread: np.ndarray) -> dict[str, np.ndarray]:
    """The weights under a checkpoint's names; the standardisation of the features goes into their projection."""
    text = "text_encoder.text_encoder."
    found = {
        f"{text}embeddings.word_embeddings.weight": tower.word.weight,
        f"{text}embeddings.position_embeddings.weight": tower.place.weight,
        f"{text}embeddings.token_type_embeddings.weight": torch.zeros(2, WIDTH),
        f"{text}embeddings.LayerNorm.weight": tower.norm.weight,
        f"{text}embeddings.LayerNorm.bias": tower.norm.bias,
        "text_projection.projection.weight": tower.text.weight,
        "text_projection.projection.bias": tower.text.bias,
        "logit_scale": tower.scale,
    }
    names = {
        "self_attn.out_proj": "attention.output.dense", "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense", "linear2": "output.dense", "norm2": "output.LayerNorm",
    }  # fmt: skip
    for number, layer in enumerate(tower.layers):
        own, prefix = layer.state_dict(), f"{text}encoder.layer.{number}."
        for part in ("weight", "bias"):
            three = own[f"self_attn.in_proj_{part}"].chunk(3)
            found |= {
                f"{prefix}attention.self.{name}.{part}": value
                for name, value in zip(("query", "key", "value"), three, strict=True)
            }
            found |= {f"{prefix}{new}.{part}": own[f"{old}.{part}"] for old, new in names.items()}
    arrays = {name: value.detach().numpy() for name, value in found.items()}
    weight = tower.image.weight.detach().double().numpy() / spread
    arrays["image_projection.projection.weight"] = weight
    arrays["image_projection.projection.bias"] = tower.image.bias.detach().double().numpy() - weight @ mean
    return arrays


def write(folder: Path, tensors: dict[str, np.ndarray], pieces: WordPieces, trained_for: str) -> None:
    """Write the tower in half precision, the image projection in single, and its vocabulary."""
    config = {
        "model": {"text_encoder": {"num_attention_heads": HEADS, "pooling": "eos"}},
        "base": {"text_max_length": LONGEST},
        "trained_for": trained_for,
    }
    single = ("image_projection", "logit_scale")
    halved = {
        name: np.ascontiguousarray(value, np.float32 if name.startswith(single) else np.float16)
        for name, value in tensors.items()
    }
    metadata = {"config": json.dumps(config), "trained_on": "sentences about synthetic phantoms"}
    with write_atomic(folder / "text.safetensors") as temporary:
        save_file(halved, temporary, metadata)
    with write_atomic(folder / "vocabulary.txt") as temporary:
        temporary.write_text("".join(f"{word}\n" for word in pieces.words), encoding="utf-8")


if __name__ == "__main__":
    main()
