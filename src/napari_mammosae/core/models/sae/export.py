"""Writing an SAE as the folder of another tool, which reads it and gives the same codes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import torch
from torch import Tensor

from ...base.arguments import expect
from ...base.errors import ModelError
from ...base.files import write_together
from .activations import Gated, Relu, Threshold, TopK
from .autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    from ..model import MammoSAE

ExportFormat = Literal["saelens", "dictionary_learning"]


def export_sae(
    sae: "SparseAutoencoder | MammoSAE", folder: Path | str, format: ExportFormat = "saelens"
) -> tuple[Path, Path]:
    """Write an SAE as the folder of another tool: weights, and settings beside them.

    Parameters
    ----------
    sae
        The autoencoder, or the model that has it.
    folder
        Made if it is not there; files of the same names in it are replaced.
    format
        "saelens" (`sae_weights.safetensors`, `cfg.json`), or "dictionary_learning" (`ae.pt`, `config.json`).

    Returns
    -------
    weights, settings
        The files.

    Raises
    ------
    ModelError
        If the format has no room for this kind of SAE, or the model has no SAE.
    WriteError
        If the files cannot be written.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.export_sae(ms.load_model("demo"), "demo-sae")  # doctest: +SKIP
    """
    if not isinstance(sae, SparseAutoencoder):
        expect(sae, "model")
        sae = sae.autoencoder
    folder = Path(folder)
    if format == "saelens":
        tensors, settings = _saelens(sae)
        names = "sae_weights.safetensors", "cfg.json"
    elif format == "dictionary_learning":
        tensors, settings = _dictionary_learning(sae)
        names = "ae.pt", "config.json"
    else:
        raise ModelError(f"the format {str(format)[:40]!r} is not known; choose saelens or dictionary_learning")
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    weights, config = folder / names[0], folder / names[1]
    with write_together(weights, config) as (weights_part, config_part):
        if format == "saelens":
            from safetensors.torch import save_file

            save_file(tensors, weights_part)
        else:
            torch.save(tensors, weights_part)
        config_part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return weights, config


def _saelens(sae: SparseAutoencoder) -> tuple[dict[str, Tensor], dict[str, Any]]:
    act = sae.activation
    settings: dict[str, Any] = {
        "d_in": sae.width,
        "d_sae": sae.n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.centred,
        "normalize_activations": _norm(sae),
        "reshape_activations": "none",
        "metadata": {},
    }
    tensors = {"W_enc": _float(sae.encoder_weight).T, "W_dec": _float(sae.decoder_weight).T}
    tensors |= {"b_enc": _float(sae.encoder_bias), "b_dec": _float(sae.tied_bias)}
    if isinstance(act, Relu):
        settings["architecture"] = "standard"
    elif isinstance(act, TopK):
        settings |= {"architecture": "topk", "k": act.k, "rescale_acts_by_decoder_norm": False}
    elif isinstance(act, Threshold):
        settings["architecture"] = "jumprelu"
        tensors["threshold"] = _strict(act).expand(sae.n_latents)
    elif isinstance(act, Gated):
        settings["architecture"] = "gated"
        del tensors["b_enc"]
        tensors |= {"b_gate": _float(act.gate_bias), "r_mag": _float(act.r_mag), "b_mag": _float(act.mag_bias)}
    else:
        _refuse(sae, "SAELens")
    if sae.groups:
        widths = torch.tensor(sae.groups).cumsum(0).tolist()
        settings["metadata"] = {"matryoshka_widths": widths}
    return tensors, settings


def _norm(sae: SparseAutoencoder) -> str:
    if sae.norm is None:
        return "none"
    if sae.norm.offset.any() or (sae.norm.kind == "layer_norm" and sae.norm.eps != 1e-5):
        raise ModelError(f"{sae.source} scales its inputs before it normalises each cell; SAELens has no such SAE")
    return sae.norm.kind


def _dictionary_learning(sae: SparseAutoencoder) -> tuple[dict[str, Tensor], dict[str, Any]]:
    act = sae.activation
    if sae.norm is not None:
        _refuse(sae, "dictionary_learning")
    weight, bias, centre = _float(sae.encoder_weight), _float(sae.encoder_bias), _float(sae.tied_bias)
    decoder = _float(sae.decoder_weight)
    k = getattr(act, "k", None)
    tensors = {"encoder.weight": weight, "encoder.bias": bias, "decoder.weight": decoder}
    if isinstance(act, Relu):
        cls, name = ("AutoEncoder", "bias") if sae.centred else ("AutoEncoderNew", "decoder.bias")
        tensors[name] = centre
    elif isinstance(act, Gated) and sae.centred:
        cls = "GatedAutoEncoder"
        del tensors["encoder.bias"]
        tensors |= {"decoder_bias": centre, "gate_bias": _float(act.gate_bias), "r_mag": _float(act.r_mag)}
        tensors["mag_bias"] = _float(act.mag_bias)
    elif isinstance(act, TopK):
        cls = "AutoEncoderTopK"
        tensors |= {"b_dec": centre, "encoder.bias": _moved(sae, to_centred=True)}
        tensors |= {"k": torch.tensor(act.k), "threshold": torch.tensor(-1.0)}
    elif isinstance(act, Threshold) and (not act.threshold.ndim or sae.groups):
        cls = "MatryoshkaBatchTopKSAE" if sae.groups else "BatchTopKSAE"
        if act.threshold.ndim and not (act.threshold == act.threshold[0]).all():
            _refuse(sae, "dictionary_learning")
        k = k or 1  # not used by a trained one, and unknown
        bias = _moved(sae, to_centred=True)
        if sae.groups:
            tensors = {"W_enc": weight.T, "W_dec": decoder.T, "b_enc": bias, "b_dec": centre}
            tensors["group_sizes"] = torch.tensor(sae.groups)
        else:
            tensors |= {"b_dec": centre, "encoder.bias": bias}
        tensors |= {"k": torch.tensor(k), "threshold": _strict(act).flatten()[0]}
    elif isinstance(act, Threshold):
        cls = "JumpReluAutoEncoder"
        tensors = {"W_enc": weight.T, "W_dec": decoder.T, "b_enc": _moved(sae, to_centred=False), "b_dec": centre}
        tensors["threshold"] = _strict(act)
    else:
        _refuse(sae, "dictionary_learning")
    trainer = {"dict_class": cls, "activation_dim": sae.width, "dict_size": sae.n_latents}
    return tensors, {"trainer": trainer | ({"k": k} if k else {}), "buffer": {}}


def _moved(sae: SparseAutoencoder, *, to_centred: bool) -> Tensor:
    """Encoder bias for a form in which the decoder's bias is subtracted first, or is not."""
    bias = _float(sae.encoder_bias)
    if sae.centred == to_centred:
        return bias
    moved = _float(sae.encoder_weight).double() @ _float(sae.tied_bias).double()
    return (bias.double() + (moved if to_centred else -moved)).float()


def _strict(act: Threshold) -> Tensor:
    """Thresholds that a latent must exceed: where reaching it is enough, the next smaller number."""
    threshold = _float(act.threshold)
    return torch.nextafter(threshold, torch.tensor(-torch.inf)) if act.inclusive else threshold


def _float(value: Tensor) -> Tensor:
    return value.detach().float().cpu()


def _refuse(sae: SparseAutoencoder, tool: str) -> NoReturn:
    raise ModelError(f"{sae.source} ({sae.words}) cannot be written for {tool}, which has no such SAE")
