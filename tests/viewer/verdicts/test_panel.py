"""Latents judged in the dock and by the actions of the keys; what is on the disk is read by SQLite itself."""

import getpass
import json
import sqlite3

import numpy as np
import pytest
from qtpy.QtCore import Qt

from fakes import FakeModel
from napari_mammosae.core.localization.suspects import find_suspects
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.store import Subject, VerdictStore, default_path
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.canvas.latent_view import resolve
from napari_mammosae.viewer.docks import LatentsDock, VerdictsDock
from napari_mammosae.viewer.verdicts.suspects import REASONS
from napari_mammosae.viewer.widgets.columns import VERDICT
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle, make_tiny_run, open_run_in


@pytest.fixture(autouse=True)
def _no_verdicts(run_path):
    yield
    for path in run_path.glob("verdicts.sqlite*"):
        path.unlink()


@pytest.fixture
def dock(qtbot, viewer):
    dock = VerdictsDock(viewer)
    qtbot.addWidget(dock)
    dock.resize(320, 480)
    dock.show()
    return dock


@pytest.fixture
def form(qtbot, dock, run_path):
    open_run_in(qtbot, dock.workspace, run_path)
    return dock.form


@pytest.fixture
def session(form):
    return form.session


@pytest.fixture
def reviewer(form):
    return form.reviewer


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def lines(path, columns="latent, verdict, concept, note"):
    """What the file holds, oldest first."""
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT {columns} FROM events ORDER BY time").fetchall()
    connection.close()
    return found


def subject_of(path):
    info = open_run(path).info
    return Subject(info["model_sha256"], info["sae_sha256"])


def test_without_a_model_or_a_run_there_is_nothing_to_judge(dock, tmp_path):
    assert "Load a model or open a run" in dock.form.title.text()
    assert not dock.form.buttons["lesion"].isEnabled()
    dock.workspace.reviewer.judge_lesion()
    assert dock.status.isVisible()
    dock.workspace.session.current = 3
    dock.workspace.reviewer.judge_lesion()
    assert "Load a model" in dock.workspace.status.last_told[0]
    assert not default_path().exists()
    assert dock.minimumSizeHint().height() <= 480


@pytest.mark.parametrize("verdict", ["lesion", "anatomy", "spurious", "unsure"])
def test_a_click_judges_and_a_second_one_takes_it_back(qtbot, form, session, run_path, verdict):
    latent, button = session.current, form.buttons[verdict]
    click(qtbot, button)
    assert lines(run_path / "verdicts.sqlite") == [(latent, verdict, "", "")]
    assert session.verdicts(latent) == verdict
    assert resolve(session).text.endswith(f"\n{verdict}")
    assert [name for name, one in form.buttons.items() if one.isChecked()] == [verdict]
    assert verdict in form.title.text()
    assert getpass.getuser() in form.said.text()
    assert "image-000" in form.said.text()
    click(qtbot, button)
    assert session.verdicts(latent) is None
    assert not button.isChecked()
    assert len(lines(run_path / "verdicts.sqlite")) == 2


def test_table_overlay_and_gallery_say_it_at_once(qtbot, form, session, viewer):
    latents = LatentsDock(viewer)
    qtbot.addWidget(latents)
    latents.detail.gallery.show_latent(session.current)
    click(qtbot, form.buttons["spurious"])
    column = [one.title for one in latents.table.columns].index("Verdict")
    row = latents.table.row_of(session.current)
    assert latents.table.index(row, column).data() == "spurious"
    assert viewer.canvas.overlays.text.text.endswith("spurious")
    assert latents.detail.gallery.verdict.text() == f"Latent {session.current}: spurious"
    latents.cleanup()


def test_undo_and_redo_go_to_the_latent(qtbot, dock, form, session, reviewer, run_path):
    first, second = session.maps.latents[:2].tolist()
    session.current = first
    reviewer.judge_lesion()
    session.current = second
    reviewer.judge_spurious()
    session.current = 0
    click(qtbot, form.undo_button)
    assert (session.current, session.verdicts(second), session.verdicts(first)) == (second, None, "lesion")
    click(qtbot, form.undo_button)
    assert (session.current, session.verdicts(first)) == (first, None)
    click(qtbot, form.undo_button)
    assert "nothing to undo" in dock.workspace.status.last_told[0]
    click(qtbot, form.redo_button)
    click(qtbot, form.redo_button)
    assert (session.verdicts(first), session.verdicts(second)) == ("lesion", "spurious")
    assert set(session.verdicts.latents()) == {first, second}  # a table need not ask for thousands
    click(qtbot, form.redo_button)
    assert "nothing to redo" in dock.workspace.status.last_told[0]
    assert len(lines(run_path / "verdicts.sqlite")) == 6  # an undo is a line more


def test_ctrl_z_in_the_dock(qtbot, form, session, reviewer):
    reviewer.judge_lesion()
    with qtbot.waitActive(form.window()):
        form.window().activateWindow()
    form.buttons["lesion"].setFocus()
    qtbot.keyClick(form.buttons["lesion"], Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: session.verdicts(session.current) is None)


def test_a_concept_is_completed_from_the_vocabulary(qtbot, form, session, run_path):
    form.activateWindow()
    edit = form.concept.lineEdit()
    edit.setFocus()
    qtbot.keyClicks(edit, "VIEW M")
    popup = form.concept.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    assert popup.model().index(0, 0).data() == "view marker"
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert form.concept.currentText() == "view marker"
    assert lines(run_path / "verdicts.sqlite") == [(session.current, "", "view marker", "")]
    assert session.verdicts(session.current) == "concept: view marker"
    click(qtbot, form.buttons["spurious"])
    assert session.verdicts(session.current) == "spurious: view marker"
    with VerdictStore(run_path / "verdicts.sqlite") as store:
        assert "VIEW M" not in store.concepts()


def test_own_words_join_the_vocabulary_and_leave_it(qtbot, form, run_path):
    edit = form.concept.lineEdit()
    qtbot.keyClicks(edit, "coffee stain")
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert form.concept.findText("coffee stain") >= 0
    form.remove_action.trigger()
    assert form.concept.findText("coffee stain") < 0
    assert form.concept.currentText() == "coffee stain"  # the verdict keeps it
    form.add_action.trigger()
    with VerdictStore(run_path / "verdicts.sqlite") as store:
        assert "coffee stain" in store.concepts()


def test_what_is_typed_is_saved_before_another_latent_is_shown(qtbot, form, session, run_path):
    first, second = session.maps.latents[:2].tolist()
    session.current = first
    form.note.setFocus()
    qtbot.keyClicks(form.note, "sharp edge")
    session.current = second
    assert form.note.text() == ""
    assert lines(run_path / "verdicts.sqlite") == [(first, "", "", "sharp edge")]
    session.current = first
    assert form.note.text() == "sharp edge"
    form.note.clear()
    qtbot.keyClicks(form.note, "round")
    qtbot.keyClick(form.note, Qt.Key.Key_Return)
    assert lines(run_path / "verdicts.sqlite")[-1] == (first, "", "", "round")


def test_a_note_is_saved_in_a_pause(qtbot, form, session, run_path):
    form.reviewer._pause.setTimeout(30)
    qtbot.keyClicks(form.note, "still writing")
    qtbot.waitUntil((run_path / "verdicts.sqlite").exists)
    qtbot.waitUntil(lambda: lines(run_path / "verdicts.sqlite") == [(session.current, "", "", "still writing")])


def test_a_verdict_by_key_takes_the_note_along(qtbot, form, session, reviewer, run_path):
    qtbot.keyClicks(form.note, "half a note")
    reviewer.judge_unsure()
    assert lines(run_path / "verdicts.sqlite") == [
        (session.current, "", "", "half a note"),
        (session.current, "unsure", "", "half a note"),
    ]


def test_closing_the_viewer_saves_what_was_typed(qtbot, dock, form, session, run_path):
    latent = session.current
    qtbot.keyClicks(form.note, "last words")
    dock.workspace.close()
    assert lines(run_path / "verdicts.sqlite") == [(latent, "", "", "last words")]


def test_evidence_holds_no_path_and_no_person(form, session, reviewer, run_path):
    reviewer.judge_lesion()
    ((image, view),) = lines(run_path / "verdicts.sqlite", "image, view")
    assert image == "image-000"
    known = json.loads(view)
    assert set(known) == {"zoom", "center", "limits", "blind"}
    assert known["limits"][1] == pytest.approx(resolve(session).limits[1], rel=1e-3)
    assert str(run_path.parent) not in view


def test_the_next_unreviewed_goes_down_the_stack(dock, form, session, reviewer):
    live = reviewer.live_latents()
    fires = np.diff(session.run.pooled("mean").tocsc().indptr) > 0
    assert live.tolist() == np.flatnonzero(fires).tolist()
    scores = np.random.default_rng(1).random(session.maps.shape[0])
    session.order = Order.by_score(scores, "score")
    expected = [latent for latent in session.order.latents.tolist() if latent in live]
    session.current = expected[3]
    reviewer.judge_unsure()
    session.current = expected[5]
    reviewer.judge_unsure()
    session.current = expected[2]
    reviewer.next_unreviewed()
    assert session.current == expected[4]
    reviewer.next_unreviewed()
    assert session.current == expected[6]
    session.current = expected[-1]
    reviewer.next_unreviewed()
    assert session.current == expected[0]  # from the top again
    for latent in live.tolist():
        session.current = latent
        reviewer.judge_unsure()
    reviewer.next_unreviewed()
    assert "Every live latent has a verdict" in dock.workspace.status.last_told[0]
    assert form.progress.text() == f"{live.size} of {live.size} live latents reviewed"


def test_nothing_counts_as_unreviewed_while_verdicts_are_read(dock, form, session, reviewer):
    latent = session.current
    reviewer.book.reading = True
    reviewer.next_unreviewed()
    assert session.current == latent
    assert "still being read" in dock.workspace.status.last_told[0]
    reviewer.book.reading = False
    reviewer.next_unreviewed()
    assert session.current != latent


def test_progress_counts_live_latents_only(form, session, reviewer):
    live = reviewer.live_latents()
    silent = next(latent for latent in range(session.maps.shape[0]) if latent not in live)
    session.current = silent
    reviewer.judge_unsure()
    assert form.progress.text() == f"0 of {live.size} live latents reviewed"
    session.current = int(live[0])
    reviewer.judge_unsure()
    assert form.progress.text() == f"1 of {live.size} live latents reviewed"


def test_other_people_s_verdicts_show_up_and_hide_from_a_blind_judge(form, session, reviewer, run_path):
    reviewer.judge_lesion()
    latent = session.current
    with VerdictStore(run_path / "verdicts.sqlite", "anna") as store:
        store.decide(subject_of(run_path), latent, "spurious", concept="view marker", note="see the corner")
    reviewer._poll()
    assert session.verdicts(latent) == "lesion; spurious: view marker (anna)"
    assert "anna: spurious" in form.said.text()
    session.blind = True
    assert session.verdicts(latent) == "lesion"
    assert "anna" not in form.said.text()
    assert form.blind.isChecked()
    assert "rank" not in resolve(session).text
    session.blind = False
    assert "anna" in session.verdicts(latent)


def test_another_annotator_starts_afresh(qtbot, dock, form, session, reviewer, run_path):
    reviewer.judge_lesion()
    dock.files.annotator.setText("berta")
    dock.files.annotator.editingFinished.emit()
    assert not form.buttons["lesion"].isChecked()
    assert session.verdicts(session.current) == f"lesion ({getpass.getuser()})"
    reviewer.judge_anatomy()
    assert [who for (who,) in lines(run_path / "verdicts.sqlite", "annotator")] == [getpass.getuser(), "berta"]


def test_export_merge_and_agreement(qtbot, dock, form, session, reviewer, run_path, tmp_path):
    files = dock.files
    live = reviewer.live_latents().tolist()
    with VerdictStore(tmp_path / "anna.sqlite", "anna") as store:
        for latent in live[:4]:
            store.decide(subject_of(run_path), latent, "spurious" if latent != live[0] else "lesion")
    for latent in live[:3]:
        session.current = latent
        reviewer.judge_spurious()
    files.exchange.merge([tmp_path / "anna.sqlite"])
    qtbot.waitUntil(lambda: not files.exchange.jobs.busy)
    assert files.result.text() == "anna.sqlite: 4 new, 0 known already."
    assert {files.first.currentText(), files.second.currentText()} == {"anna", getpass.getuser()}
    click(qtbot, files.compare_button)
    qtbot.waitUntil(lambda: not files.exchange.jobs.busy)
    assert "over 3 latents; the same verdict on 67%" in files.result.text()
    assert "anna lesion" in files.result.text()
    files.exchange.export(tmp_path / "out.csv")
    qtbot.waitUntil(lambda: not files.exchange.jobs.busy)
    assert "out.csv written" in files.result.text()
    assert (tmp_path / "out.csv").read_text().count("\n") == 8
    provenance = (tmp_path / "out.csv.json").read_text()
    assert "research use only" in provenance
    assert str(tmp_path) not in provenance
    files.exchange.merge([tmp_path / "gone.csv"])
    qtbot.waitUntil(lambda: not files.exchange.jobs.busy)
    assert "gone.csv does not exist" in files.result.text()


def test_the_form_of_an_export(qtbot, dock, form, reviewer, tmp_path, monkeypatch):
    reviewer.judge_spurious()
    reviewer.undo()
    reviewer.judge_lesion()
    files, asked, written = dock.files, [], []
    answers = [None, {"path": tmp_path / "now", "history": False}, {"path": tmp_path / "all.json", "history": True}]

    def answer(title, parent, entries):
        asked.append(entries["history"]["value"])
        return answers.pop(0)

    monkeypatch.setattr("napari_mammosae.viewer.verdicts.files_panel.ask", answer)
    monkeypatch.setattr(
        "napari_mammosae.viewer.verdicts.files_panel.may_replace", lambda _, path: written.append(path) or True
    )
    for _ in range(3):
        click(qtbot, files.export_button)
        qtbot.waitUntil(lambda: not files.exchange.jobs.busy)
    assert [path.name for path in written] == ["now.csv", "all.json"]
    assert (tmp_path / "now.csv").read_text().count("\n") == 2
    assert '"spurious"' in (tmp_path / "all.json").read_text()  # though it was taken back
    assert asked == [False, False, False]
    files.exchange.whole_log = True
    answers.append(None)
    click(qtbot, files.export_button)
    assert asked[-1]


def test_a_file_of_the_user_s_choice(qtbot, dock, form, session, reviewer, tmp_path, run_path):
    dock.files.exchange.use(tmp_path / "mine.sqlite")
    reviewer.judge_lesion()
    assert lines(tmp_path / "mine.sqlite") == [(session.current, "lesion", "", "")]
    assert not (run_path / "verdicts.sqlite").exists()
    assert dock.files.file.text().startswith("mine.sqlite")
    (tmp_path / "text.sqlite").write_text("no database " * 100)
    dock.files.exchange.use(tmp_path / "text.sqlite")
    assert "text.sqlite" in dock.files.result.text()
    assert session.verdicts(session.current) == "lesion"  # the file before stays in use
    dock.files.exchange.use(None)
    assert session.verdicts(session.current) is None
    assert dock.files.file.text() == "verdicts.sqlite in the run"


def test_without_a_run_the_user_s_own_file_is_used(qtbot, dock):
    session = dock.workspace.session
    session.handle = FakeModel()
    session.current = 7
    dock.workspace.reviewer.judge_anatomy()
    assert lines(default_path()) == [(7, "anatomy", "", "")]
    session.handle = FakeModel(sae_sha256="t" * 64)
    session.current = 7
    assert session.verdicts(7) is None  # another SAE's latent 7 is another latent
    session.handle = FakeModel()
    assert session.verdicts(7) == "anatomy"


def test_a_file_that_cannot_be_written_is_told_and_nothing_changes(qtbot, dock, form, session, reviewer, run_path):
    reviewer.judge_lesion()
    other = sqlite3.connect(run_path / "verdicts.sqlite")
    other.execute("BEGIN IMMEDIATE")
    try:
        reviewer.judge_spurious()
    finally:
        other.rollback()
        other.close()
    assert session.verdicts(session.current) == "lesion"
    assert form.buttons["lesion"].isChecked()
    assert "locked" in dock.status.text()
    reviewer.judge_spurious()
    assert session.verdicts(session.current) == "spurious"
    assert not dock.status.isVisible()


# Suspects


def test_suspects_are_those_of_the_core_and_order_the_stack(qtbot, dock, form, session, run_path, tiny_model, tmp_path):
    part = dock.suspects
    click(qtbot, part.find_button)
    qtbot.waitUntil(lambda: not part.jobs.busy)
    table, note = find_suspects(open_run(run_path), None, lambda *_: None)
    assert part.view.table.visible.tolist() == table["latent"].tolist()
    assert "No annotated boxes" in note
    assert part.note.text().startswith("Sorted by where latents fire: a suggestion, not a verdict.")
    latent = session.current
    click(qtbot, part.order_button)
    assert session.order.latents[: len(table)].tolist() == table["latent"].tolist()
    assert session.order.name == "suspicion"
    assert session.current == latent
    rect = part.view.visualRect(part.view.table.index(0, 0))
    qtbot.mouseClick(part.view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert session.current == table["latent"][0]
    form.reviewer.judge_spurious()
    column = [one.title for one in part.view.table.columns].index("Verdict")
    assert part.view.table.index(0, column).data() == "spurious"
    part.place_box.setCurrentIndex(part.place_box.findText(REASONS["border"]))
    part.place_box.activated.emit(part.place_box.currentIndex())
    by_border = table.sort_values(["border", "latent"], ascending=[False, True])["latent"].tolist()
    assert part.view.table.visible.tolist() == by_border
    click(qtbot, part.order_button)
    assert session.order.latents[: len(table)].tolist() == by_border
    assert session.order.name == "suspicion, image border"

    table = dock.workspace.suspects.table
    table.sort_by(VERDICT.key, rising=True)
    before = table.visible.tolist()
    session.current = before[3]
    form.reviewer.judge_lesion()
    assert table.visible.tolist() == before  # rows stay under the eyes
    assert table.text(VERDICT, before[3]) == "lesion"

    dock.workspace.opener.open(make_tiny_run(tmp_path, tiny_model))
    idle(qtbot, dock.workspace)
    assert "suspicion" not in dock.workspace.scene.viewer.canvas.overlays.text.text  # which is of the run before


def test_suspects_need_a_run_with_maps_and_open_eyes(qtbot, dock, form, session, tiny_model, tmp_path):
    session.blind = True
    assert not dock.suspects.find_button.isEnabled()
    session.blind = False
    assert dock.suspects.find_button.isEnabled()
    path = make_tiny_run(tmp_path, tiny_model, maps=False)
    open_run_in(qtbot, dock.workspace, path)
    assert not dock.suspects.find_button.isEnabled()
    assert "--maps" in dock.suspects.note.text()
    dock.workspace.opener.close_run()
    assert "Open a run" in dock.suspects.note.text()


def test_suspects_with_annotated_boxes(qtbot, dock, form, session, run_path, tmp_path):
    from napari_mammosae.core.annotations.boxes import read_findings

    (tmp_path / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-000,mass,60,150,120,220\n")
    session.findings = read_findings(tmp_path / "boxes.csv")
    click(qtbot, dock.suspects.find_button)
    qtbot.waitUntil(lambda: not dock.suspects.jobs.busy)
    assert "With 1 annotated boxes." in dock.suspects.note.text()
    column = [one.title for one in dock.suspects.view.table.columns].index("Box lift")
    rows = range(dock.suspects.view.table.rowCount())
    assert any(dock.suspects.view.table.index(row, column).data() for row in rows)
    session.findings = None
    assert "Boxes have changed since" in dock.suspects.note.text()


def test_the_dock_opened_later_and_closed_leaves_the_keys_at_work(qtbot, viewer, run_path):
    workspace = workspace_of(viewer)
    open_run_in(qtbot, workspace, run_path)
    workspace.reviewer.judge_lesion()
    dock = VerdictsDock(viewer)
    qtbot.addWidget(dock)
    assert dock.form.buttons["lesion"].isChecked()
    dock.cleanup()
    workspace.reviewer.judge_spurious()
    assert workspace.session.verdicts(workspace.session.current) == "spurious"
    assert workspace.browser.files_of(workspace.session.run).root is not None
    idle(qtbot, workspace)


def test_evidence_and_verdict_stand_together_and_both_docks_say_the_same(qtbot, dock, form, session):
    latents = LatentsDock(dock.workspace.scene.viewer)
    qtbot.addWidget(latents)
    latents.show()
    session.current = 7
    click(qtbot, latents.fields.buttons["spurious"])
    assert form.buttons["spurious"].isChecked()
    qtbot.keyClicks(latents.fields.note, "tag")
    latents.fields.note.editingFinished.emit()
    assert form.note.text() == "tag"
    click(qtbot, form.buttons["spurious"])  # a second click takes it back
    assert not latents.fields.buttons["spurious"].isChecked()
    latents.close()
    assert form.book.mine[7].note == "tag"
