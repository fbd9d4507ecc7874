"""Names of latents from the model's own text tower: by their direction, and by the images they fire on.

Both are evidence, not proof: a name can be the best of a vocabulary and still be no better than chance, which the
percentile among random directions shows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from ...base.provenance import provenance
from ...models.text.space import JointSpace
from ...models.text.tower import Vectors, unit
from ...stats.bootstrap import benjamini_hochberg
from ...stats.measures import FloatArray
from .soft_wpmi import TOP, soft_wpmi
from .vocabulary import TERMS, Term, encode_terms, read_terms

if TYPE_CHECKING:
    import pandas as pd

    from ...models.facts import ModelFacts
    from ...models.model import MammoSAE
    from ...runs.run import Run
    from .heads import Speaker

RANDOM = 20_000
"""Random directions that the best score of a latent is held against: so many that a q-value can be small."""
SHARE = 10
"""A latent is named from at most one image in so many: where it fires on nearly all, the others say nothing of it."""
SHOWN = 5
"""Terms that are listed for each latent."""


def name_latents(
    run: "Run",
    model: "MammoSAE | ModelFacts",
    terms: Sequence[Term] | None = None,
    *,
    speaker: "Speaker | None" = None,
    seed: int = 0,
) -> "pd.DataFrame":
    """Name every latent that fires in a run by the best term of a vocabulary, with two kinds of evidence.

    Parameters
    ----------
    run, model
        A run, and the model it was made with, which has a text tower.
    terms
        The vocabulary; by default this project's own list. Terms with words that the tower does not know are left out.
    speaker
        What knows texts; the model itself unless given.
    seed
        Of the random directions.

    Returns
    -------
    pandas.DataFrame
        One row a live latent: `latent`, `name`, `group`, `cosine` with the centred term, `z` among the terms, `margin`
        to the second, `percentile` among the best cosines of random directions, `chance` (their median), `q_value`
        (false discovery rate over the latents), `terms` (the best five), `image_name` and `image_score` by soft-WPMI
        from the images, and `agree`: "term", "group" or "".

    Raises
    ------
    RunError, ModelError, SettingsError, CheckpointError
        If run, model, tower and vocabulary do not fit together.
    """
    import pandas as pd

    run.check_model(model)
    wanted = read_terms(TERMS) if terms is None else terms
    model.linear_tail()
    voice = speaker or cast("Speaker", model)
    known, vectors = encode_terms(voice, wanted)
    space, pooled = voice.joint_space(), run.pooled("mean")
    live = np.flatnonzero(np.diff(pooled.indptr))
    scores = direction_scores(space, vectors)[live]
    order = np.argsort(-scores, axis=1, kind="stable")
    rows = np.arange(live.size)
    best, second = scores[rows, order[:, 0]], scores[rows, order[:, 1]]
    random = np.sort(random_best(space, vectors, seed))
    images = unit(space.embed(run.features("mean"))) @ vectors.T
    by_images = soft_wpmi(images, pooled[:, live].toarray(), max(1, min(TOP, len(run) // SHARE)))
    seen = by_images.argmax(axis=1)
    names, groups = np.array([term.term for term in known]), np.array([term.group for term in known])
    first = order[:, 0]
    agree = np.where(first == seen, "term", np.where(groups[first] == groups[seen], "group", ""))
    spread = scores.std(axis=1)
    as_good = random.size - np.searchsorted(random, best, "left")
    table = pd.DataFrame(
        {
            "latent": live,
            "name": names[first],
            "group": groups[first],
            "cosine": best,
            "z": np.divide(best - scores.mean(axis=1), spread, out=np.zeros(live.size), where=spread > 0),
            "margin": best - second,
            "percentile": 100 * np.searchsorted(random, best, "right") / random.size,
            "chance": np.median(random),
            "q_value": benjamini_hochberg((1 + as_good) / (1 + random.size)),
            "terms": ["; ".join(names[one[:SHOWN]]) for one in order],
            "image_name": names[seen],
            "image_score": by_images[rows, seen],
            "agree": agree,
        }
    )
    settings = {"run": run.path, "terms": len(known), "left_out": len(wanted) - len(known), "seed": seed}
    table.attrs["provenance"] = provenance("name", settings | {"from": "text"}, model)
    return table


def direction_scores(space: JointSpace, vectors: Vectors) -> FloatArray:
    """Cosines (h, V) of what each latent adds with the terms, whose common part is taken out first."""
    return unit(space.latents.T) @ centred(vectors).T


def centred(vectors: Vectors) -> Vectors:
    """Unit vectors of terms without their mean: else one term that is near to everything wins everywhere."""
    return unit(vectors - vectors.mean(axis=0))


def random_best(space: JointSpace, vectors: Vectors, seed: int = 0, count: int = RANDOM) -> FloatArray:
    """Best cosine (count,) over the terms of random mixtures of the latents' directions, with normal weights."""
    # mixtures are normal themselves, so they can be drawn in the few dimensions of the space
    variances, axes = np.linalg.eigh(space.latents @ space.latents.T)
    spread = axes * np.sqrt(np.maximum(variances, 0))
    mixed = np.random.default_rng(seed).standard_normal((count, len(spread))) @ spread.T
    return np.asarray((unit(mixed) @ centred(vectors).T).max(axis=1))
