"""Train the embedded demo model on synthetic phantoms: the classifier, then its sparse autoencoder.

    python scripts/train_demo.py WORK             everything, into src/napari_mammosae/sample_data
    python scripts/train_demo.py WORK --from sae  only from one stage on; earlier ones are read from WORK
    python scripts/train_demo.py WORK --quick     all stages in minutes, on few phantoms, into WORK/sample_data

WORK holds phantoms and checkpoints (about 3 GB). A stage whose results are there is not repeated, unless one before it
was. About an hour on two cores. Every stage has its seed: the same libraries on the same machine give the same weights.
--quick learns nothing: it shows that the stages follow on each other, and keeps away from the package's own files.
"""

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from demo_classifier import (
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
from make_ready_run import write_ready_run
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.phantoms.phantom import FINDINGS, make_phantom
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.training.sae_training import evaluate_sae, train_sae
from napari_mammosae.core.training.settings import SAETrainingSettings

SAMPLE_DATA = Path(__file__).parent.parent / "src" / "napari_mammosae" / "sample_data"
STAGES = ("phantoms", "patches", "anneal", "features", "head", "sae", "samples")
FIRST_SEED = 1_000_000
SAE_SEED = 3
BACKGROUND_SHARE = 0.12


MODEL_TOML = """\
# The embedded demo: trained on synthetic phantoms by scripts/train_demo.py. Research use only, not for diagnosis.
name = "demo"

[files]
classifier = "classifier.safetensors"
sae = "sae.safetensors"
text = "text.safetensors"
vocabulary = "vocabulary.txt"

[input]
size = [1520, 912]

[[head]]
classes = ["mass", "suspicious_calcification"]
task = "multilabel"

[domain]
modality = "synthetic phantoms of mammograms"
body_part = "breast"
"""


@dataclass(frozen=True)
class Plan:
    """How much of everything, and where the results go."""

    out: Path
    classifier: ClassifierSettings
    sae: SAETrainingSettings
    count: int


def full_plan() -> Plan:
    sae = SAETrainingSettings(epochs=22, learning_rate=2e-3, l1=6e-3, batch=2048, resample_every=8)
    return Plan(SAMPLE_DATA, ClassifierSettings(), sae, 920)


def quick_plan(work: Path) -> Plan:
    few = ClassifierSettings(patch_batch=4, patch_steps=3, patch_cycle=10, anneal_steps=2)
    return Plan(work / "sample_data", few, SAETrainingSettings(epochs=2, batch=2048, resample_every=1), 16)


class Stages:
    """Says of each stage in turn whether it is due: from the one asked for on, and from the first without results."""

    def __init__(self, first: str | None) -> None:
        self.first, self.repeating = first, False

    def due(self, stage: str, *results: Path) -> bool:
        self.repeating |= stage == self.first or not all(path.exists() for path in results)
        if self.repeating:
            print(f"stage {stage}", flush=True)
        return self.repeating


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="first", choices=STAGES, help="repeat this stage and those after it")
    parser.add_argument("--quick", action="store_true", help="few phantoms and steps, into WORK/sample_data")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    run(work, quick_plan(work) if arguments.quick else full_plan(), Stages(arguments.first))


def run(work: Path, plan: Plan, stages: Stages) -> None:
    settings = plan.classifier
    if stages.due("phantoms", work / "labels.npy"):
        draw(work, plan.count)
    bank = read_bank(work)
    network, readout = new_network(settings)

    if stages.due("patches", work / "patches.pt"):
        train_on_patches(network, readout, bank, settings, progress=report("patches", settings.patch_steps))
        torch.save([m.state_dict() for m in (network, readout)], work / "patches.pt")
    if stages.due("anneal", work / "settled.pt"):
        restore(work / "patches.pt", network, readout)
        progress = report("anneal", settings.anneal_steps)
        train_on_patches(network, readout, bank, settings, anneal=True, progress=progress)
        torch.save([m.state_dict() for m in (network, readout)], work / "annealed.pt")
        settle_batch_norms(network, bank)
        torch.save([m.state_dict() for m in (network, readout)], work / "settled.pt")
    restore(work / "settled.pt", network, readout)
    if stages.due("features", work / "pooled.npy", work / "cells_sae.npy"):
        features, cells = read_features(network, bank)
        np.save(work / "pooled.npy", features)
        np.save(work / "cells_sae.npy", cells)
    if stages.due("head", work / "classifier.safetensors"):
        features = np.load(work / "pooled.npy")
        check_head(features, bank, settings)
        save_classifier(network.state_dict(), fit_head(features, bank, settings), work / "classifier.safetensors")
    if stages.due("sae", work / "sae.safetensors"):
        cells = np.load(work / "cells_sae.npy")
        sae = train_sae(cells, plan.sae, each_epoch=lambda r: print(f"sae {r}", flush=True))
        stats = evaluate_sae(sae, cells)
        print(f"explained variance {stats.explained_variance:.4f}, L0 {stats.l0:.1f}, dead {stats.dead_share:.3f}")
        metadata = {"expansion": str(plan.sae.expansion), "layer": "head", "trained_on": "synthetic phantoms"}
        save({name: value.half() for name, value in sae.state_dict().items()}, work / "sae.safetensors", metadata)
    if stages.due("samples", plan.out / "demo" / "model.toml", plan.out / "phantoms" / "labels.csv"):
        install(work, plan.out)
    try_out(plan.out)


def install(work: Path, out: Path) -> None:
    """Put the weights, the model.toml, the sample phantoms and their run where the package looks for them."""
    for name in ("classifier.safetensors", "sae.safetensors"):
        with write_atomic(out / "demo" / name) as temporary:
            shutil.copyfile(work / name, temporary)
    with write_atomic(out / "demo" / "model.toml") as temporary:
        temporary.write_text(MODEL_TOML, encoding="utf-8")
    write_ready_run(out)


def try_out(out: Path) -> None:
    """Load what was trained as a user would, and compute a sample with it."""
    model = load_model(out / "demo" / "model.toml", device="cpu")
    image = read_mammogram(sorted((out / "phantoms").glob("*.png"))[0])
    maps = compute_latents(model, image)
    said = ", ".join(f"{c} {p:.3f}" for c, p in zip(model.classes, model.probabilities(maps.logits), strict=True))
    print(f"{image.image_id}: {said}; {len(maps.latents)} of {maps.shape[0]} latents fire", flush=True)


def draw(work: Path, count: int) -> None:
    """Draw the training phantoms once: unbiased; the marker bias is made by the probability of drawing each image."""
    images = np.lib.format.open_memmap(work / "images.npy", "w+", np.uint8, (count, 1520, 912))
    cells = np.zeros((count, len(CELL_CLASSES), *GRID), np.float16)
    labels = np.zeros((count, 3), np.uint8)
    for i in range(count):
        phantom = make_phantom(FIRST_SEED + i)
        images[i], cells[i] = phantom.pixels, cell_targets(phantom, GRID)
        labels[i] = [*(phantom.labels[name] for name in FINDINGS), "marker" in phantom.masks]
        if i % 50 == 49:
            print(f"phantoms {i + 1}/{count}", flush=True)
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


def check_head(features: np.ndarray, bank: PhantomBank, settings: ClassifierSettings) -> None:
    """Print the AUROC of a head that was fitted on two thirds of the images and is tried on the others, unbiased."""
    third = np.arange(len(bank)) % 3 == 0
    some = PhantomBank(bank.images, bank.cells, bank.labels[~third], bank.marker[~third])
    head = fit_head(features[~third], some, settings)
    logits = features[third] @ head.weight.detach().numpy().T
    print({name: round(auroc(bank.labels[third, c], logits[:, c]), 3) for c, name in enumerate(FINDINGS)}, flush=True)


def save_classifier(encoder: dict[str, torch.Tensor], head: torch.nn.Linear, path: Path) -> None:
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
    save(tensors, path, metadata)


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
