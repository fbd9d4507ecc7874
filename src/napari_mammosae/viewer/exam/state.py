"""The exam as it is shown: its views, and what to call them. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...core.exams.grouping import Exam
    from ..runs.prefetch import Ready

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class ExamImage:
    """One view of an exam, ready to be shown.

    Attributes
    ----------
    row
        Row of the run's table.
    ready
        The mammogram and its latents.
    laterality, view
        What is known of it.
    mirrored
        Whether it is shown mirrored, so that its chest wall lies towards the middle.
    """

    row: int
    ready: Ready
    laterality: str | None
    view: str | None
    mirrored: bool

    @property
    def title(self) -> str:
        """What to call it: side and view, else its name."""
        known = " ".join(filter(None, (self.laterality, self.view)))
        return f"{known or f'image {self.ready.image.image_id}'}{' (mirrored)' if self.mirrored else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class ShownExam:
    """An exam, and the one before it where both are shown.

    Attributes
    ----------
    exam, prior
        What is shown; `prior` is None where only one exam is.
    images
        The views of `exam`, then those of `prior`.
    """

    exam: Exam
    prior: Exam | None
    images: tuple[ExamImage, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of the run's table, of both exams."""
        return tuple(image.row for image in self.images)

    @property
    def own(self) -> tuple[ExamImage, ...]:
        """The views of `exam` alone."""
        return tuple(image for image in self.images if image.row in self.exam.rows)

    @property
    def before(self) -> tuple[ExamImage, ...]:
        """The views of `prior`."""
        return tuple(image for image in self.images if image.row not in self.exam.rows)

    def title_of(self, image: ExamImage) -> str:
        """What to call a view, with its day where two exams are shown."""
        if self.prior is None:
            return image.title
        exam = self.exam if image.row in self.exam.rows else self.prior
        return f"{image.title}, day {exam.day:,}"
