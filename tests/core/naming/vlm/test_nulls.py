"""What is not a trained SAE is named by the same questions: its names are worth as little as its latents mean."""

import numpy as np
import pandas as pd
import pytest

import vlm_kit
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.naming.vlm import of_run
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, name_with_server, plan_null
from napari_mammosae.core.naming.vlm.result import ServerNames, compared_file, write_names
from napari_mammosae.core.naming.vlm.tasks import Extent

EXTENT = Extent(pairs=2, alike=1, detection=10, regions=2, ranks=2)


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> tuple[ServerNames, NamingPlan, NamingPlan]:
    """Three latents that stand for patches, and three that fire in the same cells of other images."""
    run = vlm_kit.PatchRun(tmp_path_factory.mktemp("trained"), patients=40)
    other = vlm_kit.PatchRun(tmp_path_factory.mktemp("random"), patients=40)
    other.dense = other.dense[np.random.default_rng(1).permutation(len(other.dense))]
    other.info |= {"model": "patches-random"}
    plan = NamingPlan(run, [4, 5, 6], extent=EXTENT)
    null = plan_null(plan, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_run, "Client", vlm_kit.Direct)
        found = name_with_server(plan, ServerChoice("http://127.0.0.1:1/v1"), tests=("detection",), nulls=[null])
    return found, plan, null


def test_as_many_latents_are_named_of_the_same_patients(named):
    _, plan, null = named
    assert len(null.tasks) == len(plan.tasks) == 3
    assert (null.extent, null.seed) == (plan.extent, plan.seed)
    held = [{one.patients[row] for task in one.tasks for row in task.held_out.positives} for one in (plan, null)]
    drawn = [{one.patients[row] for task in one.tasks for row in task.draws[0]} for one in (plan, null)]
    assert not (held[0] | held[1]) & (drawn[0] | drawn[1])


def test_names_of_latents_that_mean_nothing_are_worth_nothing(named):
    found, *_ = named
    table = found.comparison().set_index("units")
    assert table.index.tolist() == ["patches", "patches-random"]
    assert table.loc["patches", "auroc"] == 1.0
    assert abs(table.loc["patches-random", "auroc"] - 0.5) < 0.2
    assert table.loc["patches-random", "beats_chance"] == 0
    own, other = ([latent.detection.value for latent in latents] for latents in (found.latents, found.nulls[0][1]))
    pairs = [1.0 if b > a else 0.5 if b == a else 0.0 for a in own for b in other if b == b]
    assert table.loc["patches-random", "as_good"] == pytest.approx(np.mean(pairs))
    assert found.table()["auroc"].tolist() == own  # the latents alone
    assert found.record["compared_with"] == ["run"]


def test_the_cost_is_that_of_all(named):
    found, plan, null = named
    assert found.cost.requests == plan.cost.requests + null.cost.requests
    asked = found.record["requests"]
    assert asked["asked"] + asked["known"] <= found.cost.requests


def test_the_comparison_is_written_beside_the_names(named, tmp_path):
    found, *_ = named
    write_names(tmp_path / "names.csv", found)
    assert pd.read_csv(compared_file(tmp_path / "names.csv"))["units"].tolist() == ["patches", "patches-random"]


def test_a_run_of_other_images_is_refused(named, tmp_path):
    _, plan, _ = named
    other = vlm_kit.PatchRun(tmp_path)
    other.images["sha256"] = "0" * 64
    with pytest.raises(RunError, match="run lacks 80 of the 80 images of run"):
        plan_null(plan, other)
