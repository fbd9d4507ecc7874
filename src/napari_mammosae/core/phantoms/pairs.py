"""Pairs of phantoms that differ by exactly one thing, for finding what reacts to that thing alone."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import FindingsError, SettingsError
from ..base.progress import Report, ignore
from ..base.provenance import check_replaceable, provenance, write_results
from ..base.reading import reads
from ..base.tables.cells import write_rows
from ..base.tables.reading import read_table, require
from .dataset import write_image, write_truth
from .phantom import Phantom, make_phantom

THINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mass": ({"mass": True}, {}),
    "suspicious_calcification": ({"suspicious_calcification": True}, {}),
    "marker": ({"marker": True}, {"marker": False}),
    "clip": ({"clip": True}, {"clip": False}),
    "skin_fold": ({"skin_fold": True}, {"skin_fold": False}),
    "nipple": ({}, {"nipple": False}),
    "density": ({"density": 0.85}, {"density": 0.15}),
}
"""Thing -> how the phantom with it is made, and the one without. No other finding is on either."""

COLUMNS = ("thing", "patient", "present", "absent")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of images in a folder.

    Attributes
    ----------
    folder
        Where the images and `pairs.csv` are.
    rows
        (thing, patient, image with it, image without it), as image ids.
    """

    folder: Path
    rows: tuple[tuple[str, str, str, str], ...]

    def triples(self) -> Iterator[tuple[str, str, str]]:
        """Yield thing, image with it, and image without it."""
        return ((thing, present, absent) for thing, _, present, absent in self.rows)


def make_pair(thing: str, seed: int) -> tuple[Phantom, Phantom] | None:
    """Make the phantom of a seed with and without a thing; None where it has no room for it.

    Raises
    ------
    SettingsError
        There is no such thing.
    """
    if thing not in THINGS:
        raise SettingsError(f"there are no pairs for {thing!r}; choose one of {', '.join(THINGS)}.")
    bare: dict[str, Any] = {"mass": False, "suspicious_calcification": False}
    present, absent = (make_phantom(seed, **bare | own) for own in THINGS[thing])
    if (present.pixels == absent.pixels).all():
        return None
    number = f"{thing}-{seed:06d}"
    return replace(present, image_id=f"{number}-with"), replace(absent, image_id=f"{number}-without")


def write_pairs(
    folder: Path | str, count: int, seed: int = 0, things: Sequence[str] = tuple(THINGS), progress: Report | None = None
) -> Pairs:
    """Write `count` pairs for each thing, from phantoms of seed `seed` on, the same ones for every thing.

    Leaves `<thing>-<seed>-with.png` and `-without.png`, their masks in `truth/`, `pairs.csv`, and `pairs.json`, which
    says how they were made.

    Raises
    ------
    SettingsError
        There is no such thing.
    WriteError
        The folder holds tables of these names that do not come from here, or a file cannot be written.
    """
    if count < 1:
        raise SettingsError(f"{count} pairs were asked for; at least one is needed.")
    folder, report = Path(folder), progress or ignore
    note, table = folder / "pairs.json", folder / "pairs.csv"
    check_replaceable(note, table)
    rows: list[tuple[str, str, str, str]] = []

    def draw(thing: str, number: int) -> tuple[str, str, str, str] | None:
        pair = make_pair(thing, number)
        if pair is None:
            return None
        for phantom in pair:
            write_image(folder, phantom)
            write_truth(folder / "truth", phantom)
        return thing, pair[0].patient, pair[0].image_id, pair[1].image_id

    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8))
    try:
        for thing in things:
            first, missing = seed, count
            while missing:  # a phantom without room for a marker is replaced by a later one
                drawn = pool.map(draw, [thing] * missing, range(first, first + missing))
                first, missing = first + missing, 0
                for row in drawn:
                    missing += row is None
                    rows += [row] if row is not None else []
                    report("Drawing pairs of synthetic phantoms", len(rows), count * len(things))
    finally:
        pool.shutdown(cancel_futures=True)
    settings = {"count": count, "seed": seed, "things": list(things)}
    with write_results(note, provenance("phantoms", settings), table) as (temporary,):
        write_rows(temporary, [COLUMNS, *rows])
    return Pairs(folder, tuple(rows))


@reads(FindingsError, "a table of pairs")
def read_pairs(folder: Path | str) -> Pairs:
    """Read the pairs of a folder.

    Raises
    ------
    FindingsError
        `pairs.csv` is missing, lacks a column, or has no row.
    """
    folder = Path(folder)
    path = folder / "pairs.csv"
    if not path.exists():
        raise FindingsError(f"{folder.name} has no pairs.csv; make one with `napari-mammosae phantoms --pairs`.")
    table = read_table(path)
    require(path, table, COLUMNS, "a table of pairs")
    rows = tuple((str(t), str(p), str(a), str(b)) for t, p, a, b in table[list(COLUMNS)].itertuples(index=False))
    if not rows:
        raise FindingsError(f"{path.name}: has no pair; make them again.")
    return Pairs(folder, rows)
