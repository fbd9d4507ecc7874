"""Verdicts as CSV and JSON, merging, and agreement."""

import csv
import json
import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from napari_mammosae.core.base.errors import VerdictError, WriteError
from napari_mammosae.core.verdicts.agreement import cohen_kappa
from napari_mammosae.core.verdicts.events import INSERT_EVENT
from napari_mammosae.core.verdicts.exchange import export_verdicts, merge_verdicts, read_events
from napari_mammosae.core.verdicts.store import VERDICTS, Evidence, Subject, VerdictStore

SUBJECT = Subject("m" * 64, "s" * 64)


@pytest.fixture
def store(tmp_path):
    with VerdictStore(tmp_path / "verdicts.sqlite", "anna") as store:
        store.decide(SUBJECT, 1, "lesion", concept="ring, of Saturn", note='says "so",\nand more\r\nö')
        store.decide(SUBJECT, 2, "spurious", evidence=Evidence("one", {"contrast": [0, 1]}))
        store.decide(SUBJECT, 2, "anatomy")
        store.undo()
        store.decide(SUBJECT, 9, note="no verdict yet")
        yield store


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_export_and_import_are_exact_and_idempotent(store, tmp_path, name):
    path = export_verdicts(store, tmp_path / name)
    events, *_ = read_events(path)
    assert events == store.events()
    with VerdictStore(tmp_path / "other.sqlite", "bea") as other:
        other.decide(SUBJECT, 1, "unsure")
        (merged,) = merge_verdicts(other, [path])
        assert (merged.source, merged.added, merged.known) == (name, 5, 0)
        (merged,) = merge_verdicts(other, [path])
        assert (merged.added, merged.known) == (0, 5)
        assert other.state(SUBJECT, "anna") == store.state(SUBJECT)
        assert other.state(SUBJECT)[1].verdict == "unsure"
        assert "ring, of Saturn" in other.concepts()
        exported = json.loads(export_verdicts(other, tmp_path / "again.json").read_text(encoding="utf-8"))
    assert [merge["source"] for merge in exported["merged"]] == [name, name]


def test_provenance_is_beside_the_csv_and_holds_no_path(store, tmp_path):
    export_verdicts(store, tmp_path / "out.csv", current=True, subject=SUBJECT, annotator="anna")
    text = (tmp_path / "out.csv.json").read_text()
    content = json.loads(text)
    assert content["models"] == [SUBJECT.model]
    assert content["saes"] == [SUBJECT.sae]
    assert content["annotators"] == ["anna"]
    assert content["number"] == 3
    assert "research use only" in content["notice"]
    assert str(tmp_path) not in text + (tmp_path / "out.csv").read_text(encoding="utf-8")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["latent"], row["verdict"]) for row in rows] == [("1", "lesion"), ("2", "spurious"), ("9", "")]


def test_two_files_merge_to_the_same_state_in_any_order(store, tmp_path):
    with VerdictStore(tmp_path / "b.sqlite", "anna") as other:
        other.decide(SUBJECT, 1, "spurious")
        other.decide(SUBJECT, 4, "lesion")
    states = []
    for name, order in (("x", ("verdicts", "b")), ("y", ("b", "verdicts"))):
        with VerdictStore(tmp_path / f"{name}.sqlite") as merged:
            merge_verdicts(merged, [tmp_path / f"{source}.sqlite" for source in order])
            states.append((merged.current(), merged.events(), merged.concepts()))
    assert states[0] == states[1]
    assert {event.latent: event.verdict for event in states[0][0]}[1] == "spurious"  # the later one


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from(VERDICTS), st.text(), st.text()), max_size=6))
def test_any_text_survives_csv_and_json(tmp_path_factory, decisions):
    folder = tmp_path_factory.mktemp("v")
    with VerdictStore(folder / "v.sqlite", "anna") as store:
        for latent, verdict, concept, note in decisions:
            store.decide(SUBJECT, latent, verdict, concept=concept, note=note)
        for name in ("a.csv", "a.json"):
            events, *_ = read_events(export_verdicts(store, folder / name))
            assert events == store.events()


def test_a_csv_made_by_hand_gets_the_same_uuids_each_time(store, tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text("time,annotator,model,sae,latent,verdict\n2025-03-01 10:00+01:00,carl,m,s,12,spurious\n")
    assert [merge_verdicts(store, [path])[0].added for _ in range(2)] == [1, 0]
    (event,) = store.events(annotator="carl")
    assert event.time == "2025-03-01T09:00:00.000000Z"
    assert store.latents("spurious", Subject("m", "s"), "carl") == [12]


LINE = "2025-03-01T10:00Z,carl,m,s,12,spurious\n"
HEAD = "time,annotator,model,sae,latent,verdict\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "time,latent\n", "a.csv lacks the columns annotator, model, sae, verdict"),
        ("a.csv", HEAD + LINE + "then,carl,m,s,1,lesion\n", "a.csv, event 2: Invalid isoformat string: 'then'"),
        ("a.csv", HEAD + LINE.replace("spurious", "bad"), "a.csv, event 1: 'bad' is not a verdict"),
        ("a.csv", HEAD + LINE.replace(",12,", ",x,"), "a.csv, event 1: invalid literal"),
        ("a.csv", HEAD + "2025-03-01T10:00Z,carl\n", "a.csv, event 1: model, sae, latent, verdict missing"),
        ("a.csv", HEAD + LINE.replace("carl", ""), "needs the annotator's name"),
        ("a.csv", b"\xff\xfe\x00", "a.csv: damaged UTF-16 text"),
        ("a.json", "{", "a.json is not a readable JSON file"),
        ("a.json", "[]", "a.json holds no verdicts"),
        ("a.json", '{"events": [3]}', "a.json, event 1: expected an object"),
        ("a.txt", "", "ends in '.txt'; expected .csv, .json, or .sqlite"),
        ("a.sqlite", "nothing" * 200, "a.sqlite cannot be opened"),
    ],
)
def test_a_source_that_is_refused_costs_itself_only(store, tmp_path, name, content, message):
    good = tmp_path / "good.csv"
    good.write_text(HEAD + LINE)
    bad = tmp_path / name
    bad.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = store.events()
    with pytest.raises(VerdictError) as caught:
        merge_verdicts(store, [bad])
    assert message in str(caught.value)
    assert store.events() == before
    left, added = merge_verdicts(store, [bad, good])
    assert (left.source, left.added, left.refused) == (name, 0, str(caught.value))
    assert (added.added, added.refused) == (1, "")
    assert len(store.events()) == len(before) + 1
    assert bad.read_bytes() == (content if isinstance(content, bytes) else content.encode())


def test_a_database_with_an_address_as_evidence_is_refused(store, tmp_path):
    with VerdictStore(tmp_path / "crafted.sqlite", "eve") as other:
        other.decide(SUBJECT, 1, "lesion")
        (event,) = other.events()
        with other.transaction() as connection:
            connection.execute(
                INSERT_EVENT, astuple(replace(event, uuid="f" * 32, image="https://example.org/look.png"))
            )
    before = store.events()
    with pytest.raises(VerdictError, match=r"Evidence 'look.png' was given as a path"):
        merge_verdicts(store, [tmp_path / "crafted.sqlite"])
    assert store.events() == before


def test_an_edited_event_is_refused_with_its_file(store, tmp_path):
    path = export_verdicts(store, tmp_path / "out.csv")
    edited = tmp_path / "edited.csv"
    edited.write_bytes(path.read_bytes().replace(b"no verdict yet", b"changed"))
    new = tmp_path / "new.csv"
    new.write_text(HEAD + LINE)
    with pytest.raises(VerdictError, match=r"latent 9\) differs .* Nothing of it was merged"):
        merge_verdicts(store, [edited])
    added, left = merge_verdicts(store, [new, edited])
    assert (added.added, left.added) == (1, 0)
    assert "differs" in left.refused
    assert len(store.events()) == 6
    with pytest.raises(VerdictError, match=r"missing.csv does not exist"):
        merge_verdicts(store, [tmp_path / "missing.csv"])


def test_exports_only_to_csv_and_json(store, tmp_path):
    with pytest.raises(VerdictError, match=r"out.xlsx ends in '.xlsx'"):
        export_verdicts(store, tmp_path / "out.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"out.csv cannot be written"):
        export_verdicts(store, tmp_path / "file" / "out.csv")


def decided(tmp_path, first, second):
    with VerdictStore(tmp_path / "k.sqlite", "anna") as store:
        for name, verdicts in (("anna", first), ("bea", second)):
            store.annotator = name
            for latent, verdict in verdicts.items():
                store.decide(SUBJECT, latent, verdict)
        return cohen_kappa(store, "anna", "bea", SUBJECT)


def test_kappa_is_that_of_an_independent_implementation(tmp_path):
    rng = np.random.default_rng(0)
    first = {int(i): VERDICTS[k] for i, k in enumerate(rng.integers(0, 4, 120))}
    second = {i: v if rng.random() < 0.6 else VERDICTS[int(rng.integers(4))] for i, v in first.items() if i >= 20}
    second[500] = "lesion"
    agreement = decided(tmp_path, first, second)
    common = range(20, 120)
    expected = cohen_kappa_score([first[i] for i in common], [second[i] for i in common])
    assert agreement.kappa == pytest.approx(expected, abs=1e-12)
    assert (agreement.n, agreement.only_first, agreement.only_second) == (100, 20, 1)
    assert agreement.counts.sum() == 100
    assert agreement.observed == pytest.approx(np.mean([first[i] == second[i] for i in common]))


def test_kappa_without_variety_or_common_latents_is_undefined(tmp_path):
    same = decided(tmp_path, {1: "lesion", 2: "lesion"}, {1: "lesion", 2: "lesion"})
    assert (same.observed, same.expected) == (1, 1)
    assert math.isnan(same.kappa)
    (tmp_path / "apart").mkdir()
    apart = decided(tmp_path / "apart", {1: "lesion"}, {2: "lesion"})
    assert apart.n == 0
    assert math.isnan(apart.kappa)


def test_agreement_names_who_is_there(store):
    with pytest.raises(VerdictError, match="no verdict of 'bea' here; annotators: anna"):
        cohen_kappa(store, "anna", "bea")


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
@pytest.mark.parametrize("length", [131_072, 131_073, 999_999])
@pytest.mark.parametrize("first", ["n", "="])  # a formula gets an apostrophe in front
def test_a_long_text_is_read_again(tmp_path, name, length, first):
    note = first + "o" * (length - 1)
    with VerdictStore(tmp_path / "verdicts.sqlite", "anna") as store:
        store.decide(SUBJECT, 1, "lesion", note=note)
        path = export_verdicts(store, tmp_path / name)
    before = csv.field_size_limit(131_072)  # what a fresh interpreter has
    try:
        events, *_ = read_events(path)
    finally:
        csv.field_size_limit(before)
    assert [event.note for event in events] == [note]


@pytest.mark.parametrize("field", ["note", "concept"])
def test_a_text_that_no_table_could_hold_is_refused_and_nothing_is_written(tmp_path, field):
    with VerdictStore(tmp_path / "verdicts.sqlite", "anna") as store:
        with pytest.raises(VerdictError, match=f"The {field} of a verdict is too long; shorten it to under 1,000,000"):
            store.decide(SUBJECT, 1, "lesion", **{field: "o" * 1_000_000})
        assert store.events() == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(("first", "mark"), [("sep=;\r\n", ";"), ("", ";"), ("", "\t"), ("", "|")])
def test_verdicts_as_excel_saves_them(store, tmp_path, encoding, first, mark):
    lines = (HEAD + LINE).replace("carl", "Jürgen").replace("time", "Time").replace("verdict", "VERDICT", 1)
    table = tmp_path / "a.csv"
    table.write_bytes((first + lines.replace(",", mark).replace("\n", "\r\n")).encode(encoding))
    plain = tmp_path / "b.csv"
    plain.write_text((HEAD + LINE).replace("carl", "Jürgen"), encoding="utf-8")
    assert read_events(table) == read_events(plain)
