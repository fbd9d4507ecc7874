"""Interventions on a made-up run of the published size: every k at once, and one move of the k slider."""

import numpy as np
import scipy.sparse
from _report import Report, median_seconds

from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.sweep import sweep_cohort
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.core.ranking.orders import first_ranks, union_mask
from napari_mammosae.core.ranking.scores import LabelledPool, class_rankings

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


def main() -> None:
    cohort, first = made_up_run()
    maps = made_up_image(cohort)
    curve = sweep_cohort(cohort, first)
    ks = iter(np.random.default_rng(1).integers(0, LATENTS + 1, 10_000))

    def both_modes() -> None:
        for mode in ("keep", "zero"):
            sweep_cohort(cohort, first, mode).table()

    def move() -> None:
        k = int(next(ks))
        edit = Edit(union_mask(first, k), "zero", "delta")
        edit_image(maps, cohort.attribution, cohort.constant, edit)
        logits = cohort.logits_after(edit)
        cohort.measure(logits)
        cohort.flips(logits, edit.form)
        curve.at(k)

    report = Report(
        "Intervention",
        f"A made-up run: {IMAGES:,} images, {LIVE} of {LATENTS:,} latents live, {cohort.pooled.nnz:,} activations "
        "above zero. A move of the slider edits the shown image (400 live maps, logit maps before and after), predicts "
        "all images of the run, measures, lists flips, and reads the curve.",
    )
    what = f"sweep over all {LATENTS:,} k, keep and zero, six measures"
    report.add(what, median_seconds(both_modes), "s", at_most=2)
    report.add("one move of the k slider", median_seconds(move, repeats=50) * 1e3, "ms", at_most=30)
    report.finish()


if __name__ == "__main__":
    main()
