"""Which images of a run were taken together."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..runs.files.layout import STUDY_DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


@dataclass(frozen=True, slots=True)
class Exam:
    """The images of one study of a patient.

    Attributes
    ----------
    patient
        Pseudonym of the patient.
    day
        Days since the patient's first study; None where no date is known.
    rows
        Rows of the table of images, in its order.
    """

    patient: str
    day: int | None
    rows: tuple[int, ...]

    @property
    def title(self) -> str:
        """What to call it.

        >>> Exam("p1", 372, (0, 1)).title
        'p1, day 372'
        """
        return self.patient if self.day is None else f"{self.patient}, day {self.day:,}"


def group_exams(images: "pd.DataFrame") -> list[Exam]:
    """Group a run's images into exams: by patient, and by day where `study_day` is known.

    Patients come in the order of the table, the exams of one from the earliest to the latest; the images of a patient
    without a date are one exam, before those with dates.

    Parameters
    ----------
    images
        One row an image, with `patient`, and maybe `study_day`.

    Examples
    --------
    >>> import pandas as pd
    >>> images = pd.DataFrame({"patient": ["b", "a", "b", "b"], "study_day": [0, None, 400, 0]})
    >>> [(exam.title, exam.rows) for exam in group_exams(images)]
    [('b, day 0', (0, 3)), ('b, day 400', (2,)), ('a', (1,))]
    """
    days = images[STUDY_DAY].to_numpy(float, na_value=np.nan) if STUDY_DAY in images else np.full(len(images), np.nan)
    found: dict[str, dict[int | None, list[int]]] = {}
    for row, (patient, day) in enumerate(zip(images["patient"].astype(str), days.tolist(), strict=True)):
        found.setdefault(patient, {}).setdefault(None if np.isnan(day) else int(day), []).append(row)
    return [
        Exam(patient, day, tuple(studies[day]))
        for patient, studies in found.items()
        for day in sorted(studies, key=lambda day: (day is not None, day))
    ]


def find_exam(exams: "Sequence[Exam]", row: int) -> int | None:
    """Place of the exam that an image belongs to; None where it is in none."""
    return next((place for place, exam in enumerate(exams) if row in exam.rows), None)


def find_prior(exams: "Sequence[Exam]", place: int) -> Exam | None:
    """Return the exam of the same patient just before the one at `place`; None where dates are not known."""
    exam, before = exams[place], exams[place - 1] if place else None
    dated = before is not None and before.patient == exam.patient and None not in (before.day, exam.day)
    return before if dated else None
