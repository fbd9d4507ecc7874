"""`MammoSAE`: backbone, sparse autoencoder and classifier head as one object, and how it is put together."""

import gc
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..base.arguments import expect
from ..base.errors import ModelError
from ..images.mammogram import Mammogram
from ..images.preprocessing import Preprocessing
from ..stats.products import product
from .adapters.protocol import Backbone
from .choices import Engine, Precision
from .engines.devices import give_back
from .engines.passes import Passes
from .engines.precision import DTYPES, arithmetic, widest
from .engines.rounding import computes_in, round_products, round_weights, rounded, slow_format
from .facts import Domain, ModelFacts
from .files.found_again import FoundAgain
from .heads import Head, check_heads, lasting_logits, stacked
from .sae.autoencoder import SparseAutoencoder
from .sae.fitting import where_it_fits
from .sae.linear_tail import HasLinearTail, through_decoder
from .text.of_model import ModelText
from .text.reading import TextFiles
from .text.space import JointSpace
from .text.tower import Vectors


@dataclass(eq=False, repr=False)
class MammoSAE(HasLinearTail):
    """A mammogram classifier with a sparse autoencoder on one of its layers.

    Made by `load_model`. Shapes: N images, d features, H' x W' cells, h latents, C logits.

    Attributes
    ----------
    backbone
        Image encoder, on `device` in `precision`; see `Backbone` for the maps it gives.
    sae
        The autoencoder; None when the model was loaded without one.
    heads
        What turns pooled features into logits; the classifier's own comes first. None without a classifier. `add_head`
        adds another.
    layer
        Where the SAE sits: "head" (the last feature map), or "blocks.N" (the output of block N).
    preprocessing, domain
        What the model expects of its input, and what kind of images it is for.
    engine
        What computes the features and what follows an inner layer.
    model_sha256
        Hash of the file that the backbone's weights came from: the classifier checkpoint, whose own backbone wins, else
        the pre-training checkpoint. Empty when they did not come from a file. Heads added later do not change it.
    sae_sha256
        Hash of the SAE's file, in the same way.
    text
        Where its text tower is, for prompts.
    found_again
        In how many other trainings each latent was found again, from the table beside the SAE's file.
    found_note
        Why such a table was not used.
    recipe
        The arguments by which `load_model` made it, so that another process can load the same; None for a model that
        was put together or changed in another way.
    """

    backbone: Backbone
    sae: SparseAutoencoder | None
    heads: tuple[Head, ...] = ()
    layer: str = "head"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    name: str = "unnamed"
    device: str = "cpu"
    precision: Precision = "float32"
    engine: Engine = "torch"
    domain: Domain = field(default_factory=Domain)
    model_sha256: str = ""
    sae_sha256: str = ""
    text: TextFiles | None = None
    found_again: FoundAgain | None = None
    found_note: str = ""
    recipe: Mapping[str, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        expect(self.backbone, "network")
        self._check(self.heads)
        if self.sae is not None and self.sae.width != self.width:
            raise ModelError(
                f"{self.sae.source} reads {self.sae.width} features but layer {self.layer} of "
                f"{self.backbone.name} has {self.width}; {where_it_fits(self.sae, self.backbone)}"
            )
        self.backbone = self.backbone.eval().requires_grad_(False)
        self._whole: tuple[Backbone, SparseAutoencoder | None] | None = None
        if self.precision == "float16":  # whose range is small: see `exact`
            self._whole = self.backbone, self.sae
            self.backbone, self.sae = deepcopy(self._whole)
        key = f"{self.model_sha256[:32]}-{self.layer}" if self.model_sha256 else ""
        self._passes = Passes(self.backbone, self.block, self.engine, key, self.precision == "bfloat16")
        self.engine = self._passes.engine
        half = DTYPES[self.precision]
        self._rounds = None if computes_in(half, self.device) else half
        if self._rounds is not None:
            round_products(self.backbone, self._rounds)
            if self.sae is not None:
                round_weights(self.sae, self._rounds)
        self.backbone = self.backbone.to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.sae is not None:
            self.sae = self.sae.requires_grad_(False).to(self.device, self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Format of weights and features: float32 where the processor does not compute in that of the precision."""
        return DTYPES[self.precision] if self._rounds is None else torch.float32

    @cached_property
    def exact(self) -> "MammoSAE":
        """The same model in float32, for images whose values overflow float16; in other precisions the model itself.

        Its weights wait in the main memory until it is asked for.
        """
        if self._whole is None:
            return self
        backbone, sae = self._whole
        return replace(self, backbone=backbone, sae=sae, precision="float32", engine="torch")

    def __repr__(self) -> str:
        classes, (rows, cols) = ", ".join(self.classes) or "no classifier", self.grid
        return (
            f"<MammoSAE {self.name!r}: {classes}; {self.n_latents:,} latents on {rows} x {cols} cells of {self.layer}; "
            f"{self.precision} on {self.device}>"
        )

    def differs_by_heads_only(self, other: "MammoSAE") -> bool:
        """Whether another model computes the same features and latents: equal weights, SAE, layer and preparation."""
        mine, theirs = self.backbone.state_dict(), other.backbone.state_dict()
        alike = ("layer", "preprocessing", "sae_sha256", "device", "precision", "engine")
        return (
            all(getattr(self, name) == getattr(other, name) for name in alike)
            and mine.keys() == theirs.keys()
            and all(torch.equal(value, theirs[name]) for name, value in mine.items())
        )

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model without its weights, as it is now.

        The linear tail is worked out on first use, which takes a second for a wide SAE.
        """
        linear = not self._why_not_linear()
        return ModelFacts(
            name=self.name,
            heads=self.heads,
            layer=self.layer,
            n_latents=self.n_latents,
            grid=self.grid,
            preprocessing=self.preprocessing,
            device=self.device,
            precision=self.precision,
            engine=self.engine,
            domain=self.domain,
            model_sha256=self.model_sha256,
            sae_sha256=self.sae_sha256,
            each_cell_normalised=self.each_cell_normalised,
            tail=self.backbone.tail,
            attribution=self.attribution if linear else None,
            constant=self.constant if linear else None,
            cell_attribution=self.cell_attribution,
            notes=self.notes,
            groups=self.sae.groups if self.sae is not None else (),
            found_again=self.found_again,
        )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know about the latents: how they are computed, a decoder whose columns are not of unit norm ..."""
        how = "" if self._rounds is None else slow_format(self.precision)
        return tuple(note for note in ("" if self.sae is None else self.sae.note, self.found_note, how) if note)

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

    @cached_property
    def _texts(self) -> ModelText:
        return ModelText(self, self.text)

    def encode_texts(self, texts: Sequence[str]) -> tuple[Vectors, tuple[str, ...]]:
        """Return the unit vectors (n, p) of texts, and the words that the text tower does not know.

        Raises
        ------
        ModelError
            If the model has no text tower, or its tower belongs to another backbone.
        CheckpointError, UnsafeCheckpointError
            If the tower's files are not what they should be.
        """
        return self._texts.encode(texts)

    def joint_space(self) -> JointSpace:
        """Where its images and latents lie in the space they share with texts; errors as `encode_texts`."""
        return self._texts.space

    def text_agreement(self) -> float:
        """Measure how nearly it embeds images as the backbone does that the text tower was trained with, a cosine."""
        return self._texts.agreement()

    def add_head(self, head: Head) -> None:
        """Add a head after the ones there are: its logits come last, and the model's hashes stay.

        Raises
        ------
        ModelError
            If it reads another number of features, or its name or one of its classes is taken.
        """
        heads = (*self.heads, head)
        self._check(heads)
        self.heads = heads
        for name in ("constant", "cell_attribution", "exact", "_head_tensors"):
            vars(self).pop(name, None)
        if "attribution" in (known := vars(self)):
            if head.prompt is not None and self.text is not None:  # the same numbers from a quarter of the memory
                row = product(head.prompt.direction[None], self.joint_space().latents)
            else:
                row = through_decoder(head.weight, self._sae_of_tail())
            known["attribution"] = np.concatenate([known["attribution"], row])

    def takes(self, x: Tensor) -> bool:
        """Whether `x` (N, C, H, W) are images, and no feature maps."""
        channels = self.backbone.in_channels
        return x.shape[1] == channels != self.width * (1 + self.backbone.prefix_tokens)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps (N, D, H', W') of normalised images `x` (N, C, H, W), of any size that the network takes.

        The result is on the model's device in its precision. Of its D channels the first d are the features of the
        cells; others are there for a vision transformer with class tokens alone, see `Backbone`.

        Raises
        ------
        ModelError
            If `x` has another number of dimensions or channels.
        """
        channels = self.backbone.in_channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise ModelError(f"an input of shape {tuple(x.shape)} was given; expected (N, {channels}, H, W)")
        with torch.inference_mode(), arithmetic(self.precision, self.device):
            features = self._passes.extract(x.to(self.device, self.dtype))
            if self._rounds is not None:  # another engine does not round
                features = rounded(features, self._rounds)
        self.engine = self._passes.engine
        return features

    def cells_of(self, features: Tensor) -> Tensor:
        """Features of the cells (N, d, H', W') alone, of feature maps (N, D, H', W') of the SAE's layer."""
        return features[:, : self.width]

    def encode(self, features: Tensor) -> Tensor:
        """Latents (N, h, H', W'), all >= 0, of feature maps (N, D, H', W').

        Raises
        ------
        ModelError
            If the model has no SAE.
        """
        cells = self.cells_of(features).to(self.device, self.dtype)
        with arithmetic(self.precision, self.device):
            return self.autoencoder.encode(cells.movedim(1, -1)).movedim(-1, 1)

    def decode(self, latents: Tensor, only: Tensor | None = None, of: Tensor | None = None) -> Tensor:
        """Feature maps (N, d, H', W') that latents (N, h, H', W') stand for.

        With `only` (L,) the maps given are those of these latents, (N, L, H', W'), all others being silent. `of` are
        the feature maps that were encoded, which an SAE needs that normalises each cell; class tokens are theirs.

        Raises
        ------
        ModelError
            If the model has no SAE.
        """
        latents = latents.to(self.device, self.dtype).movedim(1, -1)
        with arithmetic(self.precision, self.device):
            if of is None:
                return self.autoencoder.decode(latents, only).movedim(-1, 1)
            of = of.to(latents)
            features = self.autoencoder.decode(latents, only, self.cells_of(of).movedim(1, -1)).movedim(-1, 1)
        return self.carry(features, of)

    def carry(self, cells: Tensor, of: Tensor) -> Tensor:
        """Feature maps (N, D, H', W') of features of cells (N, d, H', W') and the class tokens of other maps."""
        carried = of[:, self.width :]
        return torch.cat([cells, carried], 1) if carried.shape[1] else cells

    def last_features(self, features: Tensor) -> Tensor:
        """Feature maps of the last layer, which heads read, of those (N, d, H', W') of the SAE's layer."""
        if self.block is None:
            return features
        with torch.inference_mode(), arithmetic(self.precision, self.device):
            last = self._passes.finish(features.to(self.device, self.dtype))
        self.engine = self._passes.engine
        return last

    def logits(self, features: Tensor) -> Tensor:
        """Logits (N, C) of all heads in order, float64 on the CPU, of feature maps (N, d, H', W') of the SAE's layer.

        The mean over cells and the linear layer are computed in float64: float32 sigmoids saturate above about 16.6
        and make false ties.

        Raises
        ------
        ModelError
            If no classifier was loaded.
        """
        if not self.heads:
            raise ModelError(f"{self.name} has no classifier; load a downstream checkpoint to see predictions")
        return self.logits_of_pooled(self.pooled(self.last_features(features))).cpu()

    def logits_of_pooled(self, pooled: Tensor) -> Tensor:
        """As `logits`, of what heads read, (N, D), on its device."""
        known = vars(self).get("_head_tensors")
        if known is None or known[0].device != pooled.device:
            with torch.inference_mode(False):  # gradients go through them too
                parts = stacked(self.heads, self.backbone.pooled_channels)
                known = vars(self)["_head_tensors"] = [torch.from_numpy(part).to(pooled) for part in parts]
        return F.linear(pooled, *known)

    def pooled(self, last: Tensor) -> Tensor:
        """What heads read of last maps, float64 on their device: means, or what the network's own pool gives."""
        wide = widest(last.device)
        if self.backbone.tail == "mean":
            return last[:, : self.backbone.out_channels].mean((2, 3), dtype=wide)
        with torch.set_grad_enabled(last.requires_grad):
            return self.backbone.pool(last.to(self.device, self.dtype)).to(wide)

    def predict(self, image: Mammogram) -> dict[str, float]:
        """Return the probability of every class for a mammogram; prompts have none.

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
        expect(image, "mammogram")
        logits = self.logits(self.features(image.to_input(self.preprocessing)))[0].numpy()
        if not np.isfinite(logits).all() and self.exact is not self:
            return self.exact.predict(image)
        found = self.probabilities(logits)
        return {self.classes[place]: float(found[place]) for place in lasting_logits(self.heads)}

    def __reduce__(self) -> NoReturn:
        """A model is not copied or sent to another process."""
        raise ModelError("a model is not pickled or copied; load it again there with load_model")

    def unload(self) -> None:
        """Give the weights' memory back, on the GPU too; the object cannot be used afterwards."""
        self._to("meta")
        gc.collect()
        if self.device.startswith("cuda"):
            give_back(self.device)

    def compile(self) -> None:
        """Compile the network with its first images, which takes about a minute and pays for many of them."""
        self._passes.compile()
        self.engine = self._passes.engine

    def move_to_cpu(self) -> None:
        """Move it where it stands, so that everyone who holds it sees it there; PyTorch computes from then on."""
        self._to("cpu")
        self.device, self.engine = "cpu", self._passes.engine

    def _to(self, device: str) -> None:
        """Move all weights, and let go of what engines keep."""
        self._passes.release()
        for name in ("exact", "_head_tensors"):
            vars(self).pop(name, None)
        for module in (self.backbone, self.sae, *(self._whole or ())):
            if module is not None:
                module.to(device)

    def _check(self, heads: tuple[Head, ...]) -> None:
        check_heads(heads)
        if heads and heads[0].width != self.backbone.pooled_channels:
            raise ModelError(
                f"the head {heads[0].name!r} reads {heads[0].width} features, "
                f"{self.backbone.name} gives {self.backbone.pooled_channels}; it belongs to another backbone"
            )
