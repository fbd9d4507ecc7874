"""Interventions over a run from objects: against masked sums by hand, and what results show."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

import tiny
from napari_mammosae.core.base.errors import RunError, SettingsError
from napari_mammosae.core.intervention.of_run import intervene, sweep
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.ranking.of_run import rank
from napari_mammosae.core.ranking.orders import Ranking
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.stats.measures import auroc


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def run(run_path):
    return open_run(run_path)


def auroc_without(run, model, removed) -> float:
    """AUROC of the mass once latents are gone, from mean activations and the head."""
    kept = ~np.isin(np.arange(tiny.LATENTS), removed)
    logits = (run.pooled("mean").toarray() * kept) @ model.attribution[0] + model.constant[0]
    return auroc(run.label("mass") == 1, logits.round(9))


def test_a_set_of_latents_before_and_after(run, model):
    live = np.flatnonzero(run.pooled("mean").sum(axis=0))
    result = intervene(run, model, live[:3], "mass", null=5)
    table = result.table().set_index("measure")
    assert table.loc["auroc", "before"] == pytest.approx(auroc_without(run, model, []))
    assert table.loc["auroc", "after"] == pytest.approx(auroc_without(run, model, live[:3]))
    assert table.attrs["provenance"] == result.provenance
    assert result.provenance["edit"]["latents"] == live[:3].tolist()
    assert set(result.provenance["null_count"]["auroc"]) == {"observed", "mean", "share_of_random_sets_below"}
    pooled = np.asarray(run.pooled("mean").mean(axis=0)).ravel()
    reached = result.provenance["null_activation"]["activation"]
    assert reached["wanted"] == pytest.approx(pooled[live[:3]].sum())
    assert 0.9 <= reached["min"] / reached["wanted"] <= reached["max"] / reached["wanted"] <= 1.1
    assert repr(result) == (
        f"<InterventionEffect zero of 3 latents: AUROC {table.loc['auroc', 'before']:.4f} before, "
        f"{table.loc['auroc', 'after']:.4f} after>"
    )
    axis = Figure().subplots()
    assert result.plot(axis) is axis
    drawn = [container.lines[0].get_ydata()[0] for container in axis.containers]
    assert drawn == [table.loc["auroc", "before"], table.loc["auroc", "after"]]


def test_random_sets_that_cannot_be_matched_are_left_out_with_the_reason(run, model):
    live = np.flatnonzero(run.pooled("mean").sum(axis=0))
    result = intervene(run, model, live[1:], "mass", null=5)
    assert "left_out" not in result.provenance["null_count"]
    assert set(result.provenance["null_activation"]) == {"left_out"}
    assert "outside the set have an activation of" in result.provenance["null_activation"]["left_out"]


@pytest.mark.parametrize(("level", "lost"), [(0.0, False), (40.0, True)])
def test_ranks_that_float32_loses_are_warned_of_and_drawn(run, model, level, lost):
    facts = replace(model.facts, constant=model.facts.constant + level)
    ranking = rank(run, "mass", score="auroc", intervals=0)
    settings = {"modes": ["zero"], "ks": [0, 2], "intervals": False}
    logits = run.pooled("mean").toarray() @ model.attribution[0] + model.constant[0] + level
    saturated = np.unique((logits > 17.4).sum() and 1 / (1 + np.exp(-logits.astype(np.float32))))
    with pytest.warns(UserWarning, match="float32 sigmoids lose up to") if lost else nullcontext():
        curve = sweep(run, facts, "mass", ranking, compat=True, **settings)
    assert curve.rows.loc[0, "ranks"] == len(np.unique(logits.round(12)))
    assert curve.rows.loc[0, "lost_ranks"] == (len(np.unique(logits.round(12))) - len(saturated) if lost else 0)
    drawn = " ".join(text.get_text().replace("\n", " ") for text in curve.plot(Figure().subplots()).texts)
    (note,) = curve.provenance["notes"] if lost else ("",)
    assert note in drawn
    assert (f"of {curve.rows['ranks'].max()} ranks (zero, k" in note) == lost
    assert sweep(run, facts, "mass", ranking, **settings).provenance["notes"] == []


@pytest.mark.parametrize("given", ["table", "ranking", "mapping"])
def test_a_sweep_takes_the_best_of_a_ranking(run, model, given):
    table = rank(run, "mass", score="auroc", intervals=0)
    ranking = {"table": table, "ranking": Ranking.of_table(table), "mapping": {1: table}}[given]
    curve = sweep(run, model, "mass", ranking, modes=["zero"], ks=[0, 2, 5], intervals=False)
    rows = curve.table()
    assert rows["union_size"].tolist() == [0, 2, 5]
    for row in rows.itertuples():
        assert row.auroc == pytest.approx(auroc_without(run, model, table["latent"][: row.k]))
    assert curve.provenance["settings"]["order"] == "given"


def test_a_sweep_by_score_joins_the_best_of_both_classes(run, model):
    curve = sweep(run, model, "mass", "diff", ks=[3])
    truth, pooled = run.label("mass") == 1, run.pooled("mean").toarray()
    diff = pooled[truth].mean(0) - pooled[~truth].mean(0)
    best = {*np.argsort(-diff, kind="stable")[:3], *np.argsort(diff, kind="stable")[:3]}
    zeroed = curve.table().query("mode == 'zero'").iloc[0]
    assert zeroed["union_size"] == len(best)
    assert zeroed["auroc"] == pytest.approx(auroc_without(run, model, list(best)))
    assert curve.provenance["settings"]["ranked_and_scored_on_the_same_images"]
    assert repr(curve) == "<KSweep mass: keep, zero; 1 values of k up to 3>"
    axis = curve.plot(Figure().subplots())
    assert [line.get_label() for line in axis.lines] == ["keep", "zero"]
    assert axis.lines[1].get_ydata()[0] == zeroed["auroc"]
    with pytest.raises(SettingsError, match="no measure 'loss'"):
        curve.plot(axis, measure="loss")


def test_default_values_of_k_end_with_all_latents(run, model):
    ks = sweep(run, model, "mass", modes=["keep"], intervals=False).table()["k"].tolist()
    assert ks == [0, 1, 2, 5, 10, 20, 50, 64]


def test_what_cannot_be_done(run, model, tmp_path):
    with pytest.raises(SettingsError, match="no latent 64"):
        intervene(run, model, [64], "mass")
    with pytest.raises(SettingsError, match="the order 'best' is unknown"):
        sweep(run, model, "mass", "best")
    with pytest.raises(SettingsError, match="columns latent and score"):
        sweep(run, model, "mass", rank(run, "mass")[["latent"]])
    with pytest.raises(SettingsError, match="3 rows does not hold each latent once"):
        sweep(run, model, "mass", rank(run, "mass").iloc[5:8])
    other = load_model(tiny.write_model(tmp_path / "other", seed=5), device="cpu")
    with pytest.raises(RunError, match="another model and another SAE"):
        intervene(run, other, [0], "mass")
