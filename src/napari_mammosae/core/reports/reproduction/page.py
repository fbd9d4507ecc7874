"""The page of a reproduction: each number beside the paper's, with the difference, and what cannot match."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...base.files import write_atomic
from ...base.provenance import NOTICE
from ...base.text import markdown
from ...models.published.catalogue import published_models
from ..paper_table import blocks
from .parts import FIGURE2, LIMITS, Part, model_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..paper_table import PaperRow

PREDICTIONS = {"without SAE": "auroc", "with SAE": "auroc_sae"}


@dataclass(slots=True)
class Results:
    """The numbers that were made.

    Attributes
    ----------
    auroc
        (concept, variant, prediction) -> AUROC and its 95 % interval by patient.
    sweep
        (concept, variant, mode, k) -> AUROC.
    localization
        (concept, variant, threshold) -> the line of Table 2.
    separation
        (concept, variant) -> how far the class means lie apart.
    pictures
        Part -> files.
    notes
        What there is to say about the images.
    """

    auroc: dict[tuple[str, str, str], tuple[float, float, float]] = field(default_factory=dict)
    sweep: dict[tuple[str, str, str, int], float] = field(default_factory=dict)
    localization: dict[tuple[str, str, str], PaperRow] = field(default_factory=dict)
    separation: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def values(self) -> dict[str, Any]:
        """Everything with the paper's value where it has one, ready for JSON."""
        return {
            "auroc": [
                {"concept": concept, "variant": variant, "prediction": kind, "here": here, "lo": lo, "hi": hi}
                | {"paper": paper_auroc(concept, variant, kind)}
                for (concept, variant, kind), (here, lo, hi) in self.auroc.items()
            ],
            "sweep": [
                {"concept": concept, "variant": variant, "mode": mode, "k": k, "here": here}
                | {"paper": paper_sweep(concept, variant, mode, k)}
                for (concept, variant, mode, k), here in self.sweep.items()
            ],
            "localization": [
                {"concept": concept, "variant": variant, "threshold": cut, "latents": row.latents, "here": row.values}
                | {"paper": paper_localization(concept, variant)}
                for (concept, variant, cut), row in self.localization.items()
            ],
        }


def paper_auroc(concept: str, variant: str, prediction: str) -> float | None:
    """Return the paper's Table 1."""
    cell = published_models()[model_name(concept, variant)].table1
    return None if cell is None else float(getattr(cell, PREDICTIONS[prediction]))


def paper_sweep(concept: str, variant: str, mode: str, k: int) -> float | None:
    """Return what is known of the paper's Figure 2."""
    known = (concept, variant, mode) == ("suspicious_calcification", "finetuned", "keep")
    return FIGURE2.get(k) if known else None


def paper_localization(concept: str, variant: str) -> tuple[float, ...]:
    """Return the paper's Table 2."""
    return published_models()[model_name(concept, variant)].table2


def write_page(path: Path, results: Results, parts: Sequence[Part]) -> None:
    """Write the page as Markdown."""
    with write_atomic(path) as temporary:
        temporary.write_text("\n".join(_lines(results, parts)) + "\n", encoding="utf-8")


def _lines(results: Results, parts: Sequence[Part]) -> Iterator[str]:
    yield "# Mammo-SAE, made again"
    yield ""
    yield f"Each number beside the paper's, and the difference (here minus paper). {NOTICE.capitalize()}."
    tables = {
        "auroc": _aurocs, "sweep": _sweeps, "localization": _localization, "heatmaps": _pictures, "means": _means
    }  # fmt: skip
    for part in parts:
        yield ""
        yield f"## {part.name.replace('table', 'Table ').replace('figure', 'Figure ')}: {part.title}"
        yield ""
        yield from tables[part.kind](results, part)
    yield ""
    yield "## What cannot match, and why"
    yield ""
    yield from (f"- {text}" for text in LIMITS)
    yield ""
    yield "## What the numbers rest on"
    yield ""
    yield from (f"- {markdown(note)}" for note in dict.fromkeys(results.notes))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _number(value: float | None, signed: bool = False) -> str:
    if value is None:
        return ""
    if math.isnan(value):
        return "undefined"
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _difference(here: float, paper: float | None) -> str:
    return "" if paper is None or math.isnan(here) else _number(here - paper, signed=True)


def _aurocs(results: Results, part: Part) -> Iterator[str]:
    yield _row("Concept", "Model", "Prediction", "Here", "95 % interval", "Paper", "Difference")
    yield _row(*["---"] * 3, *["---:"] * 4)
    for (concept, variant, prediction), (value, lo, hi) in results.auroc.items():
        paper = paper_auroc(concept, variant, prediction)
        interval = "" if math.isnan(lo) else f"{lo:.3f} to {hi:.3f}"
        yield _row(concept, variant, prediction, _number(value), interval, _number(paper), _difference(value, paper))


def _sweeps(results: Results, part: Part) -> Iterator[str]:
    yield f"![The best k latents kept, and zeroed]({part.name}.png)"
    yield ""
    yield _row("Concept", "Model", "Mode", "k", "Here", "Paper", "Difference")
    yield _row(*["---"] * 3, *["---:"] * 4)
    for (concept, variant, mode, k), value in results.sweep.items():
        paper = paper_sweep(concept, variant, mode, k)
        yield _row(concept, variant, mode, f"{k:,}", _number(value), _number(paper), _difference(value, paper))


def _localization(results: Results, part: Part) -> Iterator[str]:
    for places in blocks(max(len(row.values) for row in results.localization.values())):
        part_of = slice(places.start, places.stop)
        yield _row("Concept", "Model", "Threshold", "", *(place + 1 for place in places))
        yield _row(*["---"] * 4, *["---:"] * len(places))
        for (concept, variant, threshold), row in results.localization.items():
            here, paper = row.values[part_of], paper_localization(concept, variant)[part_of]
            yield _row(concept, variant, threshold, "here", *map(_number, here))
            if paper:
                yield _row("", "", "", "paper", *map(_number, paper))
                yield _row("", "", "", "difference", *(_difference(a, b) for a, b in zip(here, paper, strict=False)))
            yield _row("", "", "", "latent", *row.latents[part_of])
        yield ""


def _pictures(results: Results, part: Part) -> Iterator[str]:
    for name in results.pictures.get(part.name, []):
        yield f"![{markdown(name.removesuffix('.png'))}]({quote(name)})"
        yield ""


def _means(results: Results, part: Part) -> Iterator[str]:
    yield f"![Mean activation of every latent by class]({part.name}.png)"
    yield ""
    concept = part.models[0][0]
    rows = {variant: row for (known, variant), row in results.separation.items() if known == concept}
    names = [name for name, value in next(iter(rows.values())).items() if isinstance(value, float)]
    yield _row("Model", *(name.replace("_", " ") for name in names))
    yield _row("---", *["---:"] * len(names))
    for variant, row in rows.items():
        yield _row(variant, *(_number(row[name]) for name in names))
