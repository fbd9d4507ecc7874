"""From a data set and the published weights to the paper's tables and figures: passes first, then the results."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...annotations.boxes import read_findings
from ...base.errors import SettingsError
from ...base.files import write_atomic
from ...base.progress import ignore
from ...base.provenance import provenance, write_json, write_table
from ...base.text import size_text
from ...comparison.runs import compare
from ...images.mammogram import read_mammogram
from ...intervention.of_run import sweep
from ...localization.over_run import localize
from ...models.compute import compute_latents
from ...models.loading import load_model
from ...runs.make import make_run
from ...runs.making.folder import maps_bytes
from ...runs.protocol import PAPER
from ...runs.sample import sample_of
from ...runs.settings import read_info
from ...runs.sources import read_sources
from ...runs.splits import sources_of_split
from ..comparison_figures import plot_class_means
from ..intervention_figures import plot_curves
from ..latents_figure import figure_source, latents_figure, save_figure
from ..paper_table import PaperRow, paper_row, paper_table
from .page import Results, write_page
from .parts import CONCEPTS, VARIANTS, Part, model_name
from .rankings import rankings_of_run, released_rankings, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from ...base.progress import Report
    from ...models.model import MammoSAE
    from ...ranking.orders import Ranking
    from ...runs.run import Run
    from ...runs.sources import Sources

logger = logging.getLogger(__name__)

TRAINING, TEST = "training", "test"
TOP = 10
MOST_LINES = 60
"""Values of k, and ranks, that the page shows; tables have all."""
PICTURES = 3
THRESHOLDS = {"95th percentile": "quantile:0.95", "0.3 of the maximum": "relative:0.3"}

Model = tuple[str, str]
"""Concept and variant."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the paper's numbers are made from.

    Attributes
    ----------
    images, labels, boxes
        The images, the table of their findings with a column `split`, and the table of boxes.
    rankings
        Folder of published rankings; without it latents are ranked on the training images.
    names
        What `load_model` takes for each concept and variant.
    """

    images: str | Path
    labels: Path
    boxes: Path
    rankings: Path | None = None
    names: dict[Model, str] = field(
        default_factory=lambda: {(c, v): model_name(c, v) for c in CONCEPTS for v in VARIANTS}
    )


@dataclass(frozen=True, slots=True)
class Pass:
    """One model over the images of one split; with maps where boxes or pictures need them.

    `also` names models that differ from it by their heads alone, and are computed with it.
    """

    model: Model
    split: str
    maps: bool
    also: tuple[Model, ...] = ()

    @property
    def models(self) -> tuple[Model, ...]:
        """All models that it computes."""
        return (self.model, *self.also)

    @property
    def folder(self) -> str:
        """Name of its run."""
        return f"{self.model[1] if self.also else model_name(*self.model)}-{self.split}"


def plan_passes(parts: Sequence[Part], *, ranked: bool) -> list[Pass]:
    """Return the passes that parts of the paper need; `ranked` says that published rankings are at hand.

    Training images are computed only where latents are ranked or compared on them, and maps are kept of test images
    only.
    """
    found = []
    for model in dict.fromkeys(model for part in parts for model in part.models):
        kinds = {part.kind for part in parts if model in part.models}
        if "means" in kinds or (kinds - {"auroc", "means"} and not ranked):
            found.append(Pass(model, TRAINING, False))
        if kinds - {"means"}:
            found.append(Pass(model, TEST, "localization" in kinds))
    return found


class Reproduction:
    """The parts of the paper that are wanted, in a folder.

    Parameters
    ----------
    material, parts
        From what, and which.
    out
        The folder; runs that it holds already are resumed.
    pictures
        Identifiers of test images for the heatmaps; by default the first that have a box of the finding.
    how
        What `load_model` takes besides the name: device, precision.
    workers, batch
        As `make_run` takes them.
    top
        How many latents are localised and drawn; None for all.
    ks
        Numbers of best latents that are kept and zeroed; "all" for every one, without intervals. By default the
        paper's.
    say
        Called with sentences for the user; they go into ``OUT/reproduce.log`` too.
    """

    def __init__(
        self,
        material: Material,
        parts: Sequence[Part],
        out: Path,
        *,
        pictures: Sequence[str] = (),
        how: dict[str, Any] | None = None,
        workers: int = 1,
        batch: int | None = None,
        top: int | None = TOP,
        ks: Sequence[int] | Literal["all"] = (),
        say: Callable[[str], None] = logger.info,
        progress: Report = ignore,
    ) -> None:
        self.material, self.parts, self.out = material, list(parts), out
        self.pictures, self.how, self.workers, self.batch = list(pictures), dict(how or {}), workers, batch
        self.top, self.ks = top, ks
        self._say, self._progress = say, progress
        self.passes = plan_passes(parts, ranked=material.rankings is not None)
        self._models: dict[Model, MammoSAE] = {}
        self._rankings: dict[Model, dict[int, Ranking]] = {}
        self._sources: dict[str, Sources] = {}
        self.results = Results()

    def make(self) -> Path:
        """Make everything, and return the page that shows it.

        Raises
        ------
        MammoSAEError
            As what it calls; what was finished stays, and the same call goes on from there.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._share_passes()
        self._estimate()
        for number, one in enumerate(self.passes, start=1):
            names = " and ".join(model_name(*model) for model in one.models)
            self.say(f"pass {number} of {len(self.passes)}: {names}, {one.split} images")
            self._make_run(one)
        makers = {
            "auroc": self._aurocs, "sweep": self._sweeps, "localization": self._localization,
            "heatmaps": self._heatmaps, "means": self._means,
        }  # fmt: skip
        for part in self.parts:
            self.say(f"making {part.name}: {part.title}")
            makers[part.kind](part)
        for (concept, _), run, split in (
            (key, self._make_run(one), one.split) for one in self.passes for key in one.models
        ):
            used = sample_of(run, concept, unit=unit_of(run)).used
            self.results.notes.append(f"{concept}, {split}: {used}")
        page = self.out / "results.md"
        record = provenance("reproduce", {
            "parts": [part.name for part in self.parts], "labels": self.material.labels, "boxes": self.material.boxes,
            "rankings": self.material.rankings, "pictures": self.pictures,
            "top": self.top or "all", "k": self.ks if self.ks == "all" else list(self.ks) or "paper",
        })  # fmt: skip
        record["models"] = {
            model_name(*key): {"model_sha256": model.model_sha256, "sae_sha256": model.sae_sha256}
            for key, model in self._models.items()
        }
        write_page(page, self.results, self.parts)
        write_json(self.out / "results.json", record | {"values": self.results.values})
        self.say(f"wrote {page.name}")
        return page

    def say(self, text: str) -> None:
        """Tell the user, and the log."""
        self._say(text)
        with (self.out / "reproduce.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    # Passes

    def model(self, key: Model) -> MammoSAE:
        """Return a model of the paper, loaded once."""
        if key not in self._models:
            self._models[key] = load_model(self.material.names[key], **self.how)
        return self._models[key]

    def run(self, model: Model, split: str) -> Run:
        """Return a run that was made."""
        return self._make_run(next(one for one in self.passes if model in one.models and one.split == split))

    def sources(self, split: str) -> Sources:
        """Return the images of a split."""
        if split not in self._sources:
            every = read_sources(self.material.images, self.material.labels)
            self._sources = {name: sources_of_split(every, name) for name in {one.split for one in self.passes}}
        return self._sources[split]

    def _share_passes(self) -> None:
        """Let models that differ by their heads alone be one model, whose passes compute the logits of all."""
        wanted = dict.fromkeys(one.model for one in self.passes)
        for variant in VARIANTS:
            first, *others = [key for key in wanted if key[1] == variant] or [("", variant)]
            for key in others:
                model, other = self.model(first), self.model(key)
                if model.differs_by_heads_only(other):
                    for head in other.heads:
                        model.add_head(replace(head, name=f"{key[0]} {head.name}"))
                    self._models[key] = model
        found: dict[tuple[int, str], Pass] = {}
        for one in self.passes:
            place = id(self.model(one.model)), one.split
            there = found.get(place)
            found[place] = (
                one if there is None else replace(there, maps=there.maps or one.maps, also=(*there.also, one.model))
            )
        self.passes = list(found.values())

    def _make_run(self, one: Pass) -> Run:
        folder = self.out / "runs" / one.folder
        there = read_info(folder)  # maps that an earlier call needed are kept
        return make_run(
            self.material.images, self.model(one.model), folder, labels=self.material.labels, split=one.split,
            maps=one.maps or bool(there and there["maps"]), workers=self.workers, batch=self.batch,
            progress=self._progress,
        )  # fmt: skip

    def _estimate(self) -> None:
        """Say what the passes take, from one image of the first."""
        model = self.model(self.passes[0].model)
        counts = [len(self.sources(one.split).entries) for one in self.passes]
        image = read_mammogram(self.sources(self.passes[0].split).entries[0].path)
        maps = compute_latents(model, image)  # whatever is slow the first time only
        start = time.perf_counter()
        maps = compute_latents(model, image)
        minutes = sum(counts) * (time.perf_counter() - start) / 60
        takes = f"{minutes / 60:,.1f} hours" if minutes >= 60 else f"{max(minutes, 2):,.0f} minutes"
        room = sum(
            maps_bytes([maps.active_cells.sum()], count)
            for one, count in zip(self.passes, counts, strict=True)
            if one.maps
        )
        self.say(
            f"{len(self.passes)} passes over {sum(counts):,} images in all: about {takes} on {model.device}, less what "
            f"is done already{f'; the maps take about {size_text(room)}' if room else ''}"
        )

    def _ranking(self, model: Model) -> dict[int, Ranking]:
        """Return the order of the latents for classes 0 and 1."""
        if model not in self._rankings:
            if self.material.rankings is not None:
                self._rankings[model] = released_rankings(self.material.rankings, *model)
            else:
                self._rankings[model] = rankings_of_run(self.run(model, TRAINING), model[0])
        return self._rankings[model]

    # Parts

    def _aurocs(self, part: Part) -> None:
        tables = []
        for concept in dict.fromkeys(concept for concept, _ in part.models):
            a, b = (self.run((concept, variant), TEST) for variant in VARIANTS)
            found = compare(a, b, concept, unit=unit_of(a))
            self.results.notes += found.notes
            self.results.notes += [f"{concept}: no interval, {note}" for note in set(found.performance["note"]) if note]
            for variant, (_, rows) in zip(VARIANTS, found.performance.groupby("model", sort=False), strict=True):
                table = rows.reset_index(drop=True).assign(concept=concept, variant=variant)
                tables.append(table)
                for one in table.to_dict("records"):
                    value, lo, hi = (float(one[name]) for name in ("auroc", "auroc_lo", "auroc_hi"))
                    self.results.auroc[concept, variant, str(one["prediction"])] = value, lo, hi
        self._write_table(part.name, _joined(tables))

    def _sweeps(self, part: Part) -> None:
        tables: dict[str, pd.DataFrame] = {}
        for key in part.models:
            run, model = self.run(key, TEST), self.model(key)
            h = run.n_latents
            paper = PAPER.best(h) or []
            ks: Sequence[int] = range(h + 1) if self.ks == "all" else [k for k in self.ks if k <= h] or paper
            curve = sweep(
                run, model, key[0], self._ranking(key), ks=ks, unit=unit_of(run), intervals=self.ks != "all"
            ).table()  # fmt: skip
            shown = set(ks if len(ks) <= MOST_LINES else paper)
            tables[f"{key[0].replace('_', ' ')}, {key[1]}"] = curve
            for one in curve[curve["k"].isin(shown)].to_dict("records"):
                self.results.sweep[(*key, str(one["mode"]), int(one["k"]))] = float(one["auroc"])
        self._write_table(
            part.name, _joined([table.assign(model=name) for name, table in tables.items()]), tables
        )  # fmt: skip
        plot_curves(tables, self.out / f"{part.name}.png", provenance="reproduction of Mammo-SAE, Figure 2")

    def _localization(self, part: Part) -> None:
        findings = read_findings(self.material.boxes)
        tables = []
        for said, threshold in THRESHOLDS.items():
            rows: list[PaperRow] = []
            for key in part.models:
                order = self._ranking(key)[1].order[: self.top]
                table = localize(
                    self.run(key, TEST), findings, threshold=threshold, finding=key[0], latents=order.tolist()
                )
                rows.append(paper_row(table, key[0], key[1], order, top=MOST_LINES))
                tables.append(table.assign(variant=key[1], threshold=threshold))
                self.results.localization[(*key, said)] = rows[-1]
            with write_atomic(self.out / f"{part.name}-{threshold.partition(':')[0]}.md") as path:
                path.write_text(paper_table(rows), encoding="utf-8")
        self._write_table(part.name, _joined(tables))

    def _heatmaps(self, part: Part) -> None:
        findings = read_findings(self.material.boxes)
        for key in part.models:
            latents = self._ranking(key)[1].order[: self.top]
            for name, path in self._pictured(key[0], findings):
                image = read_mammogram(path, image_id=name)
                model = self.model(key)
                boxes = findings.boxes(image.full_name, shape=image.shape)
                maps = compute_latents(model, image)
                drawn = latents if self.top is not None else latents[np.isin(latents, maps.latents)]
                figure = latents_figure(
                    image, maps, boxes=boxes, latents=drawn, top=None,
                    subtitle=f"{key[0].replace('_', ' ')}, {key[1]}: the {len(drawn):,} best latents of class 1",
                    source=figure_source(model),
                )  # fmt: skip
                file = self.out / f"{part.name}-{'-'.join((*key, name)).replace('/', '-')}.png"
                save_figure(figure, file)
                self.results.pictures.setdefault(part.name, []).append(file.name)

    def _pictured(self, concept: str, findings: Any) -> list[tuple[str, Path]]:
        """Return test images with a box of the finding: those that were named, or the first of the list."""
        paths = {entry.image_id: entry.path for entry in self.sources(TEST).entries}
        if unknown := [name for name in self.pictures if name not in paths]:
            raise SettingsError(f"{unknown[0]} is not a test image; test images are such as {next(iter(paths))}.")
        found = []
        for name, path in paths.items() if not self.pictures else [(name, paths[name]) for name in self.pictures]:
            boxes = findings.boxes(path.as_posix())
            if self.pictures or (len(boxes) and concept in set(boxes["finding"])):
                found.append((name, path))
            if not self.pictures and len(found) == PICTURES:
                break
        return found

    def _means(self, part: Part) -> None:
        concept = part.models[0][0]
        a, b = (self.run((concept, variant), TRAINING) for variant in VARIANTS)
        found = compare(a, b, concept, unit=unit_of(a))
        self._write_table(part.name, found.table())
        plot_class_means(found, self.out / f"{part.name}.png", provenance=f"reproduction of Mammo-SAE, {part.title}")
        for variant, row in zip(VARIANTS, found.separation.to_dict("records"), strict=True):
            self.results.separation[concept, variant] = {str(name): value for name, value in row.items()}

    def _write_table(self, name: str, table: pd.DataFrame, parts: dict[str, pd.DataFrame] | None = None) -> None:
        first = next(iter((parts or {}).values()), table)
        write_table(self.out / f"{name}.csv", table, first.attrs.get("provenance") or provenance("reproduce", {}))


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table below the other, with the provenance of the first."""
    import pandas as pd

    attrs = dict(tables[0].attrs)
    plain = [table.copy() for table in tables]
    for table in plain:
        table.attrs = {}
    result = pd.concat(plain, ignore_index=True)
    result.attrs = attrs
    return result
