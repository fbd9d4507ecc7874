import builtins
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.testing import assert_array_equal
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence

from dicom_factory import COMPRESSED, breast_image, truncate, write_dicom
from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.core.images.dicom.facts import hashed_patient
from napari_mammosae.core.images.mammogram import Preprocessing, read_mammogram
from napari_mammosae.core.images.preprocessing import breast_box, to_8bit

DEPTHS = [("uint8", 8), ("uint16", 10), ("uint16", 12), ("uint16", 14), ("uint16", 16), ("int16", 12), ("int16", 16)]


def image_of(dtype: str, bits: int) -> np.ndarray:
    pixels = breast_image(top=2**bits - 1, dtype="int64")
    return (pixels - (2 ** (bits - 1) if dtype.startswith("i") else 0)).astype(dtype)


@pytest.mark.parametrize("compression", [None, *COMPRESSED])
@pytest.mark.parametrize(("dtype", "bits"), DEPTHS)
def test_stored_values_come_bit_for_bit(tmp_path: Path, dtype: str, bits: int, compression: str | None) -> None:
    pixels = image_of(dtype, bits)
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", pixels, bits=bits, compression=compression))
    assert image.pixels.dtype == dtype
    assert_array_equal(image.pixels, pixels)
    assert image.border == 5


@pytest.mark.parametrize(("dtype", "bits"), DEPTHS)
def test_monochrome1_is_turned_so_that_bright_is_dense(tmp_path: Path, dtype: str, bits: int) -> None:
    pixels = image_of(dtype, bits)
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", pixels, bits=bits, photometric="MONOCHROME1"))
    assert image.pixels.dtype == f"u{dtype.removeprefix('u')}"
    assert_array_equal(image.pixels, pixels.astype(np.int64).max() - pixels.astype(np.int64))


def test_implicit_byte_order_and_suffixes_do_not_matter(tmp_path: Path) -> None:
    for name in ("a.dicom", "b", "c.png"):
        image = read_mammogram(write_dicom(tmp_path / name, breast_image(), implicit=True))
        assert_array_equal(image.pixels, breast_image())


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_model_input_follows_the_published_steps(tmp_path: Path, photometric: str) -> None:
    """Drop 5 px, invert, scale to 8 bit, crop: in the published order, each step on its own."""
    dense = breast_image()
    dense[:5], dense[:, :5] = 4095, 4000  # a frame that would change scaling and crop
    stored = 4095 - dense if photometric == "MONOCHROME1" else dense
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", stored, bits=12, photometric=photometric))
    inner = stored[5:-5, 5:-5].astype(np.float64)
    if photometric == "MONOCHROME1":
        inner = inner.max() - inner
    grey = ((inner - inner.min()) / (inner.max() - inner.min()) * 255).astype(np.uint8)
    row0, col0, row1, col1 = breast_box(grey)
    frame = image.frame_for(Preprocessing(size=(60, 36)))
    assert frame.crop == (row0 + 5, col0 + 5, row1 + 5, col1 + 5)
    same_size = image.prepared(Preprocessing(size=(row1 - row0, col1 - col0)))
    assert_array_equal(same_size.pixels, grey[row0:row1, col0:col1])


def test_images_of_the_input_size_keep_their_border(tmp_path: Path) -> None:
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(60, 36)))
    made = image.prepared(Preprocessing(size=(60, 36)))
    assert made.frame.crop == (0, 0, 60, 36)
    assert_array_equal(made.pixels, to_8bit(breast_image(60, 36)))


def test_what_changes_the_display_leaves_the_values_alone(tmp_path: Path) -> None:
    plain = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image()))
    dressed = write_dicom(
        tmp_path / "b.dcm",
        breast_image(),
        RescaleSlope="2",
        RescaleIntercept="-100",
        WindowCenter="3900",
        WindowWidth="1000",
    )
    image = read_mammogram(dressed)
    assert_array_equal(image.pixels, plain.pixels)
    assert image.window == (2000, 500)
    assert image.contrast_limits() == (1750, 2250)


def test_windows_turn_with_the_image(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", breast_image(), photometric="MONOCHROME1", WindowCenter=[1000, 5], WindowWidth=[400, 5]
    )
    assert read_mammogram(path).window == (4095 - 1000, 400)


@pytest.mark.parametrize("elements", [{}, {"WindowCenter": "5"}, {"WindowCenter": "5", "WindowWidth": "0"}])
def test_unusable_windows_are_none(tmp_path: Path, elements: dict[str, Any]) -> None:
    assert read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), **elements)).window is None


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_voi_tables_are_for_display(tmp_path: Path, photometric: str) -> None:
    entries = np.arange(2000, dtype=np.int64) ** 2 // 62
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [2000, 1000, 16], entries.tolist()
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    pixels = breast_image()
    path = write_dicom(tmp_path / "a.dcm", pixels, photometric=photometric, VOILUTSequence=Sequence([item]))
    image = read_mammogram(path)
    looked_up = entries[np.clip(pixels.astype(int) - 1000, 0, 1999)]
    expected = looked_up if photometric == "MONOCHROME2" else entries.max() - looked_up
    assert_array_equal(image.displayed(), expected)
    low, high = image.contrast_limits()
    assert expected.min() <= low < high <= expected.max()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_known_for_display_only(tmp_path: Path, photometric: str) -> None:
    pixels = breast_image() // 2 + 100
    pixels[:, 120:] = 0
    pixels[0, 0] = 4000
    path = write_dicom(tmp_path / "a.dcm", pixels, photometric=photometric, PixelPaddingValue=0)
    image = read_mammogram(path)
    shown = image.displayed()
    assert (shown[:, 120:] == shown[:, :120].min()).all()
    assert_array_equal(image.pixels, pixels if photometric == "MONOCHROME2" else 4000 - pixels)


def test_overlays_in_unused_bits_are_dropped(tmp_path: Path) -> None:
    for dtype in ("uint16", "int16"):
        pixels = image_of(dtype, 12)
        dirty = pixels.copy()
        dirty[10:20] ^= 1 << 13
        assert_array_equal(read_mammogram(write_dicom(tmp_path / "a.dcm", dirty, bits=12)).pixels, pixels)


def test_facts_are_read(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        breast_image(),
        ImagerPixelSpacing=["0.085", "0.1"],
        PixelSpacing=["1", "1"],
        ImageLaterality="R",
        ViewPosition="MLO",
        Manufacturer="Maker",
    )
    image = read_mammogram(path)
    assert (image.spacing, image.laterality, image.view) == ((0.085, 0.1), "R", "MLO")
    assert image.metadata["manufacturer"] == "Maker"
    assert image.metadata["modality"] == "MG"


def test_second_best_facts_are_used(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue = "R-10226"
    path = write_dicom(
        tmp_path / "a.dcm",
        breast_image(),
        PixelSpacing=["0.2", "0.3"],
        Laterality="L",
        ViewCodeSequence=Sequence([code]),
    )
    image = read_mammogram(path)
    assert (image.spacing, image.laterality, image.view) == ((0.2, 0.3), "L", "MLO")


@pytest.mark.parametrize(
    "elements",
    [{}, {"ImagerPixelSpacing": ["0", "0"], "ImageLaterality": "B", "ViewPosition": "ML"}, {"PixelSpacing": None}],
)
def test_facts_that_are_missing_or_of_no_use_are_none(tmp_path: Path, elements: dict[str, Any]) -> None:
    elements = {name: value for name, value in elements.items() if value is not None}
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), **elements))
    assert (image.spacing, image.laterality, image.view) == (None, None, None)


def test_nothing_that_names_a_person_is_kept(tmp_path: Path) -> None:
    secrets = {
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19610203",
        "InstitutionName": "Some Clinic",
        "AccessionNumber": "ACC777",
        "StudyDate": "20200101",
        "OperatorsName": "Smith^A",
        "DeviceSerialNumber": "SER123",
    }
    path = write_dicom(tmp_path / "a.dcm", breast_image(), PatientID="MRN-0815", **secrets)
    image = read_mammogram(path)
    kept = repr(image) + repr(dict(image.metadata))
    for secret in ("MRN-0815", *secrets.values()):
        assert secret not in kept
    uid = pydicom.dcmread(path).SOPInstanceUID
    assert uid not in kept
    assert image.patient == hashed_patient("MRN-0815 ")
    assert len(image.patient) == 16


def test_patients_are_told_apart_and_may_be_unknown(tmp_path: Path) -> None:
    assert hashed_patient("1") != hashed_patient("2")
    for nothing in ("", None):
        path = write_dicom(tmp_path / "a.dcm", breast_image(), PatientID=nothing)
        assert read_mammogram(path).patient is None


def test_several_frames_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "tomo.dcm", np.stack([breast_image()] * 3), frames=3)
    with pytest.raises(ImageError, match=r"tomo\.dcm: a multi-frame DICOM with 3 frames"):
        read_mammogram(path)
    single = write_dicom(tmp_path / "one.dcm", breast_image()[None], frames=1)
    assert_array_equal(read_mammogram(single).pixels, breast_image())


def test_colour_is_refused_and_equal_colours_are_grey(tmp_path: Path) -> None:
    grey = breast_image(top=255, dtype="uint8")
    same = write_dicom(tmp_path / "same.dcm", np.dstack([grey] * 3), photometric="RGB")
    assert_array_equal(read_mammogram(same).pixels, grey)
    colour = write_dicom(tmp_path / "photo.dcm", np.dstack([grey, grey, grey // 2]), photometric="RGB")
    with pytest.raises(ImageError, match=r"photo\.dcm: a colour image"):
        read_mammogram(colour)
    palette = write_dicom(tmp_path / "palette.dcm", grey, photometric="PALETTE COLOR")
    with pytest.raises(ImageError, match="palette colour"):
        read_mammogram(palette)


@pytest.mark.parametrize("compression", [None, *COMPRESSED])
@pytest.mark.parametrize("keep", [0.04, 0.3, 0.98])
def test_truncated_files_are_refused(tmp_path: Path, compression: str | None, keep: float) -> None:
    path = truncate(write_dicom(tmp_path / "cut.dcm", breast_image(), bits=12, compression=compression), keep)
    with pytest.raises(ImageError, match=r"^cut\.dcm: .*truncated") as caught:
        read_mammogram(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("keep", [0.2, 0.99])
def test_truncated_streams_in_whole_files_are_refused(tmp_path: Path, compression: str, keep: float) -> None:
    path = write_dicom(tmp_path / "cut.dcm", breast_image(), bits=12, compression=compression)
    dataset = pydicom.dcmread(path)
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([stream[: int(len(stream) * keep) // 2 * 2]])
    dataset.save_as(path)
    with pytest.raises(ImageError, match=r"^cut\.dcm: .*truncated"):
        read_mammogram(path)


def test_other_dicom_files_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "report.dcm", breast_image(), PixelData=None)
    with pytest.raises(ImageError, match=r"report\.dcm: a DICOM file without an image"):
        read_mammogram(path)


def test_headers_without_sizes_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "odd.dcm", breast_image(), Rows=None)
    with pytest.raises(ImageError, match=r"odd\.dcm: Rows \(0028,0010\) is missing"):
        read_mammogram(path)


def test_garbage_after_the_mark_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "pydicom")
    random = np.random.default_rng(0)
    for length in (0, 1, 7, 300):
        path = tmp_path / "noise.dcm"
        path.write_bytes(b"\0" * 128 + b"DICM" + random.bytes(length))
        with pytest.raises(ImageError, match=r"noise\.dcm"):
            read_mammogram(path)


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast_image())
    usual = builtins.__import__

    def without_pydicom(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "pydicom":
            raise ModuleNotFoundError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pydicom)
    with pytest.raises(ImageError, match=r'pip install "napari-mammosae\[dicom\]"'):
        read_mammogram(path)


def test_without_a_decoder_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    path = write_dicom(tmp_path / "a.dcm", breast_image(), bits=12, compression="jpeg-ls")
    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    with pytest.raises(ImageError, match=r'no decoder for JPEG-LS.*pip install "napari-mammosae\[dicom\]"'):
        read_mammogram(path)


def test_constant_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="every pixel has the value 100"):
        read_mammogram(write_dicom(tmp_path / "a.dcm", np.full((40, 30), 100, np.uint16)))


def test_a_full_size_mammogram_is_quick(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast_image(3328, 2560), bits=12)
    start = time.process_time()
    image = read_mammogram(path)
    made = image.prepared(Preprocessing())
    assert made.pixels.shape == (1520, 912)
    assert time.process_time() - start < 3  # about 0.3 s; the margin is for busy machines


def test_what_pydicom_says_in_passing_is_kept_from_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn
) -> None:
    """It names whole paths and quotes the header, which may hold anything about a person."""
    path = write_dicom(tmp_path / "case.dcm", breast_image(), compression="jpeg2000")
    end = path.read_bytes()
    for keep in (0.5, 0.7, 0.9):
        path.write_bytes(end[: int(len(end) * keep)])
        with pytest.raises(ImageError, match=r"case\.dcm: a truncated DICOM file"):
            read_mammogram(path)
    odd = write_dicom(tmp_path / "odd.dcm", breast_image())
    data = odd.read_bytes()
    odd.write_bytes(data.replace(b"1.2.840.10008.5.1.4.1.1.1.2", b"Doe^Jane-is-no-identifier!!"))
    read_mammogram(odd)
    assert caplog.text == ""
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("compression", ["jpeg-lossless", "jpeg-ls"])
def test_bytes_after_the_end_of_a_stream_do_no_harm(tmp_path: Path, compression: str) -> None:
    import pydicom
    from pydicom.encaps import encapsulate, get_frame

    path = write_dicom(tmp_path / "a.dcm", breast_image(), bits=12, compression=compression)
    dataset = pydicom.dcmread(path)
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\0")
    dataset.PixelData = encapsulate([stream + b"\1" * 40])
    dataset.save_as(path)
    assert (read_mammogram(path).pixels == breast_image()).all()


@pytest.mark.parametrize(("centre", "width"), [("-500", "100"), ("60000", "10")])
def test_a_window_beside_all_values_is_not_used(tmp_path: Path, centre: str, width: str) -> None:
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), WindowCenter=centre, WindowWidth=width))
    plain = read_mammogram(write_dicom(tmp_path / "b.dcm", breast_image()))
    assert image.contrast_limits() == plain.contrast_limits()
