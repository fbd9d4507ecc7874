import numpy as np
import pytest

from fakes import maps_of, model_facts
from napari_mammosae.core.exams.figures import compare_sides, compare_views, measure_view
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.images.scale import Scale

GRID = (4, 5)
FRAME = Frame((500, 700), (100, 50, 500, 650), (384, 256))  # cells of 100 x 120 source pixels, from (100, 50) on


def maps(cells):
    """Latent 2 fires in `cells` (row, column): value; all others are silent."""
    values = np.zeros((1, *GRID), np.float32)
    for cell, value in cells.items():
        values[0][cell] = value
    return maps_of(model_facts(n_latents=4, grid=GRID), np.array([2], np.int32), values, FRAME)


def view(side, name, cells, nipple=(299.5, 589.5), scale=None):
    return measure_view(maps(cells), 2, laterality=side, view=name, scale=scale, nipple=nipple)


def test_maximum_area_and_distance_in_pixels():
    found = view("L", "CC", {(0, 1): 0.5, (2, 3): 2.0, (3, 3): 1.0})
    assert found.maximum == 2.0
    assert found.cells == 3
    assert found.area == pytest.approx(3 * 100 * 120)
    # the cell (2, 3) covers rows 300 to 399 and columns 410 to 529
    assert found.nipple_distance == pytest.approx(np.hypot(349.5 - 299.5, 469.5 - 589.5))
    assert not found.in_mm


def test_millimetres_in_the_breast_where_pixels_have_a_size():
    found = view("L", "CC", {(2, 3): 2.0}, scale=Scale((0.2, 0.1), "Imager Pixel Spacing", 2.0))
    assert found.area == pytest.approx(100 * 0.1 * 120 * 0.05)
    assert found.nipple_distance == pytest.approx(np.hypot(50 * 0.1, 120 * 0.05))
    assert found.in_mm


@pytest.mark.parametrize(("cells", "nipple"), [({}, (1.0, 2.0)), ({(0, 0): 1.0}, None)])
def test_no_distance_of_a_silent_latent_or_without_a_nipple(cells, nipple):
    assert view("L", "CC", cells, nipple).nipple_distance is None


def test_left_minus_right():
    views = [
        view("L", "CC", {(0, 0): 3.0, (0, 1): 1.0, (1, 1): 1.0}), view("R", "CC", {(0, 0): 1.0}),
        view("L", "MLO", {}), view("R", "MLO", {(0, 0): 2.0}), view(None, "CC", {(0, 0): 9.0}),
    ]  # fmt: skip
    mlo, cc = compare_sides(views)
    assert (mlo.view, mlo.maximum, mlo.maximum_share, mlo.area_share) == ("MLO", -2.0, -1.0, -1.0)
    assert (cc.view, cc.maximum, cc.maximum_share, cc.area_share) == ("CC", 2.0, 0.5, 0.5)


def test_silent_on_both_sides_has_no_share_and_one_side_alone_no_difference():
    (both,) = compare_sides([view("L", "CC", {}), view("R", "CC", {}), view("L", "MLO", {(0, 0): 1.0})])
    assert both.maximum == 0
    assert np.isnan(both.maximum_share)


def test_of_a_repeated_view_the_stronger_counts():
    (cc,) = compare_sides([view("L", "CC", {(0, 0): v}) for v in (1.0, 4.0)] + [view("R", "CC", {(0, 0): 1.0})])
    assert cc.maximum == 3.0


def test_both_views_of_a_breast_agree_by_distance():
    views = [view("R", "CC", {(2, 3): 1.0}), view("R", "MLO", {(2, 4): 1.0}), view("L", "CC", {(0, 0): 1.0})]
    (right,) = compare_views(views)
    near, far = np.hypot(50, 0), np.hypot(50, 120)
    assert (right.laterality, right.in_mm) == ("R", False)
    assert (right.mlo, right.cc) == (pytest.approx(near), pytest.approx(far))
    assert right.difference == pytest.approx(far - near)


def test_pixels_are_not_compared_with_millimetres():
    views = [view("R", "CC", {(2, 3): 1.0}, scale=Scale((0.1, 0.1))), view("R", "MLO", {(2, 3): 1.0})]
    assert compare_views(views) == []
    sides = [view("R", "CC", {(2, 3): 1.0}, scale=Scale((0.1, 0.1))), view("L", "CC", {(2, 3): 1.0})]
    assert np.isnan(compare_sides(sides)[0].area_share)
