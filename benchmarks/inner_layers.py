"""A k curve of one image behind an inner layer: passes of the tail alone, against the plain ways.

Random weights of B5's size. The slower ways are timed on a few edits and multiplied.
"""

import argparse
import time

import numpy as np
import torch
from _report import Report

from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.masked_pass import EditableImage
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.ranking.orders import first_ranks, union_mask

KS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MODES = ("keep", "zero")


def random_model(layer: str, expansion: int, seed: int) -> MammoSAE:
    """A B5-sized model with an SAE on a layer, of whose latents about one in twenty fires on an image."""
    torch.manual_seed(seed)
    backbone = EfficientNetBackbone("efficientnet-b5").eval().requires_grad_(False)
    backbone.fold_batch_norms()
    rng = np.random.default_rng(seed)
    head = Head("classifier", ("finding",), "binary", rng.normal(0, 1, (1, 2048)), rng.normal(0, 0.1, 1))
    model = MammoSAE(backbone, None, (head,), layer)
    sae = SparseAutoencoder(model.width, model.width * expansion).requires_grad_(False)
    decoder = torch.randn(sae.width, sae.n_latents)
    sae.decoder_weight.data = decoder / decoder.norm(dim=0)
    sae.encoder_weight.data = torch.randn(sae.n_latents, sae.width)
    with torch.inference_mode():
        features = model.features(torch.randn(1, 3, 1520, 912)).flatten(2)[0].T
        sae.tied_bias.data = features.mean(0)
        peaks = torch.nn.functional.linear(features - sae.tied_bias, sae.encoder_weight).amax(0)
        sae.encoder_bias.data.fill_(-float(peaks.quantile(0.95)))
    return MammoSAE(backbone, sae, (head,), layer)


def pass_one(model: MammoSAE, features: torch.Tensor, edit: Edit) -> np.ndarray:
    """Encode, edit, decode and go on, for one edit alone: the plain way."""
    with torch.inference_mode():
        latents = model.encode(features)
        targets = torch.from_numpy(np.flatnonzero(edit.targets))
        edited = latents.index_copy(1, targets, edit.new_values(latents[:, targets]))
        return model.logits(model.decode(edited, of=features))[0].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--layer", default="blocks.30")
    parser.add_argument("--expansion", type=int, default=8, help="latents per feature")
    parser.add_argument("--timed", type=int, default=4, help="edits that the slower ways are timed on")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    model = random_model(settings.layer, settings.expansion, settings.seed)
    image = torch.randn(1, 3, 1520, 912, generator=torch.Generator().manual_seed(settings.seed))
    features = model.features(image)
    h, live = model.n_latents, int((model.encode(features) > 0).any((0, 2, 3)).sum())
    ks = [*KS, h]
    order = np.random.default_rng(settings.seed).permutation(h)  # that of a run: it knows nothing of this image
    first = first_ranks([order], h)
    edits = [Edit(union_mask(first, k), mode) for mode in MODES for k in ks]
    timed = edits[1 :: len(edits) // settings.timed][: settings.timed]

    one_by_one, full, batched, found = [], [], [], np.empty(0)
    for edit in timed:  # in turns, so that a busy machine slows all ways alike
        start = time.perf_counter()
        pass_one(model, features, edit)
        one_by_one.append(time.perf_counter() - start)
        start = time.perf_counter()
        pass_one(model, model.features(image), edit)
        full.append(time.perf_counter() - start)
        start = time.perf_counter()
        found = EditableImage(model, model.features(image)).logits(edits)
        batched.append(time.perf_counter() - start)
    plain = np.stack([pass_one(model, features, edit) for edit in edits])

    curve, one_way, full_way = min(batched), min(one_by_one) * len(edits), min(full) * len(edits)
    once = min(full) - min(one_by_one)
    report = Report(
        f"A k curve of one image behind {settings.layer}",
        f"{len(ks)} values of k, {' and '.join(MODES)}: {len(edits)} edits of one image of 1520 x 912; random weights "
        f"of B5's size, {h:,} latents on {model.width} channels, {live:,} of them live. Best of a few repeats each.",
    )
    report.add("full passes, one an edit", full_way, "s")
    report.add("one pass to the layer, then one edit at a time", once + one_way, "s")
    report.add("one pass to the layer and one through the SAE, then the tail for each edit that differs", curve, "s")
    report.add("share of the time of full passes", curve / full_way, at_most=1 / 2.5)
    report.add("share of the time of one edit at a time", curve / (once + one_way), at_most=1 / 1.2)
    report.add("largest difference of a logit", float(np.abs(plain - found).max() / np.abs(plain).max()), at_most=1e-5)
    report.finish()


if __name__ == "__main__":
    main()
