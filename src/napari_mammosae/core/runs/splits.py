"""Only the images of one split."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from ..base.errors import SettingsError

if TYPE_CHECKING:
    from .sources import Sources


def sources_of_split(sources: Sources, split: str) -> Sources:
    """Return the images of a split with what tables say about them, numbered anew.

    Raises
    ------
    SettingsError
        The tables say nothing of splits, or no image is of this one; the message lists those there are.
    """
    table = sources.labels
    if table is None or "split" not in table or not table["split"].notna().any():
        raise SettingsError(f"the label tables have no column 'split', so --split {split} cannot be used.")
    kept = [entry for entry in sources.entries if table["split"].iloc[entry.image] == split]
    if not kept:
        names = ", ".join(sorted(map(str, table["split"].dropna().unique())))
        raise SettingsError(f"no image is of split {split!r}; the tables have {names}.")
    positions = [entry.image for entry in kept]
    numbers = {old: new for new, old in enumerate(positions)}
    rows = sources.rows
    if rows is not None:
        rows = rows[rows["image"].isin(numbers)].reset_index(drop=True)
        rows["image"] = rows["image"].map(numbers).astype("int32")
    every, attrs = len(sources.entries), table.attrs
    table = table.iloc[positions].set_axis(range(len(positions)), axis=0)
    table.attrs = attrs
    return replace(
        sources,
        entries=tuple(replace(entry, image=number) for number, entry in enumerate(kept)),
        digest=hashlib.sha256("\n".join(f"{entry.image_id}\t{entry.name}" for entry in kept).encode()).hexdigest(),
        labels=table,
        rows=rows,
        notes=(*sources.notes, f"{len(kept):,} of {every:,} images are of split {split}; the others are left out"),
    )
