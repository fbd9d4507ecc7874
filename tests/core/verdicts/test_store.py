"""Verdicts: an append-only log, its view, undo and redo, several writers, and what a kill leaves."""

import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mammosae.core.base.errors import VerdictError
from napari_mammosae.core.verdicts import sqlite as durable
from napari_mammosae.core.verdicts.schema import TABLES
from napari_mammosae.core.verdicts.store import VERDICTS, Evidence, Subject, Verdict, VerdictStore, default_path
from napari_mammosae.core.verdicts.suggestions import Suggestion

SUBJECT = Subject("m" * 64, "s" * 64)


@pytest.fixture
def store(tmp_path):
    with VerdictStore(tmp_path / "verdicts.sqlite", "anna") as store:
        yield store


def said(store, latent, annotator="anna"):
    event = store.state(SUBJECT, annotator).get(latent)
    return None if event is None else (event.verdict, event.concept, event.note)


def test_a_decision_is_kept_with_who_when_and_on_what(store):
    before = time.time()
    event = store.decide(
        SUBJECT,
        7,
        "spurious",
        concept="view marker",
        note="top corner",
        evidence=Evidence("study/one", {"contrast": [0, 2.5], "zoom": 3}, b"\x89PNG"),
    )
    with VerdictStore(store.path, "bea") as other:
        assert other.events() == [event]
        assert other.screenshot(event.uuid) == b"\x89PNG"
    assert (event.annotator, event.model, event.sae, event.image) == (
        "anna",
        SUBJECT.model,
        SUBJECT.sae,
        "study/one",
    )
    assert event.view == '{"contrast": [0, 2.5], "zoom": 3}'
    assert before - 1 <= time.mktime(time.strptime(event.time[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert store.screenshot("0" * 32) is None


def test_what_is_not_given_stays_and_what_is_emptied_goes(store):
    store.decide(SUBJECT, 1, "lesion", concept="mass", note="bright")
    store.decide(SUBJECT, 1, "unsure")
    assert said(store, 1) == ("unsure", "mass", "bright")
    store.decide(SUBJECT, 1, note="")
    assert said(store, 1) == ("unsure", "mass", "")
    store.decide(SUBJECT, 1, "", concept="")
    assert said(store, 1) is None
    assert len(store.events()) == 4


def test_the_state_is_per_annotator_model_and_sae(store):
    store.decide(SUBJECT, 1, "lesion")
    store.decide(Subject("other", SUBJECT.sae), 1, "anatomy")
    store.annotator = "bea"
    store.decide(SUBJECT, 1, "spurious")
    store.decide(SUBJECT, 4, "spurious")
    assert said(store, 1) == ("lesion", "", "")
    assert said(store, 1, "bea") == ("spurious", "", "")
    assert store.latents("spurious", SUBJECT) == [1, 4]
    assert store.latents("spurious", SUBJECT, "anna") == []
    assert store.annotators() == ["anna", "bea"]
    assert len(store.current()) == 4


def test_undo_and_redo_append(store):
    assert store.undo() is None
    assert store.redo() is None
    first = store.decide(SUBJECT, 3, "spurious", concept="view marker")
    store.decide(SUBJECT, 3, "anatomy", concept="nipple")
    store.decide(SUBJECT, 5, "lesion")
    assert store.undo().latent == 5
    assert said(store, 5) is None
    store.undo()
    assert said(store, 3) == ("spurious", "view marker", "")
    last = store.undo()
    assert said(store, 3) is None
    assert last.reverts == first.uuid
    assert store.undo() is None
    for _ in range(3):
        store.redo()
    assert said(store, 3) == ("anatomy", "nipple", "")
    assert said(store, 5) == ("lesion", "", "")
    assert store.redo() is None
    assert len(store.events()) == 9
    store.undo()
    store.decide(SUBJECT, 6, "unsure")
    assert store.redo() is None  # a new decision ends what could be redone


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just("undo"),
            st.just("redo"),
            st.tuples(st.integers(0, 3), st.sampled_from(VERDICTS)),
        ),
        max_size=25,
    )
)
def test_undo_and_redo_follow_the_model_of_two_stacks(tmp_path_factory, actions):
    history: list[dict[int, str]] = [{}]
    position = 0
    with VerdictStore(tmp_path_factory.mktemp("v") / "v.sqlite", "anna") as store:
        for count, action in enumerate(actions):
            if action == "undo":
                assert (store.undo() is None) == (position == 0)
                position = max(position - 1, 0)
            elif action == "redo":
                assert (store.redo() is None) == (position == len(history) - 1)
                position = min(position + 1, len(history) - 1)
            else:
                store.decide(SUBJECT, *action)
                history = [*history[: position + 1], history[position] | dict([action])]
                position += 1
            state = {latent: event.verdict for latent, event in store.state(SUBJECT).items()}
            assert state == history[position]
            assert len(store.events()) <= count + 1


def test_undo_leaves_a_later_decision_of_another_window_alone(store):
    store.decide(SUBJECT, 3, "spurious")
    with VerdictStore(store.path, "anna") as window:
        version = store.version
        window.decide(SUBJECT, 3, "lesion")
        assert store.version != version
        with pytest.raises(VerdictError, match="Latent 3 has a newer verdict"):
            store.undo()
        assert said(store, 3) == ("lesion", "", "")
        assert store.undo() is None
        window.undo()
    assert said(store, 3) == ("spurious", "", "")


def test_the_order_survives_a_clock_set_back(store, monkeypatch):
    from napari_mammosae.core.verdicts import store as verdicts

    class Early(verdicts.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2001, 1, 1, tzinfo=tz)

    store.decide(SUBJECT, 3, "spurious")
    monkeypatch.setattr(verdicts, "datetime", Early)
    store.decide(SUBJECT, 3, "lesion")
    assert said(store, 3) == ("lesion", "", "")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = 'x'", "DELETE FROM {}"])
def test_nothing_recorded_can_be_changed(store, table, change):
    event = store.decide(SUBJECT, 3, "spurious", evidence=Evidence(screenshot=b"1"))
    store.suggest(SUBJECT, [Suggestion(3, "view marker", "text")])
    with store.transaction() as connection:
        connection.execute("INSERT INTO merges VALUES ('now', 'a.csv', 'hash', 0)")
    raw = sqlite3.connect(store.path)
    column = {"merges": "source", "screenshots": "png", "arrivals": "uuid"}.get(table, "time")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(change.format(table, column))
    raw.close()
    assert store.events() == [event]


def test_the_vocabulary_starts_with_birads_and_is_edited(store):
    assert {"mass, spiculated margin", "nipple", "view marker"} <= set(store.concepts())
    store.add_concept(" ring of Saturn ")
    store.remove_concept("nipple")
    with VerdictStore(store.path) as again:
        assert "ring of Saturn" in again.concepts()
        assert "nipple" not in again.concepts()
        again.add_concept("nipple")
    assert store.concepts().count("nipple") == 1
    with pytest.raises(VerdictError, match="needs a name"):
        store.add_concept("  ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"verdict": "maybe"}, "'maybe' is not a verdict; expected one of lesion, anatomy, spurious, unsure"),
        ({"latent": -1}, "Latent -1 does not exist"),
        *(
            ({"evidence": Evidence(image)}, "was given as a path, not as a name; give the image's id instead")
            for image in (
                "/data/patients/smith.dcm",
                "C:\\patients\\smith.dcm",
                "\\\\server\\patients\\smith.dcm",
                "\\patients\\smith.dcm",
                "file:///data/patients/smith.dcm",
                "https://example.org/patients/smith.png",
                "data:text/html,patients",
                " javascript:alert(1)",
                "~/patients/smith.dcm",
                "~smith/patients/1.dcm",
                "../patients/smith.dcm",
                "a/../../patients/smith.dcm",
                "a\\..\\patients\\smith.dcm",
                "..",
            )
        ),
        ({"note": "\ud800"}, "Nothing was changed"),
        ({"latent": 2**70}, "Nothing was changed"),
    ],
)
def test_what_is_refused_leaves_no_trace(store, arguments, message):
    with pytest.raises(VerdictError, match=message.replace("(", "\\(")) as caught:
        store.decide(SUBJECT, **({"latent": 1, "verdict": "lesion"} | arguments))
    assert "patients/" not in str(caught.value)
    assert "patients\\" not in str(caught.value)
    assert store.events() == []
    assert store.undo() is None
    store.decide(SUBJECT, 1, "lesion")


def test_files_that_are_no_verdict_files(tmp_path):
    with pytest.raises(VerdictError, match=r"none.sqlite does not exist"):
        VerdictStore(tmp_path / "none.sqlite", create=False)
    (tmp_path / "text.sqlite").write_text("this is a long enough text that is no database" * 30)
    with pytest.raises(VerdictError, match=r"text.sqlite cannot be opened as a verdict file"):
        VerdictStore(tmp_path / "text.sqlite")
    foreign = sqlite3.connect(tmp_path / "foreign.sqlite")
    foreign.execute("CREATE TABLE a (b)")
    foreign.close()
    with pytest.raises(VerdictError, match=r"foreign.sqlite is a database of another program"):
        VerdictStore(tmp_path / "foreign.sqlite")
    VerdictStore(tmp_path / "new.sqlite").close()
    newer = sqlite3.connect(tmp_path / "new.sqlite")
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(VerdictError, match=r"version 99 .* update it"):
        VerdictStore(tmp_path / "new.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(VerdictError, match=r"folder of v.sqlite cannot be made"):
        VerdictStore(tmp_path / "file" / "v.sqlite")


def test_where_verdicts_go(tmp_path):
    assert default_path(tmp_path) == tmp_path / "verdicts.sqlite"
    assert default_path().name == "verdicts.sqlite"
    assert default_path().is_absolute()
    assert get_args(Verdict) == VERDICTS


def test_a_write_ahead_log_synced_at_every_commit(store):
    with store.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.notice == ""


def test_without_shared_memory_the_rollback_journal_said_once(tmp_path, caplog):
    # this layer of SQLite locks with a file and has no shared memory, like some network drives
    path = tmp_path / "v.sqlite"
    for _ in range(2):
        with VerdictStore(path, "anna", vfs="unix-dotfile") as store:
            assert "uses the rollback journal (mode delete) because the drive has no shared memory" in store.notice
            store.decide(SUBJECT, 1, "lesion")
            store.decide(SUBJECT, 2, "spurious")
            store.undo()
    assert [record.message for record in caplog.records] == [store.notice]
    with VerdictStore(path, "anna") as store:  # moved to a proper drive: the log is used again
        assert store.notice == ""
        assert said(store, 1) == ("lesion", "", "")


def test_network_drives_never_get_a_write_ahead_log(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "on_network_drive", lambda path: True)
    with VerdictStore(tmp_path / "v.sqlite", "anna") as store:
        assert "it is on a network drive" in store.notice
        store.decide(SUBJECT, 1, "lesion")
        with store.transaction() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_file_system_of_a_path():
    mounts = "/dev/sda / ext4 rw 0 0\nhost:/x /data/team\\040share nfs4 rw 0 0\nbroken\n/dev/b /data/local xfs rw 0 0\n"
    assert durable.file_system_of(Path("/data/team share/a/v.sqlite"), mounts) == "nfs4"
    assert durable.file_system_of(Path("/data/local/v.sqlite"), mounts) == "xfs"
    assert durable.file_system_of(Path("/home/v.sqlite"), mounts) == "ext4"


def test_a_locked_file_says_so_after_the_timeout(tmp_path):
    with VerdictStore(tmp_path / "v.sqlite", "anna", timeout=0.2) as store:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(VerdictError, match="locked"):
            store.decide(SUBJECT, 1, "lesion")
        other.execute("COMMIT")
        other.close()
        store.decide(SUBJECT, 1, "lesion")


WRITER = """
import os, sys
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
path, acknowledged, first, step, stop = sys.argv[1:]
log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(log, b"\\n")  # ends a line that a kill tore
with VerdictStore(path, "anna", timeout=60) as store:
    mine = [e.latent for e in store.events() if e.latent % int(step) == int(first)]
    for latent in range(max(mine, default=int(first) - int(step)) + int(step), int(stop), int(step)):
        event = store.decide(Subject("m", "s"), latent, "spurious", note=f"note {latent}")
        os.write(log, f"{event.uuid} {latent} .\\n".encode())
"""


@pytest.mark.slow
def test_ten_thousand_verdicts_of_two_killed_writers(tmp_path):
    total, rng = 10_000, random.Random(0)
    path, kills = tmp_path / "verdicts.sqlite", 0
    logs = [tmp_path / f"acknowledged-{i}" for i in range(2)]
    deadline = time.monotonic() + 40

    def start(i):
        """A writer, and the size of its log at which it is killed: after 1 to 1,500 more verdicts."""
        command = [sys.executable, "-c", WRITER, path, logs[i], str(i), "2", str(total)]
        written = logs[i].stat().st_size if logs[i].exists() else 0
        return i, subprocess.Popen(command, stderr=subprocess.PIPE), written + 40 * rng.randint(1, 1500)

    writers = [start(i) for i in range(2)]
    while writers:
        time.sleep(0.002)
        for writer in list(writers):
            i, process, limit = writer
            code = process.poll()
            if code is not None:
                assert code == 0, process.communicate()[1].decode()
                process.stderr.close()
                writers.remove(writer)
            # past the time that a slow machine may take, the writers are left to finish
            elif time.monotonic() < deadline and logs[i].exists() and logs[i].stat().st_size > limit:
                process.kill()
                process.communicate()
                kills += 1
                writers[writers.index(writer)] = start(i)

    lines = [line for log in logs for line in log.read_text().splitlines()]
    acknowledged = {tuple(line.split()[:2]) for line in lines if re.fullmatch(r"\w{32} \d+ \.", line)}
    assert len(acknowledged) > total - 10 * kills
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()
    with VerdictStore(path, create=False) as store:
        events = store.events()
        assert len(store.current()) == total
    assert kills >= 4
    assert Counter(event.latent for event in events) == Counter(range(total))
    assert all(event.note == f"note {event.latent}" for event in events)
    assert {(event.uuid, str(event.latent)) for event in events} >= acknowledged
