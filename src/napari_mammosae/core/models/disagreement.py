"""Where a model decides otherwise once its features are replaced by the SAE's reconstruction."""

from typing import TYPE_CHECKING

import numpy as np

from ..stats.predictions import decisions
from .heads import HasHeads, title_of

if TYPE_CHECKING:
    from .latents import LatentMaps


def disagreements(model: HasHeads, maps: "LatentMaps") -> tuple[str, ...]:
    """Return the decisions on an image that the latents do not explain, a sentence each.

    A class is decided for where its logit is at least 0; of a multiclass head the highest logit decides. The logit of a
    single text decides nothing.

    Parameters
    ----------
    model
        Its heads.
    maps
        The image's logits, from the features and from the SAE's reconstruction of them.
    """
    found = []
    for head in model.heads:
        part = model.logits_of(head.name)
        plain, kept = np.asarray(maps.logits)[part], np.asarray(maps.logits_sae)[part]
        if not head.decides or not (np.isfinite(plain).all() and np.isfinite(kept).all()):
            continue
        titles = [title_of(head, name) for name in head.classes]
        if head.task == "multiclass":
            one, other = (titles[int(decisions(values[None])[0])] for values in (plain, kept))
            if one != other:
                found.append(f"Model and SAE disagree: the model decides for {one}, with the SAE for {other}.")
            continue
        found += [
            f"Model and SAE disagree on {title}: the latents do not explain this decision."
            for title, differs in zip(titles, decisions(plain) != decisions(kept), strict=True)
            if differs
        ]
    return tuple(found)
