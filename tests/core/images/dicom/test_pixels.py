"""Which pixels are decoded, what is read where a header is wrong, and what refusals say."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.testing import assert_array_equal
from pydicom.uid import HTJ2K, ExplicitVRLittleEndian, HTJ2KLossless, HTJ2KLosslessRPCL, JPEGExtended12Bit

from dicom_factory import breast_image, write_dicom, write_stream
from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.core.images.mammogram import read_mammogram

STREAMS = Path(__file__).parents[3] / "data" / "streams.npz"
"""12 bits as JPEG Extended with what libjpeg-turbo decodes, and as HTJ2K by OpenJPH; both made with imagecodecs."""


@pytest.fixture(scope="module")
def streams() -> dict[str, np.ndarray]:
    with np.load(STREAMS) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_twelve_bit_jpegs_are_those_of_another_decoder(tmp_path, streams, bits, capfd):
    path = write_stream(
        tmp_path / "a.dcm", streams["jpeg12"].tobytes(), JPEGExtended12Bit, streams["pixels"], BitsStored=bits
    )
    image = read_mammogram(path)
    assert_array_equal(image.pixels, streams["jpeg12_decoded"])
    assert capfd.readouterr().err == "", "GDCM tells the error stream that it tries 8 bits first"


@pytest.mark.parametrize("syntax", [HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL])
def test_high_throughput_jpeg2000_is_decoded(tmp_path, streams, syntax):
    path = write_stream(tmp_path / "a.dcm", streams["htj2k"].tobytes(), syntax, streams["pixels"])
    assert_array_equal(read_mammogram(path).pixels, streams["pixels"])


def test_bytes_after_the_end_marker_are_not_the_image(tmp_path, streams):
    stream = streams["jpeg12"].tobytes() + b"\1\2\3" * 30
    path = write_stream(tmp_path / "a.dcm", stream, JPEGExtended12Bit, streams["pixels"])
    assert_array_equal(read_mammogram(path).pixels, streams["jpeg12_decoded"])


@pytest.mark.parametrize(("kind", "syntax"), [("jpeg12", JPEGExtended12Bit), ("htj2k", HTJ2KLossless)])
def test_a_stream_without_its_end_is_truncated(tmp_path, streams, kind, syntax):
    stream = streams[kind].tobytes()[:-40]
    with pytest.raises(ImageError, match=r"^a\.dcm: a truncated DICOM file"):
        read_mammogram(write_stream(tmp_path / "a.dcm", stream, syntax, streams["pixels"]))


def test_refusals_have_the_decoders_reason_element_and_syntax(tmp_path, streams):
    stream = bytearray(streams["htj2k"].tobytes())
    stream[200:900] = bytes(700)
    path = write_stream(tmp_path / "a.dcm", bytes(stream), HTJ2KLossless, streams["pixels"])
    with pytest.raises(ImageError) as caught:
        read_mammogram(path)
    said = str(caught.value)
    assert said.startswith("a.dcm: Pixel Data (7FE0,0010) in High-Throughput JPEG 2000")
    assert "cannot be decoded (" in said
    assert "truncated" not in said
    assert "pylibjpeg-openjpeg" in said
    assert "gdcmconv --raw" in said
    assert "NoneType" not in said


def test_truncated_pixels_are_counted(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", breast_image())
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:1000]
    dataset.save_as(path)
    with pytest.raises(ImageError, match=r"Pixel Data \(7FE0,0010\) .* is truncated \(.*1000 vs 76800 bytes"):
        read_mammogram(path)


@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.99", "1.2.840.10008.1.2.4.100", "1.2.3"])
def test_unknown_transfer_syntaxes_are_named(tmp_path, syntax):
    path = write_stream(tmp_path / "a.dcm", b"whatever it is", syntax, breast_image())
    with pytest.raises(ImageError, match=r"^a\.dcm: its transfer syntax \(0002,0010\) is .* gdcmconv --raw"):
        read_mammogram(path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("known", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("spelt", ["{}", "{} ", "lower", "title", "MONOCHROME_{}", "MONOCHROM{}", "Monochrome {}"])
def test_misspelt_photometric_interpretations(tmp_path, known, spelt):
    text = known.lower() if spelt == "lower" else known.title() if spelt == "title" else spelt.format(known[-1])
    text = known if spelt == "{}" else known + " " if spelt == "{} " else text
    pixels = breast_image()
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation=text))
    assert_array_equal(image.pixels, 4095 - pixels if known == "MONOCHROME1" else pixels)
    assert ("Photometric Interpretation (0028,0004)" in "".join(image.notes)) == (text.strip() != known)


@pytest.mark.parametrize(("shape", "turned"), [("INVERSE", True), ("IDENTITY", False)])
def test_the_presentation_shape_tells_what_is_missing(tmp_path, shape, turned):
    pixels = breast_image()
    path = write_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation=None, PresentationLUTShape=shape)
    image = read_mammogram(path)
    assert_array_equal(image.pixels, 4095 - pixels if turned else pixels)
    assert "is missing, read as MONOCHROME" in image.notes[0]


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        ({"PhotometricInterpretation": None}, r"Photometric Interpretation \(0028,0004\) is missing"),
        ({"PhotometricInterpretation": "GREY"}, r"Photometric Interpretation \(0028,0004\) is 'GREY'"),
        ({"Rows": None}, r"Rows \(0028,0010\) is missing"),
        ({"Columns": 0}, r"Columns \(0028,0011\) is '0'"),
        (
            {"PixelRepresentation": None, "Modality": "CR", "SOPClassUID": "1.2.3"},
            r"Pixel Representation \(0028,0103\)",
        ),
        ({"SamplesPerPixel": 2}, None),
        ({"BitsAllocated": None, "Rows": 7, "Columns": 7}, r"Bits Allocated \(0028,0100\) is missing"),
    ],
)
def test_elements_without_a_certain_meaning_are_named(tmp_path, elements, named):
    path = write_dicom(tmp_path / "a.dcm", breast_image(), **elements)
    if named is None:  # two samples are none of the standard's: one fits the length
        assert_array_equal(read_mammogram(path).pixels, breast_image())
        return
    with pytest.raises(ImageError, match=rf"^a\.dcm: {named}.*export it again"):
        read_mammogram(path)


@pytest.mark.parametrize(
    "missing", ["BitsStored", "HighBit", "BitsAllocated", "SamplesPerPixel", "PixelRepresentation", "Modality"]
)
def test_elements_that_the_file_tells_otherwise_are_read(tmp_path, missing):
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), bits=12, **{missing: None}))
    assert_array_equal(image.pixels, breast_image())
    assert len(image.notes) == (missing not in ("HighBit", "Modality"))


def test_a_compressed_image_tells_its_size_and_depth(tmp_path, streams):
    lost = dict.fromkeys(("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel"))
    path = write_stream(tmp_path / "a.dcm", streams["jpeg12"].tobytes(), JPEGExtended12Bit, streams["pixels"])
    dataset = pydicom.dcmread(path)
    for keyword in lost:
        delattr(dataset, keyword)
    dataset.save_as(path)
    image = read_mammogram(path)
    assert_array_equal(image.pixels, streams["jpeg12_decoded"])
    assert len(image.notes) == len(lost)


def _without(path: Path, start: int, mark: bool = True) -> Path:
    data = path.read_bytes()
    path.write_bytes((b"DICM" if mark and start == 132 else b"") + data[start:])
    return path


@pytest.mark.parametrize("name", ["a.dcm", "a", "1.2.840.7"])
@pytest.mark.parametrize("lost", ["preamble", "mark", "meta"])
@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_a_preamble_are_read_and_listed(tmp_path, name, lost, implicit):
    from napari_mammosae.core.images.listing import resolve_images

    path = write_dicom(tmp_path / name, breast_image(), implicit=implicit)
    start = 132
    if lost == "meta":
        start = 144 + int(pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength)
    _without(path, start, mark=lost == "preamble")
    assert_array_equal(read_mammogram(path).pixels, breast_image())
    assert resolve_images(tmp_path).paths == (path,)


def test_a_missing_transfer_syntax_is_that_of_the_file(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", breast_image())
    dataset = pydicom.dcmread(path)
    del dataset.file_meta.TransferSyntaxUID
    with path.open("wb") as file:
        pydicom.dcmwrite(file, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert_array_equal(read_mammogram(path).pixels, breast_image())


def smooth(top: int, dtype: str = "uint16") -> np.ndarray:
    """A slope from 0 to `top`, as tissue is: neighbours differ by little."""
    row, col = np.mgrid[:60, :50]
    return ((row * 50 + col) / (60 * 50 - 1) * top).astype(dtype)


@pytest.mark.parametrize("pixels", [smooth(4095), breast_image()], ids=["smooth", "noise"])
@pytest.mark.parametrize("bits", [8, 10, 11])
def test_too_few_bits_stored_are_noted_and_cost_nothing(tmp_path, pixels, bits):
    image = read_mammogram(write_dicom(tmp_path / "a.dcm", pixels, bits=bits))
    assert_array_equal(image.pixels, pixels)
    assert f"more than the {bits} bits of Bits Stored (0028,0101)" in image.notes[0]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [65535, 0xF000, 4096])
def test_padding_above_the_stored_bits_is_background(tmp_path, photometric, value):
    clean = smooth(4000) + 20
    padded = clean.copy()
    padded[:, 40:] = value
    image = read_mammogram(
        write_dicom(tmp_path / "a.dcm", padded, bits=12, photometric=photometric, PixelPaddingValue=value)
    )
    shown = clean[:, :40] if photometric == "MONOCHROME2" else clean[:, :40].max() - clean[:, :40]
    assert_array_equal(image.pixels[:, :40], shown)
    assert (image.pixels[:, 40:] == image.pixels.min()).all()
    assert "Pixel Padding Value" in image.notes[0]


@pytest.mark.parametrize("declared", [True, False])
def test_overlays_are_dropped_and_values_at_the_top_stay(tmp_path, declared):
    clean = smooth(4095)
    dirty = clean.copy()
    bit = 12 if declared else 14
    dirty[20:30, 10:30] |= 1 << bit
    path = write_dicom(tmp_path / "a.dcm", dirty, bits=12)
    if declared:
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x60000102, "US", bit)
        dataset.save_as(path)
    image = read_mammogram(path)
    assert_array_equal(image.pixels, clean)
    assert "are dropped" in image.notes[0]
    top = read_mammogram(write_dicom(tmp_path / "b.dcm", clean << 4, bits=12, HighBit=15))
    assert_array_equal(top.pixels, clean << 4)


@pytest.mark.parametrize("keyword", ["WindowCenter", "ImagerPixelSpacing", "RescaleSlope", "PatientID", "KVP"])
def test_a_fact_that_cannot_be_read_costs_the_fact_alone(tmp_path, keyword):
    values: dict[str, Any] = {"WindowCenter": "1111", "ImagerPixelSpacing": ["1111", "2"], "RescaleSlope": "1111"}
    path = write_dicom(tmp_path / "a.dcm", breast_image(), **{keyword: values.get(keyword, "1111")})
    path.write_bytes(path.read_bytes().replace(b"1111", b"\xff*x\xfe"))
    assert_array_equal(read_mammogram(path).pixels, breast_image())


def test_the_factory_writes_what_the_standard_wants(tmp_path):
    assert read_mammogram(write_dicom(tmp_path / "a.dcm", breast_image(), bits=12)).notes == ()
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
