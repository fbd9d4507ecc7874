"""Names of a method as suggestions in the verdict file of a run, where people see and judge them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..verdicts.events import Subject
from ..verdicts.places import default_path
from ..verdicts.store import VerdictStore
from ..verdicts.suggestions import Suggestion, best_suggestion

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


@dataclass(frozen=True, slots=True)
class Names:
    """What the verdict file of a run calls latents.

    Attributes
    ----------
    concepts
        What people say, by latent; several in the order in which they said it.
    suggested
        Names that a method suggests and that nobody has rejected.
    """

    concepts: Mapping[int, str] = field(default_factory=dict)
    suggested: Mapping[int, Suggestion] = field(default_factory=dict)

    @property
    def called(self) -> dict[int, str]:
        """People's concepts, else names that are better than chance."""
        sure = {latent: name.title for latent, name in self.suggested.items() if name.beats_chance}
        return sure | dict(self.concepts)

    def beside(self, table: "pd.DataFrame", concept: str = "concept") -> "pd.DataFrame":
        """Return a table with a column `latent` beside the names; as it is where there are none.

        Adds the column `concept` (people's; under that title), and `name`, `name_method`, `name_score`, `name_null` and
        `name_q_value` (suggested).
        """
        if not self.concepts and not self.suggested:
            return table
        latents = [int(latent) for latent in table["latent"]]
        found = [self.suggested.get(latent) for latent in latents]
        columns: dict[str, list[Any]] = {concept: [self.concepts.get(latent, "") for latent in latents]}
        for title, key, missing in _TITLES:
            columns[title] = [missing if one is None else getattr(one, key) for one in found]
        named = table.assign(**columns)
        named.attrs = table.attrs
        return named


_TITLES = (
    ("name", "name", ""),
    ("name_method", "method", ""),
    ("name_score", "score", None),
    ("name_null", "null", None),
    ("name_q_value", "q_value", None),
)


def names_of(run: "Run") -> Names:
    """Return what the verdict file of a run calls latents; the file is only read."""
    path = default_path(run.path)
    if not path.is_file():
        return Names()
    subject = _subject(run)
    concepts: dict[int, list[str]] = {}
    rejected: dict[int, str] = {}
    with VerdictStore(path, create=False, write=False) as store:
        for event in store.current(subject):
            if event.concept:
                concepts.setdefault(event.latent, []).append(event.concept)
            rejected[event.latent] = f"{rejected.get(event.latent, '')}\n{event.rejected}"
        best = {
            latent: best_suggestion(offered, rejected.get(latent, ""))
            for latent, offered in store.suggestions(subject).items()
        }
    said = {latent: "; ".join(dict.fromkeys(own)) for latent, own in concepts.items()}
    return Names(said, {latent: name for latent, name in best.items() if name is not None})


def _subject(run: "Run") -> Subject:
    return Subject(run.info["model_sha256"], run.info["sae_sha256"])


def keep_suggestions(run: "Run", suggestions: Iterable[Suggestion], path: Path | None = None) -> tuple[Path, int]:
    """Write suggestions into a verdict file, by default the run's own; return the file, and how many are new.

    Raises
    ------
    VerdictError
        It is not a verdict file, or cannot be written.
    """
    path = path or default_path(run.path)
    with VerdictStore(path) as store:
        return path, store.suggest(_subject(run), suggestions)
