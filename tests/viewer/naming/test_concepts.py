"""The tab on concepts: read with the run, measured by a button, hidden from a blind judge."""

import json

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from fake_run import FakeRun
from fakes import FakeModel
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.naming.shortcuts import COLUMNS as SHORTCUTS
from napari_mammosae.core.reports.concepts import read_report
from napari_mammosae.core.verdicts.suggestions import Suggestion
from napari_mammosae.viewer.app.session import HIDDEN
from napari_mammosae.viewer.latents.filters import LatentFilter
from napari_mammosae.viewer.latents.values import collect
from napari_mammosae.viewer.naming import tasks
from napari_mammosae.viewer.naming.concept_panel import SILENT, ConceptPart
from napari_mammosae.viewer.naming.controller import NO_RUN
from napari_mammosae.viewer.widgets.column_table import ColumnTable
from napari_mammosae.viewer.widgets.columns import BEST_LABEL, LABEL_AUROC, LABEL_R, LABELS, LATENT, NAME
from napari_mammosae.viewer.workspace import workspace_of

ROWS = pd.DataFrame(
    {
        "latent": [5, 7], "accepted": [True, False], "concept": ["view <b>", "mass"], "confounder": [True, False],
        "pool": ["mean", "max"], "r": [0.81, -0.12], "auroc": [0.93, 0.46], "q_value": [1e-9, 0.4],
        "next": ["density", None], "margin": [0.5, 0.12], "ms": [0.1, 0.2],
    }
)  # fmt: skip


def write(run, sae="s" * 64):
    folder = run.path / "concepts"
    folder.mkdir(parents=True, exist_ok=True)
    ROWS.to_csv(folder / "latents.csv", index=False)
    (folder / "evaluation.json").write_text(
        json.dumps({"software": "napari-mammosae", "made_with": {"sae_sha256": sae}})
    )


@pytest.fixture
def part(viewer, qtbot):
    part = ConceptPart(workspace_of(viewer).concepts)
    qtbot.addWidget(part)
    yield part
    part.cleanup()


def test_a_report_in_the_runs_folder_is_shown_for_the_current_latent(part, tmp_path, qtbot):
    assert part.text.text() == NO_RUN
    run = FakeRun(tmp_path, write=False)
    write(run)
    part.session.run = run
    qtbot.waitUntil(lambda: part.concepts.measured, timeout=10_000)
    part.session.current = 5
    assert "view &lt;b&gt;" in part.text.text()
    assert "confounder" in part.text.text()
    assert "beyond chance" in part.text.text()
    part.session.current = 7
    assert "confounder" not in part.text.text()
    assert "within chance" in part.text.text()
    part.session.current = 9
    assert part.text.text() == SILENT
    part.session.blind = True
    assert part.text.text() == HIDDEN
    assert part.concepts.row(5) is None
    assert not part.button.isEnabled()
    part.session.blind = False
    part.session.run = None
    assert part.text.text() == NO_RUN


def test_a_report_of_another_sae_or_a_damaged_one_is_not_shown(tmp_path):
    run = FakeRun(tmp_path, write=False)
    assert read_report(run) is None
    write(run, "x" * 64)
    assert read_report(run) is None
    write(run)
    (run.path / "concepts" / "latents.csv").write_text("latent\n1\n")
    with pytest.raises(RunError, match=r"latents\.csv"):
        read_report(run)


def test_the_button_measures_and_shows(part, tmp_path, qtbot, monkeypatch):
    run = FakeRun(tmp_path, write=False)
    part.session.run = run
    qtbot.waitUntil(lambda: not part.concepts.jobs.busy, timeout=10_000)
    assert "Click Measure" in part.text.text()

    def measure(asked, model, report):
        assert asked is run
        write(run)
        return tasks.read(run, report)

    monkeypatch.setattr(tasks, "measure", measure)
    part.button.click()
    qtbot.waitUntil(lambda: part.concepts.measured, timeout=10_000)
    part.session.current = 5
    assert "AUROC 0.930" in part.text.text()


def test_labels_are_columns_of_the_table_of_latents(part, tmp_path, qtbot):
    run = FakeRun(tmp_path, write=False)
    write(run)
    part.session.run = run
    qtbot.waitUntil(lambda: part.concepts.measured, timeout=10_000)
    columns, values = collect(part.session, {}, {})
    assert set(LABELS) <= set(columns)
    assert values[BEST_LABEL.key][[5, 7, 9]].tolist() == ["view <b> (confounder)", "mass", ""]
    assert values[LABEL_R.key][5] == pytest.approx(0.81)
    assert np.isnan(values[LABEL_AUROC.key][9])
    assert LatentFilter(text="confounder").mask(values).nonzero()[0].tolist() == [5]
    table = ColumnTable(LATENT.key)
    table.show(columns, values)
    grey = [
        table.data(table.index(latent, columns.index(BEST_LABEL)), Qt.ItemDataRole.ForegroundRole) is not None
        for latent in (5, 7)
    ]
    assert grey == [False, True]  # the second is within chance
    part.session.blind = True
    assert not set(LABELS) & set(collect(part.session, {}, {})[0])
    part.session.blind = False
    part.session.run = None
    assert part.session.best_labels is None


def test_shortcuts_are_listed_and_lead_to_their_latents(part, tmp_path, qtbot):
    run = FakeRun(tmp_path, write=False)
    write(run)
    lines = [
        ("mass", 5, "marker", 0.8, 0.4, 0.2, 0.7, 0.65, -0.05),
        ("mass", None, "all 2", *[None] * 3, 0.7, 0.6, -0.1),
    ]
    pd.DataFrame(lines, columns=list(SHORTCUTS)).astype({"latent": "Int64"}).to_csv(
        run.path / "concepts" / "shortcuts.csv", index=False
    )
    assert not part.shortcuts.isVisibleTo(part)
    part.session.run = run
    qtbot.waitUntil(lambda: part.concepts.measured, timeout=10_000)
    table = part.shortcuts.table
    shown = [
        [table.item(line, place).text() for place in range(table.columnCount())] for line in range(table.rowCount())
    ]
    assert shown == [["5", "marker", "mass", "+0.400", "0.700", "0.650"], ["", "all 2", "mass", "", "0.700", "0.600"]]
    table.itemClicked.emit(table.item(1, 0))
    assert part.session.current is None
    table.itemClicked.emit(table.item(0, 1))
    assert part.session.current == 5
    part.session.blind = True
    assert not part.shortcuts.isVisibleTo(part)


def test_the_button_suggests_names_that_the_table_shows(part, tmp_path, qtbot, monkeypatch):
    run = FakeRun(tmp_path, write=False)
    run.path.mkdir(parents=True, exist_ok=True)
    part.session.run = run
    qtbot.waitUntil(lambda: not part.concepts.jobs.busy, timeout=10_000)
    assert not part.name_button.isEnabled()  # without a model
    part.session.handle = FakeModel()
    assert part.name_button.isEnabled()
    found = [Suggestion(5, "marker", "text", 0.4, 0.2, 0.01), Suggestion(7, "fold", "text", 0.2, 0.2, 0.9)]
    monkeypatch.setattr(tasks, "name", lambda asked, handle, report: found)
    part.name_button.click()
    qtbot.waitUntil(lambda: len(part.session.names) == 2, timeout=10_000)
    text, error = part.context.status.last_told
    assert text.startswith("2 latents named, 1 better than chance; 2 of the names are new.")
    assert not error
    assert collect(part.session, {}, {})[1][NAME.key][[5, 7]].tolist() == ["marker", "fold"]
    part.session.blind = True
    assert not part.name_button.isEnabled()
