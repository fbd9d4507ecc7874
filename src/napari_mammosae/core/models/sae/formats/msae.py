"""MSAE (Matryoshka SAE): a `.pth` of a model with the normalisation of its inputs; its name tells the settings."""

import re

import torch
from torch import Tensor

from ....base.errors import CheckpointError
from ..activations import Activation, Relu, SoftCap, Threshold, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..cell_norm import CellNorm
from ..content import SaeContent

_NAME = re.compile(
    r"(?P<h>\d+)_(?P<d>\d+)_(?P<activation>[^_]+)(?:_(?P<rest>.+?))??_(?P<tied>True|False)_(?P<norm>True|False)"
    r"_(?P<cap>[\d.]+(?:e-?\d+)?|True|False)(?:_|\.pth)"
)


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format."""
    return content.has("encoder", "pre_bias", "latent_bias")


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights; what its name tells can be given as options where it was renamed."""
    said = _NAME.match(content.name)
    d, h = content.matrix("encoder").shape
    if said is not None:
        content.expect_size("n_latents", int(said["h"]), h)
        content.expect_size("n_inputs", int(said["d"]), d)
    encoder = content.tensor("encoder", (d, h)).T
    decoder = content.tensor("decoder", (h, d), "encoder").T if content.has("decoder") else encoder.T
    activation = _activation(content, said, h)
    if said is None:
        cap = 0.0
    elif said["cap"] in ("True", "False"):
        if said["cap"] == "True":
            content.refuse("has a soft cap of an unknown size")
        cap = 0.0
    else:
        cap = float(said["cap"])
    sae = build_sae(
        content,
        encoder=encoder,
        decoder=decoder,
        encoder_bias=content.tensor("latent_bias", (h,), "encoder"),
        bias=content.tensor("pre_bias", (d,), "encoder"),
        centred=True,
        activation=SoftCap(activation, cap) if cap else activation,
        norm=CellNorm("layer_norm") if said is not None and said["norm"] == "True" else None,
        mean=_input(content, "mean_center", d),
        scale=_input(content, "scaling_factor", d),
    )
    content.check_all_used("latents_activation_frequency", "activation.log_threshold")
    return sae


def _activation(content: SaeContent, said: re.Match[str] | None, latents: int) -> Activation:
    named = said["activation"].lower() if said is not None else None
    if named is None or content.options.kind:
        named = content.options.kind
    if named is None:
        content.ask("kind", "what kind of SAE it is, as its name is not the one that MSAE gave it")
    if "batchtopk" in named:
        content.refuse("is a BatchTopK SAE of MSAE")
    if "topk" in named:
        rest = re.match(r"\d+", (said["rest"] or "") if said is not None else "")
        return TopK(content.k(int(rest.group()) if rest else None, latents))
    if "jumprelu" in named:
        return Threshold(content.tensor("activation.log_threshold", (latents,), "encoder").exp())
    if not named.startswith("relu"):
        content.refuse(f"has the activation {named[:40]}")
    return Relu()


def _input(content: SaeContent, name: str, width: int) -> Tensor | None:
    """Mean or scale of the inputs: a number, or one a feature; None where the file has none."""
    value = content.values.get(name)
    if value is None:
        return None
    found = torch.as_tensor(value).double()
    found = found.reshape(()) if found.numel() == 1 else found.flatten()
    if found.ndim and found.shape[0] != width:
        raise CheckpointError(f"{content.name}: {name} has {found.shape[0]:,} values, its encoder reads {width:,}")
    if not torch.isfinite(found).all():
        raise CheckpointError(f"{content.name}: {name} holds values that are not finite; the file is damaged")
    return found if name != "mean_center" else found.expand(width)
