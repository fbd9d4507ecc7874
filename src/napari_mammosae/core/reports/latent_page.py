"""What is known about one latent on one page, in HTML without any other file, and several pages as a small site."""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..annotations.finding_colors import finding_color
from ..base.errors import MammoSAEError, SettingsError
from ..base.files import write_error
from ..base.progress import ignore
from ..base.provenance import NOTICE, beside, check_replaceable, json_text, write_results
from ..ranking.latent_facts import class_means, column_of, histogram
from ..ranking.neighbours import coactivation_neighbours
from ..stats.measures import auroc
from .html_page import html_page, html_table
from .latent_pictures import Cell, grey, heatmaps, paint, strongest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..annotations.boxes import Findings
    from ..base.progress import Report
    from ..ranking.latent_facts import ClassMean, Histogram
    from ..runs.run import Run

NEIGHBOURS = 10
_QUALITY = 80
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1d2330}
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.15em;margin-top:1.8em}table{border-collapse:collapse}
th,td{padding:.2em .7em;border-bottom:1px solid #d9dde5;text-align:right;white-space:nowrap;vertical-align:middle}
th:first-child,td:first-child,td.text{text-align:left}th{background:#f1f3f7}a{color:#2456a6}
.gallery{display:flex;flex-wrap:wrap;gap:.7em}figure{margin:0;max-width:11em;font-size:.85em;word-break:break-word}
figure img{height:220px;display:block;background:#000}.note{color:#5b6475}svg text{font:11px system-ui,sans-serif}
nav{margin-bottom:1em}.scroll{overflow-x:auto}
"""


@dataclass(frozen=True, slots=True, eq=False)
class LatentSources:
    """What a page is made from; only the run is needed.

    Parameters
    ----------
    run
        A run of the SAE.
    path_of
        Where the file of an image of the run is, by row; None where it was not found.
    findings
        Boxes, drawn on the pictures.
    weights
        (C, h) what one unit of a latent's mean adds to the logit of each class.
    neighbours
        Latents that write in the direction of another one, and the cosines: called with a latent and how many.
    remarks
        What people or methods say about a latent, a line each.
    """

    run: Run
    path_of: Callable[[int], Path | None]
    findings: Findings | None = None
    weights: NDArray[Any] | None = None
    neighbours: Callable[[int, int], tuple[NDArray[Any], NDArray[Any]]] | None = None
    remarks: Mapping[int, Sequence[str]] = field(default_factory=dict)


def latent_page(latent: int, sources: LatentSources, links: Sequence[int] = ()) -> str:
    """Return the page of a latent: pictures, activations by class, logits, neighbours, and what was said of it.

    Parameters
    ----------
    latent
        Which one.
    sources
        What the page is made from.
    links
        Latents that have pages beside this one.

    Raises
    ------
    SettingsError
        The SAE has no such latent.

    Notes
    -----
    The AUROC of a label is that of the latent's mean activation over the images whose label is known.
    """
    run = sources.run
    if not 0 <= latent < run.n_latents:
        raise SettingsError(f"there is no latent {latent}; they go from 0 to {run.n_latents - 1}.")
    pooled = run.pooled("mean")
    values = column_of(pooled, latent)
    patients = run.images["patient"].to_numpy()
    fires = values > 0
    count = f"{int(fires.sum()):,} of {values.size:,} images, {np.unique(patients[fires]).size:,} patients"
    strength = f", mean {values.mean():.4g} over all images, {values.max():.4g} at most" if fires.any() else ""
    parts = [
        _links(latent, links),
        f"<h1>Latent {latent}</h1><p>Fires on {count}{strength}.</p>",
        f"<p class=note>{escape(NOTICE.capitalize())}.</p>",
        *(f"<p><b>{escape(line)}</b></p>" for line in sources.remarks.get(latent, ())),
        "<h2>Images that excite it most, one a patient</h2>",
        _gallery(latent, sources),
        "<h2>How strongly it fires</h2>",
        *_labels(run, values, patients),
    ]
    if sources.weights is not None:
        rows = [
            [escape(name.replace("_", " ")), f"{weight:+.4g}", f"{weight * values.mean():+.4g}"]
            for name, weight in zip(run.classes, sources.weights[:, latent].tolist(), strict=True)
        ]
        parts += [
            "<h2>What it adds to the logits</h2>",
            html_table(rows, "class", "for a mean of 1", "for its mean over the run"),
        ]
    parts.append("<h2>Latents near it</h2>")
    near, r, common = coactivation_neighbours(pooled, latent, NEIGHBOURS)
    rows = [[_link(n, links), f"{x:.3f}", f"{c:,}"] for n, x, c in zip(near, r, common, strict=True) if x > 0]
    parts.append(html_table(rows, "fires with", "r", "images in common") if rows else "<p>None fires with it.</p>")
    if sources.neighbours is not None:
        found = zip(*sources.neighbours(latent, NEIGHBOURS), strict=True)
        parts.append(html_table([[_link(n, links), f"{x:.3f}"] for n, x in found], "writes like it", "cosine"))
    return html_page(f"Latent {latent}", _STYLE, parts)


def index_page(latents: Sequence[int], sources: LatentSources, record: Mapping[str, Any]) -> str:
    """Return the page that lists the others, with how this was made."""
    run = sources.run
    pooled = run.pooled("mean")
    rows = []
    for latent in latents:
        values = column_of(pooled, latent)
        said = escape("; ".join(sources.remarks.get(latent, ())))
        rows.append([_link(latent, latents), f"{int((values > 0).sum()):,}", f"{values.mean():.4g}", said])
    parts = [
        f"<h1>Latents of {escape(run.path.name)}</h1>",
        f"<p>{len(run):,} images, {run.n_latents:,} latents. {escape(NOTICE.capitalize())}.</p>",
        html_table(rows, "latent", "fires on images", "mean", "said about it"),
        "<details><summary>How this was made</summary><pre>" + escape(json_text(dict(record))) + "</pre></details>",
    ]
    return html_page(f"Latents of {run.path.name}", _STYLE, parts)


def write_page(path: Path, latent: int, sources: LatentSources, record: Mapping[str, Any]) -> Path:
    """Write the page of one latent, with its record beside it, and return its path.

    Raises
    ------
    SettingsError
        The SAE has no such latent.
    WriteError
        The file cannot be written.
    """
    with write_results(beside(path, ".json"), record, path) as (page,):
        page.write_text(latent_page(latent, sources), encoding="utf-8")
    return path


def write_pages(
    folder: Path,
    latents: Sequence[int],
    sources: LatentSources,
    record: Mapping[str, Any],
    report: Report = ignore,
) -> Path:
    """Write a page for each latent and `index.html`, all or nothing, and return the index.

    Raises
    ------
    SettingsError
        There are no latents to write about, or the SAE has no such latent.
    WriteError
        The folder cannot be written, or has an index that this program has not written.
    """
    if not latents:
        raise SettingsError("there are no latents to write pages about; name some.")
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder.name, error) from error
    try:
        _write_site(folder, latents, sources, record, report)
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise
    return folder / "index.html"


def remarks_of(run: Run, annotator: str | None = None, path: Path | None = None) -> dict[int, list[str]]:
    """Return what latents are called and what people say about them, a line each, for `LatentSources`.

    Parameters
    ----------
    run
        The run whose latents they are.
    annotator
        Whose verdicts; everybody's by default.
    path
        The file of verdicts; that of the run by default.
    """
    from ..naming.suggested import names_of
    from ..verdicts.of_run import Verdicts
    from ..verdicts.places import default_path

    said = {latent: [f"Called {name}"] for latent, name in names_of(run).called.items()}
    path = path or default_path(run.path)
    if path.is_file():
        with Verdicts(run, path, create=False) as verdicts:
            for row in verdicts.table().to_dict("records"):
                if annotator in (None, row["annotator"]):
                    what = ": ".join(filter(None, (row["verdict"], row["concept"])))
                    note = f" ({row['note']})" if row["note"] else ""
                    said.setdefault(int(row["latent"]), []).append(f"{what}{note}, {row['annotator']}")
    return said


def _write_site(
    folder: Path, latents: Sequence[int], sources: LatentSources, record: Mapping[str, Any], report: Report
) -> None:
    check_replaceable(folder / "index.json", folder / "index.html")
    latents = list(dict.fromkeys(latents))
    files = [folder / page_name(latent) for latent in latents]
    with write_results(folder / "index.json", record, *files, folder / "index.html") as (*pages, index):
        for done, (page, latent) in enumerate(zip(pages, latents, strict=True)):
            report(f"Writing the page of latent {latent}", done, len(latents))
            page.write_text(latent_page(latent, sources, latents), encoding="utf-8")
        index.write_text(index_page(latents, sources, record), encoding="utf-8")


def page_name(latent: int) -> str:
    """Return what the file of a latent's page is called."""
    return f"latent-{latent}.html"


def _gallery(latent: int, sources: LatentSources) -> str:
    run = sources.run
    cells = strongest(run, latent)
    if not cells:
        return "<p>It fires on no image of the run.</p>"
    heats = heatmaps(run, latent, [cell.row for cell in cells]) if run.has_maps else {}
    figures = [_figure(cell, heats.get(cell.row), sources) for cell in cells]
    note = "" if run.has_maps else "<p class=note>The run was made without maps, so no heatmap is drawn.</p>"
    return f"<div class=gallery>{''.join(figures)}</div>{note}"


def _figure(cell: Cell, heat: NDArray[np.float32] | None, sources: LatentSources) -> str:
    path, frame = sources.path_of(cell.row), sources.run.frame(cell.row)
    caption = f"{escape(cell.image_id)}: {cell.activation:.4g}" + (
        f"<br>{escape(cell.caption)}" if cell.caption else ""
    )
    why, picture = "The image file was not found.", ""
    if path is not None:
        try:
            boxes = None
            if sources.findings is not None:
                boxes = sources.findings.boxes(cell.name, shape=frame.source_shape)
            painted = paint(grey(path, frame), frame, heat, boxes, _heat, finding_color)
            coded = cv2.imencode(".jpg", painted[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
            data = base64.b64encode(coded.tobytes()).decode()
            picture = f"<img alt='{escape(cell.image_id, quote=True)}' src='data:image/jpeg;base64,{data}'>"
        except MammoSAEError as error:
            why = str(error)
    return f"<figure>{picture or f'<p class=note>{escape(why)}</p>'}<figcaption>{caption}</figcaption></figure>"


def _heat(values: NDArray[Any]) -> NDArray[Any]:
    """RGBA of a heatmap's values from 0 to 1, transparent at 0."""
    from matplotlib import colormaps

    colors = np.asarray(colormaps["inferno"](0.35 + 0.65 * values))
    colors[:, 3] = np.clip(1.4 * values, 0, 0.85)
    return colors


def _labels(run: Run, values: NDArray[np.float64], patients: NDArray[Any]) -> list[str]:
    rows, bars = [], None
    for name in run.labels:
        label = run.label(name)
        known = np.isfinite(label)
        binary = bool(np.isin(label[known], (0, 1)).all())
        names = {1: "present", 0: "absent"} if binary else _class_names(run, name, label[known])
        if binary and bars is None and 0 < label[known].sum() < known.sum():
            bars = name, histogram(values, label, names)
        means = class_means(values, label, patients, names)
        area = f"{auroc(label[known], values[known]):.3f}" if binary and len(means) > 1 else ""
        rows += [_mean_row(name if first else "", one, area if first else "") for first, one in _first(means)]
    shown = _bars(bars[1], bars[0]) if bars is not None else _bars(histogram(values, np.full(values.size, np.nan), {}))
    heads = ("label", "class", "images", "mean", "95 % interval by patient", "AUROC")
    return [shown, html_table(rows, *heads) if rows else "<p class=note>The run has no labels.</p>"]


def _class_names(run: Run, name: str, values: NDArray[np.float64]) -> dict[int, str]:
    texts = run.info.get("categories", {}).get(name, ())
    return {int(v): str(texts[int(v)]) if int(v) < len(texts) else f"{v:g}" for v in np.unique(values)}


def _first(means: Sequence[ClassMean]) -> list[tuple[bool, ClassMean]]:
    return [(at == 0, one) for at, one in enumerate(means)]


def _mean_row(label: str, one: ClassMean, area: str) -> list[str]:
    interval = f"{one.low:.4g} to {one.high:.4g}" if np.isfinite(one.low) else escape(one.note)
    return [escape(label.replace("_", " ")), escape(one.name), f"{one.images:,}", f"{one.mean:.4g}", interval, area]


def _bars(found: Histogram, label: str = "") -> str:
    """A histogram of the images on which the latent fires, drawn as SVG; classes stand on each other."""
    if not found.fires:
        return ""
    width, height, left = 560, 130, 40
    top, bins = int(found.counts.sum(axis=0).max()), found.counts.shape[1]
    colors = ("#c4532d", "#3b6fb6", "#8a8f98")
    step, drawn, base = (width - left) / bins, [], np.zeros(bins)
    for row, color in zip(found.counts, colors[: len(found.counts)], strict=False):
        for at, count in enumerate(row.tolist()):
            if count:
                tall = count / top * (height - 30)
                drawn.append(
                    f"<rect x='{left + at * step:.1f}' y='{height - 20 - base[at] - tall:.1f}' "
                    f"width='{step - 1:.1f}' height='{tall:.1f}' fill='{color}'/>"
                )
                base[at] += tall
    keys = [
        f"<tspan fill='{color}'>&#9632; {escape(name)}  </tspan>"
        for name, color in zip(found.names, colors, strict=False)
    ]
    title = escape(label.replace("_", " "))
    silent = f"<p class=note>Not drawn: {found.silent:,} images on which it is silent.</p>" if found.silent else ""
    return (
        f"<svg width='{width}' height='{height}' role='img' aria-label='Histogram of activations'>{''.join(drawn)}"
        f"<text x='{left}' y='12'>{title + ': ' if label else ''}{''.join(keys)}</text>"
        f"<text x='{left - 6}' y='34' text-anchor='end'>{top:,}</text>"
        f"<text x='{left}' y='{height - 4}'>0</text>"
        f"<text x='{width}' y='{height - 4}' text-anchor='end'>mean activation "
        f"{found.edges[-1]:.4g}</text></svg>{silent}"
    )


def _links(latent: int, links: Sequence[int]) -> str:
    if latent not in links:
        return ""
    at = list(links).index(latent)
    shown = [("Back", at - 1), ("Next", at + 1)]
    near = [f"<a href='{page_name(links[i])}'>{word}</a>" for word, i in shown if 0 <= i < len(links)]
    return f"<nav><a href='index.html'>All latents</a> {' '.join(near)}</nav>"


def _link(latent: int, links: Sequence[int]) -> str:
    return f"<a href='{page_name(int(latent))}'>{int(latent)}</a>" if int(latent) in links else str(int(latent))
