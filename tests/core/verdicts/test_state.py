"""The state kept up with a growing log, against the database's own view of it, whoever writes and in what order."""

import sqlite3
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.verdicts.events import INSERT_EVENT, Event, Subject
from napari_mammosae.core.verdicts.exchange import export_verdicts, merge_verdicts
from napari_mammosae.core.verdicts.state import VerdictState
from napari_mammosae.core.verdicts.store import VerdictStore
from verdict_files import EVENT, write_verdict_file

SUBJECT, OTHER = Subject("model", "sae"), Subject("model", "other sae")


def said(state, annotators):
    return {(latent, who): event for who in annotators for latent, event in state.by(who).items()}


def as_the_view_has_it(store):
    return {(event.latent, event.annotator): event for event in store.current(SUBJECT)}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["anna", "ben", "merge", "look"]),
        st.sampled_from([SUBJECT, OTHER]),
        st.integers(0, 3),
        st.sampled_from(["lesion", "spurious", "", "undo", "redo"]),
    ),
    max_size=25,
)


@given(STEPS)
def test_two_writers_and_a_merge_leave_what_the_view_says(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("state")
    with (
        VerdictStore(folder / "v.sqlite", "anna") as anna,
        VerdictStore(folder / "v.sqlite", "ben") as ben,
        VerdictStore(folder / "away.sqlite", "carla") as away,
    ):
        writers, state = {"anna": anna, "ben": ben, "merge": away}, VerdictState()
        for who, subject, latent, verdict in steps:
            if who == "look":
                number, events = anna.arrived(SUBJECT, state.number)
                state.take(events)
                state.number = number
            elif who == "merge" and verdict == "undo":  # carla's decisions come in, older than some that are there
                export_verdicts(away, folder / "away.csv")
                merge_verdicts(ben, [folder / "away.csv"])
            elif verdict in ("undo", "redo"):
                getattr(writers[who], verdict)()
            else:
                writers[who].decide(subject, latent, verdict)
        number, events = anna.arrived(SUBJECT, state.number)
        state.take(events)
        everybody = ("anna", "ben", "carla")
        assert said(state, everybody) == as_the_view_has_it(anna)
        assert ben.waiting(number) == 0

        at_once = VerdictState()
        at_once.number, events = anna.latest(SUBJECT)
        at_once.take(events)
        assert at_once.number == number
        assert said(at_once, everybody) == as_the_view_has_it(anna)
        assert ben.end(SUBJECT) == max((event.latent + 1 for event in anna.events(SUBJECT)), default=0)
        paged = [event for low in range(0, 4, 2) for event in ben.latest(SUBJECT, low, low + 2)[1]]
        assert sorted(event.uuid for event in paged) == sorted(event.uuid for event in events)
        for latent in range(4):
            assert set(state.of(latent)) == {who for one, who in as_the_view_has_it(anna) if one == latent}
        theirs = {(latent, event.annotator) for latent, events in state.others("anna").items() for event in events}
        assert theirs == {key for key in as_the_view_has_it(anna) if key[1] != "anna"}


def test_only_what_changed_is_named(tmp_path):
    with VerdictStore(tmp_path / "v.sqlite", "anna") as store:
        state = VerdictState()
        store.decide(SUBJECT, 1, "lesion")
        store.decide(SUBJECT, 2, "lesion")
        number, events = store.arrived(SUBJECT, 0)
        assert state.take(events) == {1, 2}
        assert state.take(events) == set()
        own = store.decide(SUBJECT, 2, "spurious")
        store.decide(OTHER, 3, "spurious")
        assert state.take([own]) == {2}
        assert store.waiting(number) == 2
        later, events = store.arrived(SUBJECT, number)
        assert [event.latent for event in events] == [2]
        assert state.take(events) == set()
        assert store.arrived(SUBJECT, later) == (later, [])


def test_a_later_withdrawal_outlasts_an_earlier_decision_that_comes_after_it(tmp_path):
    with VerdictStore(tmp_path / "v.sqlite", "anna") as store:
        decided = store.decide(SUBJECT, 1, "lesion")
        withdrawn = store.undo()
    for events in ([decided, withdrawn], [withdrawn, decided]):
        state = VerdictState()
        state.take(events)
        assert state.by("anna") == {}
        assert not state.of(1)


def test_a_file_of_the_first_version_goes_on_with_its_arrivals(tmp_path):
    path, subject = write_verdict_file(tmp_path / "v.sqlite", 1), Event(*EVENT).subject
    with VerdictStore(path, "ben") as store:
        events = store.events(subject)
        assert store.arrived(subject, 0) == (1, events)
        more = store.decide(subject, 3, "unsure")
        assert store.arrived(subject, 1) == (2, [more])
    with VerdictStore(path, "ben") as store, pytest.raises(Exception, match="append-only"):
        store._connection.execute("DELETE FROM arrivals")


def test_what_another_tool_inserts_arrives_as_well(tmp_path):
    with VerdictStore(tmp_path / "v.sqlite", "anna") as store:
        event = Event("0" * 32, "2020-01-01T00:00:00.000000Z", "dora", "model", "sae", 7, "lesion", "", "", "", "", "")
        raw = sqlite3.connect(store.path)
        raw.execute(INSERT_EVENT, astuple(event))
        raw.commit()
        raw.close()
        assert store.arrived(SUBJECT, 0) == (1, [event])


def test_a_file_is_opened_while_somebody_else_writes(tmp_path):
    path = tmp_path / "v.sqlite"
    VerdictStore(path).close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with VerdictStore(path, timeout=0.05) as store:  # it reads, so there is nothing to wait for
        assert store.events() == []
    writer.execute("ROLLBACK")
    writer.close()
