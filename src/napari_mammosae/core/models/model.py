"""`MammoSAE`: backbone, sparse autoencoder and classifier head as one object, and how it is put together."""

import gc
import re
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..base.errors import ModelError
from ..images.preprocessing import Preprocessing
from ..stats.predictions import probabilities
from .backbone import EfficientNetBackbone
from .model_files import Task
from .sae import SparseAutoencoder

if TYPE_CHECKING:
    from ..images.mammogram import Mammogram

Precision = Literal["float32", "bfloat16"]
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(eq=False, repr=False)
class MammoSAE:
    """A mammogram classifier with a sparse autoencoder on one of its layers.

    Made by `load_model`. Shapes: N images, d features, H' x W' cells, h latents, C logits.

    Attributes
    ----------
    backbone
        Image encoder, batch norms folded, on `device` in `precision`.
    sae
        The autoencoder; None when the model was loaded without one.
    head_weight, head_bias
        float64 (C, d) and (C,), on the CPU: the linear layer after average pooling.
    classes
        One slug a logit.
    task
        "binary": one logit, sigmoid; "multilabel": a sigmoid each; "multiclass": softmax.
    layer
        Where the SAE sits: "head" (the last feature map), or "blocks.N" (the output of block N).
    model_sha256, sae_sha256
        Hashes of the weights files, empty when the weights did not come from a file.
    """

    backbone: EfficientNetBackbone
    sae: SparseAutoencoder | None
    head_weight: NDArray[np.float64]
    head_bias: NDArray[np.float64]
    classes: tuple[str, ...]
    task: Task
    layer: str = "head"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    name: str = "unnamed"
    device: str = "cpu"
    precision: Precision = "float32"
    compile: bool = False
    model_sha256: str = ""
    sae_sha256: str = ""

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.head_bias):
            raise ModelError(f"{len(self.head_bias)} logits but {len(self.classes)} class names: {self.classes}")
        if self.sae is not None and self.sae.width != self.width:
            raise ModelError(
                f"{self.sae.source} reads {self.sae.width} features but layer {self.layer} of "
                f"{self.backbone.architecture.name} has {self.width}; it was trained on another backbone or layer: "
                "choose the SAE that belongs to this one, or another `layer`"
            )
        dtype = DTYPES[self.precision]
        self.backbone = self.backbone.eval().requires_grad_(False)
        self.backbone = self.backbone.to(self.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.sae is not None:
            self.sae = self.sae.requires_grad_(False).to(self.device, dtype)
        self._extract = self.backbone.forward if self.block is None else self._to_block
        if self.compile:
            self._extract = torch.compile(self._extract)

    def __repr__(self) -> str:
        classes, (rows, cols) = ", ".join(self.classes) or "no classifier", self.grid
        return (
            f"<MammoSAE {self.name!r}: {classes}; {self.n_latents:,} latents on {rows} x {cols} cells of {self.layer}; "
            f"{self.precision} on {self.device}>"
        )

    @cached_property
    def block(self) -> int | None:
        """Number of the block that the SAE reads, None for the last feature map."""
        if self.layer == "head":
            return None
        found = re.fullmatch(r"blocks\.(\d+)", self.layer)
        last = len(self.backbone.blocks) - 1
        if found is None or int(found.group(1)) > last:
            raise ModelError(f"no layer {self.layer!r}; there are 'head' and 'blocks.0' to 'blocks.{last}'")
        return int(found.group(1))

    @property
    def width(self) -> int:
        """Features a cell at the SAE's layer, d."""
        return self.backbone.out_channels if self.block is None else self.backbone.block_channels(self.block)

    @property
    def n_latents(self) -> int:
        """Number of latents, h; 0 without an SAE."""
        return 0 if self.sae is None else self.sae.n_latents

    @property
    def grid(self) -> tuple[int, int]:
        """Cells (H', W') of the SAE's layer for the model's input size."""
        return self.backbone.grid(self.preprocessing.size, self.block)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps (N, d, H', W') of normalised images `x` (N, 3, H, W), any size.

        The result is on the model's device in its precision.

        Raises
        ------
        ModelError
            If `x` has another number of dimensions or channels.
        """
        if x.ndim != 4 or x.shape[1] != 3:
            raise ModelError(f"an input of shape {tuple(x.shape)} was given; expected (N, 3, H, W)")
        x = x.to(self.device, DTYPES[self.precision]).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            try:
                return self._extract(x)
            except Exception as error:
                if not self.compile or isinstance(error, torch.OutOfMemoryError):
                    raise
                warnings.warn(f"running without torch.compile, which failed here: {_first_line(error)}", stacklevel=2)
                self.compile = False
                self._extract = self.backbone.forward if self.block is None else self._to_block
                return self._extract(x)

    def encode(self, features: Tensor) -> Tensor:
        """Latents (N, h, H', W'), all >= 0, of feature maps (N, d, H', W').

        Raises
        ------
        ModelError
            If the model has no SAE.
        """
        z = self._autoencoder().encode(features.to(self.device, DTYPES[self.precision]).movedim(1, -1))
        return z.movedim(-1, 1)

    def decode(self, latents: Tensor, only: Tensor | None = None) -> Tensor:
        """Feature maps (N, d, H', W') that latents (N, h, H', W') stand for.

        With `only` (L,) the maps given are those of these latents, (N, L, H', W'), all others being silent.

        Raises
        ------
        ModelError
            If the model has no SAE.
        """
        latents = latents.to(self.device, DTYPES[self.precision]).movedim(1, -1)
        features = self._autoencoder().decode(latents, only)
        return features.movedim(-1, 1)

    def logits(self, features: Tensor) -> Tensor:
        """Logits (N, C), float64 on the CPU, of feature maps (N, d, H', W').

        The mean over cells and the linear layer are computed in float64: float32 sigmoids saturate above about 16.6
        and make false ties.

        Raises
        ------
        ModelError
            If no classifier was loaded.
        """
        if not self.classes:
            raise ModelError(f"{self.name} has no classifier; load a downstream checkpoint to see predictions")
        if self.block is not None:
            with torch.inference_mode():
                features = self.backbone.from_block(features.to(self.device, DTYPES[self.precision]), self.block)
        pooled = features.flatten(2).to("cpu").double().mean(2)
        return F.linear(pooled, torch.from_numpy(self.head_weight), torch.from_numpy(self.head_bias))

    @cached_property
    def attribution(self) -> NDArray[np.float64]:
        """(C, h): what one unit of a latent's mean over the cells adds to each logit, w . d_i.

        Raises
        ------
        ModelError
            If the layer is not "head" (what follows is not linear there) or there is no SAE.
        """
        return np.asarray(self.head_weight @ self._linear_tail().decoder_weight.double().cpu().numpy())

    @cached_property
    def constant(self) -> NDArray[np.float64]:
        """(C,): the logits of an image on which no latent fires, b + w . b_dec."""
        return np.asarray(self.head_bias + self.head_weight @ self._linear_tail().tied_bias.double().cpu().numpy())

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of logits (..., C): a sigmoid each, or one softmax for a multiclass model."""
        return probabilities(logits, self.task)

    def predict(self, image: "Mammogram") -> dict[str, float]:
        """Return the probability of every class for a mammogram.

        Raises
        ------
        ModelError
            If no classifier was loaded.
        ImageError
            If the image cannot be made into the model's input.

        Examples
        --------
        >>> import napari_mammosae as ms
        >>> chances = ms.load_model("demo").predict(ms.read_mammogram("phantoms/phantom-000001.png"))
        >>> list(chances)
        ['mass', 'suspicious_calcification']
        """
        logits = self.logits(self.features(image.to_input(self.preprocessing)))[0].numpy()
        return {name: float(p) for name, p in zip(self.classes, self.probabilities(logits), strict=True)}

    def unload(self) -> None:
        """Give the weights' memory back, on the GPU too; the object is of no use afterwards."""
        for module in (self.backbone, self.sae):
            if module is not None:
                module.to("meta")
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _to_block(self, x: Tensor) -> Tensor:
        assert self.block is not None
        return self.backbone.to_block(x, self.block)

    def _autoencoder(self) -> SparseAutoencoder:
        if self.sae is None:
            raise ModelError(f"{self.name} was loaded without a sparse autoencoder; give `sae` a file")
        return self.sae

    def _linear_tail(self) -> SparseAutoencoder:
        if self.block is not None:
            raise ModelError(f"the SAE reads {self.layer}; what follows is not linear, so nothing is exact per latent")
        if not self.classes:
            raise ModelError(f"{self.name} has no classifier; load a downstream checkpoint to see attributions")
        return self._autoencoder()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
