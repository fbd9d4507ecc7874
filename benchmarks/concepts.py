"""Latents against concepts on a made-up run of the published size: chance by whole patients, and intervals apart."""

import numpy as np
import scipy.sparse
from _report import Report, median_seconds

from napari_mammosae.core.naming.concepts import make_concepts
from napari_mammosae.core.naming.evaluation import measure_units
from napari_mammosae.core.naming.intervals import auroc_intervals
from napari_mammosae.core.naming.permutation import permute_patients
from napari_mammosae.core.naming.units import LATENTS, Units

IMAGES, A_PATIENT, LIVE, LABELS, PERMUTATIONS = 4_000, 4, 850, 15, 200


def main() -> None:
    rng = np.random.default_rng(0)
    patients = np.arange(IMAGES) // A_PATIENT
    labels = {
        f"label_{i}": (rng.random(IMAGES) < share).astype(float)
        for i, share in enumerate(np.linspace(0.02, 0.4, LABELS))
    }
    concepts = make_concepts(labels, patients)
    mean = np.maximum(rng.normal(-0.3, 1, (IMAGES, LIVE)) + 0.3 * concepts.values @ rng.normal(0, 1, (LABELS, LIVE)), 0)
    pools = {"mean": scipy.sparse.csc_array(mean), "max": scipy.sparse.csc_array(3 * mean**2)}
    units = Units(LATENTS, np.arange(LIVE), pools)

    def both_pools() -> None:
        shuffled = permute_patients(patients, np.arange(IMAGES), PERMUTATIONS)
        measure_units(units, concepts, patients, shuffled)

    report = Report(
        "Concepts",
        f"A made-up run: {IMAGES:,} images of {IMAGES // A_PATIENT:,} patients, {LIVE} live latents, mean and maximum, "
        f"{LABELS} labels, {PERMUTATIONS} permutations of whole patients.",
    )
    what = "correlations, AUROCs, chance, q-values"
    report.add(f"{what}, both poolings", median_seconds(both_pools, repeats=3), "s", at_most=10)
    seconds = median_seconds(lambda: auroc_intervals(mean, concepts.values, patients), repeats=1, warmups=0)
    report.add("intervals (DeLong clustered by patient), one pooling", seconds, "s")
    report.finish()


if __name__ == "__main__":
    main()
