"""Rankings from files: the published JSON lists, and this package's own tables."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import FindingsError, SettingsError
from ..base.reading import reads
from ..base.structured import read_json
from .orders import Ranking
from .scores import SCORES

PUBLISHED = "published:"
"""What an order begins with that is read from a folder of published rankings."""

CLASS_IN_NAME = re.compile(r"class\W?_?(\d+)", re.IGNORECASE)


@reads(SettingsError, "a published ranking")
def read_published(path: Path | str) -> Ranking:
    """Read one published ranking: a JSON list of {rank, index, importance}, all latents of one class.

    The order is the file's own, by `rank`; where importances are equal it need not be that of `order_of`.

    Raises
    ------
    SettingsError
        If the file is no such list, or does not hold every latent once.
    """
    path = Path(path)
    try:
        entries = read_json(path, SettingsError)
        ranks = np.array([entry["rank"] for entry in entries], dtype=np.int64)
        latents = np.array([entry["index"] for entry in entries], dtype=np.int64)
        importance = np.array([entry["importance"] for entry in entries], dtype=np.float64)
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise SettingsError(
            f"{path.name} is not a published ranking: a JSON list of {{rank, index, importance}} was expected."
        ) from error
    return _ranking(path, ranks, latents, importance)


def read_published_folder(folder: Path | str) -> dict[int, Ranking]:
    """Read the published rankings of one label and variant, one file a class, by class number.

    The class is in the file's or its folder's name (`class=0`, `class_1`, ...); `class=all` is left out.

    Raises
    ------
    SettingsError
        If there is no such file, a class occurs twice, or the files disagree about the number of latents.
    """
    folder = Path(folder)
    found: dict[int, tuple[str, Ranking]] = {}
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        numbers = CLASS_IN_NAME.findall(name)
        if not numbers:
            continue
        label = int(numbers[-1])
        if label in found:
            raise SettingsError(
                f"{name} and {found[label][0]} both rank class {label}; give the folder of one label and one variant."
            )
        found[label] = name, read_published(path)
    if not found:
        raise SettingsError(f"{folder.name} holds no ranking named after a class, such as class=0.json.")
    if len({ranking.order.size for _, ranking in found.values()}) > 1:
        raise SettingsError(f"the rankings in {folder.name} are of SAEs of different size.")
    return {label: found[label][1] for label in sorted(found)}


def check_order(order: str, *others: str) -> None:
    """Raise SettingsError unless an order is a score, `published:DIR`, or one of the others.

    >>> check_order("auroc"), check_order("ap", "ap")
    (None, None)
    """
    known = (*others, *SCORES)
    if order not in known and not order.startswith(PUBLISHED):
        raise SettingsError(f"the order {order!r} is unknown; choose one of {', '.join(known)} and published:DIR.")


def published_rankings(order: str) -> dict[int, Ranking]:
    """Read the rankings that the order `published:DIR` names, by class number.

    Raises
    ------
    SettingsError
        There is no such folder, or as `read_published_folder`.
    """
    folder = Path(order.removeprefix(PUBLISHED))
    if not folder.name or not folder.is_dir():
        raise SettingsError(f"{folder.name or order} is not a folder of published rankings; write published:DIR.")
    return read_published_folder(folder)


def published_ranking(order: str, number: int) -> Ranking:
    """Read the ranking of one class that the order `published:DIR` names.

    Raises
    ------
    SettingsError
        As `published_rankings`; also where the folder does not rank the class.
    """
    found = published_rankings(order)
    if number not in found:
        raise SettingsError(f"{Path(order).name} ranks the classes {', '.join(map(str, found))}, not {number}.")
    return found[number]


@reads(SettingsError, "a ranking")
def read_ranking(path: Path | str) -> Ranking:
    """Read a ranking from a published JSON list, or from a table with the columns `rank`, `latent` and `score`.

    Raises
    ------
    SettingsError
        If the file is neither, or does not hold every latent once.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return read_published(path)
    from ..base.tables.reading import numbers, read_table, require

    try:
        table = read_table(path)
        require(path, table, ("rank", "latent", "score"), "a ranking")
        columns = [numbers(path, table, name).to_numpy() for name in ("rank", "latent", "score")]
    except FindingsError as error:
        raise SettingsError(str(error)) from error
    if not (columns[1] == np.floor(columns[1])).all():
        raise SettingsError(f"{path.name}: the latents must be whole numbers.")
    live = table["live"].str.lower().map({"true": True, "false": False}).to_numpy() if "live" in table else None
    return _ranking(path, columns[0], columns[1], columns[2], live)


def _ranking(
    path: Path, ranks: Any, latents: Sequence[int] | ArrayLike, scores: ArrayLike, live: Any = None
) -> Ranking:
    try:
        numbers = np.asarray(latents, dtype=np.int64)
        values = np.asarray(scores, dtype=np.float64)
        places = np.asarray(ranks, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise SettingsError(f"{path.name}: ranks, latents and scores must be numbers.") from error
    h = numbers.size
    if not h or not np.array_equal(np.sort(numbers), np.arange(h)):
        raise SettingsError(f"{path.name} has {h} entries that do not hold each of the latents 0 to {h - 1} once.")
    if np.unique(places).size != h:
        raise SettingsError(f"{path.name} gives two latents the same rank.")
    by_latent = np.empty(h)
    by_latent[numbers] = values
    fires = None
    if live is not None:
        if np.asarray(live).dtype != bool:
            raise SettingsError(f"{path.name}: the column live holds other values than True and False.")
        fires = np.empty(h, dtype=bool)
        fires[numbers] = live
    return Ranking(numbers[np.argsort(places)], by_latent, fires)
