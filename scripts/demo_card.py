"""Measure the embedded demo model and write its card: sample_data/demo/figures.json, sample_data/MODEL_CARD.md.

    python scripts/demo_card.py [--count 120]

Phantoms of the demo's own run (unbiased), and the same ones with the marker bias of the training, from seeds that
training never saw. Definitions are the package's own; see the localisation and reconstruction modules.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from demo_card_text import card
from demo_classifier import ClassifierSettings, to_input
from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.images.cells import cell_shares
from napari_mammosae.core.localization.evaluation import LocalizationSettings, localize_run
from napari_mammosae.core.localization.thresholds import Threshold
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.phantoms.phantom import FINDINGS, make_phantom
from napari_mammosae.core.runs.making.demo import FIRST_SEED
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.training.reconstruction import ReconstructionStats

SAMPLE_DATA = Path(__file__).parent.parent / "src" / "napari_mammosae" / "sample_data"
STRUCTURES = ("marker", "device_tag", "nipple", "pectoral")
BIAS = ClassifierSettings().marker_bias
ALL_IMAGES = LocalizationSettings(Threshold.parse("relative:0.3"), include="all", resamples=0)
PAPER = LocalizationSettings(Threshold.parse("quantile:0.95"), include="finding", resamples=0)


@dataclass
class Measured:
    """One set of phantoms through the model."""

    labels: np.ndarray
    logits: np.ndarray
    logits_sae: np.ndarray
    pooled: np.ndarray
    cells: dict[str, np.ndarray]
    boxes: pd.DataFrame
    breast: np.ndarray
    stats: ReconstructionStats


def measure(model: MammoSAE, phantoms, count: int) -> Measured:
    """Run the model over phantoms one after another, so that memory does not grow with them."""
    stats = ReconstructionStats(model.width, model.n_latents)
    columns = {name: [] for name in ("latent", "image", "cell", "value")}
    labels, logits, logits_sae, pooled, boxes, breast = [], [], [], [], [], []
    for image, phantom in enumerate(phantoms):
        features = model.features(to_input(phantom.pixels[None]))
        maps = latents_of_features(model, features)[0]
        _keep_cells(columns, image, maps)
        with torch.inference_mode():
            x = features.permute(0, 2, 3, 1).flatten(0, 2)
            z = model.sae.encode(x)
            stats.add(x.float().numpy(), model.sae.decode(z).float().numpy(), z.float().numpy())
        labels.append([phantom.labels[name] for name in FINDINGS])
        logits.append(maps.logits)
        logits_sae.append(maps.logits_sae)
        pooled.append(maps.pooled_mean)
        breast.append(cell_shares(phantom.masks["breast"], model.grid).ravel())
        boxes += [(image, name, *box) for name, box in phantom.boxes]
        if image % 20 == 19:
            print(f"{image + 1}/{count}", flush=True)
    table = pd.DataFrame(boxes, columns=["image", "finding", "row_min", "col_min", "row_max", "col_max"])
    cells = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Measured(
        np.array(labels),
        np.array(logits),
        np.array(logits_sae),
        np.array(pooled),
        cells,
        table,
        np.array(breast),
        stats,
    )


def _keep_cells(columns: dict[str, list], image: int, maps: LatentMaps) -> None:
    row, r, c = np.nonzero(maps.values)
    columns["latent"].append(maps.latents[row])
    columns["image"].append(np.full(len(row), image))
    columns["cell"].append(r * maps.shape[2] + c)
    columns["value"].append(maps.values[row, r, c])


def localize(model: MammoSAE, measured: Measured, names, settings, **more) -> pd.DataFrame:
    cells = measured.cells
    return localize_run(
        cells["latent"], cells["image"], cells["cell"], cells["value"], measured.boxes,
        images=np.arange(len(measured.labels)), grid=model.grid, input_shape=model.preprocessing.size,
        regions={"breast": measured.breast}, findings=names, settings=settings, **more,
    )  # fmt: skip


def areas(
    measured: Measured, keep: np.ndarray | None = None, model: MammoSAE | None = None
) -> dict[str, dict[str, float]]:
    """AUROC per finding without and with the SAE, and with latents removed when `keep` is given."""
    out = {}
    for c, name in enumerate(FINDINGS):
        y = measured.labels[:, c]
        out[name] = {"without_sae": auroc(y, measured.logits[:, c]), "with_sae": auroc(y, measured.logits_sae[:, c])}
        if keep is not None:
            change = measured.pooled[:, ~keep].astype(float) @ model.attribution[c, ~keep]
            out[name]["removed_replace"] = auroc(y, measured.logits_sae[:, c] - change)
            out[name]["removed_delta"] = auroc(y, measured.logits[:, c] - change)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model("demo")
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.count)
    fair = measure(model, (make_phantom(seed) for seed in seeds), arguments.count)
    biased = measure(model, (make_phantom(seed, marker_bias=BIAS) for seed in seeds), arguments.count)
    known = json.loads((SAMPLE_DATA / "demo" / "figures.json").read_text(encoding="utf-8"))
    figures = summarise(model, fair, biased) | {"text": known["text"]}  # see demo_text_figures.py
    with write_atomic(SAMPLE_DATA / "demo" / "figures.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    with write_atomic(SAMPLE_DATA / "MODEL_CARD.md") as temporary:
        temporary.write_text(card(figures, STRUCTURES), encoding="utf-8")
    print(json.dumps(figures, indent=1))


def summarise(model: MammoSAE, fair: Measured, biased: Measured) -> dict:
    """All figures of the card."""
    names = [*FINDINGS, *STRUCTURES]
    focus = localize(model, fair, names, PAPER, found_boxes=False)
    candidates = set()
    for name in names:
        mine = focus[(focus.finding == name) & (focus.images_active >= 0.3 * focus.images)]
        candidates |= set(mine.sort_values("energy", ascending=False).latent.head(60))
    background = background_latents(model, fair, focus)
    latents = np.array(sorted(candidates | set(background)))
    found = {
        "relative:0.3, all images": localize(model, fair, names, ALL_IMAGES, latents=latents),
        "quantile:0.95, images with it": localize(model, fair, names, PAPER, latents=latents),
    }
    rows = {}
    main_table = found["relative:0.3, all images"].set_index(["finding", "latent"])
    paper_table = found["quantile:0.95, images with it"].set_index(["finding", "latent"])
    for name in names:
        best = main_table.loc[name].ap.sort_values(ascending=False).index[:3]
        rows[name] = [describe(name, latent, main_table, paper_table) for latent in best]
    markers = marker_latents(model, focus)
    keep = np.ones(model.n_latents, bool)
    keep[markers] = False
    return {
        "images": len(fair.labels),
        "first_seed": FIRST_SEED,
        "marker_bias": BIAS,
        "positives": {name: int(fair.labels[:, c].sum()) for c, name in enumerate(FINDINGS)},
        "auroc_unbiased": areas(fair, keep, model),
        "auroc_biased": areas(biased, keep, model),
        "explained_variance": fair.stats.explained_variance,
        "l0": fair.stats.l0,
        "dead_share": fair.stats.dead_share,
        "latents": rows,
        "marker_latents": [
            {"latent": int(i), "attribution_mass": float(model.attribution[0, i]), **lifts(main_table, focus, i)}
            for i in markers
        ],
        "background_latents": [int(i) for i in background],
        "background_best_ap": {name: float(main_table.loc[name].reindex(background).ap.max()) for name in FINDINGS},
    }


def background_latents(model: MammoSAE, measured: Measured, focus: pd.DataFrame) -> list[int]:
    """Latents that fire on at least half of the images and prefer no finding and no structure: every lift below 1.5."""
    share = (measured.pooled > 0).mean(0)
    lift = focus.pivot(index="latent", columns="finding", values="lift_image")
    plain = lift.index[(lift.fillna(0) < 1.5).all(axis=1)]
    return [int(i) for i in plain if share[i] >= 0.5]


def marker_latents(model: MammoSAE, focus: pd.DataFrame) -> list[int]:
    """Latents with a lift above 10 on the marker and below 1 on both findings, by their pull on `mass`."""
    lift = focus.pivot(index="latent", columns="finding", values="lift_image")
    fires = focus[focus.finding == "marker"].set_index("latent")
    chosen = (lift["marker"] > 10) & (lift[list(FINDINGS)].fillna(0) < 1).all(axis=1)
    chosen &= fires.images_active >= 0.3 * fires.images
    latents = lift.index[chosen].to_numpy()
    return [int(i) for i in latents[np.argsort(-model.attribution[0, latents])]]


def lifts(table: pd.DataFrame, focus: pd.DataFrame, latent: int) -> dict[str, float]:
    by = focus.set_index(["finding", "latent"])
    return {
        "lift_image_marker": float(by.loc[("marker", latent)].lift_image),
        **{f"lift_{name}": float(by.loc[(name, latent)].lift_image) for name in FINDINGS},
    }


def describe(name: str, latent: int, main: pd.DataFrame, paper: pd.DataFrame) -> dict:
    row, other = main.loc[(name, latent)], paper.loc[(name, latent)]
    return {
        "latent": int(latent),
        "ap": float(row.ap),
        "recall": float(row.recall),
        "ap_paper": float(other.ap),
        "mean_best_iou": float(other.mean_best_iou),
        "pointing": float(other.pointing),
        "lift": float(row.lift),
        "lift_image": float(row.lift_image),
    }


if __name__ == "__main__":
    main()
