"""Small pictures of the run's images, decoded for what is on the screen and forgotten again."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from psygnal import Signal
from qtpy.QtCore import QObject, Qt
from qtpy.QtCore import Signal as QtSignal

from ...core.base.errors import MammoSAEError
from ...core.reports.latent_pictures import small_picture
from ..context import Context, Controller
from .prefetch import Prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ...core.images.geometry import Frame
    from .browser import RunBrowser

MOST = 400
"""Pictures kept, of some 30 kB each."""
Picture: TypeAlias = "NDArray[np.uint8] | str"
"""Grey values (rows, cols), or why there is no picture."""


class _Messenger(QObject):
    """Takes a picture from the thread that made it to the GUI thread."""

    made = QtSignal(object, int, object)


class RunThumbnails(Controller):
    """Makes thumbnails in a thread; the last `MOST` are kept in memory, none on a disk.

    Attributes
    ----------
    arrived
        Emits the row of the run's table whose picture is there.
    forgotten
        Emits when none of the pictures hold any longer.

    Parameters
    ----------
    decode
        Returns the picture of a file whose model input lies in a frame; called in a thread.
    """

    arrived = Signal(int)
    forgotten = Signal()

    def __init__(
        self, context: Context, browser: RunBrowser, decode: Callable[[Path, Frame], NDArray[np.uint8]]
    ) -> None:
        super().__init__(context)
        self.browser = browser
        self._decode = decode
        self._kept: OrderedDict[int, Picture] = OrderedDict()
        self._work = Prefetch(0)
        self._messenger = _Messenger()
        self._messenger.made.connect(self._take, Qt.ConnectionType.QueuedConnection)
        self._undo.callback(self._work.close)
        self.listen(self.session.events.run, self.forget)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, row: int) -> Picture | None:
        """Return a picture that is there, or why there is none; None until it was made."""
        if (picture := self._kept.get(row)) is not None:
            self._kept.move_to_end(row)
        return picture

    def want(self, rows: Iterable[int]) -> None:
        """Make these pictures next; what was asked for before and was not begun is dropped."""
        run = self.session.run
        if run is not None:
            missing = [row for row in rows if row not in self._kept][:MOST]
            self._work.want([(row, partial(self._make, run, row)) for row in missing])

    def forget(self, *_: object) -> None:
        """Drop all pictures."""
        self._work.clear()
        self._kept.clear()
        self.forgotten.emit()

    def _make(self, run: Any, row: int) -> None:
        """Decode a picture in the thread."""
        picture: Picture = "The image file was not found."
        try:
            files = self.browser.files_of(run)
            if (small := files.thumbnail(row)) is not None:
                picture = small_picture(small)
            elif (path := files.fetch(row)) is not None:
                picture = self._decode(path, run.frame(row))
        except MammoSAEError as error:
            picture = str(error)
        self._messenger.made.emit(run, row, picture)

    def _take(self, run: Any, row: int, picture: Picture) -> None:
        if run is not self.session.run:
            return
        self._kept[row] = picture
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        self.arrived.emit(row)
