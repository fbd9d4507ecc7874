"""The tab on concepts: read with the run, measured by a button, hidden from a blind judge."""

import json

import pandas as pd
import pytest

from fake_run import FakeRun
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.reports.concepts import read_latents
from napari_mammosae.viewer.naming import tasks
from napari_mammosae.viewer.naming.concept_panel import SILENT, ConceptPart
from napari_mammosae.viewer.naming.controller import HIDDEN, NO_RUN
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
    assert read_latents(run) is None
    write(run, "x" * 64)
    assert read_latents(run) is None
    write(run)
    (run.path / "concepts" / "latents.csv").write_text("latent\n1\n")
    with pytest.raises(RunError, match=r"latents\.csv"):
        read_latents(run)


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
