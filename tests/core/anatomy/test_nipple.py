"""The nipple by the outline: against the phantoms' truth, and where there is none to be found."""

import numpy as np
import pytest

from napari_mammosae.core.anatomy.nipple import estimate_nipple
from napari_mammosae.core.anatomy.regions import region_masks
from napari_mammosae.core.phantoms.phantom import make_phantom


def _half_disc(laterality: str) -> np.ndarray:
    rows, cols = np.indices((60, 40))
    breast = (rows - 30) ** 2 + cols**2 <= 25**2
    return breast if laterality == "L" else breast[:, ::-1]


@pytest.mark.parametrize("seed", [900000, 900001, 900003])  # left CC, left MLO up to the border, right MLO
def test_within_two_millimetres_of_the_phantoms_nipple(seed: int) -> None:
    phantom = make_phantom(seed)
    breast = region_masks(phantom.pixels, laterality=phantom.laterality, view=phantom.view)["breast"]
    row, column = estimate_nipple(breast, laterality=phantom.laterality)
    top, left, bottom, right = phantom.boxes_of("nipple")[0]
    tip = (top + bottom - 1) / 2, right - 1 if phantom.laterality == "L" else left
    down, across = phantom.spacing
    assert np.hypot((row - tip[0]) * down, (column - tip[1]) * across) < 2.0


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("known", [True, False])
def test_the_outermost_point_of_a_half_disc(laterality: str, known: bool) -> None:
    found = estimate_nipple(_half_disc(laterality), laterality=laterality if known else None)
    assert found == (30.0, 25.0 if laterality == "L" else 14.0)


def test_none_without_a_breast_or_where_the_border_cuts_it_off() -> None:
    assert estimate_nipple(np.zeros((20, 20), bool)) is None
    assert estimate_nipple(_half_disc("L")[:, :20], laterality="L") is None
    assert estimate_nipple(_half_disc("L")[30:], laterality="L") is None
