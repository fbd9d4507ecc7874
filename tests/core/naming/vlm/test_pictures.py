"""What a server is shown: whole views, parts around the peak, a line around a region; and only the run's files."""

import cv2
import numpy as np
import pytest

from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.naming.vlm.images_of_run import RunImages
from napari_mammosae.core.naming.vlm.pictures import CLOSER, SIDE, enlarged_part, outlined_view, whole_view
from vlm_kit import FIRST, PatchRun, middle, shows


def decoded(picture):
    return cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_whole_view_is_padded_not_stretched():
    pixels = np.random.default_rng(0).integers(1, 255, (190, 114), dtype=np.uint8)
    view = decoded(whole_view(pixels))
    assert view.shape == (190, 190)
    np.testing.assert_array_equal(view[:, 38:152], pixels)
    assert not view[:, :38].any()
    assert not view[:, 152:].any()
    assert decoded(whole_view(np.full((1520, 912), 9, np.uint8))).shape == (SIDE, SIDE)


@pytest.mark.parametrize("cell", [(0, 0), (24, 14), (47, 28), (10, 0)])
def test_the_part_around_a_cell_is_twice_as_large_and_inside(cell):
    pixels = np.zeros((1520, 912), np.uint8)
    row, column = (cell[0] + 0.5) * 1520 / 48, (cell[1] + 0.5) * 912 / 29
    pixels[int(row) - 4 : int(row) + 4, int(column) - 4 : int(column) + 4] = 200
    part = decoded(enlarged_part(pixels, cell, (48, 29)))
    assert part.shape == (448 * CLOSER, 448 * CLOSER)
    bright = np.argwhere(part > 150)
    assert bright.size, "the cell is in the part"
    assert np.ptp(bright, axis=0).max() + 1 == pytest.approx(8 * CLOSER, abs=2)
    inside = 224 < row < 1520 - 224 and 224 < column < 912 - 224
    if inside:
        np.testing.assert_allclose(bright.mean(axis=0), 448, atol=3 * CLOSER)


def test_the_line_goes_around_the_region_and_leaves_the_rest():
    pixels = np.full((192, 128), 90, np.uint8)
    region = np.zeros((12, 8), bool)
    region[3:5, 2:4] = True
    view = decoded(outlined_view(pixels, region))
    line = np.argwhere((view == (0, 255, 255)).all(axis=-1))
    np.testing.assert_allclose(line.min(axis=0), (48, 32 + 32), atol=1)
    np.testing.assert_allclose(line.max(axis=0), (79, 32 + 63), atol=1)
    others = (view != (0, 255, 255)).any(axis=-1)
    assert set(np.unique(view[others])) <= {0, 90}


def test_a_runs_pictures_show_what_its_latents_stand_for(tmp_path):
    run = PatchRun(tmp_path)
    images, maps = RunImages(run), RunImages(run).maps_of(FIRST)
    assert sorted(maps) == np.flatnonzero(run.dense[..., FIRST].any(axis=(1, 2))).tolist()
    row = next(iter(maps))
    np.testing.assert_allclose(maps[row], run.dense[row, ..., FIRST], rtol=1e-3)
    whole, part = images.pair(row, maps[row])
    assert shows(decoded(whole), "amber patch")
    assert middle(decoded(part)) == 160
    assert shows(decoded(images.outlined(row, maps[row] > 0)), "amber patch", outlined=True)
    assert images.breast(row)[:, :6].all()
    assert not images.breast(row)[:, 6:].any()


def test_only_the_files_of_the_run_are_shown(tmp_path):
    run = PatchRun(tmp_path)
    images = RunImages(run)
    path = tmp_path / str(run.images["path"][0])
    path.write_bytes((tmp_path / str(run.images["path"][1])).read_bytes())
    with pytest.raises(RunError, match=rf"^{path.name.replace('^', '.')} is not the file that run was made with"):
        images.whole(0)
    path.unlink()
    with pytest.raises(RunError, match=r"^the file of .* is not found; name the folder of the images with --images"):
        images.whole(0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in run.images["path"][1:]:
        (tmp_path / name).rename(elsewhere / name)
    with pytest.raises(RunError, match="images of run are not where they were; name their folder with --images"):
        RunImages(run)
    assert RunImages(run, elsewhere).whole(1).png
