"""Models whose SAE reads an inner layer, and the plain way to edit it: a hook on the block, everything by hand."""

from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import save_file

from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder


def inner_model(toml, layer, latents=40, seed=0) -> MammoSAE:
    """The tiny model with a random SAE on a layer, of whose latents about a third fires somewhere."""
    model = replace(load_model(toml, device="cpu", engine="torch"), layer=layer, sae=None)
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(model.width, latents)
    decoder = torch.randn(model.width, latents, generator=generator)
    sae.decoder_weight.data = decoder / decoder.norm(dim=0)
    sae.encoder_weight.data = torch.randn(latents, model.width, generator=generator)
    features = model.features(torch.randn(1, 3, 96, 64, generator=generator))
    cells = features[0].flatten(1).T
    sae.tied_bias.data = cells.mean(0)
    peaks = torch.nn.functional.linear(cells - cells.mean(0), sae.encoder_weight.data).amax(0)
    sae.encoder_bias.data.fill_(-float(peaks.quantile(0.6)))
    return replace(model, sae=sae, sae_sha256="i" * 64)


def hooked_logits(model, x, change):
    """Logits (C,) of an image (1, 3, H, W): the whole network, the SAE's block giving `change(its output)` instead."""
    block = model.backbone.blocks[int(model.layer.partition(".")[2])]
    handle = block.register_forward_hook(lambda module, given, out: change(out))
    try:
        with torch.inference_mode():
            pooled = model.backbone(x)[0].flatten(1).double().mean(1).numpy()
    finally:
        handle.remove()
    return model.heads[0].weight @ pooled + model.heads[0].bias


def latents_by_hand(model, out):
    """Latents (h, H', W') of a block's output (1, d, H', W')."""
    sae = model.sae
    centred = out[0] - sae.tied_bias[:, None, None]
    return torch.relu(torch.einsum("hd,dij->hij", sae.encoder_weight, centred) + sae.encoder_bias[:, None, None])


def features_by_hand(model, z):
    """Feature map (1, d, H', W') that latents stand for."""
    return (torch.einsum("dh,hij->dij", model.sae.decoder_weight, z) + model.sae.tied_bias[:, None, None])[None]


def edited_by_hand(model, out, edit):
    """A block's output (1, d, H', W') under an edit, written out from its definition."""
    z = latents_by_hand(model, out).numpy()
    new, mask = z.copy(), edit.mask
    if edit.mode == "keep":
        new[~mask] = 0
    elif edit.mode == "zero":
        new[mask] = 0
    elif edit.mode == "scale":
        new[mask] *= edit.value
    elif edit.mode == "clamp":
        new[mask] = edit.value
    else:
        new[mask] = np.minimum(new[mask], edit.value)
    if edit.region is not None:
        new = np.where(edit.region, new, z)
    changed = features_by_hand(model, torch.from_numpy(new))
    return changed if edit.form == "replace" else out + changed - features_by_hand(model, torch.from_numpy(z))


def write_inner_model(toml, folder, layer="blocks.4"):
    """Write a `model.toml` of the tiny model with the SAE of `inner_model`, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = inner_model(toml, layer).sae.state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "sae.safetensors")
    path = folder / "model.toml"
    text = toml.read_text().replace('"classifier.safetensors"', f'"{toml.parent / "classifier.safetensors"}"')
    path.write_text(f'{text}layer = "{layer}"\n')
    return path
