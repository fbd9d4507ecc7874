"""`verdicts` from the command line."""

import json
import sqlite3

import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from napari_mammosae.cli import main
from napari_mammosae.core.verdicts.store import Evidence, Subject, VerdictStore, default_path

SUBJECT = Subject("m" * 64, "s" * 64)
ANNA = ["lesion", "lesion", "spurious", "anatomy", "unsure", "lesion"]
BEN = ["lesion", "spurious", "spurious", "anatomy", "lesion", "lesion"]


def decide(path, annotator, verdicts):
    with VerdictStore(path, annotator) as store:
        for latent, verdict in enumerate(verdicts):
            store.decide(SUBJECT, latent, verdict, evidence=Evidence("image-001", screenshot=b"png"))
    return path


@pytest.fixture
def anna(tmp_path):
    return decide(tmp_path / "anna.sqlite", "anna", ANNA)


@pytest.fixture
def ben(tmp_path):
    return decide(tmp_path / "ben.sqlite", "ben", BEN)


def verdicts(*words):
    return main(["verdicts", *map(str, words)])


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_out_and_in_again(anna, tmp_path, suffix, capsys):
    out = tmp_path / f"out.{suffix}"
    assert verdicts("export", out, "--verdicts", anna) == 0
    assert "png" not in out.read_text()
    assert "research use only" in (out if suffix == "json" else tmp_path / "out.csv.json").read_text()
    new = tmp_path / "new" / "mine.sqlite"
    assert verdicts("import", out, "--verdicts", new) == 0
    assert "6 entries added, 0 already there" in capsys.readouterr().out
    assert verdicts("import", out, "--verdicts", new) == 0
    assert "0 entries added, 6 already there" in capsys.readouterr().out
    with VerdictStore(anna, create=False) as a, VerdictStore(new, create=False) as b:
        assert a.events() == b.events()


def test_only_what_holds_now_and_of_one_person(anna, tmp_path):
    with VerdictStore(anna, "anna") as store:
        store.decide(SUBJECT, 0, "unsure")
    decide(anna, "ben", BEN)
    rows = {}
    for name, more in {"all": (), "now": ("--current",), "ben": ("--current", "--annotator", "ben")}.items():
        assert verdicts("export", tmp_path / f"{name}.csv", "--verdicts", anna, "-q", *more) == 0
        rows[name] = pd.read_csv(tmp_path / f"{name}.csv")
    assert [len(rows[name]) for name in ("all", "now", "ben")] == [13, 12, 6]
    assert list(rows["ben"].sort_values("latent")["verdict"]) == BEN


def test_a_run_stands_for_the_file_in_it_and_nothing_for_ones_own(tmp_path):
    decide(tmp_path / "run" / "verdicts.sqlite", "anna", ANNA)
    assert verdicts("export", tmp_path / "a.csv", "--verdicts", tmp_path / "run", "-q") == 0
    decide(default_path(), "me", BEN)
    assert verdicts("export", tmp_path / "b.csv", "-q") == 0
    assert set(pd.read_csv(tmp_path / "a.csv")["annotator"]) == {"anna"}
    assert set(pd.read_csv(tmp_path / "b.csv")["annotator"]) == {"me"}


def test_merging_makes_one_new_whole_file(anna, ben, tmp_path, capsys):
    out = tmp_path / "both.sqlite"
    assert verdicts("merge", anna, ben, "--out", out) == 0
    assert [path.name for path in tmp_path.iterdir() if "both" in path.name or path.name.startswith(".")] == [out.name]
    with sqlite3.connect(out) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM current").fetchone() == (12,)
    connection.close()
    capsys.readouterr()
    assert verdicts("merge", anna, "--out", out) == 1
    assert "verdicts import" in capsys.readouterr().err
    assert verdicts("merge", anna, tmp_path / "gone.csv", "--out", tmp_path / "other.sqlite") == 1
    assert not (tmp_path / "other.sqlite").exists()


def test_an_unreadable_file_costs_itself_only(anna, ben, tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("no verdicts")
    (tmp_path / "worse.sqlite").write_bytes(b"no database")
    sources = tmp_path / "bad.csv", anna, tmp_path / "worse.sqlite", ben
    assert verdicts("merge", *sources, "--out", tmp_path / "both.sqlite") == 0
    said = capsys.readouterr()
    assert said.err.startswith("Note: 2 files were left out: bad.csv lacks the columns")
    assert "anna.sqlite: 6 entries" in said.out
    assert "ben.sqlite: 6 entries" in said.out
    assert verdicts("import", tmp_path / "bad.csv", "--verdicts", tmp_path / "new.sqlite") == 1
    assert capsys.readouterr().err.startswith("Error: bad.csv lacks the columns")


@pytest.mark.parametrize("name", ["mine.csv", "mine.json", "mine.csv.json"])
def test_an_export_replaces_only_exports(anna, tmp_path, capsys, name):
    (tmp_path / name).write_text("my notes")
    out = tmp_path / name.removesuffix(".json") if name.endswith(".csv.json") else tmp_path / name
    assert verdicts("export", out, "--verdicts", anna) == 1
    assert f"{name} exists and has no record of being a result" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "my notes"
    (tmp_path / name).unlink()
    for _ in range(2):
        assert verdicts("export", out, "--verdicts", anna) == 0


@pytest.mark.parametrize("words", [("import", "anna.sqlite"), ("export", "out.csv"), ("agreement", "anna", "ben")])
@pytest.mark.parametrize("name", ["notes.txt", "notes.csv", "notes.sqlite"])
def test_a_file_that_holds_no_verdicts_is_not_written_to(anna, tmp_path, capsys, monkeypatch, words, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("my notes")
    assert verdicts(*words, "--verdicts", name) == 1
    assert f"Error: {name} cannot be opened as a verdict file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anna.sqlite", name]
    assert (tmp_path / name).read_text() == "my notes"


def test_agreement_is_cohens_kappa(anna, ben, tmp_path, capsys):
    both = tmp_path / "both.sqlite"
    assert verdicts("merge", anna, ben, "--out", both, "-q") == 0
    table = tmp_path / "agreement.csv"
    assert verdicts("agreement", "anna", "ben", "--verdicts", both, "--csv", table) == 0
    kappa = cohen_kappa_score(ANNA, BEN)
    assert f"kappa {kappa:.3f}" in capsys.readouterr().out
    record = json.loads((tmp_path / "agreement.csv.json").read_text())
    assert record["kappa"] == pytest.approx(kappa, abs=1e-12)
    assert record["n"] == 6
    counts = pd.read_csv(table, index_col=0)
    assert counts.loc["lesion", "spurious"] == 1
    assert counts.to_numpy().sum() == 6


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("export", "{}/out.csv", "--verdicts", "{}/gone.sqlite"), "gone.sqlite does not exist"),
        (("export", "{}/out.txt", "--verdicts", "{}/anna.sqlite"), ".csv or .json"),
        (("import", "{}/gone.csv", "--verdicts", "{}/anna.sqlite"), "gone.csv does not exist"),
        (("agreement", "anna", "eve", "--verdicts", "{}/anna.sqlite"), "annotators: anna"),
    ],
)
def test_failures_take_a_line(anna, tmp_path, capsys, words, reason):
    assert verdicts(*(word.format(tmp_path) for word in words)) == 1
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert not (tmp_path / "gone.sqlite").exists()


def test_wrong_usage():
    assert verdicts("agreement", "anna") == 2
    assert verdicts("merge", "a.csv") == 2
