"""The sparse autoencoder (SAE): from a feature vector to h non-negative latents and back."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...base.errors import CheckpointError, ModelError
from .activations import Activation, Relu, SoftCap
from .cell_norm import CellNorm
from .own_settings import own_activation

_RELEASED = {
    "tied_bias": "tied_bias",
    "encoder._weight": "encoder_weight",
    "encoder._bias": "encoder_bias",
    "decoder._weight": "decoder_weight",
}
_UNIT = 0.01
"""How far norms of the decoder's columns may be from 1: half precision and training leave less."""
_COPIES_OF_TIED_BIAS = ("pre_encoder_bias._bias_reference", "post_decoder_bias._bias_reference")


class SparseAutoencoder(nn.Module):
    """An encoder, an activation and a linear decoder; by default that of Mammo-SAE (section 2.1) and its files.

    ``z = act((x - b) W_enc^T + b_enc)`` and ``x' = z W_dec^T + b``, with ``act`` a ReLU by default.

    Parameters
    ----------
    width, latents
        d and h.
    activation
        What makes latents of pre-activations.
    norm
        Normalises the features of each cell, and its inverse the reconstruction; None for none.
    centred
        Whether the bias is subtracted before the encoder too.
    groups
        Sizes of a Matryoshka SAE's groups of latents, the most general first; empty for other SAEs.

    Attributes
    ----------
    encoder_weight
        (h, d).
    encoder_bias
        (h,); zeros for a gated SAE, whose activation has the biases.
    decoder_weight
        (d, h); columns of unit Euclidean norm after training.
    tied_bias
        (d,), added after the decoder and, if `centred`, subtracted before the encoder.
    source
        Name of the file it was read from, for messages.
    place
        What tells it from others in its file; "" where there are no others.
    input_scale
        What its training multiplied features by; the weights take features as they are.
    settings_sha256
        Of what was read or given beside the weights and changes what they mean; "" where they stand alone.
    """

    def __init__(
        self,
        width: int,
        latents: int,
        *,
        activation: Activation | None = None,
        norm: CellNorm | None = None,
        centred: bool = True,
        groups: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.source = "the SAE"
        self.place = self.settings_sha256 = ""
        self.input_scale = 1.0
        self.encoder_weight = nn.Parameter(torch.zeros(latents, width))
        self.encoder_bias = nn.Parameter(torch.zeros(latents))
        self.decoder_weight = nn.Parameter(torch.zeros(width, latents))
        self.tied_bias = nn.Parameter(torch.zeros(width))
        self.activation = activation or Relu()
        self.norm, self.centred, self.groups = norm, centred, groups

    @property
    def width(self) -> int:
        """Length of a feature vector, d."""
        return self.decoder_weight.shape[0]

    @property
    def n_latents(self) -> int:
        """Number of latents, h."""
        return self.decoder_weight.shape[1]

    @property
    def kind(self) -> str:
        """What it is: relu, topk, batchtopk, jumprelu, groupmax or gated."""
        return self.activation.kind

    @property
    def words(self) -> str:
        """What it is, in words: the kind, its `k`, the groups, and how inputs are normalised."""
        inner = self.activation.inner if isinstance(self.activation, SoftCap) else self.activation
        k = getattr(inner, "k", None)
        parts = [self.kind, *([f"k {k}"] if k else [])]
        if isinstance(self.activation, SoftCap):
            parts.append(f"soft cap {self.activation.cap:g}")
        if self.groups:
            parts.append(f"groups of {', '.join(map(str, self.groups))}")
        if self.norm is not None:
            parts.append(f"{self.norm.kind} of each cell")
        return ", ".join(parts)

    @property
    def note(self) -> str:
        """What to know before activations of different latents are compared, or ""."""
        norms = torch.linalg.vector_norm(self.decoder_weight.detach().float(), dim=0)
        least, most = float(norms.min()), float(norms.max())
        if least >= 1 - _UNIT and most <= 1 + _UNIT:
            return ""
        return (
            f"{self.source}: the decoder's columns have norms of {least:.3g} to {most:.3g}, not 1, so that activations "
            "of different latents are on different scales"
        )

    def encode(self, x: Tensor) -> Tensor:
        """Latents (..., h), all >= 0, of feature vectors `x` (..., d)."""
        if self.norm is not None:
            x = self.norm.apply_to(x)
        centred = x - self.tied_bias if self.centred else x
        z: Tensor = self.activation(self._affine(centred))
        return z

    def _affine(self, x: Tensor) -> Tensor:
        """Pre-activations (..., h); on the CPU latent by latent in memory: the product is up to a fifth faster."""
        if x.device.type != "cpu" or x.dtype != torch.float32:
            return F.linear(x, self.encoder_weight, self.encoder_bias)
        cells = x.reshape(-1, x.shape[-1])
        by_latent = torch.addmm(self.encoder_bias[:, None], self.encoder_weight, cells.T)
        return by_latent.T.view(*x.shape[:-1], -1)

    def decode(self, z: Tensor, latents: Tensor | None = None, of: Tensor | None = None) -> Tensor:
        """Feature vectors (..., d) that the latents `z` (..., h) stand for.

        With `latents` (L,), `z` is (..., L) and holds these latents only, all others being zero: as most are silent,
        this saves most of the work. `of` (..., d) are the features that were encoded; an SAE with a `norm` takes their
        mean and size from them.

        Raises
        ------
        ModelError
            If the SAE has a `norm` and `of` is not given.
        """
        weight = self.decoder_weight if latents is None else self.decoder_weight[:, latents]
        return self._placed(F.linear(z, weight, self.tied_bias), of)

    def decode_few(self, live: Tensor, latents: Tensor, values: Tensor, starts: Tensor, of: Tensor) -> Tensor:
        """As `decode`, of single values of latents on the CPU, cell by cell: quicker where most of them are zero.

        Parameters
        ----------
        live
            The latents that fire, ascending.
        latents, values
            (n,): which, and what they are.
        starts
            Where in these the values of each cell begin.
        of
            (..., d): the features that were encoded, of as many cells.
        """
        row = live.new_empty(self.n_latents)
        row[live] = torch.arange(len(live))
        rows = self.decoder_weight.T[live]
        decoded = F.embedding_bag(row[latents], rows, starts, mode="sum", per_sample_weights=values)
        return self._placed(decoded.view(of.shape) + self.tied_bias, of)

    def _placed(self, decoded: Tensor, of: Tensor | None) -> Tensor:
        """Undo the norm of what was decoded of features `of`."""
        if self.norm is None:
            return decoded
        if of is None:
            raise ModelError(f"{self.source} normalises each cell; decoding needs the features that were encoded")
        return self.norm.undo(decoded, of)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction (..., d) of `x` (..., d)."""
        return self.decode(self.encode(x), of=x)

    @classmethod
    def from_weights(
        cls, weights: Mapping[str, Tensor], source: str, said: Mapping[str, str] | None = None
    ) -> "SparseAutoencoder":
        """Build from a state dict with this class's names, or the released ones (with their leading axis of one).

        Parameters
        ----------
        weights
            Tensors by name.
        source
            File name, for messages.
        said
            What the file says of itself beside the tensors: the kind, its `k`, `groups` and `scale`.

        Raises
        ------
        CheckpointError
            If keys are missing or unknown, shapes disagree, a value is not finite, the tied bias is not tied, or what
            the file says has no meaning.
        """
        released = "encoder._weight" in weights
        tensors = dict(weights)
        if released:
            copies = {key: tensors.pop(key) for key in _COPIES_OF_TIED_BIAS if key in tensors}
            tensors = {_RELEASED.get(key, key): _drop_component_axis(value) for key, value in tensors.items()}
            for key, copy in copies.items():
                if "tied_bias" in tensors and not torch.equal(_drop_component_axis(copy), tensors["tied_bias"]):
                    raise CheckpointError(f"{source}: {key} differs from tied_bias; a tied bias was expected")
        weight = tensors.get("decoder_weight", torch.zeros(1, 1))
        if weight.ndim != 2:
            raise CheckpointError(f"{source}: the decoder has shape {tuple(weight.shape)}, expected (d, h)")
        own = own_activation(said or {}, weight.shape[1], source)
        sae = cls(*weight.shape, activation=own.activation, groups=own.groups)
        sae.source, sae.input_scale = source, own.scale
        expected = dict(sae.named_parameters())
        if tensors.keys() != expected.keys():
            missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
            raise CheckpointError(
                f"{source} is not a sparse autoencoder: expected the released file or one written by train-sae; "
                f"missing {missing[:2] or 'nothing'}, unknown {unknown[:2] or 'nothing'}"
            )
        for name, parameter in expected.items():
            found = tensors[name]
            if found.shape != parameter.shape:
                raise CheckpointError(
                    f"{source}: {name} has shape {tuple(found.shape)}, "
                    f"expected {tuple(parameter.shape)} beside a decoder of {tuple(weight.shape)}"
                )
            if not torch.isfinite(found).all():
                raise CheckpointError(f"{source}: {name} holds values that are not finite; the file is damaged")
        sae.load_state_dict({name: value.float() for name, value in tensors.items()})
        return sae.requires_grad_(False)


def _drop_component_axis(tensor: Tensor) -> Tensor:
    return tensor[0] if tensor.ndim > 1 and tensor.shape[0] == 1 else tensor
