"""One image as the best k of its latents are kept or removed, for many k: in closed form or by passes of the tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base.errors import ModelError, SettingsError
from ..base.names import slug
from ..base.progress import Report, ignore
from ..base.provenance import provenance
from ..models.compute import features_and_latents
from ..models.contributions import METHOD_WORDS, Method, contributions_of
from ..ranking.orders import first_ranks, order_of, union_mask
from .edit import Edit, Form
from .image_edit import edit_image
from .masked_pass import EditableImage
from .of_run import DEFAULT_KS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..images.mammogram import Mammogram
    from ..models.model import MammoSAE
    from .sweep import SweepMode


@dataclass(frozen=True, slots=True, eq=False)
class ImageCurve:
    """Logits of one image for many k.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row a mode and k: `mode`, `form`, `k`, and for each class `logit.<class>` and `probability.<class>`.
    latents : pandas.DataFrame
        One row a latent that fires, best first: `rank`, `latent`, `contribution` to the logit.
    logit
        The class whose logit ranks the latents.
    notes
        What a person should know: how the contributions were found, and what they leave open.
    provenance : dict
        What produced it.
    """

    rows: pd.DataFrame
    latents: pd.DataFrame
    logit: str
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def table(self) -> pd.DataFrame:
        """Return the rows, with the provenance in ``attrs``."""
        table = self.rows.copy()
        table.attrs["provenance"] = self.provenance
        return table


def sweep_image(
    model: MammoSAE,
    image: Mammogram,
    logit: str | None = None,
    method: Method = "integrated",
    *,
    modes: Sequence[SweepMode] = ("keep", "zero"),
    form: Form = "replace",
    ks: Sequence[int] | None = None,
    progress: Report = ignore,
) -> ImageCurve:
    """Keep or remove the k latents that add most to a logit of an image, in either direction, for many k.

    Exact for every k: in closed form where what follows the SAE is linear, elsewhere by passing the edited latents
    through the rest of the network. What a latent adds is exact in the first case, and by gradients in the second.

    Parameters
    ----------
    model, image
        The model, with an SAE and a classifier, and the image.
    logit
        The class whose logit ranks the latents; by default the first.
    method
        How contributions are found where they are not exact; see `Contributions`.
    modes, form
        As in `Edit`.
    ks
        Values of k; by default some from 0 to all.
    progress
        Called at every step.

    Raises
    ------
    ModelError
        The model has no SAE or no classifier, or memory does not suffice.
    SettingsError
        There is no such class, or a k is out of range.
    """
    if not model.heads:
        raise ModelError(f"{model.name} has no classifier; load a downstream checkpoint to see predictions")
    name = slug(logit) if logit else model.classes[0]
    if name not in model.classes:
        raise SettingsError(f"the model has no class {logit!r}; it predicts {', '.join(model.classes)}.")
    place, h = list(model.classes).index(name), model.n_latents
    chosen = [*(k for k in DEFAULT_KS if k < h), h] if ks is None else list(ks)
    if wrong := [k for k in chosen if not 0 <= k <= h]:
        raise SettingsError(f"k is {wrong[0]}; expected 0 to {h}, the number of latents.")
    progress(f"Computing latents of {image.image_id}")
    features, maps = features_and_latents(model, image.prepared(model.preprocessing), image.name)
    if model.linear:
        added = model.attribution[place] * maps.pooled_mean.astype(np.float64)
        how, note = "attribution", "what latents add is exact"
    else:
        found = contributions_of(model, features, method, report=progress)
        added, how, note = found.spread(h)[place], METHOD_WORDS[method], found.describe(place)
    order = order_of(np.abs(added))
    first = first_ranks([order], h)
    steps = [(mode, k, Edit(union_mask(first, k), mode, form)) for mode in modes for k in chosen]
    edits = [edit for *_, edit in steps]
    if model.linear:
        logits = np.stack([edit_image(maps, model.attribution, model.constant, edit).after for edit in edits])
    else:
        logits = EditableImage(model, features).logits(edits, progress)
    rows = [
        {"mode": mode, "form": form, "k": k}
        | {f"logit.{one}": value for one, value in zip(model.classes, after, strict=True)}
        | {f"probability.{one}": value for one, value in zip(model.classes, model.probabilities(after), strict=True)}
        for (mode, k, _), after in zip(steps, logits, strict=True)
    ]
    live = order[np.isin(order, maps.latents)]
    latents = pd.DataFrame({"rank": np.arange(1, live.size + 1), "latent": live, "contribution": added[live]})
    settings = {"image": image.image_id, "logit": name, "contribution": how, "form": form, "modes": list(modes)}
    record = provenance("intervene", settings | {"k": chosen, "layer": model.layer}, model)
    own = {"logits": maps.logits.tolist(), "logits_sae": maps.logits_sae.tolist(), "notes": [note]}
    return ImageCurve(pd.DataFrame(rows), latents, name, (note,), record | own)
