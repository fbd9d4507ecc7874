"""The names that a server gave and how they held, as a table, a file in the run's folder, and suggestions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...base.caches import folder_beside
from ...base.provenance import beside, check_replaceable, plain, write_results
from ...base.tables.cells import write_csv
from ...stats.bootstrap import benjamini_hochberg
from ...verdicts.suggestions import CHANCE, LONGEST, Suggestion
from .measures import NAN, NULLS, Score
from .server.replies import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from ...stats.measures import FloatArray
    from .naming import Named
    from .tasks import Cost, LatentTask

TABLE = "names.csv"


@dataclass(frozen=True, slots=True)
class NamedLatent:
    """A latent, its name, and how well that holds on patients who were held out."""

    task: LatentTask
    named: Named
    detection: Score = field(default_factory=Score)
    regions: Score = field(default_factory=Score)
    ranks: Score = field(default_factory=Score)

    def row(self) -> dict[str, Any]:
        """Return it as a row of the table."""
        named = self.named
        return {
            "latent": self.task.latent,
            "name": named.name,
            "category": named.category,
            "agreement": named.agreement,
            "draws": "; ".join(named.draws),
            "evidence": named.evidence,
            "consistent": named.consistent,
            "confidence": named.confidence,
            "images": self.task.held_out.positives.size,
            "images_without": self.task.held_out.negatives.size,
            "hard": self.task.held_out.hard,
            **_columns("auroc", self.detection),
            **_columns("region", self.regions),
            **_columns("top1", self.ranks),
            "top2": self.ranks.others.get("top2", NAN),
            "mrr": self.ranks.others.get("mrr", NAN),
        }


@dataclass(frozen=True, slots=True, eq=False)
class ServerNames:
    """What came of naming latents with a server.

    Attributes
    ----------
    latents
        One a latent.
    cost
        What it would have taken at most.
    record
        Provenance.
    notes
        What to know.
    nulls
        Latents of what is not a trained SAE, named and tested in the same way, each beside what they are called.
    """

    latents: tuple[NamedLatent, ...]
    cost: Cost
    record: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    nulls: tuple[tuple[str, tuple[NamedLatent, ...]], ...] = ()

    def table(self) -> pd.DataFrame:
        """Return one row a latent: its name, category and agreement of the draws, then the three scores.

        For each score (`auroc`, `region`, `top1`): the value, `_lo` and `_hi` of its interval, what the same images
        give with another latent's name (`_shuffled`), the commonest category (`_majority`) and, for `top1`, without
        images (`_text_only`), `_p`, `_q` over the latents, `_answered` and `_asked`.
        """
        table = _table(self.latents)
        table.attrs["provenance"] = dict(self.record)
        return table

    def comparison(self) -> pd.DataFrame:
        """Return one row for the latents and one for each null: what names are worth there, by the same questions.

        `units` (the run's model, or that of the null), `latents`, `named`, `beats_chance`, and the means of `auroc`,
        `region`, `top1` and `agreement`; those of scores over the named ones. `as_good`: the share of pairs of a latent
        here and one of the null in which the AUROC of the null's name is as good (a tie is half a pair); 0.5 says that
        names are worth no more here.
        """
        import pandas as pd

        own = _table(self.latents)
        rows = []
        for units, latents in ((str(self.record["made_with"]["model"]), self.latents), *self.nulls):
            table = own if latents is self.latents else _table(latents)
            scores = {name: table[name].mean() for name in ("auroc", "region", "top1", "agreement")}
            rows.append({
                "units": units, "latents": len(table), "named": int((table["name"] != "").sum()),
                "beats_chance": int(table["beats_chance"].sum()), **scores,
                "as_good": NAN if table is own else _as_good(own["auroc"].to_numpy(), table["auroc"].to_numpy()),
            })  # fmt: skip
        return pd.DataFrame(rows)


def _table(latents: Sequence[NamedLatent]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame([one.row() for one in latents])
    for name in ("auroc", "region", "top1"):
        table.insert(list(table).index(f"{name}_p") + 1, f"{name}_q", benjamini_hochberg(table[f"{name}_p"]))
    table["beats_chance"] = (table["auroc_q"] <= CHANCE).to_numpy()
    return table


def _as_good(own: FloatArray, other: FloatArray) -> float:
    """Share of pairs in which `other` is as good; a tie is half of one."""
    own, other = own[np.isfinite(own)], other[np.isfinite(other)]
    ahead = np.sign(other[None, :] - own[:, None])
    return float((1 + ahead.mean()) / 2) if ahead.size else NAN


def names_file(run: Path) -> Path:
    """Return where the names of a run lie."""
    return folder_beside(run, FOLDER) / TABLE


def compared_lines(found: ServerNames) -> list[str]:
    """Return what names are worth here and of each null, a line each; none without nulls."""
    return [
        f"{row['units']}: {row['named']} of {row['latents']} named, {row['beats_chance']} better than chance, mean "
        f"AUROC {row['auroc']:.3f}"
        for row in (found.comparison().to_dict("records") if found.nulls else ())
    ]


def compared_file(path: Path) -> Path:
    """Return where the comparison with what is not a trained SAE lies, beside a table of names."""
    return path.with_name(f"{path.stem}.compared.csv")


def check_names(path: Path) -> None:
    """Raise WriteError where a table would take the place of a file that this program has not written."""
    check_replaceable(beside(path, ".json"), path, compared_file(path))


def write_names(path: Path, found: ServerNames) -> None:
    """Write the table, beside it where it comes from, and how names compare with the nulls if there are any."""
    tables = {path: found.table()} | ({compared_file(path): found.comparison()} if found.nulls else {})
    with write_results(beside(path, ".json"), found.record, *tables) as files:
        for file, table in zip(files, tables.values(), strict=True):
            write_csv(file, table)


def server_suggestions(found: ServerNames) -> list[Suggestion]:
    """Return the names as suggestions, with the model as who makes them; what has no name is left out."""
    model = str(found.record["settings"]["model"])
    return [
        Suggestion(
            int(row["latent"]),
            row["name"],
            model[:LONGEST],
            row["auroc"],
            row["auroc_shuffled"],
            None if np.isnan(row["auroc_q"]) else row["auroc_q"],
            {
                "measure": "AUROC",
                "interval": [plain(row["auroc_lo"]), plain(row["auroc_hi"])],
                "category": row["category"],
                "agreement": plain(row["agreement"]),
                "region_accuracy": plain(row["region"]),
                "first_of_five": plain(row["top1"]),
                "server": found.record["settings"]["server"],
                "created": found.record["created"],
            },
        )
        for row in found.table().to_dict("records")
        if row["name"]
    ]


def mean_nulls(latents: Sequence[NamedLatent]) -> dict[str, dict[str, float]]:
    """Return the mean of each null over the latents: what a name that says nothing gives."""
    scores = {"auroc": [one.detection for one in latents], "region": [one.regions for one in latents],
              "top1": [one.ranks for one in latents]}  # fmt: skip
    return {
        measure: {null: _mean([one.nulls.get(null, NAN) for one in given]) for null in NULLS}
        for measure, given in scores.items()
    }


def _columns(name: str, score: Score) -> dict[str, Any]:
    nulls = NULLS if name == "top1" else NULLS[:2]
    return {
        name: score.value,
        f"{name}_lo": score.lo,
        f"{name}_hi": score.hi,
        **{f"{name}_{null}": score.nulls.get(null, NAN) for null in nulls},
        f"{name}_p": score.p,
        f"{name}_answered": score.answered,
        f"{name}_asked": score.asked,
    }


def _mean(values: Sequence[float]) -> float:
    known = np.array(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else NAN
