"""Average precision of the ten best latents as a Markdown table, laid out like the paper's Table 2."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


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
    top: int = 10,
) -> PaperRow:
    """Line of one finding from the result of `localize_run`.

    Parameters
    ----------
    ranking
        Latents in ranking order, best first, as in the paper (class 1). Without it latents are taken by falling
        measure. A ranked latent that is not in the table never fired on these images; its value is 0.
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
    """Markdown table with a column for each rank, and below it which latents these are."""
    lines = list(rows)
    width = max((len(row.values) for row in lines), default=0)
    header = ["Concept", "Model", *(str(rank + 1) for rank in range(width))]
    out = [f"| {' | '.join(header)} |", f"| {' | '.join(['---', '---', *['---:'] * width])} |"]
    for row in lines:
        values = [f"{value:.3f}" if np.isfinite(value) else "undefined" for value in row.values]
        out.append(f"| {' | '.join([row.concept, row.model, *values, *[''] * (width - len(values))])} |")
    out.append("")
    out += [f"{row.concept}, {row.model}: latents {', '.join(map(str, row.latents))}." for row in lines]
    return "\n".join(out) + "\n"
