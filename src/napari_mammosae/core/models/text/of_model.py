"""What a loaded model can say of texts; read from its files when it is first asked."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...base.errors import CheckpointError, ModelError
from ...base.reading import reading
from .reading import TextFiles, TextSide, read_text_side
from .space import JointSpace
from .tower import Vectors, unit

if TYPE_CHECKING:
    import torch

    from ...images.preprocessing import Preprocessing
    from ..adapters.protocol import Backbone
    from ..backbone import EfficientNetBackbone
    from ..sae.autoencoder import SparseAutoencoder

MEASURED_ON = 2
"""Synthetic phantoms on which a backbone is compared with the one that the text tower was trained with."""


class ImageSide(Protocol):
    """What a text tower asks of the model whose images it speaks of; see `MammoSAE`."""

    name: str
    backbone: "Backbone"
    sae: "SparseAutoencoder | None"
    preprocessing: "Preprocessing"
    model_sha256: str

    @property
    def linear(self) -> bool:
        """Whether latents add up to what is pooled."""

    def features(self, x: "torch.Tensor") -> "torch.Tensor":
        """Feature maps of the SAE's layer, of images."""

    def last_features(self, features: "torch.Tensor") -> "torch.Tensor":
        """Feature maps of the last layer."""


class ModelText:
    """The text tower of a model, and the space it shares with the model's images.

    Parameters
    ----------
    model
        Whose images they are.
    files
        Where the tower is; None for a model without one.
    """

    def __init__(self, model: ImageSide, files: TextFiles | None) -> None:
        self._model, self._files = model, files

    def encode(self, texts: Sequence[str]) -> tuple[Vectors, tuple[str, ...]]:
        """Return the unit vectors (n, p) of texts, and the words in them that the vocabulary cannot spell.

        Raises
        ------
        ModelError
            If the model has no text tower, or it was trained with features of another width.
        CheckpointError, UnsafeCheckpointError
            If its files are not what they should be.
        """
        pieces = self.side.tower.pieces
        unknown = dict.fromkeys(word for text in texts for word in pieces.unknown(text))
        return self.side.tower.encode(texts), tuple(unknown)

    @cached_property
    def side(self) -> TextSide:
        """What the checkpoint holds; errors as `encode`."""
        model = self._model
        if self._files is None:
            raise ModelError(
                f"{model.name} has no text tower: name the pre-training checkpoint as `text` (--text), or under "
                "[files] in its model.toml"
            )
        from .torch_bert import TorchBert

        side = read_text_side(self._files, TorchBert)
        if side.weight.shape[1] != model.backbone.out_channels:
            raise ModelError(
                f"{self._files.text.name} projects {side.weight.shape[1]} features, {model.name} has "
                f"{model.backbone.out_channels}; its text tower belongs to another backbone"
            )
        return side

    @cached_property
    def space(self) -> JointSpace:
        """Where the model's images and latents lie in the shared space; errors as `encode`."""
        model, side = self._model, self.side
        latents, constant = np.zeros((len(side.bias), 0)), side.bias
        if model.linear and model.sae is not None:
            latents = side.weight @ model.sae.decoder_weight.double().cpu().numpy()
            constant = side.bias + side.weight @ model.sae.tied_bias.double().cpu().numpy()
        return JointSpace(side.weight, side.bias, side.scale, latents, constant, self._is_exact())

    def agreement(self) -> float:
        """Measure how nearly images are embedded as by the backbone that the tower was trained with.

        Returns
        -------
        float
            Mean cosine of both embeddings of a few synthetic phantoms; 1 for the same backbone, NaN where the file does
            not hold the tower's own.
        """
        if self.space.exact:
            return 1.0
        own = self._pretrained
        if own is None:
            return float("nan")
        import torch

        from ...images.mammogram import read_mammogram
        from ..files.model_files import SAMPLE_DATA

        model, found = self._model, []
        for path in sorted((SAMPLE_DATA / "phantoms").glob("*.png"))[:MEASURED_ON]:
            x = read_mammogram(path).to_input(model.preprocessing)
            with torch.inference_mode():
                maps = model.last_features(model.features(x)), own(x)
            pooled = [one.to("cpu").double().mean((2, 3)).numpy() for one in maps]
            here, there = (unit(self.space.embed(one)) for one in pooled)
            found.append(float((here * there).sum()))
        return float(np.mean(found))

    def _is_exact(self) -> bool:
        """Whether the model's backbone is the one the tower was trained with."""
        import torch

        if (expected := self.side.trained_for) or self._pretrained is None:
            return bool(expected) and expected == self._model.model_sha256
        own = self._model.backbone.state_dict()
        return all(
            key in own and torch.equal(own[key].cpu(), value.to(own[key].dtype))
            for key, value in self._pretrained.state_dict().items()
        )

    @cached_property
    def _pretrained(self) -> "EfficientNetBackbone | None":
        """The image encoder in the tower's file; None where there is none."""
        from ..weights.building import build_backbone, renamed
        from ..weights.checkpoints import read_backbone

        assert self._files is not None
        path = self._files.text
        with reading(path, CheckpointError, "a pre-training checkpoint"):
            try:
                encoder = read_backbone(path, self._files.key, mapped=True)
            except CheckpointError:
                return None
            return build_backbone(renamed(encoder), path.name)
