import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_mammosae.viewer.latents.filters import ANY, REVIEWED, UNREVIEWED, FilterPart, LatentFilter
from napari_mammosae.viewer.widgets import ui
from napari_mammosae.viewer.widgets.columns import CELLS, LATENT, MEAN, RUN, VERDICT

FIRES = next(column for column in RUN if column.key == "run.firing_images")
VALUES = {
    LATENT.key: np.arange(120),
    VERDICT.key: np.array(["", "lesion, mass", "Spurious, view marker"] * 40, dtype=object),
    MEAN.key: np.where(np.arange(120) % 10 == 0, np.nan, np.arange(120) / 10),
    CELLS.key: np.arange(120) % 4,
    FIRES.key: np.arange(120) % 5 / 5,
}


def passed(**wanted):
    mask = LatentFilter(**wanted).mask(VALUES)
    return None if mask is None else set(np.flatnonzero(mask))


def test_nothing_asked_for_is_no_filter():
    assert passed() is None
    assert passed(text="  ", verdict=ANY, column=MEAN.key) is None
    assert passed(column="gone", low=1.0) is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"text": "11"}, {11, *range(110, 120)}),
        ({"text": "100-102"}, {100, 101, 102}),
        ({"text": " 7 - 8 "}, {7, 8}),
        ({"text": "marker"}, set(range(2, 120, 3))),
        ({"text": "MARK 11"}, {11, 110, 113, 116, 119}),
        ({"text": "nothing like it"}, set()),
        ({"verdict": UNREVIEWED}, set(range(0, 120, 3))),
        ({"verdict": REVIEWED}, set(range(120)) - set(range(0, 120, 3))),
        ({"verdict": "spurious"}, set(range(2, 120, 3))),
        ({"verdict": "anatomy"}, set()),
        ({"column": MEAN.key, "low": 11.5}, {115, 116, 117, 118, 119}),
        ({"column": MEAN.key, "low": 1.0, "high": 1.2}, {11, 12}),
        ({"fires": True}, {i for i in range(120) if i % 4}),
        ({"live": True}, {i for i in range(120) if i % 5}),
        ({"live": True, "fires": True, "text": "1-9"}, {1, 2, 3, 6, 7, 9}),
    ],
)
def test_it_passes_what_fits(wanted, expected):
    assert passed(**wanted) == expected


def test_without_verdicts_words_look_at_numbers_only():
    values = {LATENT.key: np.arange(30)}
    assert set(np.flatnonzero(LatentFilter(text="2").mask(values))) == {2, *range(20, 30)}
    assert LatentFilter(verdict="lesion").mask(values) is None


@pytest.fixture
def part(qtbot):
    holder = QWidget()
    layout = QVBoxLayout(holder)
    part = FilterPart()
    layout.addWidget(part)
    ui.on_keys(holder, QKeySequence.StandardKey.Find, part.focus_text)
    qtbot.addWidget(holder)
    holder.show()
    part.show_columns((LATENT, VERDICT, MEAN, CELLS), MEAN)
    yield part
    holder.close()


def test_typing_is_waited_out(part, qtbot):
    heard = []
    part.changed.connect(heard.append)
    qtbot.keyClicks(part.text, "12")
    assert heard == []
    qtbot.waitUntil(lambda: bool(heard))
    assert heard == [LatentFilter(text="12", column=MEAN.key)]


def test_enter_and_down_do_not_wait_and_lead_on(part, qtbot):
    heard, entered = [], []
    part.changed.connect(heard.append)
    part.entered.connect(lambda: entered.append(True))
    qtbot.keyClicks(part.text, "7")
    qtbot.keyClick(part.text, Qt.Key.Key_Return)
    assert heard == [LatentFilter(text="7", column=MEAN.key)]
    qtbot.keyClick(part.text, Qt.Key.Key_Down)
    assert entered == [True, True]
    qtbot.keyClick(part.text, Qt.Key.Key_Escape)
    assert part.text.text() == ""


def test_a_range_is_about_the_sorted_column_until_it_is_set(part, qtbot):
    assert part.column.currentData() == MEAN.key
    part.show_columns((LATENT, VERDICT, MEAN, CELLS), CELLS)
    assert part.column.currentData() == CELLS.key
    qtbot.keyClicks(part.low, "1,5")
    part.show_columns((LATENT, MEAN, CELLS), MEAN)
    assert (part.filter.column, part.filter.low, part.filter.high) == (CELLS.key, 1.5, None)
    qtbot.keyClicks(part.high, "x")
    assert part.filter.high is None


def test_live_is_offered_with_a_run_only(part):
    assert not part.live.isVisible()
    part.show_columns((LATENT, MEAN, FIRES), FIRES)
    assert part.live.isVisible()
    assert not part.fires.isEnabled()
    part.live.click()
    assert part.filter.live
    part.show_columns((LATENT, CELLS), CELLS)
    assert not part.filter.live
