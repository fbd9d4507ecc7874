"""The verdict file kept in step with the session: two writers, long files, files that cannot be read."""

import threading
from dataclasses import astuple
from types import SimpleNamespace

import pytest

from napari_mammosae.core.base.caches import cache_folder
from napari_mammosae.core.base.errors import VerdictError
from napari_mammosae.core.verdicts.events import INSERT_EVENT, VERDICTS, Event
from napari_mammosae.core.verdicts.reader import VerdictReader
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.viewer.app.jobs import Jobs
from napari_mammosae.viewer.app.session import Session
from napari_mammosae.viewer.verdicts.book import VerdictBook

SUBJECT = Subject("model", "sae")
MANY = 50_000


def run_at(path, sae="sae"):
    path.mkdir(parents=True, exist_ok=True)
    return SimpleNamespace(path=path, info={"model_sha256": "model", "sae_sha256": sae})


def fill(path, count, subject=SUBJECT, first=0):
    """Write many events of two people at once, each later than the one before."""
    events = [
        Event(f"{subject.sae}{i:032d}"[-32:], f"2026-01-01T00:00:00.{i:06d}Z", ("anna", "ben")[i % 2], subject.model,
              subject.sae, i * 7 % 16_384, VERDICTS[i // 3 % 4], "", "", "image-1", "", "")
        for i in range(first, first + count)
    ]  # fmt: skip
    with VerdictStore(path) as store, store.transaction() as connection:
        connection.executemany(INSERT_EVENT, [astuple(event) for event in events])


def as_the_file_has_it(path, annotator, subject=SUBJECT):
    with VerdictStore(path) as store:
        current = store.current(subject)
    mine = {event.latent: event for event in current if event.annotator == annotator}
    others = {}
    for event in current:
        if event.annotator != annotator:
            others.setdefault(event.latent, []).append(event)
    return mine, others


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def book(qtbot, session):
    """The book of a window, whose long files are read beside it."""
    jobs = Jobs()
    book = VerdictBook(session, "anna", jobs)
    yield book
    book.close()
    qtbot.waitUntil(lambda: not jobs.busy)


@pytest.fixture
def reads(monkeypatch):
    """(which question, how many events it brought, in which thread) of every reading."""
    found = []

    def spy(name):
        asked = getattr(VerdictReader, name)

        def ask(*arguments):
            number, events = asked(*arguments)
            found.append((name, len(events), threading.current_thread() is threading.main_thread()))
            return number, events

        monkeypatch.setattr(VerdictReader, name, ask)

    spy("arrived")
    spy("latest")
    return found


def test_only_what_came_in_since_is_read(book, session, reads, tmp_path):
    path = tmp_path / "verdicts.sqlite"
    fill(path, 500)
    session.run = run_at(tmp_path)
    assert reads == [("arrived", 500, True)]
    announced = []
    book.changed.connect(lambda: announced.append(1))
    with VerdictStore(path, "ben") as ben:
        for latent in (3, 20_000):
            ben.decide(SUBJECT, latent, "unsure", concept="fold")
        book.decide(3, "spurious")
        ben.decide(Subject("model", "another SAE"), 3, "lesion")
        announced.clear()
        book.poll()
        assert reads[1:] == [("arrived", 3, True)]  # with one's own, of which nothing new is learnt
        assert len(announced) == 1
        book.poll()
        assert len(reads) == 2
        assert (book.mine, book.others) == as_the_file_has_it(path, "anna")
        assert book.line(3) == "spurious; unsure: fold (ben)"
        ben.undo()
        ben.undo()
        book.poll()
    assert book.line(20_000) is None
    assert (book.mine, book.others) == as_the_file_has_it(path, "anna")


@pytest.mark.slow
def test_a_long_file_is_read_beside_the_window_and_nothing_is_lost(qtbot, book, session, reads, tmp_path, monkeypatch):
    path = tmp_path / "verdicts.sqlite"
    fill(path, MANY)
    begun, go_on, latest = threading.Event(), threading.Event(), VerdictReader.latest

    def slow(self, subject, low, high):
        found = latest(self, subject, low, high)
        begun.set()
        go_on.wait(20)
        return found

    monkeypatch.setattr(VerdictReader, "latest", slow)
    session.run = run_at(tmp_path)
    assert book.reading
    assert book.mine == {}
    assert begun.wait(20)
    decided = book.decide(5, "spurious")  # while it is read, here and elsewhere
    with VerdictStore(path, "ben") as ben:
        ben.decide(SUBJECT, 6, "lesion", concept="elsewhere")
    assert book.mine == {5: decided}
    book.poll()
    go_on.set()
    qtbot.waitUntil(lambda: not book.reading, timeout=30_000)
    *pages, last = reads
    assert {(name, at_once) for name, _, at_once in pages} == {("latest", False)}
    assert last[::2] == ("arrived", True)
    assert last[1] == 2
    assert max(count for _, count, _ in pages) < 1_000  # the window has its turn in between
    pages_read = len(reads)
    assert (book.mine, book.others) == as_the_file_has_it(path, "anna")
    assert book.mine[5] == decided
    assert "elsewhere" in book.line(6)
    book.annotator = "ben"
    assert (book.mine, book.others) == as_the_file_has_it(path, "ben")
    assert len(reads) == pages_read  # who looks at it is no reason to read it again

    fill(path, 9_000, first=MANY)  # somebody merges a long file
    book.poll()
    assert book.reading
    qtbot.waitUntil(lambda: not book.reading, timeout=30_000)
    assert (book.mine, book.others) == as_the_file_has_it(path, "ben")


def test_what_was_read_for_an_earlier_run_is_dropped(qtbot, book, session, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        fill(tmp_path / name / "verdicts.sqlite", 4_000 if name == "first" else 40)
    session.run = run_at(tmp_path / "first")
    assert book.reading
    session.run = run_at(tmp_path / "second")
    assert not book.reading
    qtbot.waitUntil(lambda: not book._jobs.busy)
    qtbot.wait(20)
    assert (book.mine, book.others) == as_the_file_has_it(tmp_path / "second" / "verdicts.sqlite", "anna")


def test_without_an_event_loop_a_long_file_is_read_at_once(session, tmp_path):
    fill(tmp_path / "verdicts.sqlite", 4_000)
    book = VerdictBook(session, "anna")
    session.run = run_at(tmp_path)
    assert (book.mine, book.others) == as_the_file_has_it(tmp_path / "verdicts.sqlite", "anna")
    book.close()


def test_a_file_that_cannot_be_read_does_not_keep_a_run_from_being_opened(book, session, tmp_path):
    told, seen = [], []
    book.failed.connect(told.append)
    fill(tmp_path / "good" / "verdicts.sqlite", 3)
    session.run = run_at(tmp_path / "good")
    assert book.mine
    bad = run_at(tmp_path / "bad")
    (bad.path / "verdicts.sqlite").write_bytes(b"not a database at all, and longer than a header would be" * 4)
    session.events.run.connect(seen.append)
    session.run = bad
    assert seen == [bad]  # those who listen after the book hear of it as well
    assert len(told) == 1
    assert "verdicts.sqlite cannot be opened as a verdict file" in told[0]
    assert book.problem == told[0]
    assert (book.mine, book.others) == ({}, {})  # nothing of the run before
    for _ in range(3):
        book.poll()
    assert len(told) == 1  # said once, not every two seconds
    (bad.path / "verdicts.sqlite").unlink()
    fill(bad.path / "verdicts.sqlite", 2)
    book.poll()
    assert book.problem == ""
    assert (book.mine, book.others) == as_the_file_has_it(bad.path / "verdicts.sqlite", "anna")


def test_verdicts_of_a_read_only_run_are_shown_and_not_changed(book, session, tmp_path, monkeypatch):
    fill(tmp_path / "run" / "verdicts.sqlite", 3)
    monkeypatch.setattr("napari_mammosae.core.verdicts.store.is_read_only", lambda path: path.parent.name == "run")
    session.run = run_at(tmp_path / "run")
    assert (book.mine, book.others) == as_the_file_has_it(tmp_path / "run" / "verdicts.sqlite", "anna")
    assert len(book.mine) + len(book.others) == 3
    assert "read-only" in book.notice
    with pytest.raises(VerdictError, match=r"verdicts.sqlite is read-only here. Choose another file"):
        book.decide(5, "lesion")
    book.use_path(tmp_path / "own.sqlite")
    book.decide(5, "lesion")
    assert book.verdict(5) == "lesion"
    assert len(as_the_file_has_it(tmp_path / "run" / "verdicts.sqlite", "anna")[0]) == 2


def test_what_could_not_be_read_is_read_at_the_next_look(book, session, tmp_path, monkeypatch):
    path = tmp_path / "verdicts.sqlite"
    fill(path, 3)
    session.run = run_at(tmp_path)
    fill(path, 3, first=3)
    with monkeypatch.context() as patch:

        def locked(*_):
            raise VerdictError("verdicts.sqlite was not read or written: database is locked.")

        patch.setattr(VerdictReader, "arrived", locked)
        with pytest.raises(VerdictError, match="locked"):
            book.poll()
    book.poll()
    assert (book.mine, book.others) == as_the_file_has_it(path, "anna")
    assert len(book.mine) + len(book.others) == 6


def test_verdicts_on_a_cached_run_are_the_user_s_and_not_the_cache_s(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = run_at(cache_folder() / "demo-1" / "run")

    def opened(user):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / user))
        session = Session()
        book = VerdictBook(session, user)
        session.run = run
        return book

    first = opened("anna")
    first.decide(1096, "spurious")
    assert first.path.is_relative_to(tmp_path / "anna")
    assert not any(run.path.iterdir())
    second = opened("ben")  # another person, or another test, with the same cache
    assert (second.mine, second.others) == ({}, {})
    again = opened("anna")
    assert again.verdict(1096) == "spurious"
    for book in (first, second, again):
        book.close()
