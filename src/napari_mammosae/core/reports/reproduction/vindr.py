"""VinDr-Mammo as it lies on a disk: where its images and its tables are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.errors import FindingsError, ImageError

if TYPE_CHECKING:
    from pathlib import Path

FINDINGS, FOLDS = "finding_annotations.csv", "vindr_detection_v1_folds.csv"
IMAGE_FOLDERS = ("images_png", "images", "png", "dicom")


def find_vindr(root: Path) -> tuple[Path, Path, Path]:
    """Return the folder of the images, the table of labels, and the table of boxes.

    `finding_annotations.csv` is preferred for both, as its boxes are in source pixels; without it
    `vindr_detection_v1_folds.csv` serves.

    Raises
    ------
    FindingsError, ImageError
        There is no such folder, or neither table is in it.
    """
    if not root.is_dir():
        raise ImageError(f"{root.name} is not a folder; give the folder of VinDr-Mammo.")
    places = (root, *(path for path in sorted(root.iterdir()) if path.is_dir()))
    tables = {
        name: next((place / name for place in places if (place / name).is_file()), None) for name in (FINDINGS, FOLDS)
    }
    labels = tables[FINDINGS] or tables[FOLDS]
    if labels is None:
        raise FindingsError(f"{root.name} holds neither {FINDINGS} nor {FOLDS}; give the folder of VinDr-Mammo.")
    images = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), root)
    return images, labels, labels
