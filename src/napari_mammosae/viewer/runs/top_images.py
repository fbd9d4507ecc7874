"""Walking the images of the run that excite the current latent most."""

from ...core.ranking.latent_facts import column_of
from ...core.ranking.neighbours import top_images
from ..context import Context, Controller
from .browser import RunBrowser


class TopImages(Controller):
    """Goes from one image to the next among those of the gallery: strongest first, one a patient."""

    def __init__(self, context: Context, browser: RunBrowser) -> None:
        super().__init__(context)
        self.browser = browser

    @property
    def rows(self) -> list[int]:
        """Rows of the run's table, strongest first; empty without a run, or where the latent is silent everywhere."""
        run, latent = self.session.run, self.session.current
        if run is None or latent is None or latent >= run.n_latents:
            return []
        found: list[int] = top_images(column_of(run.pooled("mean"), latent), run.images["patient"].to_numpy()).tolist()
        return found

    @property
    def is_silent(self) -> bool:
        """Whether the current latent fires nowhere on the image shown."""
        maps, latent = self.session.maps, self.session.current
        return maps is not None and latent is not None and latent < len(maps) and maps.row(latent) is None

    def strongest_image(self) -> None:
        """Go to the image that excites the latent most."""
        self._go(self.rows, 0)

    def next_top_image(self) -> None:
        """Go to the next weaker one; from any other image to the strongest."""
        self._step(1)

    def previous_top_image(self) -> None:
        """Go to the next stronger one; from any other image to the strongest."""
        self._step(-1)

    def show_latent(self) -> None:
        """Go to the strongest image if the latent is silent on the one shown."""
        if self.is_silent and (rows := self.rows):
            self._go(rows, 0)

    def _step(self, by: int) -> None:
        rows = self.rows
        self._go(rows, rows.index(self.browser.goal) + by if self.browser.goal in rows else 0)

    def _go(self, rows: list[int], place: int) -> None:
        latent = self.session.current
        if self.session.run is None or latent is None:
            self.status.tell("Open a run and choose a latent to see the images that excite it most.", error=True)
        elif not rows:
            self.status.tell(f"Latent {latent} is silent on every image of the run.")
        elif 0 <= place < len(rows):
            self.browser.show(rows[place])
        else:
            last = "weakest" if place > 0 else "strongest"
            self.status.tell(f"This is the {last} of the {len(rows)} images in the gallery of latent {latent}.")
