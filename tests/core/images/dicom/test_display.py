"""How a DICOM file is shown: windows, lookup tables, functional groups of tomosynthesis."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.images.mammogram import read_mammogram


def groups(**elements: dict[str, object]) -> Sequence:
    """Functional groups: name of a macro's sequence -> its elements."""
    group = Dataset()
    for name, values in elements.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(group, name, Sequence([item]))
    return Sequence([group])


FACTS = {
    "PixelMeasuresSequence": {"PixelSpacing": ["0.1", "0.09"]},
    "FrameAnatomySequence": {"FrameLaterality": "R"},
    "FrameVOILUTSequence": {"WindowCenter": "2000", "WindowWidth": "800"},
}


@pytest.mark.parametrize("place", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_tomosynthesis_of_one_frame_has_its_facts_in_groups(tmp_path, place, photometric):
    view = Dataset()
    view.CodeValue = "399368009"
    path = write_dicom(
        tmp_path / "a.dcm",
        breast_image()[None],
        frames=1,
        photometric=photometric,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.13.1.3",
        ViewCodeSequence=Sequence([view]),
        **{place: groups(**FACTS)},
    )
    image = read_mammogram(path)
    assert (image.spacing, image.laterality, image.view) == ((0.1, 0.09), "R", "MLO")
    assert image.window == (2000 if photometric == "MONOCHROME2" else 4095 - 2000, 800)
    assert image.shape == (240, 160)


def test_rescaling_in_groups_counts_for_the_window(tmp_path):
    rescaled = FACTS | {"PixelValueTransformationSequence": {"RescaleSlope": "2", "RescaleIntercept": "-100"}}
    path = write_dicom(tmp_path / "a.dcm", breast_image(), SharedFunctionalGroupsSequence=groups(**rescaled))
    assert read_mammogram(path).window == ((2000 + 100) / 2, 400)


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_sigmoid_windows(tmp_path, in_groups, photometric):
    window = {"WindowCenter": "2000", "WindowWidth": "800", "VOILUTFunction": "SIGMOID"}
    elements = {"SharedFunctionalGroupsSequence": groups(FrameVOILUTSequence=window)} if in_groups else window
    pixels = breast_image()
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", pixels, photometric=photometric, **elements))
    expected = 1 / (1 + np.exp(-4 * (pixels - 2000.0) / 800))  # PS3.3, C.11.2.1.3.1
    shown = expected if photometric == "MONOCHROME2" else 1 - expected
    assert_allclose(image.displayed() / 65535, shown, atol=1e-5)
    assert image.notes == ()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_further_windows_have_their_names(tmp_path, photometric):
    said = {
        "WindowCenter": ["2000", "1500", "1", "1800"],
        "WindowWidth": ["3000", "800", "0", "600"],
        "WindowCenterWidthExplanation": ["NORMAL", " HARDER "],
    }
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), photometric=photometric, **said))
    top = 0 if photometric == "MONOCHROME2" else int(breast_image().max())
    turned = (lambda centre: top - centre) if top else float
    assert image.window == (turned(2000), 3000)
    assert image.windows == (("HARDER", turned(1500), 800), ("Window 4", turned(1800), 600))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", ""])
def test_other_functions_are_the_window(tmp_path, function):
    image = read_mammogram(
        write_dicom(tmp_path / "a.dcm", breast_image(), WindowCenter="2000", WindowWidth="800", VOILUTFunction=function)
    )
    assert image.voi is None
    assert image.contrast_limits() == (1600, 2400)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [("-500", "100"), ("60000", "10"), ("4200", "20"), ("-2000", "3000")])
def test_windows_that_show_nothing_fall_back_and_are_noted(tmp_path, photometric, function, centre, width):
    window = {"WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": function}
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), photometric=photometric, **window))
    usual = read_mammogram(write_dicom(tmp_path / "b.dcm", breast_image(), photometric=photometric))
    assert image.contrast_limits() == usual.contrast_limits()
    assert_array_equal(image.displayed(), usual.displayed())
    assert (image.window, image.voi) == (None, None)
    assert "window" in image.notes[0]
    assert "not used" in image.notes[0]


def test_a_table_that_shows_nothing_falls_back_to_the_window(tmp_path):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [3, 60000, 16], [7, 7, 9]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    path = write_dicom(
        tmp_path / "a.dcm", breast_image(), VOILUTSequence=Sequence([item]), WindowCenter="2000", WindowWidth="800"
    )
    image = read_mammogram(path)
    assert image.voi is None
    assert image.contrast_limits() == (1600, 2400)
    assert "VOI LUT" in image.notes[0]


def test_negative_padding_is_the_top_value_of_pixels_without_a_sign(tmp_path):
    pixels = breast_image()
    pixels[:, 120:] = 65535
    path = write_dicom(tmp_path / "a.dcm", pixels)
    import pydicom

    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "SS", -1)
    dataset.save_as(path)
    shown = read_mammogram(path).displayed()
    assert (shown[:, 120:] == shown[:, :120].min()).all()
