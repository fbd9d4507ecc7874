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

from napari_mammosae.core.classifier_training import (
    CELL_CLASSES,
    GRID,
    ClassifierSettings,
    PhantomBank,
    cell_targets,
    fit_head,
    new_network,
    settle_batch_norms,
    to_input,
    train_on_images,
    train_on_patches,
)
from napari_mammosae.core.files import write_atomic
from napari_mammosae.core.model import MammoSAE, load_model
from napari_mammosae.core.phantoms import FINDINGS, make_phantom
from napari_mammosae.core.phantoms.dataset import write_image, write_tables
from napari_mammosae.core.training import SAETrainingSettings, evaluate_sae, train_sae

DEMO = Path(__file__).parent.parent / "src" / "napari_mammosae" / "sample_data" / "demo"
STAGES = ("phantoms", "patches", "images", "head", "sae", "samples")
FIRST_SEED, COUNT = 1_000_000, 920
SETTINGS = ClassifierSettings(patch_steps=2000)
SAE_SETTINGS = SAETrainingSettings(epochs=14, learning_rate=1e-3, l1=2e-4, resample_every=3)
SAE_SEED = 3
BACKGROUND_SHARE = 0.15

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
    head = torch.nn.Linear(network.out_channels, len(FINDINGS))

    if "patches" in repeat or not (work / "patches.pt").exists():
        train_on_patches(network, readout, bank, SETTINGS, report("patches", SETTINGS.patch_steps))
        torch.save([m.state_dict() for m in (network, readout)], work / "patches.pt")
    if "images" in repeat or not (work / "images.pt").exists():
        restore(work / "patches.pt", network, readout)
        settle_batch_norms(network, bank)
        head = fit_head(pooled(network, bank, np.arange(0, len(bank), 3)), thinned(bank, 3), SETTINGS)
        train_on_images(network, readout, head, bank, SETTINGS, report("images", SETTINGS.image_steps))
        torch.save([m.state_dict() for m in (network, readout, head)], work / "images.pt")
    if "head" in repeat or not (DEMO / "classifier.safetensors").exists():
        restore(work / "images.pt", network, readout, head)
        head = fit_head(pooled(network, bank, np.arange(len(bank))), bank, SETTINGS)
        save_classifier(network.state_dict(), head)
    if "sae" in repeat or not (DEMO / "sae.safetensors").exists():
        model = load_model(
            classifier=DEMO / "classifier.safetensors", classes=FINDINGS, task="multilabel", precision="bfloat16"
        )
        cells = feature_cells(model, bank)
        start = time.time()
        sae = train_sae(
            cells, SAE_SETTINGS, progress=lambda r: print(f"sae {r} {time.time() - start:.0f} s", flush=True)
        )
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


def thinned(bank: PhantomBank, step: int) -> PhantomBank:
    return PhantomBank(bank.images[::step], bank.cells[::step], bank.labels[::step], bank.marker[::step])


def restore(path: Path, *modules: torch.nn.Module) -> None:
    for module, weights in zip(modules, torch.load(path, weights_only=True), strict=True):
        module.load_state_dict(weights)


@torch.inference_mode()
def pooled(network: torch.nn.Module, bank: PhantomBank, rows: np.ndarray) -> np.ndarray:
    """Average-pooled features of some images, (n, d)."""
    network.eval()
    out = []
    for start in range(0, len(rows), 4):
        with torch.autocast("cpu", torch.bfloat16):
            features = network(to_input(bank.images[rows[start : start + 4]]))
        out.append(features.float().mean((2, 3)).numpy())
    return np.concatenate(out)


def feature_cells(model: MammoSAE, bank: PhantomBank) -> np.ndarray:
    """Feature vectors for the SAE, float16: every cell that shows a finding or structure, and a share of the others."""
    rng = np.random.default_rng(SAE_SEED)
    out = []
    for start in range(0, len(bank), 4):
        features = model.features(to_input(bank.images[start : start + 4])).float().permute(0, 2, 3, 1).numpy()
        shown = (bank.cells[start : start + 4] > 0.2).any(1)
        out.append(features[shown | (rng.random(shown.shape) < BACKGROUND_SHARE)].astype(np.float16))
    return np.concatenate(out)


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
