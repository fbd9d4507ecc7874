import numpy as np
import pytest
from napari.settings import get_settings
from npe2 import PluginManager, PluginManifest

from dicom_factory import breast_image, truncate, write_dicom
from fakes import write_png
from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.viewer.canvas.layers import KEY
from napari_mammosae.viewer.reader import PLUGIN, get_reader, prefer_for_mammograms, read


def test_spacing_side_view_and_window_come_along(tmp_path):
    path = write_dicom(
        tmp_path / "case.dcm",
        breast_image(),
        bits=12,
        ImagerPixelSpacing=[0.07, 0.07],
        ImageLaterality="L",
        ViewPosition="MLO",
        WindowCenter=2000,
        WindowWidth=1500,
    )
    ((data, options, kind),) = read(str(path))
    assert kind == "image"
    assert options["contrast_limits"] == (1250, 2750)
    metadata = options["metadata"]
    assert (metadata["laterality"], metadata["view"], metadata["spacing_mm"]) == ("L", "MLO", (0.07, 0.07))
    np.testing.assert_array_equal(data, metadata[KEY]["mammogram"].pixels)


def test_monochrome1_is_shown_bright_is_dense(tmp_path):
    pixels = breast_image(dtype="uint16")
    one = write_dicom(tmp_path / "one.dcm", pixels.max() - pixels, photometric="MONOCHROME1")
    ((data, _, _),) = read(str(one))
    np.testing.assert_array_equal(data, pixels - pixels.min())


def test_no_identifiers_in_the_layer(tmp_path):
    path = write_dicom(tmp_path / "case.dcm", breast_image())
    ((_, options, _),) = read(str(path))
    text = repr({key: value for key, value in options["metadata"].items() if key != KEY})
    assert "Doe" not in text
    assert "0042" not in text


def test_several_files_are_several_layers(tmp_path):
    paths = [str(write_png(tmp_path, f"{name}.png", seed)) for seed, name in enumerate("ab")]
    assert [options["name"] for _, options, _ in get_reader(paths)(paths)] == ["a", "b"]


def test_an_unreadable_file_costs_itself_only(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari_mammosae.viewer.reader._tell", told.append)
    paths = [write_dicom(tmp_path / f"case-{i}.dcm", breast_image()) for i in range(3)]
    truncate(paths[1])
    layers = read([str(path) for path in paths])
    assert [options["name"] for _, options, _ in layers] == ["case-0", "case-2"]
    assert len(told) == 1
    assert told[0].startswith("Images left out: 1. case-1.dcm")


@pytest.mark.parametrize("damage", [truncate, lambda path: path.write_text("words")])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, damage):
    path = write_dicom(tmp_path / "case.dcm", breast_image())
    damage(path)
    with pytest.raises(ImageError, match=r"case\.dcm"):
        read(str(path))


@pytest.mark.parametrize(
    ("name", "claimed"),
    [
        ("case.dcm", True),
        ("CASE.DICOM", True),
        ("images_png/study/0f24b8d6cd8a4b3c9a1f2e3d4c5b6a79.png", True),
        ("phantom-900003.png", True),
        ("holiday.png", False),
        ("cells.tif", False),
    ],
)
def test_only_mammograms_are_claimed(qapp, name: str, claimed: bool):
    """Claiming every PNG or TIFF would make napari ask its users which reader to take at each of them."""
    manager = PluginManager()
    manager.register(PluginManifest.from_distribution(PLUGIN))
    assert bool(list(manager.iter_compatible_readers([f"/data/{name}"]))) == claimed


def test_ours_is_preferred_for_dicom_unless_the_user_chose(qapp):
    plugins = get_settings().plugins
    plugins.extension2reader = {"*.dcm": "other", "*.tif": "third"}
    prefer_for_mammograms()
    assert plugins.extension2reader["*.dcm"] == "other"
    assert "*.DCM" not in plugins.extension2reader
    assert plugins.extension2reader["*.dicom"] == PLUGIN
    assert plugins.extension2reader["*.tif"] == "third"
