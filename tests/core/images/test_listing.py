import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.core.images.listing import image_ids, resolve_images


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path, images: object) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in resolve_images(images).paths]  # type: ignore[arg-type]


def test_folder_is_walked_for_images(tmp_path: Path):
    touch(tmp_path, "b.png", "sub/deep/a.DCM", "sub/c.tiff", "notes.txt", ".hidden.png", ".cache/x.png", "z.npy")
    (tmp_path / "1.2.840.7").write_bytes(bytes(128) + b"DICM" + bytes(10))
    (tmp_path / "1.2.840.8").write_bytes(bytes(200))
    found = resolve_images(tmp_path)
    assert names(tmp_path, tmp_path) == ["1.2.840.7", "b.png", "sub/c.tiff", "sub/deep/a.DCM", "z.npy"]
    assert found.image_ids == ("1.2.840.7", "b", "c", "a", "z")
    assert found.root == tmp_path
    assert found.table is None
    assert len(found) == 5


def test_one_file_and_globs(tmp_path: Path):
    touch(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/readme.md")
    assert names(tmp_path, tmp_path / "a" / "1.png") == ["a/1.png"]
    found = resolve_images(f"{tmp_path}/*/1.png")
    assert found.root == tmp_path
    assert found.image_ids == ("a/1.png", "b/1.png")
    assert names(tmp_path, f"{tmp_path}/**/*") == ["a/1.png", "a/2.png", "b/1.png"]


def test_relative_globs_are_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "a.png", "b.png")
    monkeypatch.chdir(tmp_path)
    assert [path.as_posix() for path in resolve_images("*.png").paths] == ["a.png", "b.png"]


def test_csv_keeps_its_order_and_names_files_relative_to_itself(tmp_path: Path):
    touch(tmp_path, "img/b.png", "img/a.png")
    table = tmp_path / "list.csv"
    table.write_text("mass,path\n1,img/b.png\n0,img/a.png\n,gone.png\n", encoding="utf-8-sig")
    found = resolve_images(table)
    assert found.table == table
    assert found.image_ids == ("b", "a", "gone")
    assert found.paths[2] == tmp_path / "gone.png", "a missing file is for the reader to report"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,mass\na.png,1\n", r"list\.csv has no column 'path' \(it has image, mass\)"),
        ("", "the file is empty"),
        ("path\n", "lists no images"),
        ("path,mass\na.png,1\n,0\n", "line 3: 'path' is blank"),
        ("path\na/x.png\na/x.png\n", "lists x.png more than once"),
    ],
)
def test_csv_that_lists_nothing_usable(tmp_path: Path, content: str, message: str):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(ImageError, match=message):
        resolve_images(tmp_path / "list.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("content", ["path\nmädchen, 2.png\n", "sep=;\nMass;PATH\n0,5;mädchen, 2.png\n"])
def test_lists_as_programs_save_them(tmp_path: Path, encoding: str, content: str):
    touch(tmp_path, "mädchen, 2.png")
    (tmp_path / "list.csv").write_bytes(content.replace("\n", "\r\n").encode(encoding))
    found = resolve_images(tmp_path / "list.csv")
    assert found.image_ids == ("mädchen, 2",)
    assert found.paths[0].exists()
    said = " ".join(found.notes)
    assert ("read as Windows-1252" in said) == (encoding == "cp1252")
    assert ("decimal commas are read as points in mass" in said) == ("Mass" in content)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_linked_folders_are_followed_once_and_said(tmp_path: Path):
    touch(tmp_path, "there/x/1.png", "images/own/2.png")
    root = tmp_path / "images"
    (root / "a").symlink_to(tmp_path / "there")
    (root / "b").symlink_to(tmp_path / "there" / "x")
    (root / "own" / "up").symlink_to(root)
    (root / "own" / "out").symlink_to(tmp_path)
    found = resolve_images(root)
    assert [path.relative_to(root).as_posix() for path in found.paths] == ["a/x/1.png", "own/2.png"]
    assert found.notes == (
        "images: linked folders that were followed: 1 (first: a)",
        "images: linked folders that lead to folders already searched, left out: 3 (first: b)",
    )


def test_nothing_there(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for images, message in [
        (tmp_path / "empty", "empty: no images in this folder; expected .*png"),
        (tmp_path / "gone", "gone does not exist"),
        (f"{tmp_path}/*.png", r"No image matches \*\.png"),
    ]:
        with pytest.raises(ImageError, match=message):
            resolve_images(images)


@given(st.lists(st.from_regex(r"[ab]{1,2}(/[ab]{1,2}){0,2}\.(png|dcm)", fullmatch=True), unique=True))
def test_identifiers_are_unique_and_short_where_they_can_be(relative: list[str]):
    found = image_ids(Path("root"), [Path("root") / name for name in relative])
    assert len(set(found)) == len(relative)
    stems = [Path(name).stem for name in relative]
    for name, stem, image_id in zip(relative, stems, found, strict=True):
        assert image_id == (stem if stems.count(stem) == 1 else name)


@pytest.mark.parametrize("spelling", ["./a/ä.png", r"a\ä.png", "a//ä.png", "a/../a/ä.png", "a/a\u0308.png"])
@pytest.mark.parametrize("on_disk", ["ä.png", "a\u0308.png"])
def test_a_file_is_found_in_every_spelling_and_in_two_is_a_repetition(tmp_path: Path, spelling: str, on_disk: str):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / on_disk).touch()
    (tmp_path / "list.csv").write_text(f"path\n{spelling}\n", encoding="utf-8")
    assert resolve_images(tmp_path / "list.csv").paths[0].samefile(tmp_path / "a" / on_disk)
    (tmp_path / "list.csv").write_text(f"path\na/ä.png\nb.png\n{spelling}\n", encoding="utf-8")
    with pytest.raises(ImageError, match=r"lists ä.png more than once"):
        resolve_images(tmp_path / "list.csv")


def test_links_to_one_file_are_two_images(tmp_path: Path):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "list.csv").write_text("path\na.png\nb.png\n")
    assert resolve_images(tmp_path / "list.csv").image_ids == ("a", "b")


def dicom_of(path: Path, sop_class: str) -> Path:
    """A file with the class in its meta header, without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta, dataset.SOPClassUID, dataset.SOPInstanceUID = meta, sop_class, "1.2.3"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("pattern", ["", "/**/*"])
def test_directories_reports_and_attributes_are_no_images(tmp_path: Path, pattern: str):
    touch(tmp_path, "P1/1-1.dcm", "P1/._1-1.dcm", "__MACOSX/P1/._1-1.dcm", "P1/.DS_Store")
    write_dicom(tmp_path / "P1" / "1-1.dcm", breast_image())
    for name, sop_class in {
        "DICOMDIR": "1.2.840.10008.1.3.10",
        "P1/sr.dcm": "1.2.840.10008.5.1.4.1.1.88.50",
        "P1/sr2.dcm": "1.2.840.10008.5.1.4.1.1.88.22",
        "P1/key": "1.2.840.10008.5.1.4.1.1.88.59",
        "P1/shown.dcm": "1.2.840.10008.5.1.4.1.1.11.1",
        "P1/letter.dcm": "1.2.840.10008.5.1.4.1.1.104.1",
    }.items():
        dicom_of(tmp_path / name, sop_class)
    found = resolve_images(f"{tmp_path}{pattern}")
    assert [path.relative_to(tmp_path).as_posix() for path in found.paths] == ["P1/1-1.dcm"]
    said = "\n".join(found.notes)
    assert "a DICOM directory, left out: 1 (first: DICOMDIR)" in said
    assert "a structured report, left out: 3 (first: key)" in said
    assert len(found.notes) == 4


def test_one_file_that_is_named_is_listed_whatever_it_is(tmp_path: Path):
    report = dicom_of(tmp_path / "sr.dcm", "1.2.840.10008.5.1.4.1.1.88.50")
    assert resolve_images(report).paths == (report,)


@pytest.mark.parametrize("start", [b"\x08\0\0\0\x10\0\0\0", b"\x02\0\x01\0data", b"\x08\0\x05\0\xff\xff\xff\xff"])
def test_numbers_in_a_file_are_no_elements(tmp_path: Path, start: bytes):
    (tmp_path / "table").write_bytes(start + bytes(range(200)))
    touch(tmp_path, "a.png")
    assert names(tmp_path, tmp_path) == ["a.png"]
