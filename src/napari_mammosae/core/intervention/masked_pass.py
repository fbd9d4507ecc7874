"""The masked forward pass: encode once, and pass every edit through the rest of the network, several at a time.

Where the tail is linear the closed forms give the same; elsewhere (`layer="blocks.N"`) there is no other way.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.progress import Report, ignore
from ..stats.measures import FloatArray
from .edit import Edit

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.memory import MemoryLadder
    from ..models.model import MammoSAE

_MOST = 32
"""Edits at a time on a GPU: more are no faster."""
_ROOM = 2**32
"""Bytes of a GPU that the pass of a batch may take, by about."""
_WIDENING = 24
"""Times the memory of a feature map that its pass takes: a block widens it by six, and holds a few such maps."""


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
    features = model.features(x) if model.takes(x) else x
    images = (EditableImage(model, features[at : at + 1]) for at in range(features.shape[0]))
    found = [one.logits(edits) for one in images]
    return np.stack(found, axis=1) if found else np.empty((len(edits), 0, len(model.classes)))


class EditableImage:
    """An image at the SAE's layer, encoded once, whose edits are passed on: one by one on the CPU, in batches on a GPU.

    Edits that change the same values of the image share a pass, as the large k of a curve do.

    Parameters
    ----------
    model
        With an SAE and a classifier, on any layer.
    features
        (1, d, H', W'), as `model.features` returns them.
    ladder
        Remembers how many edits fit at a time; one of its own by default.
    """

    def __init__(self, model: "MammoSAE", features: "Tensor", ladder: "MemoryLadder | None" = None) -> None:
        import torch

        from ..models.memory import MemoryLadder

        self.model, self._features = model, features
        self._ladder = ladder or MemoryLadder(model, batch_of(model, features))
        with torch.inference_mode():
            z = model.encode(features)[0].flatten(1).T  # (cells, h)
            self._live = torch.nonzero((z != 0).any(0)).squeeze(1).cpu().numpy()  # NaN counts, and shows in the logits
            self._values = z[:, torch.from_numpy(self._live).to(z.device)]
        self._rebuilt: Tensor | None = None

    def logits(self, edits: Sequence[Edit], report: Report = ignore) -> FloatArray:
        """Logits (len(edits), C) float64 under each edit.

        Raises
        ------
        SettingsError
            If an edit does not fit the model.
        ModelError
            If not even one edit at a time fits into the memory.
        """
        grid = (int(self._features.shape[2]), int(self._features.shape[3]))
        for edit in edits:
            edit.check(self.model.n_latents, grid)
        keys = [self._key(edit) for edit in edits]
        different = dict(zip(keys, edits, strict=True))
        done = 0

        def work(part: Sequence[Edit]) -> FloatArray:
            nonlocal done
            report(f"Running the network with edited latents from {self.model.layer} on", done, len(different))
            found = self._pass_on(part)
            done += len(part)
            return found

        passed = self._ladder.run(list(different.values()), work)
        rows = dict(zip(different, np.concatenate(passed) if passed else (), strict=True))
        return np.stack([rows[key] for key in keys]) if keys else np.empty((0, len(self.model.classes)))

    def _pass_on(self, edits: Sequence[Edit]) -> FloatArray:
        import torch

        with torch.inference_mode():
            return self.model.logits(torch.cat([self._edited(edit) for edit in edits])).numpy()

    def _edited(self, edit: Edit) -> "Tensor":
        """Feature map (1, d, H', W') under an edit, from the latents that fire after it."""
        import torch

        targets = edit.targets
        chosen = torch.from_numpy(targets[self._live])
        old = self._values[:, chosen]
        new = edit.new_values(old)
        inside = None if edit.region is None else torch.from_numpy(edit.region.ravel()).to(old.device)[:, None]
        if inside is not None:
            new = torch.where(inside, new, old)
        fires = (new != 0).any(0)
        columns, latents = [self._values[:, ~chosen], new[:, fires]], [self._live[~chosen.numpy()]]
        latents.append(self._live[chosen.numpy()][fires.cpu().numpy()])
        if edit.mode == "clamp" and edit.value:  # silent latents are set as well
            silent = np.setdiff1d(np.flatnonzero(targets), self._live)
            set_to = old.new_full((old.shape[0], silent.size), edit.value)
            columns.append(set_to if inside is None else set_to * inside)
            latents.append(silent)
        changed = self._decoded(torch.cat(columns, 1), np.concatenate(latents))
        if edit.form == "replace":
            return changed
        if self._rebuilt is None:
            self._rebuilt = self._decoded(self._values, self._live)
        return self._features.to(changed) + (changed - self._rebuilt.to(changed))

    def _decoded(self, columns: "Tensor", latents: Any) -> "Tensor":
        import torch

        grid = self._features.shape[2:]
        only = torch.from_numpy(latents).to(self.model.device)  # which the model may have left by now
        return self.model.decode(columns.T.reshape(1, -1, *grid), only, self._features)

    def _key(self, edit: Edit) -> tuple[Any, ...]:
        """What tells an edit from others on this image: the latents that fire and what becomes of them."""
        mode = "remove" if edit.mode in ("keep", "zero") else edit.mode
        targets = edit.targets if edit.mode == "clamp" else edit.targets[self._live]
        region = None if edit.region is None else edit.region.tobytes()
        return mode, edit.form, edit.value, targets.tobytes(), region


def batch_of(model: "MammoSAE", features: "Tensor") -> int:
    """Edits at a time that are tried first for feature maps (1, d, H', W').

    One on the CPU: several no longer fit into its caches, and take almost twice as long each.
    """
    if model.device == "cpu":
        return 1
    return int(np.clip(_ROOM // (features.nbytes * _WIDENING), 1, _MOST))
