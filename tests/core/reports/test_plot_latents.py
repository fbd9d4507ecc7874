"""What is drawn on axes for notebooks: read back from the axes."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import compare_kit
import tiny
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.comparison.runs import compare
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.naming.suggested import names_of
from napari_mammosae.core.reports import latents_figure as latents_figure_module
from napari_mammosae.core.reports.latents_figure import latents_figure, plot_latents, save_figure
from napari_mammosae.core.reports.paper_table import PaperRow, paper_table
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.core.verdicts.suggestions import Suggestion


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_the_strongest_latents_stand_beside_the_image(tiny_model: Path, tmp_path: Path):
    image = read_mammogram(tiny.write_image(tmp_path / "breast.png"))
    maps = compute_latents(load_model(tiny_model, device="cpu"), image)
    (tmp_path / "boxes.csv").write_text(
        "image,finding,xmin,ymin,xmax,ymax\nbreast,mass,20,30,90,120\nother,mass,1,1,9,9\n"
    )
    axes = plot_latents(image, maps, top=3, boxes=read_findings(tmp_path / "boxes.csv"))
    best = np.argsort(-maps.pooled_mean, kind="stable")[:3]
    assert [axis.get_title().split("\n")[0] for axis in axes] == ["image", *(f"latent {latent}" for latent in best)]
    for axis in axes:
        (box,) = axis.patches
        assert (*box.get_xy(), box.get_width(), box.get_height()) == (19.5, 29.5, 70, 90)
    assert axes[0].figure in map(plt.figure, plt.get_fignums()), "notebooks show it"
    chosen = plot_latents(image, maps, latents=[5], top=3)
    assert [axis.get_title().split("\n")[0] for axis in chosen] == ["image", "latent 5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boxes.csv", "breast.png"]


def test_any_number_of_latents_fits_into_a_picture(tiny_model: Path, tmp_path: Path):
    image = read_mammogram(tiny.write_image(tmp_path / "breast.png"))
    maps = compute_latents(load_model(tiny_model, device="cpu"), image)
    figure = latents_figure(image, maps, top=None)
    titles = [axis.get_title().split("\n")[0] for axis in figure.axes if axis.get_title()]
    assert sorted(titles[1:]) == sorted(f"latent {latent}" for latent in maps.latents)
    wide, high = figure.get_size_inches()
    assert 0.4 < wide / high < 2.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents_figure_module, "LONGEST_SIDE", 900)
        save_figure(figure, tmp_path / "all.png")
    assert max(plt.imread(tmp_path / "all.png").shape) in range(890, 911)


@pytest.mark.parametrize(("ranks", "tables"), [(3, 1), (10, 1), (11, 2), (25, 3), (0, 1)])
def test_ranks_beyond_ten_stand_in_tables_of_their_own(ranks: int, tables: int):
    rows = [PaperRow("Mass", "a", tuple(range(ranks)), tuple(i / 100 for i in range(ranks)))]
    rows += [PaperRow("Mass", "b", (7,) * min(ranks, 4), (0.5,) * min(ranks, 4))]
    lines = [line.strip("| ").split(" | ") for line in paper_table(rows).split("\n") if line.startswith("|")]
    heads = [line[2:] for line in lines if line[0] == "Concept"]
    assert len(heads) == tables
    assert [int(rank) for head in heads for rank in head] == list(range(1, ranks + 1))
    shown = [float(value) for line in lines if line[1] == "a" for value in line[2:]]
    assert shown == [i / 100 for i in range(ranks)]


def test_titles_say_what_latents_are_called(tiny_model: Path, tmp_path: Path, run_path: Path):
    run = open_run(run_path)
    subject = Subject(run.info["model_sha256"], run.info["sae_sha256"])
    with VerdictStore(run_path / "verdicts.sqlite", "anna") as store:
        sure = [Suggestion(latent, f"thing {latent}", "text", 0.5, 0.2, 0.01) for latent in (1, 2, 3)]
        store.suggest(subject, [*sure, Suggestion(4, "chance", "text", 0.2, 0.2, 0.9)])
        store.decide(subject, 2, concept="view marker")
        store.decide(subject, 3, rejected="thing 3")
    image = read_mammogram(tiny.write_image(tmp_path / "breast.png"))
    maps = compute_latents(load_model(tiny_model, device="cpu"), image)
    figure = latents_figure(image, maps, latents=[1, 2, 3, 4], called=names_of(run).called)
    titles = [axis.get_title().split("\n")[:-1] for axis in figure.axes[1:5]]
    assert titles == [["latent 1", "thing 1?"], ["latent 2", "view marker"], ["latent 3"], ["latent 4"]]


def test_an_image_is_drawn_as_the_viewer_shows_it():
    pixels = np.arange(12, dtype=np.uint16).reshape(4, 3)
    image = read_mammogram(pixels, image_id="steps", window=(6, 4), laterality="L", view="CC")
    axis = Figure().subplots()
    assert image.plot(axis) is axis
    (drawn,) = axis.images
    np.testing.assert_array_equal(drawn.get_array(), pixels)
    assert drawn.get_clim() == (4, 8)
    assert axis.get_title() == "steps"
    assert repr(image) == "<Mammogram steps: 4 x 3 uint16, L, CC>"


def test_two_models_are_points_of_each_latents_difference(tiny_model: Path, tmp_path: Path):
    folder = compare_kit.write_runs(tmp_path, tiny_model)
    runs = [open_run(folder / name) for name in "ab"]
    comparison = compare(*runs, "mass")
    table = comparison.table()
    points = np.concatenate([group.get_offsets() for group in comparison.plot(Figure().subplots()).collections])
    means = [run.pooled("mean").toarray() for run in runs]
    mass = compare_kit.MASS
    diffs = np.stack([(m[mass].mean(0) - m[~mass].mean(0))[table["latent"]] for m in means], axis=1)
    np.testing.assert_allclose(points[np.lexsort(points.T)], diffs[np.lexsort(diffs.T)], atol=1e-12)
    assert [run["name"] for run in table.attrs["provenance"]["runs"]] == ["a", "b"]
    states = table["state"].value_counts()
    assert repr(comparison) == (
        f"<ModelComparison a, b: class 1, {len(table)} latents, {states.get('gained', 0)} gained, "
        f"{states.get('lost', 0)} lost>"
    )
    absent = compare(*runs, "mass", "absent").table().set_index("latent")["diff_a"]
    np.testing.assert_allclose(absent.sort_index(), -table.set_index("latent")["diff_a"].sort_index())
