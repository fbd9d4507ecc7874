"""The paper's sweep in closed form against one masked forward pass per k and image, on a B5-sized random model.

The plain way is timed on one image, backbone included, and multiplied by images, modes and values of k.
"""

import argparse
import time

import numpy as np
import scipy.sparse
import torch
from _report import Report

from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.intervention.sweep import sweep_cohort
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae import SparseAutoencoder
from napari_mammosae.core.ranking.orders import first_ranks, union_mask
from napari_mammosae.core.ranking.scores import LabelledPool, class_rankings

KS = (0, 1, 5, 10, 50, 100, 250, 500, 1000, 2500, 5000, 16384)
MODES = ("keep", "zero")


def random_model(n_latents: int, seed: int) -> MammoSAE:
    """A B5-sized model of whose latents about one in twenty fires on an image, as of the published one's."""
    torch.manual_seed(seed)
    backbone = EfficientNetBackbone("efficientnet-b5")
    backbone.eval().fold_batch_norms()
    width = backbone.out_channels
    sae = SparseAutoencoder(width, n_latents)
    decoder = torch.randn(width, n_latents)
    sae.decoder_weight.data = decoder / decoder.norm(dim=0)
    sae.encoder_weight.data = torch.randn(n_latents, width)
    with torch.inference_mode():
        features = backbone(torch.randn(1, 3, 1520, 912)).flatten(2)[0].T
        sae.tied_bias.data = features.mean(0)
        spread = features.std().item()  # untrained features are minute
        peaks = torch.nn.functional.linear(features - sae.tied_bias, sae.encoder_weight).amax(0)
        sae.encoder_bias.data.fill_(-float(peaks.quantile(0.95)))
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(0, 1, (1, width)) / spread, rng.normal(0, 0.1, 1)
    return MammoSAE(backbone, sae, (Head("classifier", ("finding",), "binary", weight, bias),))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--latents", type=int, default=16_384)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    model = random_model(settings.latents, settings.seed)
    ks = sorted({min(k, settings.latents) for k in KS})
    generator = torch.Generator().manual_seed(settings.seed)
    images = [torch.randn(1, 3, 1520, 912, generator=generator) for _ in range(settings.images)]
    labels = np.arange(settings.images) % 2

    model.features(images[0])  # warm up
    start = time.perf_counter()
    maps = [latents_of_features(model, model.features(image))[0] for image in images]
    one_pass = time.perf_counter() - start

    start = time.perf_counter()
    pooled = scipy.sparse.csc_array(np.stack([one.pooled_mean for one in maps]))
    rankings = class_rankings(LabelledPool(pooled, labels)).values()
    first = first_ranks([ranking.order for ranking in rankings], settings.latents)
    cohort = Cohort.of(pooled, model.attribution, model.constant, labels, np.stack([one.logits for one in maps]))
    for mode in MODES:
        curve = sweep_cohort(cohort, first, mode)
        for k in ks:
            curve.at(k)
    closed = time.perf_counter() - start

    edits = [Edit(union_mask(first, k), mode) for mode in MODES for k in ks]
    start = time.perf_counter()
    masked_logits(model, images[0], edits[:1])
    once = time.perf_counter() - start
    plain = once * len(edits) * settings.images

    exact = masked_logits(model, images[0], edits)[:, 0, 0]
    ours = np.array([cohort.logits_after(edit)[0, 0] for edit in edits])

    report = Report(
        "Sweep in closed form against masked forward passes",
        f"{settings.images} images of 1520 x 912, {len(ks)} values of k, keep and zero; random weights of B5's size, "
        f"{settings.latents:,} latents, {int(cohort.live.sum()):,} of them live. The plain way is one masked forward "
        f"pass ({once:.2f} s, timed on one image) times {len(edits) * settings.images}.",
    )
    report.add("plain way", plain, "s")
    report.add("one pass over the images, then the closed form", one_pass + closed, "s", at_most=plain / 15)
    report.add("closed form once the run exists, every k inside", closed, "s", at_most=plain / 1000)
    report.add("largest difference of a logit", float(np.abs(exact - ours).max()), at_most=1e-4)
    report.note("largest logit", f"{np.abs(exact).max():.3g}")
    report.finish()


if __name__ == "__main__":
    main()
