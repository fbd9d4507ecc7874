"""Time the intervention core on a made-up run of the published size: 4,000 images, 850 live of 16,384 latents.

    python benchmarks/bench_intervention.py

Prints one line a measurement with its limit, and exits with 1 when one is over.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse

from napari_mammosae.core.intervention import Cohort, Edit, edit_image, sweep
from napari_mammosae.core.latents import LatentMaps
from napari_mammosae.core.ranking import LabelledPool, class_rankings, first_ranks, union_mask

IMAGES, LATENTS, LIVE, GRID = 4_000, 16_384, 850, (48, 29)


def made_up_run(seed: int = 0) -> tuple[Cohort, np.ndarray]:
    """Pooled activations of which 40 % are above zero, 40 % positives, and the k at which each latent enters."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(IMAGES) < 0.4).astype(np.float64)
    live = np.sort(rng.choice(LATENTS, LIVE, replace=False))
    values = np.maximum(rng.normal(-0.3, 1, (IMAGES, LIVE)) + labels[:, None] * rng.normal(0, 0.2, LIVE), 0)
    pooled = scipy.sparse.coo_array(values)
    rows, columns = pooled.coords
    pooled = scipy.sparse.csc_array((pooled.data, (rows, live[columns])), shape=(IMAGES, LATENTS))
    attribution = rng.normal(0, 0.2, LATENTS)
    logits = pooled @ attribution + rng.normal(0, 0.3, IMAGES)
    cohort = Cohort.of(pooled, attribution, -0.1, labels, logits)
    orders = [ranking.order for ranking in class_rankings(LabelledPool(pooled, labels)).values()]
    return cohort, first_ranks(orders, LATENTS)


def made_up_image(cohort: Cohort, seed: int = 0) -> LatentMaps:
    """Maps of one image on which 400 latents fire, as many as the densest of the run would."""
    rng = np.random.default_rng(seed)
    live = np.sort(rng.choice(np.flatnonzero(cohort.live), 400, replace=False)).astype(np.int32)
    values = np.maximum(rng.normal(-1, 1, (live.size, *GRID)), 0).astype(np.float32)
    pooled = np.zeros(LATENTS, np.float32)
    pooled[live] = values.mean(axis=(1, 2))
    return LatentMaps(
        shape=(LATENTS, *GRID),
        latents=live,
        values=values,
        pooled_mean=pooled,
        pooled_max=pooled,
        active_cells=np.zeros(LATENTS, np.int32),
        logits=np.zeros(1),
        logits_sae=np.zeros(1),
        error_norm=0.0,
    )


def seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and longest of several runs after a first one that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), max(taken)


def main() -> int:
    cohort, first = made_up_run()
    maps = made_up_image(cohort)
    curve = sweep(cohort, first)
    ks = iter(np.random.default_rng(1).integers(0, LATENTS + 1, 10_000))

    def both_modes() -> None:
        for mode in ("keep", "zero"):
            sweep(cohort, first, mode).table()

    def move() -> None:
        k = int(next(ks))
        edit = Edit(union_mask(first, k), "zero", "delta")
        edit_image(maps, cohort.attribution, cohort.constant, edit)
        cohort.measure(cohort.logits_after(edit))
        cohort.flips(edit)
        curve.at(k)

    print(f"{IMAGES:,} images, {LIVE} of {LATENTS:,} latents live, {cohort.pooled.nnz:,} activations above zero")
    print(f"{'':58}{'median':>10}{'longest':>10}{'limit':>10}")
    over = False
    for name, work, repeats, limit in (
        (f"sweep over all {LATENTS:,} k, keep and zero, six measures", both_modes, 5, 2.0),
        ("one move of k: image, maps, all images, flips, curve", move, 50, 0.030),
    ):
        median, longest = seconds(work, repeats)
        over |= median > limit
        print(f"{name:58}{median * 1e3:8.1f}ms{longest * 1e3:8.1f}ms{limit * 1e3:8.0f}ms")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
