"""Which latents carry a marker into a prediction. Knows no Qt."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from ...core.runs.run import Run


def pushes_of_markers(run: "Run", attribution: NDArray[np.float64], suspects: "pd.DataFrame") -> NDArray[np.float64]:
    """Return what each latent adds to a logit through burned-in markers, (h,): the mean over the images of a run.

    Parameters
    ----------
    run
        The run.
    attribution
        (h,) what one unit of a latent's mean adds to the logit.
    suspects
        As `find_suspects` gives them: of each latent that fires, the share of its activation on markers, and the place
        where it fires least by chance. Latents with another place than a marker count as 0.
    """
    mean = np.asarray(run.pooled("mean").mean(axis=0)).ravel()
    pushes = np.zeros(run.n_latents)
    on_markers = suspects[suspects["reason"] == "marker"]
    latents = on_markers["latent"].to_numpy()
    pushes[latents] = mean[latents] * attribution[latents] * on_markers["marker"].to_numpy(np.float64)
    return pushes
