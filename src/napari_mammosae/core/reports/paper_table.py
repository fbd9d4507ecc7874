"""Average precision of the best latents as Markdown tables, laid out like the paper's Table 2."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

COLUMNS = 10
"""Ranks that a table is wide, as the paper's is."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One line of the table: a concept, a model, and the measure of its first latents in ranking order."""

    concept: str
    model: str
    latents: tuple[int, ...]
    values: tuple[float, ...]


def paper_row(
    table: pd.DataFrame,
    finding: str,
    model: str,
    ranking: npt.ArrayLike | None = None,
    *,
    measure: str = "ap",
    top: int | None = 10,
) -> PaperRow:
    """Line of one finding from the result of `localize_run`.

    Parameters
    ----------
    ranking
        Latents in ranking order, best first, as in the paper (class 1). Without it latents are taken by falling
        measure. A ranked latent that is not in the table never fired on these images; its value is 0.
    top
        How many; None for all.
    """
    mine = table[table["finding"] == finding].set_index("latent")[measure]
    if ranking is None:
        chosen = mine.reset_index().sort_values([measure, "latent"], ascending=[False, True])["latent"].to_numpy()
    else:
        chosen = np.asarray(ranking, np.int64)
    first = tuple(int(i) for i in chosen[:top])
    values = tuple(float(mine.get(i, 0.0)) for i in first)
    return PaperRow(finding.replace("_", " ").title(), model, first, values)


def paper_table(rows: Iterable[PaperRow]) -> str:
    """Markdown tables with a column for each rank, ten a table, and below them which latents these are."""
    lines, out = list(rows), []
    for places in blocks(max((len(row.values) for row in lines), default=0)):
        header = ["Concept", "Model", *(str(rank + 1) for rank in places)]
        out += [f"| {' | '.join(header)} |", f"| {' | '.join(['---', '---', *['---:'] * len(places)])} |"]
        for row in lines:
            values = [_text(row.values[place]) if place < len(row.values) else "" for place in places]
            out.append(f"| {' | '.join([row.concept, row.model, *values])} |")
        out.append("")
    out += [f"{row.concept}, {row.model}: latents {', '.join(map(str, row.latents))}." for row in lines]
    return "\n".join(out) + "\n"


def blocks(width: int) -> list[range]:
    """Return the places of each table where so many do not fit into one; one table at least.

    >>> blocks(12)
    [range(0, 10), range(10, 12)]
    """
    return [range(start, min(start + COLUMNS, width)) for start in range(0, max(width, 1), COLUMNS)]


def _text(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "undefined"
