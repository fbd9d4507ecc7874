"""The pictures of the gallery that were made already."""

from collections import OrderedDict
from typing import Any

from ...context import Context, Controller
from ...runs.top_images import TopImages
from .thumbnails import GreyCache

_KEPT = 40  # latents


class GalleryPictures(Controller):
    """Keeps the pictures of the last few latents until the run, the boxes or blind judging change.

    Attributes
    ----------
    jobs
        Makes pictures off the GUI thread.
    greys
        Small pictures of files.
    top_images
        Walks the images of the gallery.
    browser
        Opens an image of the run, and knows where its files are.
    """

    def __init__(self, context: Context, top_images: TopImages) -> None:
        super().__init__(context)
        self.top_images, self.browser = top_images, top_images.browser
        self.jobs = self.new_jobs()
        self.greys = GreyCache()
        self._kept: OrderedDict[tuple[int, str], dict[int, Any]] = OrderedDict()
        events = self.session.events
        for event in (events.run, events.findings, events.blind):
            self.listen(event, self.forget)

    def of(self, latent: int, colormap: str) -> dict[int, Any] | None:
        """Return the pictures of a latent by place, None where they were not made yet."""
        if (latent, colormap) not in self._kept:
            return None
        self._kept.move_to_end((latent, colormap))
        return self._kept[latent, colormap]

    def keep(self, latent: int, colormap: str, made: dict[int, Any]) -> None:
        """Keep the pictures of a latent."""
        self._kept[latent, colormap] = made
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def forget(self, *_: object) -> None:
        """What was made holds no longer."""
        self._kept.clear()
