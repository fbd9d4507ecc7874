"""Measure the embedded demo's text tower on phantoms it never saw, and put that into figures and model card.

    python scripts/demo_text_figures.py WORK

WORK keeps the pooled features of the phantoms. About four minutes on two cores.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from demo_card import STRUCTURES
from demo_card_text import card
from demo_classifier import to_input
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.naming.text.heads import text_head
from napari_mammosae.core.phantoms.phantom import FINDINGS, make_phantom
from napari_mammosae.core.runs.making.demo import FIRST_SEED
from napari_mammosae.core.stats.measures import auroc
from train_demo_text import SAMPLE_DATA, phantom_features

COUNT, PAIRS, FIRST_PAIR = 120, 20, 902_000
PROMPTS = {
    "mass": "mass", "suspicious calcification": "suspicious_calcification", "view marker": "marker", "clip": "clip",
    "bead": "bead", "skin fold": "skin_fold", "pectoral muscle": "pectoral",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model("demo", device="cpu")
    measured = {**of_images(model, arguments.work), **of_marker(model)}
    path = SAMPLE_DATA / "demo" / "figures.json"
    figures = json.loads(path.read_text(encoding="utf-8")) | {"text": measured}
    with write_atomic(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    with write_atomic(SAMPLE_DATA / "MODEL_CARD.md") as temporary:
        temporary.write_text(card(figures, STRUCTURES), encoding="utf-8")
    print(json.dumps(measured, indent=1))


def of_images(model: MammoSAE, work: Path) -> dict:
    """AUROC of prompts, alone and against their absence, and of the classifier, on unbiased phantoms."""
    path = work / f"text-measured-{COUNT}.npz"
    features, truth, _ = phantom_features(path, COUNT, FIRST_SEED)
    prompts = {}
    for text, name in PROMPTS.items():
        heads = text_head(model, text), text_head(model, text, f"no {text}")
        alone, against = (auroc(truth[name], features @ head.weight[0] + head.bias[0]) for head in heads)
        prompts[text] = {"auroc": alone, "auroc_against": against, "positives": int(truth[name].sum())}
    logits = features @ model.heads[0].weight.T + model.heads[0].bias
    return {
        "images": COUNT,
        "prompts": prompts,
        "classifier": {name: auroc(truth[name], logits[:, place]) for place, name in enumerate(FINDINGS)},
    }


def of_marker(model: MammoSAE) -> dict:
    """How many of the first ten latents of "view marker" tell a phantom with a marker from the same without."""
    means = []
    for marker in (False, True):
        drawn = (make_phantom(FIRST_PAIR + 4 * number, marker=marker).pixels for number in range(PAIRS))
        means.append([latents_of_features(model, model.features(to_input(one[None])))[0].pooled_mean for one in drawn])
    pairs = np.array(means, np.float64)
    place = model.logits_of(text_head(model, "view marker").name).start
    first = np.argsort(-pairs.mean((0, 1)) * model.attribution[place], kind="stable")[:10]
    truth = np.repeat([0, 1], PAIRS)
    areas = [auroc(truth, pairs[:, :, latent].ravel()) for latent in first]
    return {
        "pairs": PAIRS,
        "marker_latents": [{"latent": int(i), "auroc": area} for i, area in zip(first, areas, strict=True)],
        "marker_latents_at_0.9": sum(area >= 0.9 for area in areas),
    }


if __name__ == "__main__":
    main()
