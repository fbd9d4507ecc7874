from itertools import permutations

import numpy as np
import pytest

from napari_mammosae.core.exams.hanging import hang_beside, hang_views, needs_mirroring
from napari_mammosae.core.exams.placement import place_view

FOUR = [("R", "MLO"), ("L", "MLO"), ("R", "CC"), ("L", "CC")]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_four_views_hang_alike_whatever_their_order(order):
    images = [FOUR[at] for at in order]
    hanging = hang_views(*zip(*images, strict=True))
    assert [[images[at] for at in row] for row in hanging] == [FOUR[:2], FOUR[2:]]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([("L", "CC"), ("L", "MLO")], ((1,), (0,))),  # one breast: one column
        ([("L", "CC"), ("R", "CC")], ((1, 0),)),  # one view: one row
        ([("L", "MLO"), ("R", "CC"), ("L", "CC")], ((None, 0), (1, 2))),  # a gap stays a gap
        ([("R", "CC"), ("R", "CC"), ("L", "CC")], ((0, 2), (1, None))),  # a repeated view: a row more
        ([("R", "CC"), ("L", "CC"), (None, "CC"), ("R", None)], ((0, 1), (2, 3))),  # unknown ones follow
        ([(None, None)] * 5, ((0, 1, 2), (3, 4, None))),
        ([(None, None)], ((0,),)),
        ([], ()),
    ],
)
def test_incomplete_and_unknown_views(images, expected):
    sides, views = zip(*images, strict=True) if images else ((), ())
    assert hang_views(sides, views) == expected


def test_exams_of_different_heights_hang_beside_each_other():
    assert hang_beside(((1, 0), (3, 2)), ((0,),), 4) == ((1, 0, 4), (3, 2, None))


@pytest.mark.parametrize("marker", [None, "left", "right"])
@pytest.mark.parametrize("wall", ["left", "right"])
@pytest.mark.parametrize("side", ["L", "R", None])
def test_a_breast_is_mirrored_where_its_chest_wall_would_lie_outwards(side, wall, marker):
    rows, cols = np.mgrid[:300, :200]
    breast = ((rows - 150) / 120) ** 2 + (cols / 150) ** 2 < 1
    if wall == "right":
        breast = breast[:, ::-1]
    pixels = np.where(breast, 2000, 30).astype(np.uint16) + (rows % 3).astype(np.uint16)
    if marker:
        pixels[20:50, slice(10, 30) if marker == "left" else slice(170, 190)] = 4000
    wanted = {"L": "left", "R": "right", None: wall}[side]
    assert needs_mirroring(pixels, side) == (wall != wanted)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("gap", [0, 17])
@pytest.mark.parametrize("side", ["R", "L", None])
def test_pixels_stay_whole_pixels_and_chest_walls_meet(side, gap, mirrored):
    shape, area = (30, 20), (40, 26)
    matrix = place_view(shape, area, side, mirrored=mirrored, gap=gap)
    corners = np.array([matrix @ (row, col, 1) for row in (0, 29) for col in (0, 19)])
    assert np.array_equal(corners, np.round(corners))
    first, last = corners[:, 1].min(), corners[:, 1].max()
    assert last - first == 19
    assert corners[:, 0].min() == 5
    assert (corners[0, 1] > corners[1, 1]) == mirrored
    if side == "R":
        assert last == 25 + gap  # the right border of the area, and on by the gap
    elif side == "L":
        assert first == -gap
    else:
        assert first == 3
