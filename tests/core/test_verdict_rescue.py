"""Verdicts that lay in the cache with the demo run are brought to the user's own file, whole, and stay there."""

import shutil
import sqlite3

import pytest

from napari_mammosae.core.verdict_rescue import rescue_cached_verdicts
from napari_mammosae.core.verdicts.places import cache_folder, default_path, in_cache
from napari_mammosae.core.verdicts.store import Evidence, Subject, VerdictStore

SUBJECT = Subject("model", "sae")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run():
    return cache_folder() / "demo-1" / "run"


def tables(path):
    """Everything in a file but the merges, by table."""
    raw = sqlite3.connect(path)
    names = ("events", "vocabulary", "screenshots")
    found = {name: set(raw.execute(f"SELECT * FROM {name}")) for name in names}
    raw.close()
    return found


def test_verdicts_of_a_cached_run_go_into_the_user_s_own_file(run, tmp_path):
    assert in_cache(run)
    assert default_path(run) == default_path()
    assert not default_path().is_relative_to(cache_folder())
    elsewhere = tmp_path / "elsewhere"
    assert default_path(elsewhere) == elsewhere / "verdicts.sqlite"
    link = tmp_path / "link"
    run.mkdir(parents=True)
    link.symlink_to(run)
    assert default_path(link) == default_path()


def test_what_was_decided_outlives_the_cache(run):
    run.mkdir(parents=True)
    with VerdictStore(default_path(run), "anna") as store:
        event = store.decide(SUBJECT, 1096, "spurious")
    shutil.rmtree(cache_folder())
    with VerdictStore(default_path(run), "anna") as store:
        assert store.state(SUBJECT) == {1096: event}


def test_an_earlier_file_is_taken_over_whole_and_once(run):
    old = run / "verdicts.sqlite"
    with VerdictStore(old, "anna") as store:
        store.decide(SUBJECT, 1, "spurious", concept="view marker", evidence=Evidence("p-1", {"zoom": 2.0}, b"PNG"))
        store.decide(SUBJECT, 2, "lesion")
        store.undo()
        store.add_concept("my own word")
        store.remove_concept("nipple")
    with VerdictStore(default_path(), "anna") as store:
        own = store.decide(SUBJECT, 3, "unsure")
    before = tables(old)
    assert rescue_cached_verdicts() == 3
    after = tables(default_path())
    for name, rows in before.items():
        assert rows <= after[name], name
    with VerdictStore(default_path(), "anna") as store:
        assert {latent: event.verdict for latent, event in store.state(SUBJECT).items()} == {1: "spurious", 3: "unsure"}
        assert store.state(SUBJECT)[3] == own
        assert "my own word" in store.concepts()
        assert "nipple" not in store.concepts()
    assert tables(old) == before  # nothing is deleted
    assert rescue_cached_verdicts() == 0
    assert tables(default_path()) == after

    with VerdictStore(old, "ben") as store:  # an older program went on with the old file
        store.decide(SUBJECT, 9, "anatomy")
    assert rescue_cached_verdicts() == 1
    assert rescue_cached_verdicts() == 0


def test_every_cached_run_is_looked_at_and_a_broken_file_stops_nothing(run, caplog):
    run.mkdir(parents=True)
    (run / "verdicts.sqlite").write_bytes(b"no database, but long enough to look like a file of something else" * 9)
    with VerdictStore(cache_folder() / "demo-2" / "run" / "verdicts.sqlite", "anna") as store:
        store.decide(SUBJECT, 1, "spurious")
    assert rescue_cached_verdicts() == 1
    assert "Verdicts of demo-1 were not taken over" in caplog.text
    assert (run / "verdicts.sqlite").read_bytes().startswith(b"no database")


def test_without_anything_to_rescue_no_file_is_made():
    assert rescue_cached_verdicts() == 0
    assert not default_path().exists()
