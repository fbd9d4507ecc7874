"""Verdict files that are only read, and files of other programs, which are not touched at all."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from napari_mammosae.core.base.errors import VerdictError
from napari_mammosae.core.verdicts.exchange import export_verdicts, merge_verdicts
from napari_mammosae.core.verdicts.store import Subject, VerdictStore

SUBJECT = Subject("m" * 64, "s" * 64)


def other_database(path, journal):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE a (b)")
        connection.execute("INSERT INTO a VALUES (1)")
        connection.commit()


NOT_OURS = {
    "a text": lambda path: path.write_text("my notes"),
    "a long text": lambda path: path.write_text("my notes " * 500),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "a cut database": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(200)),
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "a database": lambda path: other_database(path, "delete"),
    "a database with a log": lambda path: other_database(path, "wal"),
}


@pytest.mark.parametrize("kind", NOT_OURS)
@pytest.mark.parametrize("name", ["notes.sqlite", "notes.txt"])
def test_a_file_that_is_not_a_verdict_file_is_not_touched(tmp_path, kind, name):
    path = tmp_path / name
    NOT_OURS[kind](path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for words in ({}, {"create": False}, {"write": False}):
        with pytest.raises(VerdictError, match=name):
            VerdictStore(path, "anna", **words)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_empty_file_and_a_new_one_cut_off_become_verdict_files(tmp_path):
    (tmp_path / "empty.sqlite").touch()
    with closing(sqlite3.connect(tmp_path / "begun.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode=wal")  # as far as a killed program came
    for name in ("empty", "begun"):
        with VerdictStore(tmp_path / f"{name}.sqlite", "anna") as store:
            store.decide(SUBJECT, 1, "lesion")
            assert len(store.events()) == 1


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "with a log left by a kill"])
def test_a_read_only_file_is_read_and_not_written(tmp_path, monkeypatch, killed):
    folder = tmp_path / "run"
    writer = VerdictStore(folder / "verdicts.sqlite", "anna")
    writer.decide(SUBJECT, 3, "spurious", concept="view marker")
    if not killed:
        writer.close()
    assert (folder / "verdicts.sqlite-wal").exists() == killed
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and Path(path) != folder)
    with VerdictStore(folder / "verdicts.sqlite", "bea", create=False) as store:
        assert store.read_only
        assert "read-only" in store.notice
        assert store.latents("spurious", SUBJECT) == [3]
        assert len(store.events()) == 1
        for change in (
            lambda: store.decide(SUBJECT, 3, "lesion"),
            lambda: store.add_concept("new"),
            lambda: merge_verdicts(store, [folder / "verdicts.sqlite"]),
        ):
            with pytest.raises(VerdictError, match=r"verdicts.sqlite is read-only here. Choose another file"):
                change()
        out = export_verdicts(store, tmp_path / "out.csv")
        assert "view marker" in out.read_text()
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
        version = store.version
        assert store.version == version
        if killed:  # the other is still there, and writes
            writer.decide(SUBJECT, 5, "lesion")
            assert store.version != version
            assert len(store.events()) == 2
    writer.close()


def test_a_protected_file_is_read_only_whatever_its_permissions_say(tmp_path, monkeypatch):
    path = tmp_path / "verdicts.sqlite"
    with VerdictStore(path, "anna") as store:
        store.decide(SUBJECT, 3, "spurious")
    opened = Path.open

    def protected(self, mode="r", *words, **options):
        if self == path and "+" in mode:
            raise PermissionError(1, "Operation not permitted", str(self))
        return opened(self, mode, *words, **options)

    monkeypatch.setattr(Path, "open", protected)
    with VerdictStore(path) as store:
        assert store.read_only
        assert store.latents("spurious", SUBJECT) == [3]


def test_a_source_that_is_read_stays_as_it_is(tmp_path):
    with VerdictStore(tmp_path / "hers.sqlite", "bea") as store:
        store.decide(SUBJECT, 3, "spurious")
    before = (tmp_path / "hers.sqlite").read_bytes()
    with VerdictStore(tmp_path / "mine.sqlite", "anna") as mine:
        assert merge_verdicts(mine, [tmp_path / "hers.sqlite"])[0].added == 1
    assert (tmp_path / "hers.sqlite").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hers.sqlite", "mine.sqlite"]
