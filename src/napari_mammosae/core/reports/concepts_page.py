"""One page, in HTML without any other file, that says what the latents of a run stand for and how sure that is."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..base.provenance import NOTICE, json_text
from .html_page import html_page, html_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from ..naming.result import ConceptEvaluation

MOST_LATENTS = 100
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1d2330}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;margin:.6em 0}
th,td{padding:.2em .7em;border-bottom:1px solid #d9dde5;text-align:right;white-space:nowrap}
th:first-child,td:first-child,td.text{text-align:left}th{background:#f1f3f7}.scroll{overflow-x:auto}
.badge{background:#c62828;color:#fff;border-radius:.6em;padding:0 .5em;font-size:.8em}.weak{color:#8a90a0}
.bar{display:inline-block;height:.7em;background:#3b6fb6;margin-right:.4em}.red .bar{background:#c62828}
"""


def page_of(found: ConceptEvaluation) -> str:
    """Return the page; everything that comes from files is escaped."""
    of = found.latents
    record = found.provenance
    name = str(record.get("settings", {}).get("run", "run"))
    accepted = int(of.accepted.sum())
    by = record.get("settings", {}).get("permute_by", "patient")
    parts = [
        f"<h1>What the latents of {escape(name)} stand for</h1>",
        f"<p>{escape(NOTICE.capitalize())}. {escape(found.basis)}.</p>",
        f"<p><b>{accepted:,} of {len(of.firing):,} live latents</b> ({found.n_latents:,} in all) are accepted for a "
        f"concept: their largest |r| is beyond {of.threshold:.3f}, which the largest of all live latents, concepts and "
        f"poolings exceeds by chance in 5 % of {len(of.maxima):,} permutations of the labels, each moving "
        f"{'whole patients' if by == 'patient' else 'single images'}. {int((~of.tested).sum()):,} latents fire on too "
        "few images to be tested.</p>",
        "<h2>Concepts</h2>",
        html_table(_concept_rows(found), *_CONCEPT),
        "<h2>Against what is there without an SAE</h2>",
        "<p>The same measures, by the same code, on the same images.</p>",
        html_table(_comparison_rows(found.comparison()), *_COMPARISON),
        f"<h2>Latents{f', the first {MOST_LATENTS}' if accepted > MOST_LATENTS else ''}</h2>",
        "<p>By falling |r| of the best concept. A <span class=badge>confounder</span> says how an image was taken.</p>",
        html_table(_latent_rows(found), *_LATENT),
        "<h2>Shortcuts</h2>",
        *_shortcuts(found),
        *_pairs(found.pairs),
        "<h2>Left out, and what to know</h2>",
        _list([f"{what}: {why}" for what, why in of.concepts.left_out.items()] + list(found.notes)),
        "<details><summary>How this was made</summary><pre>" + escape(json_text(record)) + "</pre></details>",
    ]
    return html_page(f"{name}: concepts", _STYLE, parts)


_CONCEPT = ("concept", "images", "with it", "latents", "best latent", "best |r|", "best AUROC")
_LATENT = (
    *("latent", "called", "concept", "pool", "r", "of at most", "AUROC", "95 % interval", "q", "next label", "margin"),
    *("entropy", "of excess", "MS - chance", "clarity", "images"),
)
_COMPARISON = (
    *("units", "count", "accepted", "threshold", "labels", "mean best |r|", "mean best AUROC", "entropy of excess"),
    *("MS - chance", "clarity", "redundancy", "note"),
)


def _concept_rows(found: ConceptEvaluation) -> Iterable[list[str]]:
    for row in found.concepts().to_dict("records"):
        yield [
            _concept(row["concept"], row["confounder"]), f"{row['images']:,}", f"{row['with_it']:,}",
            f"{row['latents']:,}", _latent(found, row["best_latent"]), _number(row["best_r"]),
            _number(row["best_auroc"]),
        ]  # fmt: skip


def _comparison_rows(table: pd.DataFrame) -> Iterable[list[str]]:
    for row in table.to_dict("records"):
        figures = ("mean_best_r", "mean_best_auroc", "entropy_excess", "ms_excess", "clarity", "redundancy")
        yield [
            escape(row["units"]), f"{row['count']:,}", f"{row['accepted']:,}", _number(row["threshold"]),
            str(row["labels"]), *(_number(row[name]) for name in figures), escape(row["note"]),
        ]  # fmt: skip


def _latent_rows(found: ConceptEvaluation) -> Iterable[list[str]]:
    for row in found.table().query("accepted").head(MOST_LATENTS).to_dict("records"):
        interval = "" if np.isnan(row["auroc_lo"]) else f"{row['auroc_lo']:.3f} to {row['auroc_hi']:.3f}"
        bar = f"<span class=bar style='width:{4 * abs(row['r']):.2f}em'></span>{row['r']:+.3f}"
        yield [
            str(row["latent"]), _called(found, row["latent"]), _concept(row["concept"], row["confounder"]), row["pool"],
            f"<span class=red>{bar}</span>" if row["confounder"] else bar, _number(row["r_max"]),
            _number(row["auroc"]), interval, f"{row['q_value']:.1e}", escape(row["next"]), _number(row["margin"]),
            _number(row["entropy"]), _number(row["entropy_excess"]), _number(row["ms_excess"]),
            _number(row["clarity"]), f"{row['images']:,}",
        ]  # fmt: skip


def _shortcuts(found: ConceptEvaluation) -> list[str]:
    import pandas as pd

    table = found.shortcuts
    if table is None:
        return ["<p>Not reported: the model is not known, or its SAE reads an inner layer.</p>"]
    if table.empty:
        return ["<p>No accepted latent goes with a confounder and pushes a prediction.</p>"]
    rows = [
        [
            escape(row["class"]), "" if row["latent"] is pd.NA else _latent(found, row["latent"]), escape(row["label"]),
            _number(row["r"]), _number(row["push"], signed=True), _number(row["share"]), _number(row["auroc"]),
            _number(row["auroc_without"]), _number(row["change"], signed=True),
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    text = (
        "<p>Latents that go with a confounder and push a prediction: how much higher the logit is, on average, where "
        "the confounder is there, and the AUROC with the latent removed.</p>"
    )
    names = ("class", "latent", "goes with", "r", "push", "of the logit's spread", "AUROC", "without", "change")
    return [text, html_table(rows, *names)]


def _pairs(table: pd.DataFrame | None) -> list[str]:
    if table is None:
        return []
    rows = [
        [
            escape(row["units"]), escape(row["thing"]), str(row["pairs"]), str(row["answering"]), str(row["latent"]),
            _number(row["selectivity"]), _number(row["auroc"]),
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    names = ("units", "thing", "pairs", "answer to it alone", "best", "selectivity", "AUROC")
    return ["<h2>Pairs that differ by one thing</h2>", html_table(rows, *names)]


def _latent(found: ConceptEvaluation, latent: int) -> str:
    """Return a latent's number, and what it is called if that is sure."""
    name = found.names.called.get(latent)
    return str(latent) if name is None else f"{latent} ({escape(name)})"


def _called(found: ConceptEvaluation, latent: int) -> str:
    """Return what people call a latent, or else what a method suggests, grey where that is no better than chance."""
    if (said := found.names.concepts.get(latent)) is not None:
        return escape(said)
    name = found.names.suggested.get(latent)
    if name is None:
        return ""
    text = f"{escape(name.title)} ({escape(name.evidence)})"
    return text if name.beats_chance else f"<span class=weak>{text}</span>"


def _concept(name: str, confounder: bool) -> str:
    return escape(name) + (" <span class=badge>confounder</span>" if confounder else "")


def _number(value: float, signed: bool = False) -> str:
    return "" if np.isnan(value) else f"{value:+.3f}" if signed else f"{value:.3f}"


def _list(lines: Sequence[str]) -> str:
    return (
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in dict.fromkeys(lines))}</ul>" if lines else "<p>None.</p>"
    )
