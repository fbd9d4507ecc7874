"""Small files in the released formats, under the published names and paths."""

import io
import zipfile
from functools import cache
from pathlib import Path

import torch

import recipe
from napari_mammosae.core.models.backbone import EfficientNetBackbone

WIDTH, LATENTS = 256, 32
TOP = "Downstream_evalualtion_b5_fold0/Classifier"
AUROC = "upmc_breast_clip_det_b5_period_n_{}_seed_10_fold0_best_aucroc_ver084.pth"
SHARED = "upmc_breast_clip_det_b5_period_n_{}_seed_10_fold0_best_acc_cancer_ver084.pth"
SAE = "hf://KKNakka/MammoSAE/sparse_autoencoder_final.pt"
ARCHIVE = "hf://shawn24/Mammo-CLIP/Downstream-checkpoints/Downstream_evalualtion_b5_fold0.zip"
B5 = "hf://shawn24/Mammo-CLIP/Pre-trained-checkpoints/b5-model-best-epoch-7.tar"
B2 = "hf://shawn24/Mammo-CLIP/Pre-trained-checkpoints/b2-model-best-epoch-10.tar"
NAMES = {  # by model: path in the archive, seed, logits; density and finetuned mass share a base name
    "suspicious-calcification-finetuned": (f"fine_tune/calcification/{AUROC.format('ft')}", 1, 1),
    "mass-finetuned": (f"fine_tune/mass/{SHARED.format('ft')}", 2, 1),
    "density-finetuned": (f"fine_tune/density/{SHARED.format('ft')}", 3, 4),
    "cancer-finetuned": (f"fine_tune/cancer/{AUROC.format('ft')}", 4, 1),
    "suspicious-calcification-pretrained": (f"linear_probe/calcification/{AUROC.format('lp')}", 5, 1),
    "mass-pretrained": (f"linear_probe/mass/{AUROC.format('lp')}", 6, 1),
    "density-pretrained": (f"linear_probe/density/{SHARED.format('lp')}", 7, 4),
    "cancer-pretrained": (f"linear_probe/cancer/{AUROC.format('lp')}", 8, 1),
}


def _saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@cache
def encoder() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {f"image_encoder.{key}": value for key, value in EfficientNetBackbone("phantom-b0").state_dict().items()}


def head_bias(seed: int, logits: int) -> torch.Tensor:
    return torch.arange(logits) + 10.0 * seed


def classifier(seed: int, logits: int) -> bytes:
    head = {recipe.HEAD + "weight": torch.zeros(logits, WIDTH), recipe.HEAD + "bias": head_bias(seed, logits)}
    return _saved({"model": encoder() | head, "epoch": 3})


def sae() -> bytes:
    return _saved(recipe.sae_weights(WIDTH, LATENTS))


def pretrained() -> bytes:
    return _saved({"model": encoder(), "config": {}})


@cache
def members() -> dict[str, bytes]:
    return {f"{TOP}/{path}": classifier(seed, logits) for path, seed, logits in NAMES.values()}


def archive(content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed:
        for name, data in content.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def unpack(content: dict[str, bytes], folder: Path) -> Path:
    for name, data in content.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder
