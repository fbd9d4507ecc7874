"""Where the breast, its nipple and other regions lie on the image shown: worked out once, in a worker."""

from collections.abc import Callable
from functools import partial

from ...core.images.mammogram import Mammogram
from ...core.models.facts import ModelFacts
from ..app.jobs import Jobs
from .result import Anatomy
from .tasks import look_at_anatomy


class Outline:
    """The anatomy of one image at a time.

    Attributes
    ----------
    jobs
        The looking.
    image
        The image that is known, or being looked at.
    """

    def __init__(self, ready: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self.jobs = Jobs()
        self.image: Mammogram | None = None
        self._grid: tuple[int, int] | None = None
        self._anatomy: Anatomy | None = None
        self._ready, self._failed = ready, failed

    def look(self, image: Mammogram, model: ModelFacts) -> bool:
        """Begin to look at an image; False where that was done, or is going on, already."""
        if self.image is image and self._grid == model.grid:
            return False
        self.image, self._grid, self._anatomy = image, model.grid, None
        of = image, model.grid
        work, take, fail = partial(look_at_anatomy, image, model), partial(self._take, of), partial(self._give_up, of)
        self.jobs.start("Outlining the breast", work, take, fail)
        return True

    def anatomy(self, image: Mammogram, grid: tuple[int, ...]) -> Anatomy | None:
        """Return what is known; None while it is not."""
        return self._anatomy if self.image is image and self._grid == tuple(grid) else None

    def _take(self, of: tuple[Mammogram, tuple[int, int]], anatomy: Anatomy | None) -> None:
        if self.image is of[0] and self._grid == of[1]:
            self._anatomy = anatomy
            self._ready()

    def _give_up(self, of: tuple[Mammogram, tuple[int, int]], error: Exception) -> None:
        """Everything but the lift can be had without the outline."""
        self._failed(error)
        self._take(of, None)
