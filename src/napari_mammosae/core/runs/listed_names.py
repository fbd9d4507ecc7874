"""What the images of a run are called when tables are searched for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def listed_names(images: pd.DataFrame) -> list[str]:
    """Names of a run's images with their folders, as far as it has them, from its `image_id` and `path`."""
    return list(map(listed_name, images["image_id"].astype(str), images["path"].astype(str)))


def listed_name(image_id: str, path: str) -> str:
    """Name of one: of files outside the folder of the list, only the identifiers of those that clash have folders."""
    return image_id if "/" in image_id and "/" not in path else path
