"""What the dock works out beside the window: rankings, class means, neighbours, thumbnails."""

import numpy as np
import pandas as pd
import pytest

from fake_run import FakeRun
from fakes import GRID, INPUT, FakeModel, model_facts
from napari_mammosae.core.annotations.finding_colors import finding_color
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.ranking.latent_facts import class_means, column_of, histogram
from napari_mammosae.core.ranking.of_run import RankingChoice, attribution_of
from napari_mammosae.core.ranking.scores import LabelledPool, score_latents
from napari_mammosae.core.reports.latent_pictures import HEIGHT, heatmaps, paint, strongest
from napari_mammosae.core.runs.classes import classes_of
from napari_mammosae.core.runs.files.images import ImageFiles
from napari_mammosae.viewer.canvas.colors import heat_colormap
from napari_mammosae.viewer.latents.facts import facts_of
from napari_mammosae.viewer.latents.gallery.thumbnails import GreyCache, make_pictures
from napari_mammosae.viewer.latents.tasks import rank


def quiet(*_):
    return None


ATTRIBUTION = np.arange(2 * 64, dtype=float).reshape(2, 64)


@pytest.fixture
def run(tmp_path):
    return FakeRun(tmp_path)


def test_a_column_of_a_sparse_matrix(run):
    pooled = run.pooled("mean")
    for latent in (0, 3, 5, 63):
        assert np.array_equal(column_of(pooled, latent), pooled.toarray()[:, latent])


def test_a_histogram_counts_every_image_once():
    values = np.array([0.0, 1.0, 1.0, 2.0, 4.0, 0.0, 3.9])
    labels = np.array([0, 0, 1, 1, np.nan, 1, 0])
    found = histogram(values, labels, {1: "present", 0: "absent"})
    assert found.names == ("present", "absent", "unknown")
    assert (found.fires, found.silent) == (5, 2)
    assert found.counts.sum(axis=1).tolist() == [2, 2, 1]
    assert found.edges[0] == 0
    assert found.edges[-1] == 4.0
    assert found.counts[2, -1] == 1
    assert histogram(np.zeros(3), np.full(3, np.nan), {}).names == ("images",)


def test_means_of_classes_with_intervals_by_patient():
    rng = np.random.default_rng(0)
    values, labels = rng.random(60), np.repeat([0.0, 1.0], 30)
    patients = np.arange(60) // 2
    present, absent = class_means(values, labels, patients, {1: "present", 0: "absent", 2: "nobody"})
    assert present.mean == pytest.approx(values[30:].mean())
    assert absent.low < absent.mean < absent.high
    assert (present.images, present.note) == (30, "")
    (few,) = class_means(values[:4], labels[:4], patients[:4], {})
    assert (few.name, few.images) == ("all images", 4)
    assert np.isnan(few.low)
    assert "too few" in few.note


def test_facts_with_run_and_model(run):
    model = FakeModel(attribution=ATTRIBUTION)
    facts = facts_of(5, run, "mass", {1: "present", 0: "absent"}, model, quiet)
    assert facts.histogram.fires == 8
    assert [one.images for one in facts.means] == [8, 16]
    assert facts.means[1].mean == 0
    assert np.array_equal(facts.weights, [5.0, 69.0])
    assert facts.run_mean == pytest.approx(run.dense[..., 5].mean(), rel=1e-6)
    w = model.decoder.astype(float)
    cosines = (w.T @ w[:, 5]) / np.linalg.norm(w, axis=0) / np.linalg.norm(w[:, 5])
    cosines[5] = -np.inf
    assert facts.by_decoder.latents[0] == cosines.argmax()
    assert facts.by_decoder.nearness[0] == pytest.approx(cosines.max())
    assert 5 not in facts.by_images.latents


def test_facts_without_run_or_without_model(run):
    no_run = facts_of(5, None, "", {}, FakeModel(), quiet)
    assert no_run.histogram is None
    assert no_run.by_images is None
    assert no_run.means == ()
    no_model = facts_of(5, run, "", {}, None, quiet)
    assert no_model.weights is None
    assert no_model.by_decoder is None
    assert no_model.means[0].images == len(run)
    no_sae = facts_of(5, run, "", {}, FakeModel(n_latents=0, attribution=None, constant=None), quiet)
    assert (no_sae.weights, no_sae.by_decoder) == (None, None)


def test_classes_are_named(run):
    assert classes_of(run, "mass") == ((1, "present"), (0, "absent"))
    assert classes_of(run, "density") == ((0, "a"), (1, "b"), (2, "c"), (3, "d"))
    run.info = {}
    assert classes_of(run, "density")[2] == (2, "2")
    run.images["label.mass"] = np.nan
    assert classes_of(run, "mass") == ()


def test_attributions_of_a_choice(run):
    model = model_facts(attribution=ATTRIBUTION)
    assert np.array_equal(attribution_of(model, run, RankingChoice("mass")), ATTRIBUTION[0])
    assert np.array_equal(attribution_of(model, run, RankingChoice("mass", 0)), -ATTRIBUTION[0])
    assert attribution_of(model, run, RankingChoice("density", 1)) is None
    assert attribution_of(model, run, RankingChoice()) is None
    assert attribution_of(None, run, RankingChoice("mass")) is None
    assert attribution_of(model_facts(layer="blocks.3"), run, RankingChoice("mass")) is None
    assert attribution_of(model_facts(n_latents=128), run, RankingChoice("mass")) is None


def test_a_ranking_becomes_columns_by_latent(run):
    attribution = ATTRIBUTION[0]
    columns = rank(run, RankingChoice("mass", 1, "diff"), attribution, quiet)
    pool = LabelledPool(
        run.pooled("mean"), run.label("mass"), run.pooled("max"), run.pooled("active_cells"), GRID[0] * GRID[1]
    )
    for score in ("diff", "auroc", "auroc_max", "firing_cells", "std"):
        assert np.array_equal(columns[f"run.{score}"], score_latents(pool, score, 1), equal_nan=True), score
    assert columns["run.diff"].argmax() == 5
    assert np.allclose(columns["run.attribution"], columns["run.mean"] * attribution)
    assert "run.score" not in columns
    unlabelled = rank(run, RankingChoice("", 1, "mean"), None, quiet)
    assert "run.auroc" not in unlabelled
    assert np.allclose(unlabelled["run.mean_all"], run.pooled("mean").toarray().mean(0))


def test_the_strongest_images_repeat_no_patient(run):
    cells = strongest(run, 5)
    values = run.pooled("mean").toarray()[:, 5]
    assert [cell.activation for cell in cells] == sorted((v for v in values if v), reverse=True)
    assert cells[0].row == values.argmax()
    assert all("mass" in cell.caption for cell in cells)
    patients = [run.images["patient"][cell.row] for cell in strongest(run, 7)]
    assert len(patients) == len(set(patients)) == 12
    assert strongest(run, 3) == []


def test_heatmaps_come_from_the_kept_maps(run):
    found = heatmaps(run, 5, [3, 0])
    for row in (0, 3):
        assert np.allclose(found[row], run.dense[row, ..., 5], rtol=1e-3)


def test_a_thumbnail_shows_heat_and_boxes_where_they_are():
    frame = Frame((1000, 500), (100, 50, 900, 450), (200, 100))
    base = np.full((200, 100), 60, np.uint8)
    heat = np.zeros((8, 4), np.float32)
    heat[6, 1] = 2.0  # the middle of this cell is at row 162.5 of 200, column 37.5 of 100
    boxes = pd.DataFrame({"finding": ["mass"], "row_min": [300], "col_min": [250], "row_max": [500], "col_max": [350]})
    picture = paint(base, frame, heat, boxes, heat_colormap("ember").map, finding_color)
    assert picture.shape == (200, 100, 3)
    colourful = np.ptp(picture[:, :45].astype(int), axis=2)
    row, column = np.unravel_index(colourful.argmax(), colourful.shape)
    assert (row, column) == pytest.approx((162.5, 37.5), abs=12)
    color = [int(finding_color("mass")[i : i + 2], 16) for i in (1, 3, 5)]
    box = np.abs(picture.astype(int) - color).sum(axis=2) < 40
    rows, columns = np.nonzero(box)
    # row (300 - 100) * 200 / 800 = 50 to 100, column (250 - 50) * 100 / 400 = 50 to 75
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((50, 99, 50, 74), abs=1)
    assert np.array_equal(
        paint(base, frame, np.zeros((8, 4), np.float32), None, heat_colormap("ember").map, finding_color),
        np.repeat(base[..., None], 3, axis=2),
    )


def test_pictures_arrive_one_by_one(run, tmp_path):
    arrived = []
    cache = GreyCache()
    (tmp_path / run.images["path"][9]).write_bytes(b"broken")
    make_pictures(run, 5, ImageFiles(run), None, cache, lambda *what: arrived.append(what), quiet)
    place, cells = arrived[0]
    assert place == -1
    assert [place for place, _ in arrived[1:]] == list(range(len(cells)))
    for cell, (_, what) in zip(cells, arrived[1:], strict=True):
        if cell.row == 9:
            assert "image-09.png" in what
        else:
            assert what.shape == (HEIGHT, round(HEIGHT * INPUT[1] / INPUT[0]), 3)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    again = []
    make_pictures(run, 5, ImageFiles(run), None, cache, lambda *what: again.append(what), quiet)
    assert again[1][1] == "The image file was not found."


def test_image_files_are_found_beside_the_run(tmp_path):
    run = FakeRun(tmp_path)
    assert ImageFiles(run).path(3) == tmp_path / "image-03.png"
    elsewhere = FakeRun(tmp_path / "nowhere" / "a" / "b" / "c", write=False)
    files = ImageFiles(elsewhere)
    assert files.root is None
    assert files.path(0) is None
    heard = []
    files.changed.connect(lambda: heard.append(True))
    files.root = tmp_path
    assert files.path(0) == tmp_path / "image-00.png"
    assert heard == [True]
