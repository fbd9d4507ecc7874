"""`Verdicts`: what people decided about the latents of a run, for scripts and notebooks."""

from __future__ import annotations

from dataclasses import asdict
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from ..base.arguments import expect
from ..base.errors import VerdictError
from ..base.provenance import provenance
from .store import VERDICTS, Evidence, Subject, Verdict, VerdictStore, default_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas as pd

    from .suggestions import Suggestion

COLUMNS = ("latent", "verdict", "concept", "note", "annotator", "time", "image")
SUGGESTED = ("latent", "name", "method", "score", "null", "q_value", "provenance", "time")


class JudgedRun(Protocol):
    """What a verdict file has to know of a run."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def info(self) -> Mapping[str, Any]:
        """Hashes of the model and the SAE: whose latents are judged."""
        ...

    @property
    def n_latents(self) -> int:
        """How many latents there are to judge."""
        ...


class Verdicts:
    """The verdicts on the latents of a run's model and SAE; close it, or use it in a `with` statement.

    Every decision is on the disk when `set` returns. The docks read and write the same file.

    Parameters
    ----------
    run
        Whose latents.
    path
        The verdict file; by default the run's own, `verdicts.sqlite` in its folder.
    annotator
        Who decides; the name of the operating system's user unless given.
    create
        False: a missing file is an error.

    Raises
    ------
    VerdictError
        The file is missing (with ``create=False``), is not a verdict file, or cannot be written.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> with ms.Verdicts(ms.open_run("run"), annotator="reader") as verdicts:
    ...     verdicts.set(88, "spurious", concept="view marker")
    ...     verdicts.latents("spurious")
    [88]
    """

    def __init__(
        self, run: JudgedRun, path: Path | str | None = None, annotator: str | None = None, *, create: bool = True
    ) -> None:
        expect(run, "run")
        self._run = run
        self._store = VerdictStore(path or default_path(run.path), annotator, create=create)
        self._subject = Subject(run.info["model_sha256"], run.info["sae_sha256"])

    def __repr__(self) -> str:
        judged = {event.latent for event in self._store.current(self._subject)}
        return f"<Verdicts {self._store.path.name}: {len(judged)} latents of {self._run.path.name} reviewed>"

    def set(
        self,
        latent: int,
        verdict: Verdict | Literal[""] | None = None,
        *,
        concept: str | None = None,
        note: str | None = None,
        image: str = "",
    ) -> None:
        """Decide about a latent.

        Parameters
        ----------
        latent
            Its number.
        verdict
            "lesion", "anatomy", "spurious" or "unsure". None keeps the one given before, an empty text takes it back;
            so it is for `concept` and `note`.
        concept
            What the latent responds to, in a few words.
        note
            Anything else.
        image
            Id of the image that shows it best.

        Raises
        ------
        VerdictError
            There is no such latent or verdict, or the file cannot be written.
        """
        self._check(latent)
        evidence = Evidence(image) if image else None
        self._store.decide(self._subject, latent, verdict, concept=concept, note=note, evidence=evidence)

    def undo(self) -> None:
        """Take back the last decision made here; nothing happens when there is none."""
        self._store.undo()

    def latents(self, verdict: str, annotator: str | None = None) -> list[int]:
        """Return the latents that an annotator (None: any) now gives a verdict, in ascending order."""
        if verdict not in VERDICTS:
            raise VerdictError(f"the verdict {verdict!r} is unknown; choose one of {', '.join(VERDICTS)}.")
        return self._store.latents(verdict, self._subject, annotator)

    def table(self) -> pd.DataFrame:
        """Return the state now, one row a latent and annotator; the provenance is in ``attrs``.

        Columns: `latent`, `verdict`, `concept`, `note`, `annotator`, `time` (UTC) and `image`.
        """
        import pandas as pd

        rows = [asdict(event) for event in self._store.current(self._subject)]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        table.attrs["provenance"] = provenance("verdicts", {"run": self._run.path}) | asdict(self._subject)
        return table

    def suggest(self, suggestions: Iterable[Suggestion]) -> int:
        """Keep names that a method suggests, beside people's verdicts; return how many say something new.

        Raises
        ------
        VerdictError
            There is no such latent, or the file cannot be written.
        """
        wanted = list(suggestions)
        for suggestion in wanted:
            self._check(suggestion.latent)
        return self._store.suggest(self._subject, wanted)

    def suggestions(self) -> pd.DataFrame:
        """Return what each method suggests now, one row per latent and method.

        Columns: `latent`, `name`, `method`, `score`, `null`, `q_value`, `provenance`, and `time` (UTC).
        """
        import pandas as pd

        events = self._store.current_suggestions(self._subject)
        rows = [asdict(event.suggestion) | {"time": event.time} for event in events]
        return pd.DataFrame(rows, columns=list(SUGGESTED))

    def _check(self, latent: int) -> None:
        if not isinstance(latent, Integral) or not 0 <= latent < self._run.n_latents:
            raise VerdictError(f"there is no latent {latent!r}; they go from 0 to {self._run.n_latents - 1}.")

    def close(self) -> None:
        """Close the file; harmless when closed."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
