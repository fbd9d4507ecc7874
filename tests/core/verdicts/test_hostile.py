"""Verdict files that something else wrote or changed."""

import json
import sqlite3
from pathlib import Path

import pytest

from napari_mammosae.core.base.errors import VerdictError
from napari_mammosae.core.verdicts.exchange import export_verdicts, read_events
from napari_mammosae.core.verdicts.store import Subject, VerdictStore


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "verdicts.sqlite"
    with VerdictStore(path, "reader") as store:
        store.decide(Subject("m" * 64, "s" * 64), 3, "lesion", note="near")
    return path


def _changed(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema=ON")
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statements",
    [
        (
            "DROP VIEW concepts",
            "CREATE VIEW concepts AS WITH RECURSIVE n(concept) AS (SELECT 1 UNION ALL SELECT concept + 1 FROM n) "
            "SELECT concept FROM n",
        ),
        ("CREATE TRIGGER late AFTER INSERT ON events BEGIN DELETE FROM vocabulary; END",),
        ("CREATE VIEW other AS SELECT 1",),
        ("DROP TRIGGER events_no_delete", "CREATE TRIGGER events_no_delete AFTER DELETE ON events BEGIN SELECT 1; END"),
    ],
    ids=["endless view", "new trigger", "new view", "changed trigger"],
)
def test_foreign_views_and_triggers_are_refused(file, statements):
    _changed(file, *statements)
    for read in (read_events, lambda path: VerdictStore(path, create=False)):
        with pytest.raises(VerdictError, match=r"verdicts\.sqlite is not a verdict file: its (view|trigger)"):
            read(file)


_WRONG = {"text": "'many'", "bytes": "x'00'", "number": "9e300"}


@pytest.mark.parametrize(
    ("column", "value"),
    [*(("latent", value) for value in _WRONG.values()), ("time", "'soon'"), ("uuid", "'1'"), ("annotator", "''")],
)
def test_events_that_cannot_be_are_refused(file, column, value):
    _changed(file, "DROP TRIGGER events_no_update", f"UPDATE events SET {column} = {value}")
    _changed(file, *(text for text in _statements() if text.startswith("CREATE TRIGGER events_no_update")))
    with pytest.raises(VerdictError, match=r"^verdicts\.sqlite, event"):
        read_events(file)


def _statements() -> list[str]:
    with sqlite3.connect(":memory:") as connection:
        from napari_mammosae.core.verdicts.schema import prepare

        connection.isolation_level = None
        prepare(connection, "new")
        texts = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    connection.close()
    return texts


def test_honest_files_are_read_whatever_tables_lie_beside_ours(file, tmp_path):
    _changed(file, "CREATE TABLE mine (a)", "CREATE INDEX mine_a ON mine (a)")
    (event,) = read_events(file)[0]
    assert (event.latent, event.verdict, event.note) == (3, "lesion", "near")
    with VerdictStore(file, create=False) as store:
        export_verdicts(store, tmp_path / "out.json")
    assert read_events(tmp_path / "out.json")[0] == [event]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"events": [None]},
        {"events": [[1]]},
        {"events": [{"time": 1}]},
        {"events": {}},
        {"events": [], "concepts": 3},
        {"events": ["[" * 100]},
    ],
)
def test_json_that_holds_no_verdicts(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(VerdictError, match=r"a\.json"):
        read_events(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"events": ' + "9" * 10_000 + "}", "\0", ""])
def test_what_is_no_json(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(VerdictError, match=r"a\.json") as error:
        read_events(tmp_path / "a.json")
    assert len(str(error.value)) <= 300
