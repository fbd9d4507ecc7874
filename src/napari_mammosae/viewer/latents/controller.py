"""The table of all latents: what it holds, its filter and order, and the stack that takes its order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from ...core.base.errors import FindingsError
from ...core.models.files.found_again import FoundAgain, read_found_again
from ..app.order import BY_IMAGE, Order
from ..context import Context, Controller
from ..widgets.column_table import ColumnTable
from ..widgets.columns import CHANCE, ENERGY, LATENT, NAME, SCORE, VERDICT, Column, default_sort
from .filters import LatentFilter
from .ranking import LatentRanking
from .region import RegionQuery
from .values import collect


class LatentList(Controller):
    """Fills, filters and sorts the table; the stack takes its order while it `follows`.

    Attributes
    ----------
    filled
        Emits whether the table is sorted by another column now, after it was filled.
    followed
        Emits the new `follows`.
    table
        The latents as they are listed.
    """

    filled = Signal(bool)
    followed = Signal(bool)

    def __init__(self, context: Context, ranking: LatentRanking, query: RegionQuery) -> None:
        super().__init__(context)
        self.ranking, self.query = ranking, query
        self.table = ColumnTable(LATENT.key)
        self._filter = LatentFilter()
        self._sorts: list[str] = []
        self._order: Order | None = None
        self._set_aside: Order | None = None
        self._found: FoundAgain | None = None
        self._filled_of: Any = None  # the run
        order = self.session.order
        self._follows = order is None or order.name == BY_IMAGE
        self.table.rearranged.connect(self._push_order)
        events = self.session.events
        for event in (events.maps, events.model, events.best_labels):
            self.listen(event, self.fill)
        self.listen(events.run, self._on_run)
        self.listen(events.verdicts, self._on_verdicts)
        self.listen(events.blind, self._on_blind)
        self.listen(events.order, self._on_order)
        self.listen(ranking.ranked, self._on_ranked)
        self.listen(query.changed, self._on_region)
        self.fill(sort_by=ranking.sort_key if ranking.columns else "")
        if self.session.blind:
            self._on_blind(True)

    @property
    def filter(self) -> LatentFilter:
        """Which latents are listed."""
        return self._filter

    @filter.setter
    def filter(self, wanted: LatentFilter) -> None:
        self._filter = wanted
        if self.table.size:
            self.table.filter(self._allowed(self.table.columns).mask(self.table.values))

    def _allowed(self, columns: Sequence[Column]) -> LatentFilter:
        """The filter, without a range of values that are hidden from a blind judge."""
        sways = self.session.blind and any(one.sways and one.key == self._filter.column for one in columns)
        return replace(self._filter, low=None, high=None) if sways else self._filter

    @property
    def follows(self) -> bool:
        """Whether the stack takes the table's order."""
        return self._follows

    @follows.setter
    def follows(self, follows: bool) -> None:
        if follows != self._follows:
            self._follows = follows
            self.followed.emit(follows)
            self._push_order()

    def fill(self, *_: object, sort_by: str = "") -> None:
        """Fill the table with what is known: of the run's ranking, of this image, of the drawn region."""
        self._filled_of = self.session.run
        columns, values = self._collect()
        if sort_by:
            self.prefer(sort_by)
        blind = self.session.blind
        by_key = {column.key: column for column in columns}
        wanted = next((by_key[key] for key in reversed(self._sorts) if key in by_key), default_sort(columns))
        if blind and wanted.sways:
            wanted = LATENT
        changed = wanted.key != self.table.sort_key
        if changed:
            self.table.reveal(wanted)
        self.table.blind = blind
        self.table.show(columns, values, self._allowed(columns).mask(values) if len(values[LATENT.key]) else None)
        self.filled.emit(changed)

    def open_found(self, path: Path) -> None:
        """Show a table of `compare-sae` as a column until another SAE is shown.

        Raises
        ------
        FindingsError
            If it is not such a table, or one of another SAE.
        """
        shown, found = self._sae(), read_found_again(path)
        if shown is None or not found.is_of(*shown):
            raise FindingsError(f"{path.name} is about a different SAE from the one shown; open that SAE's table.")
        self._found = found
        self.fill()

    def _sae(self) -> tuple[str, int] | None:
        """Hash and number of latents of the SAE that the table is about; None without one."""
        model, run = self.session.model, self.session.run
        if model is not None and model.n_latents:
            return model.sae_sha256, model.n_latents
        return None if run is None else (run.info["sae_sha256"], run.n_latents)

    def _collect(self) -> tuple[list[Column], dict[str, NDArray[Any]]]:
        shown = self._sae()
        if self._found is not None and (shown is None or not self._found.is_of(*shown)):
            self._found = None
        return collect(self.session, self.query.columns, self.ranking.columns, self._found)

    def prefer(self, key: str) -> None:
        """Remember what the table is to be sorted by: the last of these columns that is there."""
        self._sorts = [*(one for one in self._sorts if one != key), key]

    def _on_blind(self, blind: bool) -> None:
        """The place in a ranking would sway a judge: the stack takes the table's order, and has its own again after."""
        if blind and self.session.order is not self._order:
            self._set_aside = self.session.order
        self.fill()
        if blind:
            self._give_order()
        elif self._set_aside is not None:
            order, self._set_aside = self._set_aside, None
            present = self.session.order
            fits = present is not None and order.latents.size == present.latents.size
            if fits and not self.session.is_foreign(order):
                self.session.order = order

    def _on_verdicts(self, *_: object) -> None:
        """Rows that are sorted by verdicts or names stay where they are while somebody judges."""
        if self.session.run is not self._filled_of:
            return  # they come with another run, which fills the table in a moment
        columns, values = self._collect()
        judged = [column for column in (VERDICT, NAME, SCORE) if column.key in values]
        same = [one.key for one in columns] == [one.key for one in self.table.columns]
        if not same or len(values[LATENT.key]) != self.table.size or self.table.sort_key not in {c.key for c in judged}:
            self.fill()
            return
        self.table.values |= {key: values[key] for key in (CHANCE,) if key in values}
        for column in judged:
            self.table.replace(column, values[column.key])
        self.table.filter(self._allowed(columns).mask(values))

    def _on_run(self, *_: object) -> None:
        self.session.afterwards(self._follow_run)

    def _follow_run(self) -> None:
        """Scores measured over another run do not stay with the stack either."""
        self.fill()
        order = self.session.order
        if not self._follows and order is not None and self.session.is_foreign(order):
            self.session.give_up(order)

    def _on_ranked(self) -> None:
        """A ranking is there, or gone: the table takes its order."""
        self.fill(sort_by=self.ranking.sort_key)

    def _on_region(self) -> None:
        self.fill(sort_by=ENERGY.key)

    def _push_order(self) -> None:
        if self._follows:
            self._give_order()

    def _give_order(self) -> None:
        """Let the stack take the table's order."""
        if not self.table.size:
            return
        column = self.table.sort_column
        if column is LATENT and self.session.order is None:
            return  # before an image's latents are there, their numbers are no order to begin with
        scores = self.table.values[column.key] if column.format else np.full(self.table.size, np.nan)
        name = column.order_name
        if column.source == "run" and (label := self.ranking.choice.label):
            name = f"{name} for {label.replace('_', ' ')}"
        before, session = self.session.order, self.session
        measured_on = {"image": session.image, "region": session.image, "run": session.run}.get(column.source)
        order = replace(Order.of(self.table.order, scores, name), measured_on=measured_on)
        same = before is not None and order.same_as(before) and order.measured_on is before.measured_on
        if before is not self._order or not same:  # a verdict re-orders nothing
            self._order = self.session.order = order

    def _on_order(self, order: Order | None) -> None:
        """Somebody else ordered the stack: it is no longer in the table's order."""
        if order is not None and order is not self._order:
            self.follows = False
