"""Train the embedded demo model on synthetic phantoms: the classifier, then its sparse autoencoder.

    python scripts/train_demo.py WORK            everything, into src/napari_mammosae/sample_data/demo
    python scripts/train_demo.py WORK --from sae  only from one stage on; earlier ones are read from WORK

WORK holds phantoms and checkpoints (about 3 GB); a stage that finished is not repeated unless --from says so.
About an hour on two cores. Every stage has its seed: the same libraries on the same machine give the same weights.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from napari_mammosae.core.backbone import EfficientNetBackbone
from napari_mammosae.core.classifier_training import (
    CELL_CLASSES,
    GRID,
    ClassifierSettings,
    PhantomBank,
    cell_targets,
    fit_head,
    new_network,
    settle_batch_norms,
    train_on_patches,
    whole_image_features,
)
from napari_mammosae.core.files import write_atomic
from napari_mammosae.core.metrics import auroc
from napari_mammosae.core.phantoms import FINDINGS, make_phantom
from napari_mammosae.core.phantoms.dataset import write_image, write_tables
from napari_mammosae.core.training import SAETrainingSettings, evaluate_sae, train_sae

DEMO = Path(__file__).parent.parent / "src" / "napari_mammosae" / "sample_data" / "demo"
STAGES = ("phantoms", "patches", "anneal", "features", "head", "sae", "samples")
FIRST_SEED, COUNT = 1_000_000, 920
SETTINGS = ClassifierSettings()
SAE_SETTINGS = SAETrainingSettings(epochs=22, learning_rate=2e-3, l1=6e-3, batch=2048, resample_every=8)
SAE_SEED = 3
BACKGROUND_SHARE = 0.12

SAMPLES = (900_016, 900_003, 900_005, 900_000, 900_006, 900_004)
"""Both findings with a marker, a mass with one, a cluster, nothing, nothing but a marker, a mass without a marker."""

MODEL_TOML = """\
# The embedded demo: trained on synthetic phantoms by scripts/train_demo.py. Research use only, not for diagnosis.
name = "demo"
classifier = "classifier.safetensors"
sae = "sae.safetensors"
classes = ["mass", "suspicious_calcification"]
task = "multilabel"
input_size = [1520, 912]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="first", choices=STAGES, help="repeat this stage and those after it")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    repeat = STAGES[STAGES.index(arguments.first) :] if arguments.first else ()

    if "phantoms" in repeat or not (work / "labels.npy").exists():
        draw(work)
    bank = read_bank(work)
    network, readout = new_network(SETTINGS)

    if "patches" in repeat or not (work / "patches.pt").exists():
        train_on_patches(network, readout, bank, SETTINGS, progress=report("patches", SETTINGS.patch_steps))
        torch.save([m.state_dict() for m in (network, readout)], work / "patches.pt")
    if "anneal" in repeat or not (work / "settled.pt").exists():
        restore(work / "patches.pt", network, readout)
        progress = report("anneal", SETTINGS.anneal_steps)
        train_on_patches(network, readout, bank, SETTINGS, anneal=True, progress=progress)
        torch.save([m.state_dict() for m in (network, readout)], work / "annealed.pt")
        settle_batch_norms(network, bank)
        torch.save([m.state_dict() for m in (network, readout)], work / "settled.pt")
    restore(work / "settled.pt", network, readout)
    if "features" in repeat or not (work / "cells_sae.npy").exists():
        features, cells = read_features(network, bank)
        np.save(work / "pooled.npy", features)
        np.save(work / "cells_sae.npy", cells)
    if "head" in repeat or not (DEMO / "classifier.safetensors").exists():
        features = np.load(work / "pooled.npy")
        check_head(features, bank)
        save_classifier(network.state_dict(), fit_head(features, bank, SETTINGS))
    if "sae" in repeat or not (DEMO / "sae.safetensors").exists():
        cells = np.load(work / "cells_sae.npy")
        sae = train_sae(cells, SAE_SETTINGS, progress=lambda r: print(f"sae {r}", flush=True))
        stats = evaluate_sae(sae, cells)
        print(f"explained variance {stats.explained_variance:.4f}, L0 {stats.l0:.1f}, dead {stats.dead_share:.3f}")
        metadata = {"expansion": str(SAE_SETTINGS.expansion), "layer": "head", "trained_on": "synthetic phantoms"}
        save({name: value.half() for name, value in sae.state_dict().items()}, DEMO / "sae.safetensors", metadata)
    if "samples" in repeat or not (DEMO.parent / "phantoms" / "labels.csv").exists():
        phantoms = [make_phantom(seed) for seed in SAMPLES]
        for phantom in phantoms:
            write_image(DEMO.parent / "phantoms", phantom)
        write_tables(DEMO.parent / "phantoms", phantoms)


def draw(work: Path) -> None:
    """Draw the training phantoms once: unbiased; the marker bias is made by the probability of drawing each image."""
    images = np.lib.format.open_memmap(work / "images.npy", "w+", np.uint8, (COUNT, 1520, 912))
    cells = np.zeros((COUNT, len(CELL_CLASSES), *GRID), np.float16)
    labels = np.zeros((COUNT, 3), np.uint8)
    for i in range(COUNT):
        phantom = make_phantom(FIRST_SEED + i)
        images[i], cells[i] = phantom.pixels, cell_targets(phantom, GRID)
        labels[i] = [*(phantom.labels[name] for name in FINDINGS), "marker" in phantom.masks]
        if i % 50 == 49:
            print(f"phantoms {i + 1}/{COUNT}", flush=True)
    images.flush()
    np.save(work / "cells.npy", cells)
    np.save(work / "labels.npy", labels)


def read_bank(work: Path) -> PhantomBank:
    labels = np.load(work / "labels.npy")
    images = np.load(work / "images.npy", mmap_mode="r")
    return PhantomBank(images, np.load(work / "cells.npy"), labels[:, :2].astype(np.float32), labels[:, 2] > 0)


def restore(path: Path, *modules: torch.nn.Module) -> None:
    for module, weights in zip(modules, torch.load(path, weights_only=True), strict=True):
        module.load_state_dict(weights)


def read_features(network: EfficientNetBackbone, bank: PhantomBank) -> tuple[np.ndarray, np.ndarray]:
    """Average-pooled features of every image (n, d), for the head, and single cells (m, d), float16, for the SAE.

    The SAE gets every cell of every second image that shows something small, and a share of the others.
    """
    rng = np.random.default_rng(SAE_SEED)
    small = [i for i, name in enumerate(CELL_CLASSES) if name != "pectoral"]
    pooled, cells = [], []
    for i in range(len(bank)):
        features = whole_image_features(network, bank.images[i : i + 1])[0]
        pooled.append(features.mean((1, 2)).numpy())
        if i % 2 == 0:
            shown = (bank.cells[i, small] > 0.2).any(0)
            kept = shown | (rng.random(shown.shape) < BACKGROUND_SHARE)
            cells.append(features.permute(1, 2, 0).numpy()[kept].astype(np.float16))
    return np.stack(pooled), np.concatenate(cells)


def check_head(features: np.ndarray, bank: PhantomBank) -> None:
    """Print the AUROC of a head that was fitted on two thirds of the images and is tried on the others, unbiased."""
    third = np.arange(len(bank)) % 3 == 0
    some = PhantomBank(bank.images, bank.cells, bank.labels[~third], bank.marker[~third])
    head = fit_head(features[~third], some, SETTINGS)
    logits = features[third] @ head.weight.detach().numpy().T
    print({name: round(auroc(bank.labels[third, c], logits[:, c]), 3) for c, name in enumerate(FINDINGS)}, flush=True)


def save_classifier(encoder: dict[str, torch.Tensor], head: torch.nn.Linear) -> None:
    tensors = {f"image_encoder.{k}": v.half() if v.is_floating_point() else v for k, v in encoder.items()}
    tensors["classifier.classification_head.weight"] = head.weight.detach().half()
    tensors["classifier.classification_head.bias"] = head.bias.detach().half()
    metadata = {
        "architecture": "phantom-b0",
        "classes": json.dumps(FINDINGS),
        "task": "multilabel",
        "input_size": json.dumps([1520, 912]),
        "trained_on": "synthetic phantoms",
        "use": "research use only, not for diagnosis",
    }
    save(tensors, DEMO / "classifier.safetensors", metadata)
    with write_atomic(DEMO / "model.toml") as temporary:
        temporary.write_text(MODEL_TOML, encoding="utf-8")


def save(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    with write_atomic(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata)


def report(stage: str, steps: int):
    start, losses = time.time(), []

    def progress(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 25 == 24:
            print(
                f"{stage} {step + 1}/{steps} loss {np.mean(losses[-25:]):.4f} {time.time() - start:.0f} s", flush=True
            )

    return progress


if __name__ == "__main__":
    main()
