"""Pairs of phantoms differ by exactly one thing."""

import cv2
import numpy as np
import pytest

from napari_mammosae.core.base.errors import FindingsError, SettingsError, WriteError
from napari_mammosae.core.phantoms.pairs import THINGS, make_pair, read_pairs, write_pairs

REACH = 8.0  # mm around a mask that its soft edge, or a fold's shadow, may reach


def near(mask, spacing):
    """Pixels within reach of a mask."""
    rows, cols = (int(REACH / mm) for mm in spacing)
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * rows + 1, 2 * cols + 1), np.uint8)) > 0


@pytest.mark.parametrize(("thing", "seed"), [(thing, 40 + place) for place, thing in enumerate(THINGS)])
def test_a_pair_differs_by_one_thing_and_is_the_same_elsewhere(thing, seed):
    present, absent = make_pair(thing, seed)
    differ = present.pixels != absent.pixels
    assert differ.any()
    if thing == "density":
        breast = near(present.masks["breast"], present.spacing)
        assert not differ[~breast].any()
        assert present.pixels[present.masks["breast"]].std() != absent.pixels[absent.masks["breast"]].std()
    else:
        assert thing in present.masks
        assert thing not in absent.masks
        region = present.masks[thing]
        if thing == "nipple":  # with its areola, 30 mm
            rows, cols = np.nonzero(region)
            row, col = np.indices(region.shape)
            far = np.hypot((row - rows.mean()) * present.spacing[0], (col - cols.mean()) * present.spacing[1])
            region = far < 36
        else:
            region = near(region, present.spacing)
        assert not differ[~region].any()
    changed = {thing, "breast", "skin"} if thing == "nipple" else {thing}
    assert set(present.masks) - changed == set(absent.masks) - changed
    for name in set(present.masks) - changed:
        np.testing.assert_array_equal(present.masks[name], absent.masks[name], err_msg=name)
    assert present.pixels.max() == absent.pixels.max() == 255
    assert {name for name, there in present.labels.items() if there} <= {thing}
    assert not any(absent.labels.values())
    assert (present.patient, present.view, present.laterality) == (absent.patient, absent.view, absent.laterality)


def test_written_pairs_are_read_again(tmp_path):
    seen = []
    written = write_pairs(tmp_path, 1, 8, ("marker",), lambda *state: seen.append(state[1:]))
    found = read_pairs(tmp_path)
    assert found == written
    ((thing, patient, present, absent),) = found.rows
    assert (thing, patient) == ("marker", "phantom-patient-00002")
    assert {present, absent} == {path.stem for path in tmp_path.glob("*.png")}
    assert seen == [(1, 1)]
    stored = cv2.imread(str(tmp_path / f"{present}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, make_pair("marker", 8)[0].pixels)


def test_what_cannot_be_done_is_said(tmp_path):
    with pytest.raises(SettingsError, match="no pairs for 'cat'; choose one of mass"):
        make_pair("cat", 0)
    with pytest.raises(SettingsError, match="at least one"):
        write_pairs(tmp_path, 0)
    with pytest.raises(FindingsError, match=r"has no pairs\.csv"):
        read_pairs(tmp_path)
    (tmp_path / "pairs.csv").write_text("thing,patient\nmass,1\n")
    with pytest.raises(FindingsError, match="present, absent"):
        read_pairs(tmp_path)
    with pytest.raises(WriteError, match="no record"):
        write_pairs(tmp_path, 1)
