"""Where latents fire, in words: against the truth of the phantoms, and the rule on maps made by hand."""

import csv
from collections import defaultdict

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from napari_mammosae.core.images.cells import box_shares
from napari_mammosae.core.localization.detections import sparse_maps
from napari_mammosae.core.localization.suspects import SuspectTally
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.ready import ready_run

GRID, SHAPE = (6, 8), (60, 80)
BURNED_IN = ("marker", "device_tag", "bead")
VIEW_MARKER_LATENTS = (733, 865, 1051, 1096)
"""Of the embedded model: on view markers for the most part, as seen on phantoms it was not trained on."""


def tally_of(maps, **regions):
    """Tally of latents (latent, row, column) on one image with regions (row, column) by name."""
    tally = SuspectTally(len(maps), SHAPE, GRID)
    latent, cell = np.nonzero(maps.reshape(len(maps), -1))
    block = sparse_maps(latent, np.zeros(latent.size, np.int64), cell, maps.reshape(len(maps), -1)[latent, cell], GRID)
    shares = {name: np.zeros((1, 48)) for name in ("breast", "skin", "pectoral", "border", "marker")}
    tally.add(block, [0], shares | {name: region.reshape(1, -1) for name, region in regions.items()})
    return tally.table().set_index("latent")


@pytest.fixture
def breast():
    breast = np.zeros(GRID)
    breast[:, :4] = 1.0
    breast[:, 4] = 0.25
    return breast


def test_a_marker_is_named_before_the_air_around_it(breast):
    marker = np.zeros(GRID)
    marker[0, 7] = 0.02  # a thin letter
    maps = np.zeros((4, *GRID), np.float32)
    maps[0, 1, 6] = 1.0  # the cell diagonally below it
    maps[1, 5, 6] = 1.0  # air far from it
    maps[2, :3, 6] = 1.0  # two of three cells near it
    maps[3, :, 5:] = 1.0  # all of the air
    table = tally_of(maps, breast=breast, marker=marker)
    assert table["reason"].to_dict() == {0: "marker", 1: "outside", 2: "marker", 3: "outside"}
    assert table["marker"].to_dict() == pytest.approx({0: 1.0, 1: 0.0, 2: 2 / 3, 3: 4 / 18})
    assert (table["outside"] == 1.0).all()


def test_what_lies_in_the_breast_is_not_on_a_marker_beside_it(breast):
    marker = np.zeros(GRID)
    marker[2, 5] = 0.3
    maps = np.zeros((2, *GRID), np.float32)
    maps[0, 2, 3] = 1.0  # in the breast, two cells away
    maps[1, 2, 4] = 1.0  # next to the marker, a quarter of the cell is breast
    table = tally_of(maps, breast=breast, marker=marker)
    assert table["marker"].to_dict() == {0: 0.0, 1: 0.75}
    assert table.loc[1, "outside"] == 0.75


@pytest.fixture(scope="module")
def run():
    return open_run(ready_run())


@pytest.fixture(scope="module")
def table(run):
    tally = SuspectTally(run.n_latents, tuple(run.info["preprocessing"]["size"]), run.grid)
    for part, regions in zip(run.map_parts(), run.regions(), strict=True):
        tally.add(sparse_maps(part.latent, part.image, part.cell, part.value, run.grid), regions.image, regions.shares)
    return tally.table().set_index("latent")


@pytest.fixture(scope="module")
def truly(run):
    """Latent -> share of its activation on or beside each kind of structure that the phantoms were drawn with."""
    rows = {name: row for row, name in enumerate(run.images["image_id"])}
    near = defaultdict(lambda: np.zeros((len(run), *run.grid), bool))
    with (run.path.parent / "phantoms" / "structures.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            row = rows[line["image"]]
            box = np.array([[float(line[edge]) for edge in ("ymin", "xmin", "ymax", "xmax")]])
            size = run.info["preprocessing"]["size"]
            touched = box_shares(run.frame(row).boxes_to_input(box), size, run.grid).reshape(run.grid) > 0
            near[line["finding"]][row] |= binary_dilation(touched, np.ones((3, 3)))
    near["burned in"] = np.logical_or.reduce([near[kind] for kind in BURNED_IN])

    def share(latent, kind):
        image, cell, value = run.maps(latent)
        row, weight = np.searchsorted(run.numbers, image), value.astype(float)
        return weight[near[kind].reshape(len(run), -1)[row, cell]].sum() / weight.sum()

    return share


def test_the_latents_of_the_view_marker_are_said_to_be_on_burned_in_markers(table, truly):
    for latent in VIEW_MARKER_LATENTS:
        assert truly(latent, "marker") > 0.4, latent
        assert table.loc[latent, "reason"] == "marker"
        assert table.loc[latent, "marker"] == pytest.approx(truly(latent, "burned in"), abs=0.1)


def test_whatever_is_said_to_be_on_a_marker_is_on_something_burned_in(table, truly):
    said = table[(table["reason"] == "marker") & (table["suspicion"] > 0.5) & (table["images_active"] > 2)]
    assert len(said) > 10
    kinds = {kind: [truly(latent, kind) for latent in said.index] for kind in BURNED_IN}
    everything = np.array([truly(latent, "burned in") for latent in said.index])
    assert np.quantile(everything, 0.1) > 0.4, np.sort(everything)
    assert everything.min() > 0.1, table.loc[said.index[everything.argmin()]]
    assert max(kinds["marker"]) > 0.5  # view markers as well as device tags
    assert max(kinds["device_tag"]) > 0.5
    best = table[table["images_active"] > 2].sort_values("marker", ascending=False).index[:10]
    assert min(truly(latent, "burned in") for latent in best) > 0.7
