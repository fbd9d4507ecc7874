"""How far apart the studies of a patient are: days since the first one, since a date could identify a person."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...images.dicom.reading import read_study_date

if TYPE_CHECKING:
    from datetime import date


def study_days(paths: Sequence[Path], patients: Sequence[str]) -> list[int | None]:
    """Return the days between each image's study and the first study of its patient among these images.

    None for an image whose file gives no date. The dates themselves are kept nowhere.
    """
    dates = [read_study_date(path) for path in paths]
    first: dict[str, date] = {}
    for patient, day in zip(patients, dates, strict=True):
        if day is not None:
            first[patient] = min(day, first.get(patient, day))
    return [None if day is None else (day - first[patient]).days for patient, day in zip(patients, dates, strict=True)]
