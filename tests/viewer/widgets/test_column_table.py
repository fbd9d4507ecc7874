from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QItemSelectionModel, QPoint, Qt
from qtpy.QtTest import QAbstractItemModelTester

from napari_mammosae.core.ranking.orders import order_of
from napari_mammosae.core.ranking.titles import SCORES
from napari_mammosae.viewer.widgets.column_table import ColumnTable, sorted_rows
from napari_mammosae.viewer.widgets.columns import (
    CELLS,
    IMAGE,
    LATENT,
    MAXIMUM,
    MEAN,
    RUN,
    VERDICT,
    Column,
    default_sort,
    logit_columns,
)
from napari_mammosae.viewer.widgets.table_view import ColumnTableView

COLUMNS = (LATENT, VERDICT, MEAN, MAXIMUM, CELLS)


def values(count=20, seed=0):
    rng = np.random.default_rng(seed)
    verdicts = np.array(["", "lesion", "spurious, marker"], dtype=object)
    return {
        LATENT.key: np.arange(count),
        VERDICT.key: verdicts[rng.integers(0, 3, count)],
        MEAN.key: rng.choice([0.0, 0.5, 1.5, np.nan], count),
        MAXIMUM.key: rng.random(count),
        CELLS.key: rng.integers(0, 4, count),
    }


@pytest.fixture
def table(qapp):
    table = ColumnTable(LATENT.key)
    table.show(COLUMNS, values())
    return table


@pytest.fixture
def view(qtbot):
    view = ColumnTableView(ColumnTable(LATENT.key))
    qtbot.addWidget(view)
    view.table.show(COLUMNS, values())
    return view


@given(st.lists(st.sampled_from([-1.0, 0.0, 2.0, np.nan, np.inf, -np.inf]), max_size=40))
def test_falling_order_is_that_of_every_ranking(scores):
    assert np.array_equal(sorted_rows(np.array(scores, float), rising=False), order_of(scores))


@given(st.lists(st.floats(allow_nan=True), max_size=40), st.booleans())
def test_rows_are_sorted_with_missing_numbers_last(numbers, rising):
    array = np.array(numbers, float)
    rows = sorted_rows(array, rising=rising)
    assert sorted(rows) == list(range(len(numbers)))
    found = array[rows]
    known = found[~np.isnan(found)]
    assert np.isnan(found[len(known) :]).all()
    assert np.array_equal(known, np.sort(known) if rising else np.sort(known)[::-1])
    ties = [(v, r) for v, r in zip(found, rows, strict=True) if not np.isnan(v)]
    assert all(a[1] < b[1] for a, b in pairwise(ties) if a[0] == b[0])


@pytest.mark.parametrize("rising", [True, False])
def test_texts_are_sorted_with_empty_ones_last(rising):
    texts = np.array(["b", "", "a", "b", ""], dtype=object)
    assert list(sorted_rows(texts, rising=rising)) == ([2, 0, 3, 1, 4] if rising else [0, 3, 2, 1, 4])


def test_the_model_keeps_qt_s_rules(table):
    tester = QAbstractItemModelTester(table, QAbstractItemModelTester.FailureReportingMode.Fatal)
    table.sort_by(MEAN.key, rising=False)
    table.filter(np.arange(20) < 5)
    table.show(COLUMNS[:3], {key: v for key, v in values().items() if key in (LATENT.key, VERDICT.key, MEAN.key)})
    assert (table.rowCount(), table.columnCount()) == (20, 3)
    tester.deleteLater()


def test_cells_are_written_in_their_column_s_format(table):
    table.show(
        (LATENT, VERDICT, CELLS, MEAN), {**values(), CELLS.key: np.full(20, 1234), MEAN.key: np.full(20, np.nan)}
    )
    texts = [table.data(table.index(3, column)) for column in range(4)]
    assert texts == ["3", values()[VERDICT.key][3], "1,234", ""]
    assert table.data(table.index(0, 0), Qt.ItemDataRole.TextAlignmentRole) & int(Qt.AlignmentFlag.AlignRight)
    assert table.data(table.index(0, 0), Qt.ItemDataRole.DecorationRole) is None


def test_a_filter_hides_rows_and_leaves_every_latent_in_the_order(table):
    table.sort_by(MAXIMUM.key, rising=False)
    mask = np.arange(20) % 3 == 0
    table.filter(mask)
    maximum = values()[MAXIMUM.key]
    expected = sorted(np.flatnonzero(mask), key=lambda i: -maximum[i])
    assert list(table.visible) == expected
    assert list(table.order[: len(expected)]) == expected
    assert sorted(table.order) == list(range(20))
    assert list(table.order[len(expected) :]) == sorted(np.flatnonzero(~mask), key=lambda i: -maximum[i])
    assert [table.row_of(i) for i in expected] == list(range(len(expected)))
    assert table.row_of(1) == table.row_of(99) == -1
    table.filter(None)
    assert table.rowCount() == 20


def test_it_falls_back_to_the_latent_numbers_when_the_sorted_column_goes(table):
    table.sort_by(MEAN.key, rising=False)
    table.show((LATENT,), {LATENT.key: np.arange(20)})
    assert table.sort_column is LATENT
    assert list(table.visible) == list(range(20))


def test_every_score_of_a_ranking_has_a_column():
    from napari_mammosae.core.ranking.scores import SCORES as KNOWN
    from napari_mammosae.core.ranking.table import COLUMNS as WRITTEN

    assert set(SCORES) == set(KNOWN)
    assert {column.key for column in RUN} == {f"run.{name}" for name in WRITTEN} - {"run.score"}


def test_columns_say_what_they_are():
    columns = (*COLUMNS, *RUN, *IMAGE, *logit_columns(("mass", "a_b"), "image"), *logit_columns(("mass",), "region"))
    assert all(column.title and column.tooltip and column.order_name for column in columns)
    assert len({(column.key) for column in columns}) == len(set(columns))
    assert default_sort(columns).key == "run.diff"
    assert default_sort(COLUMNS) is MEAN
    assert default_sort((LATENT,)) is LATENT
    assert Column("x", "X", "", "run", "+.3g").text(np.float64(-2)) == "-2"


def test_moving_with_the_keys_chooses(view, qtbot):
    chosen = []
    view.chosen.connect(chosen.append)
    view.sort_by(MAXIMUM)
    view.selectRow(0)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Up)
    order = [int(i) for i in view.table.visible]
    assert chosen == [order[0], order[1], order[2], order[1]]
    assert view.entry == order[1]
    entered = []
    view.entered.connect(entered.append)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert entered == [order[1]]


def test_it_follows_without_telling(view):
    chosen = []
    view.chosen.connect(chosen.append)
    view.go_to(7)
    assert view.entry == 7
    view.sort_by(MAXIMUM)
    assert view.entry == 7
    assert view.currentIndex().row() == view.table.row_of(7)
    view.table.filter(np.arange(20) != 7)
    assert view.entry is None
    view.table.filter(None)
    assert view.entry == 7
    view.go_to(None)
    assert view.entry is None
    assert chosen == []


def test_several_rows_can_be_selected(view):
    view.select([2, 9, 4])
    assert sorted(view.selected) == [2, 4, 9]
    view.table.filter(np.arange(20) < 5)
    view.select([2, 9, 4])
    assert view.selected == [row for row in view.table.visible if row in (2, 4)]


def test_a_click_on_a_header_sorts_and_another_turns_it_round(view, qtbot):
    header = view.horizontalHeader()
    sorted_by = []
    view.sorted_by_user.connect(sorted_by.append)
    view.resize(600, 300)
    view.show()

    def click(key):
        section = [column.key for column in view.table.columns].index(key)
        x = header.sectionViewportPosition(section) + header.sectionSize(section) // 2
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(x, header.height() // 2))

    click(MAXIMUM.key)
    assert (view.table.sort_key, view.table.rising) == (MAXIMUM.key, False)
    click(MAXIMUM.key)
    assert (view.table.sort_key, view.table.rising) == (MAXIMUM.key, True)
    assert header.sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
    click(LATENT.key)
    assert (view.table.sort_key, view.table.rising) == (LATENT.key, True)
    assert sorted_by == [MAXIMUM.key, MAXIMUM.key, LATENT.key]


def test_columns_can_be_chosen(view):
    def actions():
        menu = view.column_menu()
        found = {}
        for action in menu.actions():
            for one in action.menu().actions() if action.menu() else [action]:
                found[one.data()] = one
        view.menus.append(menu)  # Qt deletes the actions with their menu
        return found

    view.menus = []
    assert view.isColumnHidden(COLUMNS.index(CELLS))
    assert [action.text() for action in actions().values()] == [column.title for column in COLUMNS[1:]]
    assert [key for key, action in actions().items() if action.isChecked()] == [VERDICT.key, MEAN.key, MAXIMUM.key]
    actions()[CELLS.key].trigger()
    actions()[MEAN.key].trigger()
    assert view.table.hidden == {MEAN.key}
    assert [view.isColumnHidden(i) for i in range(5)] == [False, False, True, False, False]
    view.table.show(COLUMNS, values())
    assert view.table.hidden == {MEAN.key}
    view.table.reveal(MEAN)
    assert view.table.hidden == set()


def test_current_row_and_selection_stay_apart(view):
    view.go_to(3)
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    view.selectionModel().select(view.table.index(6, 0), flags)
    assert view.entry == 3
    assert view.selected == [3, 6]
