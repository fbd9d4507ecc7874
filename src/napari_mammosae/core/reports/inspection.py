"""What there is to say about one image, as a table, arrays, a prediction and a figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import ModelError
from ..base.files import sha256_file
from ..base.provenance import provenance, write_results
from ..base.tables.cells import write_csv
from ..images.geometry import cell_affine
from ..images.mammogram import Mammogram
from ..intervention.prompt_scores import score_image
from ..models.contributions import METHOD_WORDS, Contributions
from ..models.disagreement import disagreements
from ..models.domain import outside_domain
from ..models.heads import Head
from ..models.latents import LatentMaps
from .latents_figure import figure_source, latents_figure, save_figure

if TYPE_CHECKING:
    import pandas as pd

    from ..models.model import MammoSAE


def latent_table(model: "MammoSAE", maps: LatentMaps, contributions: Contributions | None = None) -> "pd.DataFrame":
    """One row a latent, all h of them, in the order of their numbers.

    Columns: ``latent``, ``mean`` and ``max`` over the cells, ``active_cells``; for each class ``attribution.<class>``,
    what one unit of the mean adds to the logit, and ``contribution.<class>``, what this latent adds on this image. The
    last two are left out where they are not exact: without a classifier, and for an SAE on an inner layer. One that
    normalises each cell has ``sized_mean``, of each activation times the size of its cell, and the attribution is to
    that. A Matryoshka SAE has ``group``, 1 being the most general. What was found by gradients stands in
    ``gradient.<class>`` or ``integrated.<class>``.
    """
    table, facts = maps.table(), model.facts
    if facts.groups:
        table["group"] = np.repeat(np.arange(1, len(facts.groups) + 1), facts.groups)
    if maps.sized_mean is not None:
        table["sized_mean"] = maps.sized_mean
    if ledger := maps.ledger(facts):
        attribution = facts.attribution if facts.attribution is not None else facts.cell_attribution
        assert attribution is not None
        for name, one, contribution in zip(model.classes, attribution, ledger[0], strict=True):
            table[f"attribution.{name}"] = one
            table[f"contribution.{name}"] = contribution
    if contributions is not None:
        for name, values in zip(model.classes, contributions.spread(len(maps)), strict=True):
            table[f"{contributions.method}.{name}"] = values
    return table


def prediction(model: "MammoSAE", image: Mammogram, maps: LatentMaps) -> dict[str, Any]:
    """Logits and probabilities, from the features and from their SAE reconstruction, and how far apart these are."""
    frame = _frame(maps)

    def by_class(values: np.ndarray[Any, Any]) -> dict[str, float | None]:
        pairs = zip(model.classes, values, strict=True)
        return {name: None if np.isnan(value) else float(value) for name, value in pairs}

    return {
        "image_id": image.image_id,
        "image_sha256": sha256_file(image.path) if image.path else None,
        "task": model.task,
        "logit": by_class(maps.logits),
        "probability": by_class(model.probabilities(maps.logits)),
        "logit_sae": by_class(maps.logits_sae),
        "probability_sae": by_class(model.probabilities(maps.logits_sae)),
        **_prompts(model, maps),
        "error_norm": maps.error_norm,
        "disagreements": list(disagreements(model, maps)),
        "fvu": None if np.isnan(maps.fvu) else maps.fvu,
        "grid": maps.shape[1:],
        "latents": maps.shape[0],
        "live_latents": len(maps.latents),
        "frame": {"source_shape": frame.source_shape, "crop": frame.crop, "input_shape": frame.input_shape},
    }


def prompt_line(head: Head, model: "MammoSAE", maps: LatentMaps) -> str:
    """Say what a prompt's logit and cosine are on an image."""
    score = score_image(head, model.joint_space(), maps)
    assert head.prompt is not None
    chance = f", probability {score.probability:.4f} (uncalibrated)" if head.decides else ""
    return f"{head.prompt.title}: logit {score.logit:+.4f}, cosine {score.cosine:+.4f}{chance}"


def _prompts(model: "MammoSAE", maps: LatentMaps) -> dict[str, Any]:
    """What prompts say of an image, by class; nothing for a model without."""
    found: dict[str, Any] = {}
    for head in model.heads:
        if head.prompt is None:
            continue
        score = score_image(head, model.joint_space(), maps)
        found[head.classes[0]] = {
            "text": head.prompt.text,
            "against": head.prompt.against or None,
            "logit": score.logit,
            "cosine": score.cosine,
            "norm": score.norm,
            "probability_uncalibrated": score.probability if head.decides else None,
            "note": head.prompt.note or None,
        }
    return {"prompts": found} if found else {}


def map_arrays(maps: LatentMaps) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays that say everything about the latents of an image, and where the cells lie on it.

    ``latents`` (L,) the ones that fire; ``values`` (L, H', W') their maps; ``shape`` (h, H', W'); ``pooled_mean``,
    ``pooled_max``, ``active_cells`` (h,); ``cell_to_source`` (3, 3), which takes (row, column, 1) of a cell's centre to
    the source pixel below it; ``source_shape``, ``crop`` (edges: row, column, row, column) and ``input_shape``.
    """
    frame = _frame(maps)
    return {
        "latents": maps.latents,
        "values": maps.values,
        "shape": np.array(maps.shape),
        "pooled_mean": maps.pooled_mean,
        "pooled_max": maps.pooled_max,
        "active_cells": maps.active_cells,
        "cell_to_source": cell_affine(frame, maps.shape[1:]),
        "source_shape": np.array(frame.source_shape),
        "crop": np.array(frame.crop),
        "input_shape": np.array(frame.input_shape),
    }


def write_inspection(
    folder: Path,
    model: "MammoSAE",
    image: Mammogram,
    maps: LatentMaps,
    *,
    boxes: "pd.DataFrame | None" = None,
    top: int | None = 10,
    figure: str = "figure.png",
    settings: Mapping[str, Any] | None = None,
    contributions: Contributions | None = None,
) -> list[Path]:
    """Write ``latents.csv``, ``maps.npz``, ``prediction.json`` (with the provenance of all) and a figure: all or none.

    Parameters
    ----------
    folder
        Made if it is not there; files of the same names in it are replaced.
    model, image, maps
        What was computed on what, with which model.
    boxes
        Ground truth drawn into the figure: columns row_min, col_min, row_max, col_max (source edges) and finding.
    top
        How many latents the figure shows, those of highest mean; None for all that fire.
    figure
        Name of the figure's file; the suffix says the format: png, pdf or svg.
    settings
        Kept with the provenance.
    contributions
        What latents add by gradients.

    Returns
    -------
    list of Path
        What was written.
    """
    table, arrays = latent_table(model, maps, contributions), map_arrays(maps)
    record = prediction(model, image, maps) | {"provenance": provenance("inspect", settings or {}, model)}
    if contributions is not None:
        error = dict(zip(model.classes, contributions.error.tolist(), strict=True))
        record["contributions"] = {"method": METHOD_WORDS[contributions.method], "completeness_error": error}
    caution = outside_domain(model, image)
    if caution:
        record["outside_domain"] = caution
    caution = "\n".join(filter(None, (caution, *disagreements(model, maps))))
    drawing = latents_figure(
        image, maps, boxes=boxes, top=top, subtitle=_headline(model, maps), source=figure_source(model, caution)
    )

    paths = inspection_files(folder, figure)
    csv_path, npz_path, note, picture_path = paths
    with write_results(note, record, csv_path, npz_path, picture_path) as (csv, npz, picture):
        write_csv(csv, table)
        np.savez_compressed(npz, allow_pickle=False, **arrays)
        save_figure(drawing, picture)
    return paths


def inspection_files(folder: Path, figure: str = "figure.png") -> list[Path]:
    """Return the files that `write_inspection` writes."""
    return [folder / name for name in ("latents.csv", "maps.npz", "prediction.json", figure)]


def _headline(model: "MammoSAE", maps: LatentMaps) -> str:
    probabilities = model.probabilities(maps.logits)
    pairs = zip(model.classes, probabilities, strict=True)
    predicted = ", ".join(f"{name} {p:.3f}" for name, p in pairs if not np.isnan(p))
    return f"{model.name}: {predicted}" if predicted else model.name


def _frame(maps: LatentMaps) -> Any:
    if maps.frame is None:
        raise ModelError("These latents do not come from an image; compute them with compute_latents.")
    return maps.frame
