"""Names that methods suggest: kept beside people's verdicts, in the same file."""

import json
import sqlite3

import numpy as np
import pytest

from napari_mammosae.core.base.errors import VerdictError
from napari_mammosae.core.verdicts import schema
from napari_mammosae.core.verdicts.agreement import cohen_kappa
from napari_mammosae.core.verdicts.events import Event
from napari_mammosae.core.verdicts.exchange import export_verdicts, merge_verdicts, read_events
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.core.verdicts.suggestions import Suggestion, best_suggestion
from verdict_files import EVENT, write_verdict_file

SUBJECT = Subject("m" * 64, "s" * 64)
OTHER = Subject("m" * 64, "t" * 64)
MARKER = Suggestion(3, "view marker", "text", 0.41, 0.2, 0.01, {"measure": "cosine", "terms": "terms.csv"})


@pytest.fixture
def store(tmp_path):
    with VerdictStore(tmp_path / "verdicts.sqlite", "anna") as store:
        yield store


def test_a_suggestion_leaves_what_people_said_alone(store):
    store.decide(SUBJECT, 3, "lesion", concept="mass")
    before = store.events(), store.current(), store.state(SUBJECT), store.concepts(), store.annotators()
    assert store.suggest(SUBJECT, [MARKER, Suggestion(5, "fold", "vlm")]) == 2
    assert (store.events(), store.current(), store.state(SUBJECT), store.concepts(), store.annotators()) == before
    assert store.suggestions(SUBJECT) == {3: [MARKER], 5: [Suggestion(5, "fold", "vlm")]}
    assert store.suggestions(OTHER) == {}
    assert store.undo() is not None  # the person's decision, not the suggestion
    assert store.suggestions(SUBJECT)[3] == [MARKER]


def test_what_was_suggested_already_adds_nothing(store):
    assert store.suggest(SUBJECT, [MARKER, MARKER]) == 1
    again = Suggestion(np.int64(3), " view  marker", "text", np.float64(0.41) + 1e-12, 0.2, 0.01, {"made": "later"})
    assert store.suggest(SUBJECT, [again]) == 0
    with VerdictStore(store.path, "ben") as other:
        assert other.suggest(SUBJECT, [MARKER]) == 0
    assert store.suggest(OTHER, [MARKER]) == 1
    assert store.suggest(SUBJECT, [Suggestion(3, "view marker", "vlm")]) == 1
    assert store.count_suggestions() == 3


def test_the_last_word_of_a_method_holds_and_the_first_stays_in_the_log(store):
    scored = Suggestion(3, "letter", "text", 0.7, 0.5, 0.2)
    for suggestion in (MARKER, scored):
        store.suggest(SUBJECT, [suggestion])
    assert store.suggestions(SUBJECT) == {3: [scored]}
    assert [event.suggestion.name for event in store.suggestion_events(SUBJECT)] == ["view marker", "letter"]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store._connection.execute("DELETE FROM suggestions")


@pytest.mark.parametrize(
    ("suggestion", "message"),
    [
        (Suggestion(-1, "mass", "text"), "Latent -1 does not exist"),
        (Suggestion(1, "  ", "text"), "latent 1: a suggestion needs a name"),
        (Suggestion(1, "mass", ""), "and the method that makes it"),
        (Suggestion(1, "m" * 121, "text"), "latent 1 is too long"),
        (Suggestion(1, "mass", "text", float("inf")), "a score is not a finite number"),
        (Suggestion(1, "mass", "text", q_value=1.5), "the q-value 1.5 is not between 0 and 1"),
    ],
)
def test_what_no_file_may_hold_is_refused_whole(store, suggestion, message):
    with pytest.raises(VerdictError, match=message):
        store.suggest(SUBJECT, [MARKER, suggestion])
    assert store.count_suggestions() == 0


def test_a_figure_that_is_missing_is_none(store):
    store.suggest(SUBJECT, [Suggestion(1, "mass", "vlm", float("nan"), None, float("nan"))])
    assert store.suggestions(SUBJECT)[1] == [Suggestion(1, "mass", "vlm")]


@pytest.mark.parametrize(
    ("score", "null", "q_value", "better"),
    [
        (0.9, 0.5, 0.05, True),
        (0.9, 0.5, 0.051, False),
        (0.6, 0.5, None, True),
        (0.5, 0.5, None, False),
        (0.9, None, None, False),
        (None, None, None, False),
    ],
)
def test_better_than_chance(score, null, q_value, better):
    assert Suggestion(1, "mass", "text", score, null, q_value).beats_chance is better


def test_the_name_to_show_is_the_surest_that_was_not_rejected():
    weak, sure, surer = (Suggestion(1, name, name, 1, 0, q) for name, q in (("a", 0.5), ("b", 0.04), ("c", 0.001)))
    unmeasured = Suggestion(1, "d", "d")
    assert best_suggestion([unmeasured, weak, sure, surer]) is surer
    assert best_suggestion([weak, sure, surer], "c\nx") is sure
    assert best_suggestion([weak], "a") is None
    assert best_suggestion([]) is None


@pytest.mark.parametrize("name", ["out.csv", "out.json", "verdicts.sqlite"])
def test_suggestions_travel(store, tmp_path, name):
    store.decide(SUBJECT, 3, "lesion", concept="mass", rejected="letter")
    store.suggest(SUBJECT, [MARKER, Suggestion(4, "=2+2; ö", "vlm")])
    path = tmp_path / name
    if path.suffix != ".sqlite":
        export_verdicts(store, path)
    log = read_events(path)
    assert (log.events, log.suggestions) == (store.events(), store.suggestion_events())
    with VerdictStore(tmp_path / "other.sqlite", "ben") as other:
        assert [merge_verdicts(other, [path])[0].added for _ in range(2)] == [3, 0]
        assert other.suggestions(SUBJECT) == store.suggestions(SUBJECT)
        assert other.current() == store.current()
        assert other.suggest(SUBJECT, [MARKER]) == 0


def test_an_export_may_hold_the_present_or_one_method_alone(store, tmp_path):
    store.decide(SUBJECT, 3, "lesion")
    store.suggest(SUBJECT, [MARKER])
    store.suggest(SUBJECT, [Suggestion(3, "letter", "text"), Suggestion(3, "clip", "vlm")])
    now = read_events(export_verdicts(store, tmp_path / "now.json", current=True))
    assert [event.suggestion.name for event in now.suggestions] == ["letter", "clip"]
    one = read_events(export_verdicts(store, tmp_path / "one.csv", annotator="vlm"))
    assert (one.events, [event.suggestion.name for event in one.suggestions]) == ([], ["clip"])
    assert not read_events(export_verdicts(store, tmp_path / "anna.csv", annotator="anna")).suggestions


def _edited(store, path, **changes):
    store.suggest(SUBJECT, [MARKER])
    content = json.loads(export_verdicts(store, path).read_text(encoding="utf-8"))
    content["suggestions"][0] |= changes
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "high"}, "could not convert"),
        ({"latent": None}, "a.json, suggestion 1"),
        ({"uuid": "1"}, "a.json, suggestion 1"),
        ({"time": "then"}, "Invalid isoformat"),
        ({"provenance": "[]"}, "not a JSON object"),
        ({"provenance": "{"}, "a.json, suggestion 1"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_line_that_is_not_a_suggestion_is_named(store, tmp_path, change, message):
    path = _edited(store, tmp_path / "a.json", **change)
    with pytest.raises(VerdictError, match=message):
        read_events(path)


def test_an_edited_suggestion_is_not_merged(store, tmp_path):
    path = _edited(store, tmp_path / "a.json", name="something else")
    with pytest.raises(VerdictError, match=r"latent 3\) differs"):
        merge_verdicts(store, [path])


def test_agreement_is_between_people(store):
    with VerdictStore(store.path, "ben") as ben:
        for latent, (one, other) in enumerate([("lesion", "lesion"), ("spurious", "lesion"), ("anatomy", "anatomy")]):
            store.decide(SUBJECT, latent, one)
            ben.decide(SUBJECT, latent, other)
    before = cohen_kappa(store, "anna", "ben")
    store.suggest(SUBJECT, [Suggestion(latent, "mass", "text", 0.9, 0.5, 0.0) for latent in range(5)])
    store.decide(SUBJECT, 7, rejected="mass")
    after = cohen_kappa(store, "anna", "ben")
    assert (after.kappa, after.n, after.only_first) == (before.kappa, before.n, before.only_first)
    with pytest.raises(VerdictError, match="no verdict of 'text'"):
        cohen_kappa(store, "anna", "text")


def test_a_rejection_is_kept_until_it_is_taken_back(store):
    store.decide(SUBJECT, 3, rejected="view marker")
    assert store.decide(SUBJECT, 3, "lesion").rejected == "view marker"
    assert store.state(SUBJECT)[3].rejected == "view marker"
    store.undo()
    assert store.state(SUBJECT)[3].rejected == "view marker"
    store.undo()
    assert 3 not in store.state(SUBJECT)
    store.redo()
    assert store.state(SUBJECT)[3].rejected == "view marker"


def _tables(store):
    rows = store._connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {"".join(row[0].split()) for row in rows}


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_earlier_version_is_brought_up_and_loses_nothing(tmp_path, version):
    path = write_verdict_file(tmp_path / "v.sqlite", version)
    assert read_events(path).events == [Event(*EVENT)]  # of a copy: the file is as it was
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (version,)
    raw.close()
    for _ in range(2):  # brought up, then opened as any other
        with VerdictStore(path, "ben") as store:
            assert (store.events(), store.current(), store.arrived(SUBJECT, 0)[1]) == ([Event(*EVENT)],) * 3
    with VerdictStore(path, "ben") as store, VerdictStore(tmp_path / "new.sqlite") as new:
        store.suggest(SUBJECT, [MARKER])
        store.decide(SUBJECT, 3, rejected="view marker")
        assert len(store.current()) == 2
        assert _tables(store) == _tables(new)
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
