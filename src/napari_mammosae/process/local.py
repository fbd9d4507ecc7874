"""A model in this process: for scripts, tests, and models that were not made from files."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..core.base.errors import FeaturesForgotten, ModelError
from .handle import MemoryUse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from ..core.base.progress import Report
    from ..core.images.mammogram import Mammogram
    from ..core.images.preprocessing import ModelInput
    from ..core.intervention.edit import Edit
    from ..core.models.contributions import Contributions, Method
    from ..core.models.facts import ModelFacts
    from ..core.models.heads import Head
    from ..core.models.latents import LatentMaps
    from ..core.models.model import MammoSAE
    from ..core.models.text.space import JointSpace
    from ..core.models.text.tower import Vectors
    from ..core.stats.measures import FloatArray, IntArray

IMAGES_KEPT = 8
"""Images whose inner-layer features are kept: the one shown and those read ahead (about 15 MB each at most)."""


class LocalModel:
    """A `ModelHandle` of a model in this process.

    Making one works out what each latent adds to the logits, which takes a second for a wide SAE.

    Parameters
    ----------
    model
        Not to be changed but through this object from now on.
    lent
        Whether its weights are the caller's: unloading leaves them alone.
    """

    def __init__(self, model: MammoSAE, *, lent: bool = False) -> None:
        self.lost: Callable[[str], None] | None = None
        self._lent = lent
        self._model: MammoSAE | None = model
        self._facts = model.facts
        self._features: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model, as of its last answer."""
        return self._facts

    def compute(self, image: Mammogram, report: Report, *, urgent: bool = True) -> LatentMaps:
        """All latents and the prediction of an image; see `ModelHandle`."""
        return self.compute_prepared(image.prepared(self._facts.preprocessing), image.image_id, image.name, report)

    def compute_prepared(self, prepared: ModelInput, image_id: str, name: str, report: Report) -> LatentMaps:
        """As `compute`, of an image that was made ready for the model; `name` is what messages call it."""
        from ..core.models.compute import features_and_latents

        model = self._loaded()
        report(f"Computing {model.n_latents:,} latents of {image_id} on {model.device}")
        try:
            features, maps = features_and_latents(model, prepared, name)
        finally:
            self._renew(model)
        if model.linear:
            return maps
        key = _key_of(prepared, self._facts)
        self._keep(key, features.cpu())
        return replace(maps, key=key)

    def pass_edits(self, key: str, edits: Sequence[Edit], report: Report) -> FloatArray:
        """Logits (len(edits), C) of an image under edits of its latents; see `ModelHandle`."""
        from ..core.intervention.masked_pass import EditableImage

        model = self._loaded()
        features = self._kept(key)
        try:
            return EditableImage(model, features).logits(edits, report)
        finally:
            self._renew(model)

    def contributions(self, key: str, method: Method, report: Report) -> Contributions:
        """What each latent of an image adds to each logit, by gradients; see `ModelHandle`."""
        from ..core.models.contributions import contributions_of

        model = self._loaded()
        features = self._kept(key)
        try:
            return contributions_of(model, features, method, report=report)
        finally:
            self._renew(model)

    def neighbours(self, latent: int, count: int) -> tuple[IntArray, FloatArray]:
        """Latents whose decoder columns point most nearly the same way, and the cosines; see `ModelHandle`."""
        from ..core.ranking.neighbours import decoder_neighbours

        return decoder_neighbours(self._loaded().autoencoder.decoder_weight.float().cpu().numpy(), latent, count)

    def add_head(self, head: Head) -> None:
        """Add a head after the ones there are; see `ModelHandle`."""
        model = self._loaded()
        model.add_head(head)
        self._renew(model)

    def encode_texts(self, texts: Sequence[str]) -> tuple[Vectors, tuple[str, ...]]:
        """Unit vectors of texts, and the words that the text tower does not know; see `ModelHandle`."""
        return self._loaded().encode_texts(texts)

    def joint_space(self) -> JointSpace:
        """Where images and latents lie in the space they share with texts; see `ModelHandle`."""
        return self._loaded().joint_space()

    def text_agreement(self) -> float:
        """How nearly images are embedded as by the text tower's own backbone; see `ModelHandle`."""
        return self._loaded().text_agreement()

    def memory(self) -> MemoryUse:
        """What the model takes of the memory now."""
        with self._lock:
            features = sum(one.nbytes for one in self._features.values())
        if (model := self._model) is None:
            return MemoryUse(self._facts.device, 0, features)
        modules = [module for module in (model.backbone, model.sae) if module is not None]
        weights = sum(tensor.nbytes for module in modules for tensor in (*module.parameters(), *module.buffers()))
        weights += sum(head.weight.nbytes + head.bias.nbytes for head in model.heads)
        return MemoryUse(model.device, weights, features, **_device_memory(model.device))

    def unload(self) -> None:
        """Give the memory back; only `facts` and `memory` answer from then on."""
        model, self._model = self._model, None
        with self._lock:
            self._features.clear()
        if model is not None and not self._lent:
            model.unload()

    def _loaded(self) -> MammoSAE:
        if self._model is None:
            raise ModelError(f"{self._facts.name} was unloaded; load it again")
        return self._model

    def _renew(self, model: MammoSAE) -> None:
        if model is self._model:  # not unloaded meanwhile
            self._facts = model.facts

    def _kept(self, key: str) -> Tensor:
        with self._lock:
            features = self._features.get(key)
            if features is None:
                raise FeaturesForgotten("what the edit starts from is not kept; compute the latents of the image again")
            self._features.move_to_end(key)
        return features

    def _keep(self, key: str, features: Tensor) -> None:
        with self._lock:
            if self._model is None:
                return
            self._features[key] = features
            self._features.move_to_end(key)
            while len(self._features) > IMAGES_KEPT:
                self._features.popitem(last=False)


def _key_of(prepared: ModelInput, facts: ModelFacts) -> str:
    """Name an image and what its features depend on, by its pixels as the model sees them."""
    of_model = f"{facts.model_sha256} {facts.layer} {facts.precision} {facts.preprocessing}"
    digest = hashlib.blake2b(of_model.encode(), digest_size=16)
    digest.update(prepared.pixels.tobytes())
    return digest.hexdigest()


def _device_memory(device: str) -> dict[str, Any]:
    """What a GPU says of itself and its memory; nothing of another device."""
    import torch

    if not device.startswith("cuda"):
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {
        "free": free,
        "total": total,
        "used": torch.cuda.memory_reserved(device),
        "card": torch.cuda.get_device_name(device),
    }
