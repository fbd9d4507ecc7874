"""The masked forward pass: encode, edit, decode, and run what follows. Right for every layer, slow.

Where the tail is linear the closed forms give the same; elsewhere (`layer="blocks.N"`) there is no other way.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..stats.measures import FloatArray
from .edit import Edit

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.model import MammoSAE


def masked_logits(model: "MammoSAE", x: "Tensor", edits: Sequence[Edit]) -> FloatArray:
    """Logits under each of several edits, which share one pass up to the latents.

    Parameters
    ----------
    model
        With an SAE and a classifier, on any layer.
    x
        Normalised images (N, 3, H, W), or the model's feature maps (N, d, H', W').
    edits
        What to do; regions are cells of the SAE's layer.

    Returns
    -------
    (len(edits), N, C) float64

    Raises
    ------
    SettingsError
        If an edit does not fit the model.
    """
    import torch

    with torch.inference_mode():
        features = model.features(x) if model.takes(x) else x
        grid = (int(features.shape[2]), int(features.shape[3]))
        for edit in edits:
            edit.check(model.n_latents, grid)
        latents = model.encode(features)
        plain = model.decode(latents, of=features) if any(edit.form == "delta" for edit in edits) else None
        found = []
        for edit in edits:
            changed = model.decode(edited_latents(latents, edit), of=features)
            if edit.form == "delta":
                assert plain is not None
                changed = features.to(changed) + (changed - plain)
            found.append(model.logits(changed).double().cpu().numpy())
    return np.stack(found) if found else np.empty((0, int(x.shape[0]), len(model.classes)))


def edited_latents(latents: "Tensor", edit: Edit) -> "Tensor":
    """Return edited latents (N, h, H', W'), a new tensor."""
    import torch

    targets = torch.from_numpy(np.flatnonzero(edit.targets)).to(latents.device)
    old = latents[:, targets]
    new = edit.new_values(old)
    if edit.region is not None:
        new = torch.where(torch.from_numpy(edit.region).to(latents.device), new, old)
    return latents.index_copy(1, targets, new)
