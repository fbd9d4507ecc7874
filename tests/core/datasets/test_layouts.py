from collections.abc import Callable
from pathlib import Path

import pytest

import dataset_factory as made
from napari_mammosae.core.annotations.boxes import Findings
from napari_mammosae.core.base.errors import FindingsError, MissingPackageError
from napari_mammosae.core.datasets.dataset import DataSet
from napari_mammosae.core.datasets.find import TITLES, find_data_set, list_images, read_boxes
from napari_mammosae.core.datasets.sheets import read_sheet
from napari_mammosae.core.images.geometry import BOX
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.runs.sources import read_sources

WRITERS: dict[str, Callable[[Path], Path]] = {
    "VinDr-Mammo": made.write_vindr,
    "CBIS-DDSM": made.write_cbis,
    "INbreast": made.write_inbreast,
    "CMMD": made.write_cmmd,
    "RSNA Screening Mammography": made.write_rsna,
    "EMBED": made.write_embed,
}


def found(root: Path) -> DataSet:
    data_set = find_data_set(root)
    assert data_set is not None
    return data_set


def facts(data_set: DataSet, *names: str) -> list[tuple]:
    table = data_set.labels[list(names)].astype(object)
    return [tuple(row) for row in table.where(table.notna(), None).itertuples(index=False)]


def boxes_of(findings: Findings) -> list[tuple]:
    return sorted(tuple(row) for row in findings.table[["image_id", "finding", *BOX]].itertuples(index=False))


@pytest.mark.parametrize("title", WRITERS)
def test_a_root_gives_images_women_and_labels_in_one_step(tmp_path: Path, title: str) -> None:
    root = WRITERS[title](tmp_path)
    sources = read_sources(root)
    assert set(WRITERS) == set(TITLES)
    assert sources.labels is not None
    assert sources.labels["patient"].nunique() == 2
    assert all(f"{title}: " in sources.notes[0] and word in sources.notes[0] for word in ("2 patients", "its layout"))
    assert {entry.laterality for entry in sources.entries} <= {"L", "R"}
    assert {entry.view for entry in sources.entries} == {"CC", "MLO"}
    assert all(entry.path.is_file() for entry in sources.entries)
    assert any(str(name).startswith("label.") for name in sources.labels)
    assert sources.labels_sha256


@pytest.mark.parametrize("title", WRITERS)
def test_labels_that_are_given_count(tmp_path: Path, title: str) -> None:
    root = WRITERS[title](tmp_path / "root") if (tmp_path / "root").mkdir() is None else tmp_path
    names = [entry.name for entry in read_sources(root).entries]
    (tmp_path / "mine.csv").write_text("image,mine\n" + "".join(f"{name},1\n" for name in names))
    sources = read_sources(root, tmp_path / "mine.csv")
    assert sources.labels is not None
    assert [name for name in sources.labels if name.startswith("label.")] == ["label.mine"]
    assert sources.labels["label.mine"].tolist() == [1.0] * len(names)
    assert sources.labels["patient"].nunique() == 2


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("by", ["root", "table"])
def test_vindr(tmp_path: Path, copies: bool, by: str) -> None:
    made.write_vindr(tmp_path, copies=copies)
    table = tmp_path / ("vindr_detection_v1_folds.csv" if copies else "finding_annotations.csv")
    data_set = found(tmp_path if by == "root" else table)
    assert data_set.images.image_ids == ("aa01", "aa02", "bb01", "bb02")
    assert facts(data_set, "patient", "laterality", "view", "split", "label.mass", "label.density", "label.birads") == [
        ("s1", "L", "CC", "training", 1, 2, 4),
        ("s1", "L", "MLO", "training", 0, 2, 4),
        ("s2", "R", "CC", "test", 0, 2, 4),
        ("s2", "R", "MLO", "test", 0, 2, 4),
    ]
    assert data_set.rows is not None
    assert data_set.rows["image_id"].tolist() == ["aa01", "aa01", "aa02", "bb01", "bb02"]
    rows = read_sources(tmp_path if by == "root" else table).rows
    assert rows is not None
    assert rows["image"].tolist() == [0, 0, 1, 2, 3]
    assert boxes_of(data_set.read_boxes()) == [
        ("aa01", "mass", 20, 10, 80, 60),
        ("aa01", "skin_thickening", 20, 10, 80, 60),
        ("aa01", "suspicious_calcification", 6, 5, 36, 25),
    ]


def test_vindr_in_the_order_of_its_table_without_what_is_not_there(tmp_path: Path) -> None:
    made.write_vindr(tmp_path)
    table = tmp_path / "finding_annotations.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows[::-1]]))
    (tmp_path / "images" / "s2" / "bb01.dicom").unlink()
    (tmp_path / "images" / "s1" / "other.dicom").write_bytes((tmp_path / "images" / "s1" / "aa01.dicom").read_bytes())
    (tmp_path / "aa01.png").touch()
    assert found(table).images.image_ids == ("bb02", "aa02", "aa01")
    data_set = found(tmp_path)
    assert data_set.images.image_ids == ("aa01", "aa02", "bb02")
    assert data_set.images.paths[0].name == "aa01.dicom"
    said = " ".join(data_set.labels.attrs["notes"])
    assert "images of the tables that are not here, left out: 1 (first: bb01)" in said
    assert "images here that the tables do not name, left out: 1" in said
    assert "further copies of images, left out (DICOM is preferred): 1" in said


def test_cbis(tmp_path: Path) -> None:
    data_set = found(made.write_cbis(tmp_path))
    assert len(data_set.images) == 4
    assert all("full mammogram" in path.as_posix() for path in data_set.images.paths)
    names = ("patient", "laterality", "view", "split", "label.mass", "label.calcification", "label.malignant")
    assert facts(data_set, *names, "label.density", "label.birads") == [
        ("P_00002", "R", "MLO", "test", 0, 1, 0, 3, 5),
        ("P_00002", "R", "CC", "test", 1, 0, 0, 2, 4),
        ("P_00001", "L", "CC", "training", 1, 0, 1, 0, 2),
        ("P_00001", "L", "MLO", "training", 1, 0, 1, 1, 3),
    ]
    boxes = boxes_of(read_boxes(tmp_path))
    assert [(name.split("/")[1], *rest) for name, *rest in boxes] == [
        ("Calc-Test_P_00002_RIGHT_MLO", "calcification", 53, 30, 90, 70),
        ("Mass-Test_P_00002_RIGHT_CC", "mass", 52, 30, 90, 70),
        ("Mass-Training_P_00001_LEFT_CC", "mass", 50, 30, 90, 70),
        ("Mass-Training_P_00001_LEFT_MLO", "mass", 51, 30, 90, 70),
    ]


def test_cbis_files_alone_say_woman_side_and_view(tmp_path: Path) -> None:
    images = [read_mammogram(path) for path in found(made.write_cbis(tmp_path)).images.paths]
    assert [(image.laterality, image.view) for image in images] == [
        ("R", "MLO"),
        ("R", "CC"),
        ("L", "CC"),
        ("L", "MLO"),
    ]
    assert images[0].patient == images[1].patient != images[2].patient == images[3].patient


def test_cbis_without_a_mask_of_the_right_size(tmp_path: Path) -> None:
    made.write_cbis(tmp_path)
    folder = next(tmp_path.glob("*/Mass-Test_P_00002_RIGHT_CC_1/*/*"))
    (folder / "1-1.dcm").unlink()
    findings = read_boxes(tmp_path)
    assert len(findings.table) == 3
    assert (
        "without a mask of their image's size, left out: 1 (first: Mass-Test_P_00002_RIGHT_CC_1)" in findings.notes[0]
    )


def test_inbreast(tmp_path: Path) -> None:
    data_set = found(made.write_inbreast(tmp_path))
    assert facts(data_set, "patient", "laterality", "view", "label.mass", "label.calcification", "label.density") == [
        ("6c613a14b80a8591", "R", "CC", 1, 1, 0),
        ("6c613a14b80a8591", "L", "MLO", 0, 0, 3),
        ("b6a4f750c6df4f90", "R", "CC", 0, 0, 1),
    ]
    assert [data_set.labels.attrs["categories"]["birads"][int(i)] for i in data_set.labels["label.birads"]] == [
        "5",
        "4a",
        "1",
    ]
    first, second, _ = (data_set.images.image_ids[at] for at in range(3))
    assert [(name.rpartition("/")[2], *rest) for name, *rest in boxes_of(data_set.read_boxes())] == [
        (first, "calcification", 9, 7, 10, 8),
        (first, "mass", 20, 10, 61, 41),
        (second, "spiculated_region", 2, 1, 5, 3),
    ]


def test_cmmd(tmp_path: Path) -> None:
    data_set = found(made.write_cmmd(tmp_path))
    names = ("patient", "laterality", "view", "label.malignant", "label.mass", "label.calcification")
    assert facts(data_set, *names) == [
        ("D1-0001", "L", "CC", 0, 0, 1),
        ("D1-0001", "L", "MLO", 0, 0, 1),
        ("D2-0002", "R", "CC", 1, 1, 1),
        ("D2-0002", "L", "CC", None, None, None),
    ]
    assert "without labels: 1" in " ".join(data_set.labels.attrs["notes"])


def test_rsna(tmp_path: Path) -> None:
    data_set = found(made.write_rsna(tmp_path))
    assert data_set.images.image_ids == ("1459541791", "462822612", "541722628")
    names = ("patient", "laterality", "view", "split", "label.cancer", "label.birads", "label.density")
    assert facts(data_set, *names) == [
        ("10006", "L", "MLO", "training", 0, 2, 2),
        ("10006", "L", "CC", "training", 0, None, 0),
        ("10011", "R", "CC", "training", 1, 0, None),
    ]
    assert "not here, left out: 1" in " ".join(data_set.labels.attrs["notes"])


def test_embed(tmp_path: Path) -> None:
    data_set = found(made.write_embed(tmp_path))
    names = ("patient", "laterality", "view", "label.cancer", "label.birads", "label.density")
    assert facts(data_set, *names) == [
        ("11", "L", "CC", 1, 4, 1),
        ("11", "R", "MLO", None, 1, 1),
        ("22", "R", "CC", 0, 0, None),
    ]
    assert "not 2-D mammograms, left out: 1" in " ".join(data_set.labels.attrs["notes"])
    assert boxes_of(data_set.read_boxes()) == [("images/cohort_1/11/100/1.2.1", "finding", 10, 20, 50, 60)]


@pytest.mark.parametrize("broken", [b"", b"<plist", b"<plist><dict><key>Images</key><string/></dict></plist>"])
def test_outlines_that_are_none(tmp_path: Path, broken: bytes) -> None:
    made.write_inbreast(tmp_path)
    (tmp_path / "AllXML" / "20586908.xml").write_bytes(broken)
    with pytest.raises(FindingsError, match=r"20586908\.xml: cannot be read, expected INbreast's outlines"):
        find_data_set(tmp_path)


def test_other_folders_and_tables_are_not_data_sets(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b\n1\n")
    (tmp_path / "a.png").touch()
    (tmp_path / "list.csv").write_text("path\na.png\n")
    assert find_data_set(tmp_path) is None
    assert find_data_set(tmp_path / "train.csv") is None
    assert find_data_set(tmp_path / "list.csv") is None
    assert list_images(tmp_path / "list.csv")[0].paths == (tmp_path / "a.png",)
    with pytest.raises(FindingsError, match="a folder that is not a known data set; give a table of boxes"):
        read_boxes(tmp_path)


@pytest.mark.parametrize(("name", "package"), [("a.xls", "xlrd"), ("a.xlsx", "openpyxl")])
def test_a_workbook_without_its_reader_says_what_to_do(
    tmp_path: Path, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError(package)

    monkeypatch.setattr("pandas.read_excel", missing)
    (tmp_path / name).touch()
    with pytest.raises(MissingPackageError, match=rf"{name}: reading it needs {package}; .*save the sheet as a\.csv"):
        read_sheet(tmp_path / name, ())


def test_a_workbook_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    sheet = pd.DataFrame([["File Name", "ACR", "Bi-Rads"], [20586908.0, 2, "4a"], [None, None, None]], dtype=object)
    monkeypatch.setattr("pandas.read_excel", lambda *_, **__: sheet)
    (tmp_path / "a.xls").touch()
    assert read_sheet(tmp_path / "a.xls", ["file_name"]).to_numpy().tolist() == [["20586908", "2", "4a"], ["", "", ""]]
