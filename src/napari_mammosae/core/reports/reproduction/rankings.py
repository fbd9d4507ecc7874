"""Rankings of the paper's models: published ones as released, or made on the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.errors import SettingsError
from ...base.names import slug
from ...ranking.files import CLASS_IN_NAME, read_published
from ...ranking.of_run import rank
from ...ranking.orders import Ranking

if TYPE_CHECKING:
    from pathlib import Path

    from ...runs.run import Run
    from ...runs.sample import Unit

VARIANT_WORDS = {
    "finetuned": ("finetuned", "fine_tuned", "fine_tune", "_ft_"),
    "pretrained": ("pretrained", "pre_trained", "linear_probe", "_lp_"),
}


def released_rankings(folder: Path, concept: str, variant: str) -> dict[int, Ranking]:
    """Find the rankings of one model among those of several labels and variants in a folder, by class number.

    Files and folders name the label (``Mass``), the variant (``finetuned``) and the class (``class=1``).

    Raises
    ------
    SettingsError
        One of the classes 0 and 1 is missing or there twice; the message names the files.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        place = path.relative_to(folder)
        name = f"_{slug(place.with_suffix('').as_posix())}_"
        numbers = CLASS_IN_NAME.findall(place.as_posix())
        if not numbers or concept not in name or not any(word in name for word in VARIANT_WORDS[variant]):
            continue
        number = int(numbers[-1])
        if number in found:
            raise SettingsError(
                f"{place.as_posix()} and {found[number].relative_to(folder).as_posix()} both rank class {number} of "
                f"{concept}, {variant}; remove one."
            )
        found[number] = path
    if missing := [number for number in (0, 1) if number not in found]:
        raise SettingsError(
            f"{folder.name} has no ranking of class {missing[0]} of {concept}, {variant}: a JSON file was expected "
            f"whose path names them, such as {concept}/{variant}/class=1.json."
        )
    return {number: read_published(found[number]) for number in (0, 1)}


def rankings_of_run(run: Run, concept: str) -> dict[int, Ranking]:
    """Rank the latents by each class's mean over the other's, on a run's finding rows or images."""
    unit = unit_of(run)
    return {number: Ranking.of_table(rank(run, concept, category=number, unit=unit, intervals=0)) for number in (0, 1)}


def unit_of(run: Run) -> Unit:
    """Return what the paper counts: finding rows, or images where no image has two."""
    return "image" if run.rows is None else "row"
