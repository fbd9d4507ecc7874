"""Models of timm's test networks: random weights as anyone's trainer would save them, and a model.toml beside them."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from napari_mammosae.core.models.adapters.network import NetworkBackbone
from napari_mammosae.core.models.timm_import import import_timm

CLASSES = ("mass", "calcification")
LATENTS = 32
SIZE = (96, 64)


def network(name: str, classes: int = len(CLASSES), channels: int = 3, **settings: Any) -> torch.nn.Module:
    """A network of timm with random weights, the same each time, and features that differ between images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = import_timm().create_model(name, num_classes=classes, in_chans=channels, **settings)
        for parameter in made.parameters():  # some heads and norms begin at zero
            parameter.data += 0.02 * torch.randn_like(parameter)
    return made.eval()


def takes(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """What a network of one input size is told of it."""
    return {"img_size": size} if import_timm().get_pretrained_cfg(name).fixed_input_size else {}


@lru_cache(maxsize=64)
def backbone(name: str, size: tuple[int, int] = SIZE) -> NetworkBackbone:
    """A backbone of a network."""
    settings = takes(name, size)
    return NetworkBackbone(network(name, **settings), name, "timm", 3, size, fixed=bool(settings))


def write_model(
    folder: Path,
    name: str,
    *,
    size: tuple[int, int] = SIZE,
    channels: int = 3,
    sae: int = 0,
    more: str = "",
    classes: tuple[str, ...] = CLASSES,
) -> Path:
    """Write weights, an SAE for features of width `sae`, and the model.toml that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = network(name, len(classes), channels, **takes(name, size))
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in made.state_dict().items()}}, folder / "own.pth")
    lines = [f'name = "own-{name}"', f'timm = "{name}"', 'weights = "own.pth"', f"classes = {list(classes)}"]
    if sae:
        write_sae(folder / "sae.safetensors", sae)
        lines.append('sae = "sae.safetensors"')
    lines += ['task = "multilabel"', f"input_size = {list(size)}", more, "[input]", f"channels = {channels}"]
    path = folder / "model.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_sae(path: Path, width: int, latents: int = LATENTS) -> None:
    """Write an SAE with random directions, most of which fire somewhere."""
    generator = torch.Generator().manual_seed(1)
    decoder = torch.randn(width, latents, generator=generator)
    decoder /= decoder.norm(dim=0)
    save_file(
        {
            "encoder_weight": decoder.T.contiguous(),
            "encoder_bias": torch.zeros(latents),
            "decoder_weight": decoder,
            "tied_bias": 0.1 * torch.randn(width, generator=generator),
        },
        path,
    )
