"""Suggested names: shown in table, overlay and gallery, hidden from a blind judge, answered by one key each."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.store import Subject, VerdictStore, default_path
from napari_mammosae.core.verdicts.suggestions import Suggestion
from napari_mammosae.viewer.app import keymap
from napari_mammosae.viewer.canvas.latent_view import resolve
from napari_mammosae.viewer.docks import LatentsDock, VerdictsDock
from napari_mammosae.viewer.latents.filters import LatentFilter
from napari_mammosae.viewer.widgets.columns import NAME, SCORE
from review_kit import open_run_in

SURE, WEAK = ("view marker", 0.41, 0.2, 0.001), ("skin fold", 0.21, 0.2, 0.6)


@pytest.fixture
def named(run_path):
    """Names of two latents that fire, in the run's own verdict file, and a concept of somebody else's."""
    run = open_run(run_path)
    live = np.flatnonzero(np.diff(run.pooled("mean").indptr))[:3].tolist()
    subject = Subject(run.info["model_sha256"], run.info["sae_sha256"])
    with VerdictStore(default_path(run_path), "reader") as store:
        store.suggest(
            subject,
            [
                Suggestion(latent, name, "text", score, null, q, {"measure": "cosine"})
                for latent, (name, score, null, q) in zip(live, (SURE, WEAK), strict=False)
            ],
        )
    yield live, subject
    for path in run_path.glob("verdicts.sqlite*"):
        path.unlink()


@pytest.fixture
def workspace(qtbot, viewer, named, run_path):
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    workspace = dock.workspace
    workspace.reviewer.set_annotator("anna")
    open_run_in(qtbot, workspace, run_path)
    workspace.dock = dock
    return workspace


@pytest.fixture
def form(qtbot, viewer, workspace):
    dock = VerdictsDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    return dock.form


def cell(table, column, latent, role=Qt.ItemDataRole.DisplayRole):
    return table.data(table.index(table.row_of(latent), table.columns.index(column)), role)


def test_names_are_columns_to_filter_and_sort_by(workspace, named):
    (sure, weak, bare), _ = named
    latents, table = workspace.latents, workspace.latents.table
    assert [cell(table, NAME, latent) for latent in (sure, weak, bare)] == ["view marker", "skin fold", ""]
    assert [cell(table, SCORE, latent) for latent in (sure, weak, bare)] == ["0.410", "0.210", ""]
    grey = [cell(table, NAME, latent, Qt.ItemDataRole.ForegroundRole) is not None for latent in (sure, weak, bare)]
    assert grey == [False, True, False]
    table.sort_by(SCORE.key, rising=False)
    assert table.visible[:2].tolist() == [sure, weak]
    table.sort_by(NAME.key, rising=True)
    assert table.visible[:2].tolist() == [weak, sure]
    latents.filter = LatentFilter(text="marker")
    assert table.visible.tolist() == [sure]
    latents.filter = LatentFilter(column=SCORE.key, low=0.1, high=0.3)
    assert table.visible.tolist() == [weak]


def test_overlay_and_gallery_name_the_latent_and_say_what_the_name_is_worth(workspace, named):
    (sure, weak, bare), _ = named
    session = workspace.session
    session.current = sure
    assert resolve(session).text.splitlines()[-2:] == ["view marker?", "text: cosine 0.41, chance 0.2, q 0.001"]
    gallery = workspace.dock.detail.gallery
    gallery.show_latent(sure)
    assert gallery.verdict.text() == f"Latent {sure}: view marker? (text: cosine 0.41, chance 0.2, q 0.001)"
    session.current = weak
    assert resolve(session).text.splitlines()[-2:] == [
        "skin fold? no better than chance", "text: cosine 0.21, chance 0.2, q 0.6"
    ]  # fmt: skip
    session.current = bare
    assert "?" not in resolve(session).text


def test_a_blind_judge_sees_no_name(workspace, named, form):
    (sure, *_), _ = named
    session, table = workspace.session, workspace.latents.table
    session.current = sure
    workspace.latents.prefer(NAME.key)
    session.blind = True
    assert NAME not in table.columns
    assert "view marker" not in resolve(session).text
    assert not form.name.isVisibleTo(form)
    workspace.latents.filter = LatentFilter(text="marker")
    assert not table.visible.size
    workspace.reviewer.accept_name()
    assert workspace.status.last_told == ("Names are hidden in blind mode.", True)
    assert sure not in workspace.reviewer.book.mine
    workspace.latents.filter = LatentFilter()
    session.blind = False
    assert cell(table, NAME, sure) == "view marker"
    assert form.name.isVisibleTo(form)


def _in_file(run_path, subject):
    with VerdictStore(default_path(run_path), "anna") as store:
        return store.state(subject), store.suggestions(subject)


def test_a_name_is_accepted_and_the_acceptance_undone(workspace, named, form, qtbot, run_path):
    (sure, *_), subject = named
    reviewer, session = workspace.reviewer, workspace.session
    session.current = sure
    reviewer.judge_spurious()
    suggested = _in_file(run_path, subject)[1]
    qtbot.mouseClick(form.name.buttons["accept_name"], Qt.MouseButton.LeftButton)
    event = _in_file(run_path, subject)[0][sure]
    assert (event.concept, event.verdict, event.annotator) == ("view marker", "spurious", "anna")
    assert form.concept.currentText() == "view marker"
    assert "spurious: view marker" in resolve(session).text
    assert not form.name.buttons["accept_name"].isEnabled()
    reviewer.undo()
    assert _in_file(run_path, subject)[0][sure].concept == ""
    assert form.name.buttons["accept_name"].isEnabled()
    reviewer.redo()
    assert _in_file(run_path, subject)[0][sure].concept == "view marker"
    assert _in_file(run_path, subject)[1] == suggested


def test_a_rejected_name_is_gone_until_that_is_undone(workspace, named, form, run_path):
    (sure, weak, _), subject = named
    reviewer, table = workspace.reviewer, workspace.latents.table
    table.sort_by(NAME.key, rising=True)
    workspace.session.current = sure
    reviewer.reject_name()
    assert _in_file(run_path, subject)[0][sure].rejected == "view marker"
    assert cell(table, NAME, sure) == ""
    assert table.visible[1] == sure  # rows stay where they are while somebody judges
    assert not form.name.isVisibleTo(form)
    assert "no verdict yet" in form.title.text()
    reviewer.reject_name()
    assert workspace.status.last_told == ("No name is suggested for this latent.", True)
    reviewer.undo()
    assert cell(table, NAME, sure) == "view marker"
    assert sure not in _in_file(run_path, subject)[0]
    assert cell(table, NAME, weak) == "skin fold"


def test_another_methods_name_takes_the_place_of_a_rejected_one(workspace, named, run_path):
    (sure, *_), subject = named
    with VerdictStore(default_path(run_path), "reader") as store:
        store.suggest(subject, [Suggestion(sure, "letter R", "vlm", 0.8, 0.5, 0.04, {"measure": "AUROC"})])
    book = workspace.reviewer.book
    book.poll()
    assert book.names[sure].name == "view marker"  # the smaller q-value
    workspace.session.current = sure
    workspace.reviewer.reject_name()
    assert book.names[sure].name == "letter R"


def test_a_name_is_edited_in_the_concept_field(workspace, named, form, qtbot, run_path):
    (sure, weak, _), subject = named
    workspace.session.current = sure
    workspace.reviewer.edit_name()
    line = form.concept.lineEdit()
    assert line.text() == "view marker"
    assert line.hasSelectedText()
    assert sure not in _in_file(run_path, subject)[0]
    line.deselect()
    qtbot.keyClicks(line, " R")
    workspace.session.current = weak
    assert _in_file(run_path, subject)[0][sure].concept == "view marker R"


def test_without_the_dock_a_name_cannot_be_edited(workspace, named):
    workspace.session.current = named[0][0]
    workspace.reviewer.edit_name()
    assert workspace.status.last_told == ("Open the Verdicts dock to edit the name.", True)


def test_every_answer_has_a_key_and_a_button(form):
    for action, button in form.name.buttons.items():
        assert keymap.key_for(action)
        assert keymap.key_for(action) in button.text()


def test_names_of_another_sae_are_not_shown(workspace, named, run_path):
    with VerdictStore(default_path(run_path), "reader") as store:
        store.suggest(Subject("m" * 64, "s" * 64), [Suggestion(named[0][2], "clip", "text", 1, 0, 0.0)])
    workspace.reviewer.book.poll()
    assert named[0][2] not in workspace.reviewer.book.names


def test_many_names_are_read_beside_the_window(workspace, named, qtbot, monkeypatch, run_path):
    monkeypatch.setattr("napari_mammosae.viewer.verdicts.book._AT_ONCE", 1)
    (*_, bare), subject = named
    with VerdictStore(default_path(run_path), "reader") as store:
        store.suggest(subject, [Suggestion(bare, "clip", "text", 1, 0, 0.0)])
    book = workspace.reviewer.book
    book.poll()
    assert book.reading
    qtbot.waitUntil(lambda: not book.reading, timeout=20_000)
    assert book.names[bare].name == "clip"
    assert len(book.names) == 3
