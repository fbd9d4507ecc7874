"""How a table divides its width among its columns."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPalette

from napari_mammosae.viewer.widgets.column_table import ColumnTable
from napari_mammosae.viewer.widgets.columns import LATENT, NAME, RUN, VERDICT
from napari_mammosae.viewer.widgets.table_view import ColumnTableView

COLUMNS = (LATENT, VERDICT, *(one for one in RUN if one.shown))


@pytest.fixture
def view(qtbot):
    table = ColumnTable()
    view = ColumnTableView(table)
    qtbot.addWidget(view)
    values = {column.key: np.linspace(0, 1, 16_384) for column in COLUMNS}
    table.show(COLUMNS, {**values, LATENT.key: np.arange(16_384), VERDICT.key: np.full(16_384, "")})
    view.resize(900, 300)
    view.show()
    return view


def widths(view):
    return [view.columnWidth(at) for at in range(len(COLUMNS))]


def test_titles_give_way_until_all_columns_are_seen(view):
    wide = widths(view)
    view.resize(386, 300)  # the table in a window of 1366 pixels
    narrow = widths(view)
    assert sum(narrow) <= view.viewport().width() < sum(wide)
    metrics = view.fontMetrics()
    for width, column in zip(narrow, COLUMNS, strict=True):
        assert width >= metrics.horizontalAdvance("0.123" if column.format else "spurious")
    view.resize(900, 300)
    assert widths(view) == wide


def test_the_title_of_the_column_that_it_is_sorted_by_stays_whole(view):
    view.resize(386, 300)
    for at in (2, 4):
        view.sort_by(COLUMNS[at])
        room = view.columnWidth(at) - 16  # of the mark
        assert view.fontMetrics().horizontalAdvance(COLUMNS[at].title) <= room


@pytest.mark.parametrize(("text", "ground"), [("#f0f1f2", "#2f3340"), ("#3b3a39", "#dedad8")], ids=["dark", "light"])
def test_what_matters_less_can_be_read_in_every_theme(view, text, ground):
    palette = view.palette()
    palette.setColor(QPalette.ColorRole.Text, QColor(text))
    view.setPalette(palette)
    assert contrast(view.table.grey, QColor(ground)) > 4.5


def contrast(*colors):
    """The ratio of WCAG."""
    parts = np.array([color.getRgbF()[:3] for color in colors])
    light = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    return (light.max() + 0.05) / (light.min() + 0.05)


def test_a_table_far_too_narrow_leaves_its_numbers_whole(view):
    view.resize(150, 300)
    metrics = view.fontMetrics()
    assert all(width >= metrics.horizontalAdvance("0.123") for width in widths(view))


def test_long_texts_give_way_to_the_score_and_are_told_in_full(view, qtbot):
    name = "spiculated mass with architectural distortion near the chest wall"
    columns = (LATENT, VERDICT, NAME, *COLUMNS[2:])
    values = {
        **view.table.values,
        VERDICT.key: np.full(16_384, "spurious"),
        NAME.key: np.full(16_384, name),
        "name.chance": np.zeros(16_384, bool),
    }
    view.table.show(columns, values)
    view.resize(340, 300)
    in_sight = [view.columnViewportPosition(at) + view.columnWidth(at) <= view.viewport().width() for at in range(4)]
    assert all(in_sight)  # number, verdict, name and the first score
    assert view.columnWidth(1) >= view.fontMetrics().horizontalAdvance("spurious")
    cell = view.table.index(0, 2)
    assert view.table.data(cell, Qt.ItemDataRole.ToolTipRole) == name
    view.resize(1200, 300)
    assert view.columnWidth(2) >= view.fontMetrics().horizontalAdvance(name)
