import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from numpy.testing import assert_array_equal
from PIL import Image

from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.images.mammogram import Preprocessing, read_mammogram
from napari_mammosae.core.images.preprocessing import to_8bit

SMALL = Preprocessing(size=(60, 36))
GREY8 = breast_image(top=255, dtype="uint8")
GREY16 = breast_image(top=65535)


def save(path: Path, pixels: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels)
    else:
        assert cv2.imwrite(str(path), pixels)
    return path


@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["8 bit", "16 bit"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_grey_values_come_as_they_are(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    image = read_mammogram(save(tmp_path / f"scan{suffix}", pixels))
    assert image.pixels.dtype == pixels.dtype
    assert_array_equal(image.pixels, pixels)
    assert (image.image_id, image.shape, image.spacing, image.border) == ("scan", pixels.shape, None, 0)


def test_jpegs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.jpeg"
    Image.fromarray(cv2.GaussianBlur(GREY8, (9, 9), 3)).save(path, quality=98)
    assert np.abs(read_mammogram(path).pixels.astype(int) - cv2.GaussianBlur(GREY8, (9, 9), 3)).max() < 12


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64", ">u2", ">f4"])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_other_numbers_are_read(tmp_path: Path, suffix: str, dtype: str) -> None:
    pixels = (breast_image().astype("float64") - 700).clip(0 if dtype == ">u2" else -9e9).astype(dtype)
    image = read_mammogram(save(tmp_path / f"scan{suffix}", pixels))
    assert image.pixels.dtype.isnative
    assert_array_equal(image.pixels, pixels)
    assert image.prepared(SMALL).pixels.shape == (60, 36)


def test_fortran_order_is_read(tmp_path: Path) -> None:
    assert_array_equal(read_mammogram(save(tmp_path / "a.npy", np.asfortranarray(GREY16))).pixels, GREY16)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_compressed_tiffs_are_read(tmp_path: Path, compression: str, white_is_zero: bool) -> None:
    path = tmp_path / "scan.tif"
    # Pillow inverts what it writes as "minimum is white", so that bright stays bright for whoever reads it well
    Image.fromarray(GREY8).save(path, compression=compression, tiffinfo={262: 0} if white_is_zero else {})
    pixels = read_mammogram(path).pixels
    assert_array_equal(pixels - pixels.min(), GREY8 - GREY8.min())


def test_tiffs_where_white_is_zero_are_inverted(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, GREY16, photometric="miniswhite")
    assert_array_equal(read_mammogram(path).pixels, GREY16.max() - GREY16)


@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["8 bit", "16 bit"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_equal_colours_are_grey(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    image = read_mammogram(save(tmp_path / f"scan{suffix}", np.dstack([pixels] * 3)))
    assert_array_equal(image.pixels, pixels)


def test_planes_of_colour_are_grey_too(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.stack([GREY16] * 3), photometric="rgb", planarconfig="separate")
    assert_array_equal(read_mammogram(path).pixels, GREY16)


def test_a_grey_palette_is_grey(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    Image.fromarray(GREY8).convert("P").save(path)
    assert_array_equal(read_mammogram(path).pixels, GREY8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_colour_is_refused(tmp_path: Path, suffix: str) -> None:
    colour = np.dstack([GREY8, GREY8 // 2, GREY8])
    with pytest.raises(ImageError, match=rf"photo\{suffix}: a colour image; expected grayscale"):
        read_mammogram(save(tmp_path / f"photo{suffix}", colour))


def test_a_colour_palette_in_a_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, GREY8, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    with pytest.raises(ImageError, match="palette"):
        read_mammogram(path)


def test_opaque_alpha_is_dropped_and_transparent_pixels_are_black(tmp_path: Path) -> None:
    alpha = np.full_like(GREY8, 255)
    assert_array_equal(read_mammogram(save(tmp_path / "a.png", np.dstack([*[GREY8] * 3, alpha]))).pixels, GREY8)
    alpha[:50] = 0
    pixels = read_mammogram(save(tmp_path / "b.png", np.dstack([*[GREY8] * 3, alpha]))).pixels
    assert_array_equal(pixels, np.where(alpha > 0, GREY8, 0))
    Image.fromarray(np.dstack([GREY8, alpha]), "LA").save(tmp_path / "c.png")
    assert_array_equal(read_mammogram(tmp_path / "c.png").pixels, pixels)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    tifffile.imwrite(path, np.stack([GREY16, GREY16]), photometric="minisblack")
    with pytest.raises(ImageError, match=r"pages\.tif: 2 pages .* expected a single 2-D image"):
        read_mammogram(path)
    with tifffile.TiffWriter(path) as file:
        file.write(GREY16)
        file.write(GREY8)
    with pytest.raises(ImageError, match="2 pages"):
        read_mammogram(path)


def test_animated_pngs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    frames = [Image.fromarray(GREY8), Image.fromarray(255 - GREY8)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animated"):
        read_mammogram(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".npy"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    path = save(tmp_path / f"cut{suffix}", GREY8)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ImageError, match=rf"cut\{suffix}: "):
        read_mammogram(path)


def test_a_thumbnail_does_not_hide_a_truncated_jpeg(tmp_path: Path) -> None:
    path = save(tmp_path / "cut.jpg", GREY8)
    data = path.read_bytes()
    thumbnail = b"\xff\xd8thumbnail\xff\xd9"
    inside = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    path.write_bytes(data[:2] + inside + data[2:])
    read_mammogram(path)
    path.write_bytes(data[:2] + inside + data[2 : len(data) // 2])
    with pytest.raises(ImageError, match="truncated JPEG"):
        read_mammogram(path)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "flipped.png", GREY16)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(data)
    with pytest.raises(ImageError, match="damaged PNG"):
        read_mammogram(path)


def test_a_png_whose_pixels_end_early_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(range(64)) for _ in range(20)))[:-6]
    start = b"\x89PNG\r\n\x1a\n"
    path = tmp_path / "short.png"
    path.write_bytes(start + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    with pytest.raises(ImageError, match=r"short\.png"):
        read_mammogram(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "the file is empty"),
        ("empty.dcm", b"", "the file is empty"),
        ("text.dcm", b"these are not the pixels you are looking for\n" * 9, "not a DICOM file"),
        ("text.png", b"hello world, this is text", "not an image known here; expected DICOM, PNG"),
        ("table.csv", b"image,mass\na,1\n", "not an image known here"),
        ("start.png", b"\x89PNG\r\n\x1a\n", "truncated PNG"),
        ("start.jpg", b"\xff\xd8\xff", "truncated JPEG"),
        ("start.tif", b"II*\0", "truncated TIFF"),
        ("start.npy", b"\x93NUMPY", "not a plain NPY array"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=f"^{name}: .*{message}") as caught:
        read_mammogram(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        read_mammogram(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="a folder"):
        read_mammogram(tmp_path)


def test_pickles_in_npy_are_never_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    np.save(tmp_path / "evil.npy", np.array([[Hostile(), 1]], dtype=object), allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Hostile()))
    for name in ("evil.npy", "raw.npy"):
        with pytest.raises(ImageError):
            read_mammogram(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((9, 9), 7, np.uint8), "every pixel has the value 7"),
        (np.zeros((0, 9), np.uint8), "empty image"),
        (np.array([[1.0, np.nan], [2, 3]]), "not finite"),
        (np.array([[1.0, np.inf], [2, 3]]), "not finite"),
        (np.array([[1j, 2], [2, 3]]), "values of type complex128"),
        (np.array([[True, False]]), "values of type bool"),
        (np.array([["a", "b"]]), "values of type"),
        (np.zeros((4, 5, 6)), "expected one 2-D|expected a 2-D"),
        (np.arange(5), "expected one 2-D|expected a 2-D"),
        (np.float32(3), "expected one 2-D|expected a 2-D"),
    ],
)
def test_useless_arrays_are_refused(tmp_path: Path, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=rf"bad\.npy: .*({message})"):
        read_mammogram(save(tmp_path / "bad.npy", pixels))
    with pytest.raises(ImageError, match=f"layer: .*({message})"):
        read_mammogram(pixels, image_id="layer")


def test_the_content_tells_the_format_not_the_name(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.png", GREY16)
    named = path.rename(tmp_path / "scan.jpg")
    assert_array_equal(read_mammogram(named).pixels, GREY16)


@pytest.mark.parametrize(
    ("name", "image_id"),
    [("a.PNG", "a"), ("1.2.840.113.png", "1.2.840.113"), ("scan.v2.tiff", "scan.v2"), ("x.npy", "x")],
)
def test_image_ids_lose_image_suffixes_only(tmp_path: Path, name: str, image_id: str) -> None:
    path = save(tmp_path / "x.npy", GREY16).rename(tmp_path / name)
    assert read_mammogram(path).image_id == image_id


def test_dotted_uids_are_no_suffixes(tmp_path: Path) -> None:
    assert read_mammogram(write_dicom(tmp_path / "1.2.840.113.7", GREY16)).image_id == "1.2.840.113.7"


def test_inputs_are_three_equal_normalised_channels() -> None:
    image = read_mammogram(GREY16)
    x = image.to_input(SMALL)
    assert (x.shape, x.dtype) == ((1, 3, 60, 36), torch.float32)
    assert torch.equal(x[:, 0], x[:, 1])
    assert torch.equal(x[:, 0], x[:, 2])
    grey = image.prepared(SMALL).pixels.astype(np.float64)
    expected = ((grey - grey.min()) / (grey.max() - grey.min()) - 0.3089279) / 0.25053555408335154
    assert np.abs(x[0, 0].numpy() - expected).max() < 1e-6


def test_a_published_png_is_its_own_input(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1520, 912), dtype=np.uint8)
    image = read_mammogram(save(tmp_path / "a.png", np.dstack([pixels] * 3)), crop=False)
    made = image.prepared(Preprocessing())
    assert_array_equal(made.pixels, pixels)
    assert made.frame.crop == (0, 0, 1520, 912)


@pytest.mark.parametrize("by", ["image", "preprocessing"])
def test_without_cropping_other_sizes_are_refused(tmp_path: Path, by: str) -> None:
    image = read_mammogram(save(tmp_path / "a.png", GREY8), crop=by != "image")
    wanted = Preprocessing(size=(60, 36), crop=by != "preprocessing")
    with pytest.raises(ImageError, match=r"a\.png: the image has 240 x 160 pixels.*exactly 60 x 36"):
        image.prepared(wanted)


def test_inputs_are_made_once_for_each_preprocessing() -> None:
    image = read_mammogram(GREY16)
    assert image.prepared(SMALL) is image.prepared(Preprocessing(size=(60, 36)))
    assert image.frame_for(SMALL) is image.prepared(SMALL).frame
    assert image.prepared(Preprocessing(size=(30, 18))).pixels.shape == (30, 18)


def test_facts_may_be_given_for_files_and_arrays(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", GREY16)
    read = read_mammogram(path, image_id="study/a", spacing=(0.07, 0.08), laterality="R", crop=False)
    assert (read.image_id, read.name, read.spacing, read.laterality) == ("study/a", "a.png", (0.07, 0.08), "R")
    assert not read.crop
    layer = read_mammogram(GREY16, image_id="layer", path=path)
    assert (layer.image_id, layer.name) == ("layer", "a.png")
    assert_array_equal(layer.pixels, read.pixels)
    with pytest.raises(TypeError, match="colour"):
        read_mammogram(GREY16, colour="red")


def test_arrays_are_copied_and_pixels_are_read_only() -> None:
    given = GREY16.copy()
    image = read_mammogram(given)
    given[:] = 0
    assert_array_equal(image.pixels, GREY16)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1


def test_mammograms_travel_between_processes() -> None:
    image = read_mammogram(GREY16, spacing=(0.1, 0.2), laterality="L")
    twin = pickle.loads(pickle.dumps(image))
    assert_array_equal(twin.pixels, image.pixels)
    assert (twin.spacing, twin.laterality, twin.name) == ((0.1, 0.2), "L", "array")


def test_contrast_follows_the_window_else_the_values() -> None:
    assert read_mammogram(GREY16, window=(2000, 1000)).contrast_limits() == (1500, 2500)
    low, high = read_mammogram(GREY16).contrast_limits()
    assert GREY16.min() <= low < high <= GREY16.max()
    nearly_flat = np.zeros((300, 300), np.uint8)
    nearly_flat[5, 5] = 9
    assert read_mammogram(nearly_flat).contrast_limits() == (0, 9)


def test_padding_is_dark_and_does_not_count_for_contrast() -> None:
    pixels = GREY16 // 4
    pixels[:, :40] = 60000
    image = read_mammogram(pixels, padding=(60000, 65535))
    assert image.contrast_limits()[1] <= 65535 // 4
    assert image.displayed()[:, :40].max() == pixels[:, 40:].min()
    assert_array_equal(image.displayed()[:, 40:], pixels[:, 40:])
    assert image.pixels.max() == 60000
    plain = read_mammogram(GREY16)
    assert plain.displayed() is plain.pixels


def test_frames_lead_back_to_the_pixels() -> None:
    """A bright spot is found again where the frame says."""
    pixels = GREY16 // 3
    pixels[120:124, 60:64] = 65535
    image = read_mammogram(pixels)
    made = image.prepared(Preprocessing(size=(480, 320)))
    spot = np.argwhere(made.pixels > 240).mean(axis=0, keepdims=True)
    assert np.abs(made.frame.to_source_points(spot) - [[121.5, 61.5]]).max() < 0.6
    assert to_8bit(pixels)[122, 62] == 255


def write_tiff(path: Path, strip: bytes, shape: tuple[int, int], bits: int, photometric: int, zipped: bool) -> Path:
    """A TIFF of one strip, its values packed, every row from a new byte on."""
    strip = zlib.compress(strip) if zipped else strip
    strip += b"\0" * (len(strip) % 2)
    rows, cols = shape
    tags = {256: cols, 257: rows, 258: bits, 259: 8 if zipped else 1, 262: photometric, 273: 8, 277: 1, 278: rows}
    tags[279] = len(strip)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory)
    return path


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("cols", [31, 32])
@pytest.mark.parametrize("bits", [1, 12])
def test_packed_tiffs_are_read(tmp_path: Path, bits: int, cols: int, zipped: bool, white_is_zero: bool) -> None:
    values = np.random.default_rng(0).integers(0, 1 << bits, (20, cols))
    values[0, :2] = 0, (1 << bits) - 1
    lines = ("".join(f"{value:0{bits}b}" for value in row) for row in values)
    strip = b"".join(int(line.ljust(-(-len(line) // 8) * 8, "0"), 2).to_bytes(-(-len(line) // 8)) for line in lines)
    path = write_tiff(tmp_path / "a.tif", strip, values.shape, bits, 0 if white_is_zero else 1, zipped)
    assert_array_equal(read_mammogram(path).pixels, (1 << bits) - 1 - values if white_is_zero else values)


def test_bilevel_faxes_are_read(tmp_path: Path) -> None:
    Image.fromarray(GREY8 > 99).save(tmp_path / "a.tif", compression="group4")
    pixels = read_mammogram(tmp_path / "a.tif").pixels
    assert_array_equal(pixels == pixels.max(), GREY8 > 99)


@pytest.mark.parametrize("cut", ["directory", "strip"])
def test_tiffs_say_whether_they_end_too_early_or_are_damaged(tmp_path: Path, cut: str) -> None:
    path = write_tiff(tmp_path / "a.tif", bytes(200), (10, 20), 8, 1, False)
    data = bytearray(path.read_bytes())
    if cut == "directory":
        path.write_bytes(data[:150])
    else:
        data[8 + 200 + 2 + 12 * 8 + 8 :][:4] = b""
        struct.pack_into("<I", data, 8 + 200 + 2 + 12 * 8 + 8, 5000)
        path.write_bytes(data)
    with pytest.raises(ImageError, match=r"^a\.tif: a truncated TIFF"):
        read_mammogram(path)


@pytest.mark.parametrize(("crop", "said"), [((760, 456), ""), ((700, 456), "2.2 times"), ((1500, 228), "4.0 times")])
def test_a_breast_enlarged_more_than_twice_is_noted(crop: tuple[int, int], said: str) -> None:
    notes = Frame((2000, 1000), (0, 0, *crop), (1520, 912)).notes
    assert bool(notes) == bool(said)
    assert all(f"the image is enlarged {said}" in note for note in notes)
