"""The figures of an exam's views have room, whatever the views are called."""

import pytest

from napari_mammosae.viewer.exam.panel import _ViewTable


@pytest.mark.parametrize("name", ["R MLO", "a-long-name-of-an-image-whose-view-is-not-known-0123456789.dcm", "x" * 400])
def test_no_figure_of_a_view_is_cut_by_its_name(qtbot, name):
    table = _ViewTable()
    qtbot.addWidget(table)
    table.resize(320, 200)
    table.show()
    table.fill([name, "L CC"], [None, None])
    qtbot.wait(1)
    header = table.header()
    assert header.length() <= table.viewport().width()
    for column in range(1, table.columnCount()):
        title = table.fontMetrics().horizontalAdvance(table.headerItem().text(column))
        assert header.sectionSize(column) >= title
    assert table.topLevelItem(0).toolTip(0) == name
