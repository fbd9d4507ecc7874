"""Verdicts from a script: the file the docks read, latents of the run's own model and SAE only."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_mammosae.core.base.errors import VerdictError
from napari_mammosae.core.verdicts.of_run import Verdicts
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.core.verdicts.suggestions import Suggestion


@pytest.fixture
def run(tmp_path: Path):
    info = {"model_sha256": "m" * 64, "sae_sha256": "s" * 64}
    return SimpleNamespace(path=tmp_path / "run", info=info, n_latents=64)


def test_what_is_set_is_in_the_file_and_in_the_table(run):
    with Verdicts(run, annotator="reader") as verdicts:
        verdicts.set(8, "spurious", concept="view marker", image="phantom-000001")
        verdicts.set(3, "lesion")
        verdicts.set(8, note="on the letters")
        table = verdicts.table()
        assert repr(verdicts) == "<Verdicts verdicts.sqlite: 2 latents of run reviewed>"
    assert table["latent"].tolist() == [3, 8]
    assert table.loc[1, ["verdict", "concept", "note", "annotator"]].tolist() == [
        "spurious", "view marker", "on the letters", "reader",
    ]  # fmt: skip
    assert table.attrs["provenance"]["model"] == "m" * 64
    with VerdictStore(run.path / "verdicts.sqlite", create=False) as store:
        assert store.latents("spurious", Subject("m" * 64, "s" * 64)) == [8]
        assert store.latents("spurious", Subject("m" * 64, "another")) == []


def test_decisions_are_undone_and_taken_back(run):
    with Verdicts(run, annotator="reader") as verdicts:
        verdicts.set(3, "lesion")
        verdicts.set(3, "anatomy")
        verdicts.undo()
        assert verdicts.latents("lesion") == [3]
        verdicts.set(3, "")
        assert verdicts.latents("lesion") == []
        assert verdicts.table().empty
        verdicts.set(4, "unsure")
        assert verdicts.latents("unsure", annotator="someone else") == []


def test_suggested_names_are_a_table_of_their_own(run):
    with Verdicts(run, annotator="reader") as verdicts:
        verdicts.set(3, "lesion")
        assert verdicts.suggest([Suggestion(3, "mass", "text", 0.4, 0.2, 0.01)]) == 1
        assert verdicts.suggest([Suggestion(3, "mass", "text", 0.4, 0.2, 0.01)]) == 0
        with pytest.raises(VerdictError, match="no latent 64"):
            verdicts.suggest([Suggestion(64, "mass", "text")])
        assert verdicts.suggestions()[["latent", "name", "method", "score"]].values.tolist() == [
            [3, "mass", "text", 0.4]
        ]
        assert verdicts.table()["annotator"].tolist() == ["reader"]


def test_other_files_and_mistakes(run, tmp_path):
    with Verdicts(run, tmp_path / "mine.sqlite", "reader") as verdicts:
        with pytest.raises(VerdictError, match="no latent 64; they go from 0 to 63"):
            verdicts.set(64, "lesion")
        with pytest.raises(VerdictError, match="lesion, anatomy, spurious, unsure"):
            verdicts.latents("wrong")
        with pytest.raises(VerdictError, match="expected one of"):
            verdicts.set(1, "wrong")
    assert not run.path.exists()
    with pytest.raises(VerdictError, match=r"verdicts\.sqlite does not exist"):
        Verdicts(run, create=False)
