"""In how many other trainings each latent of an SAE was found again: a table that `compare-sae` writes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...base.errors import FindingsError
from ...base.reading import reads

ENDING = ".found.csv"
"""What the table's name adds to that of the SAE's file, beside which it is looked for."""
SHOWN_HASH = 16
"""Characters of the SAE's hash that the table has."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundAgain:
    """How stable the latents of an SAE are.

    Attributes
    ----------
    counts
        (h,) int64: other SAEs in which each latent was found again.
    others
        Number of other SAEs.
    sae
        First characters of the hash of the SAE that the table is about.
    """

    counts: NDArray[np.int64]
    others: int
    sae: str

    def is_of(self, sae_sha256: str, n_latents: int) -> bool:
        """Whether it is about this SAE."""
        return sae_sha256.startswith(self.sae) and len(self.counts) == n_latents


@reads(FindingsError, "a table of compare-sae")
def read_found_again(path: Path | str) -> FoundAgain:
    """Read the table of one SAE.

    Raises
    ------
    FindingsError
        If it is not such a table, or does not hold every latent once.
    """
    from ...base.tables.reading import numbers, read_table, require

    path = Path(path)
    table = read_table(path)
    require(path, table, ("latent", "found_again", "of", "sae"), "a table of compare-sae")
    latents, counts, others = (numbers(path, table, name).to_numpy() for name in ("latent", "found_again", "of"))
    names = set(table["sae"])
    if len(names) != 1 or len(min(names)) != SHOWN_HASH or len(set(others.tolist())) != 1:
        raise FindingsError(f"{path.name}: the columns sae and of have several values; expected one SAE's table")
    if not np.array_equal(np.sort(latents), np.arange(len(latents))):
        raise FindingsError(f"{path.name}: the column latent does not name every latent once; write the table again")
    if not ((counts >= 0) & (counts <= others) & (counts == counts.round())).all():
        raise FindingsError(f"{path.name}: found_again is not a whole number from 0 to {others[0]:g} everywhere")
    return FoundAgain(counts[np.argsort(latents)].astype(np.int64), int(others[0]), names.pop())


def found_beside(file: Path, sae_sha256: str, n_latents: int) -> tuple[FoundAgain | None, str]:
    """Return the table beside an SAE's file, and what to know of it: that it cannot be used, and why."""
    path = file.with_name(file.name + ENDING)
    if not path.is_file():
        return None, ""
    try:
        found = read_found_again(path)
    except FindingsError as error:
        return None, str(error)
    if not found.is_of(sae_sha256, n_latents):
        return None, f"{path.name} is about another SAE; run compare-sae again"
    return found, ""
