"""Judging blind: whatever dock is open, nothing tells what is annotated, what was predicted, or how latents score."""

import pytest
from qtpy.QtWidgets import QAbstractButton, QFileDialog, QLabel, QLineEdit

from in_process import handle_of
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.runs.run import Run
from napari_mammosae.viewer import docks
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.app.session import HIDDEN
from napari_mammosae.viewer.canvas.latent_view import chance_text, predictions
from napari_mammosae.viewer.guide.controller import guide_of
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.intervention.export import record_of
from napari_mammosae.viewer.localization import panel
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle, open_run_in


@pytest.fixture
def work(qtbot, viewer, tiny_model, run_path, tmp_path):
    """An image of a run with its prediction, a logit map and an annotated box, all docks open."""
    work = workspace_of(viewer)
    work.images.take_model(ModelChoice(str(tiny_model)), handle_of(tiny_model))
    open_run_in(qtbot, work, run_path)
    (tmp_path / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-000,mass,60,150,120,220\n")
    work.session.findings = read_findings(tmp_path / "boxes.csv")
    work.intervention.map_kind = "before"
    work.docks = [getattr(docks, name)(viewer) for name in dir(docks) if name.endswith("Dock")]
    for dock in work.docks:
        qtbot.addWidget(dock)
        dock.show()
    work.comparer.take_run(0, work.session.run)
    work.comparer.take_run(1, work.session.run)
    work.images.heads.note = "AUROC 0.91 by folds of patients"
    work.images.heads.changed.emit()
    settle(qtbot, work)
    yield work
    for dock in work.docks:
        dock.cleanup()


def settle(qtbot, work):
    idle(qtbot, work)
    jobs = (work.comparer.jobs, work.ranking.jobs, work.over_run.jobs, work.localizer.jobs, work.measures.jobs)
    qtbot.waitUntil(lambda: not any(one.busy for one in jobs), timeout=60_000)
    qtbot.wait(300)  # what waits for a pause


def seen(work):
    """All words that can be read in the docks and on the canvas."""
    words = []
    for dock in work.docks:
        for kind in (QLabel, QAbstractButton, QLineEdit):
            words += [one.text() for one in dock.findChildren(kind) if one.isVisibleTo(dock)]
    overlays = work.scene.viewer.canvas.overlays.values()
    return "\n".join([*words, *(one.text for one in overlays if one.visible and hasattr(one, "text"))])


def secrets(work):
    session = work.session
    found = predictions(session.model, session.maps)
    return [chance_text(one.probability) for one in found] + [f"({one.logit:+.2f})" for one in found]


def exports(work):
    """Buttons that write or copy predictions and measures."""
    intervene, compare = (
        next(dock for dock in work.docks if isinstance(dock, kind)) for kind in (docks.InterveneDock, docks.CompareDock)
    )
    return intervene.export_button, intervene.caption_button, compare.export_button


def figure_of(qtbot, work, monkeypatch, folder):
    """What the figure of the Localise dock is drawn from."""
    given = {}

    def draw(path, image, maps, model, order, findings, *_):
        given.update(findings=findings)
        return "drawn"

    monkeypatch.setattr(panel, "draw_figure", draw)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(folder / "figure.png"), ""))
    next(dock for dock in work.docks if isinstance(dock, docks.LocalizeDock)).actions_part.figure_button.click()
    qtbot.waitUntil(lambda: bool(given))
    return given


def test_no_dock_and_no_layer_tells(qtbot, work, monkeypatch, tmp_path):
    assert isinstance(work.session.run, Run)
    telling = [*secrets(work), "1 on this image", "AUROC 0"]
    work.editor.start()
    work.editor.remove(0)
    work.editor.undo()  # a change by hand, and all as it was
    before = seen(work)
    assert [one for one in telling if one not in before] == []
    assert {owned(work.scene.viewer).find(role) is None for role in ("truth", "logit map")} == {False}
    work.reviewer.set_blind(True)
    settle(qtbot, work)
    after = seen(work)
    assert [one for one in telling if one in after] == []
    assert "latents gained" not in after
    assert not any(one.startswith("rank ") for one in after.split("\n"))
    assert "is not annotated" not in after  # nor anything that is not so
    assert "no annotated box" not in after
    assert work.measures.obstacle == HIDDEN
    assert {owned(work.scene.viewer).find(role) for role in ("truth", "logit map")} == {None}
    assert not work.editor.editing
    work.editor.start()  # would show what is annotated
    assert not work.editor.editing
    with pytest.raises(SettingsError, match="blind mode"):
        record_of(work.over_run)
    assert not any(one.isEnabled() for one in exports(work))
    assert figure_of(qtbot, work, monkeypatch, tmp_path)["findings"] is None
    work.measures.measure()
    work.suspects.find()
    settle(qtbot, work)
    assert work.measures.result is None
    assert not work.suspects.found
    work.reviewer.set_blind(False)
    settle(qtbot, work)
    assert owned(work.scene.viewer).find("logit map") is not None
    assert all(one in seen(work) for one in telling)


def test_the_steps_of_the_demo_tell_a_blind_judge_nothing(qtbot, viewer, run_path):
    work = workspace_of(viewer)
    open_run_in(qtbot, work, run_path)
    guide = guide_of(work)
    work.reviewer.set_blind(True)
    before = work.session.order
    for key in ("ranking", "find", "judge"):
        guide.take(key)
        idle(qtbot, work)
        assert guide.said == HIDDEN
        assert work.session.order is before
        assert not work.suspects.found
        assert not work.reviewer.book.verdicts()


def test_no_place_in_a_ranking_tells_though_no_dock_is_open(qtbot, viewer, run_path):
    work = workspace_of(viewer)
    open_run_in(qtbot, work, run_path)
    session = work.session
    session.order = ranked = Order.by_score(session.maps.pooled_max, "IoU with the mass box", session.image)
    work.reviewer.set_blind(True)
    assert session.order is not ranked
    assert "IoU" not in session.order.name
    work.reviewer.set_blind(False)
    assert session.order is ranked
