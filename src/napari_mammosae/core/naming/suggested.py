"""Names of a method as suggestions in the verdict file of a run, where people see and judge them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..verdicts.events import Subject
from ..verdicts.places import default_path
from ..verdicts.store import VerdictStore
from ..verdicts.suggestions import Suggestion

if TYPE_CHECKING:
    import pandas as pd

    from ..runs.run import Run

TEXT = "text"
"""The method of names from the model's own text tower."""


def text_suggestions(table: "pd.DataFrame", terms: str = "") -> list[Suggestion]:
    """Return the names of `name_latents` as suggestions; `terms` is what the vocabulary is called."""
    return [
        Suggestion(
            int(row["latent"]),
            str(row["name"]),
            TEXT,
            float(row["cosine"]),
            float(row["chance"]),
            float(row["q_value"]),
            {
                "measure": "cosine",
                "terms": terms,
                "z": round(float(row["z"]), 4),
                "percentile": round(float(row["percentile"]), 3),
                "images_say": str(row["image_name"]),
                "images_agree": str(row["agree"]),
            },
        )
        for row in table.to_dict("records")
    ]


def keep_suggestions(run: "Run", suggestions: Iterable[Suggestion], path: Path | None = None) -> tuple[Path, int]:
    """Write suggestions into a verdict file, by default the run's own; return the file, and how many are new.

    Raises
    ------
    VerdictError
        It is not a verdict file, or cannot be written.
    """
    path = path or default_path(run.path)
    with VerdictStore(path) as store:
        return path, store.suggest(Subject(run.info["model_sha256"], run.info["sae_sha256"]), suggestions)
