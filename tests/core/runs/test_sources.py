"""Which images a run is about, their labels and patients."""

import numpy as np
import pytest

import runs_kit
import tiny
from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.base.errors import FindingsError, RunError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.sources import read_sources

VINDR = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split\n"
)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


def run_of(images, model, out, **options):
    write_run(images, model, out, workers=0, **options)
    return open_run(out)


def test_a_wide_table_of_numbers_categories_and_blanks(tmp_path, model):
    images = runs_kit.write_images(tmp_path / "images", 4)
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "image,patient,split,Suspicious Calcification,density,subtype,laterality,view\n"
        "image-000.png,p1,training,1,B,round,R,MLO\nimage-001,p1,test,0,D,oval,L,CC\nimage-002,,,,,,,\nother,p9,test,1,A,round,,\n"
    )
    run = run_of(images, model, tmp_path / "run", labels=labels)
    assert run.labels == ("suspicious_calcification", "density", "subtype")
    np.testing.assert_array_equal(run.label("suspicious_calcification"), [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(run.label("density"), [1, 3, np.nan, np.nan])
    assert run.info["categories"] == {"density": ["a", "b", "c", "d"], "subtype": ["oval", "round"]}
    np.testing.assert_array_equal(run.label("subtype"), [1, 0, np.nan, np.nan])
    assert list(run.images["patient"]) == ["p1", "p1", "image-002", "image-003"]
    assert run.info["patient_from"] == {"labels": 2, "image_id": 2}
    assert list(run.images["split"])[:2] == ["training", "test"]
    assert list(run.images["laterality"])[:2] == ["R", "L"]
    assert list(run.images["view"])[:2] == ["MLO", "CC"]
    assert run.images[["split", "laterality", "view"]].iloc[2:].isna().all(axis=None)
    assert run.rows is None
    assert run.images["label.suspicious_calcification"].dtype == np.float64


def test_vindr_findings_give_labels_of_images_and_rows(tmp_path, model):
    images = runs_kit.write_images(tmp_path / "images", 3)
    (images / "image-002.png").write_bytes(b"")
    facts = "R,CC,400,300,BI-RADS 4,DENSITY C"
    labels = tmp_path / "finding_annotations.csv"
    labels.write_text(
        VINDR
        + f"s1,x,image-001,{facts},\"['Mass', 'Skin Thickening']\",BI-RADS 4,1,1,9,9,training\n"
        + f"s1,x,image-001,{facts},['Suspicious Calcification'],BI-RADS 4,1,1,9,9,training\n"
        + f"s2,x,image-000,{facts},['No Finding'],,,,,,test\n"
        + f"s3,x,image-002,{facts},['Mass'],BI-RADS 4,1,1,9,9,test\n"
        + f"s3,x,elsewhere,{facts},['Mass'],BI-RADS 4,1,1,9,9,test\n"
    )
    run = run_of(images, model, tmp_path / "run", labels=labels)
    assert list(run.images["patient"]) == ["s2", "s1"]
    np.testing.assert_array_equal(run.label("mass"), [0, 1])
    np.testing.assert_array_equal(run.label("suspicious_calcification"), [0, 1])
    np.testing.assert_array_equal(run.label("density"), [2, 2])
    rows = run.rows
    assert list(rows["row"]) == [0, 1, 2]  # neither the image that failed nor the one that is not here
    assert list(rows["image"]) == [1, 1, 0]
    assert list(rows["label.mass"]) == [1, 0, 0]
    assert list(rows["label.suspicious_calcification"]) == [0, 1, 0]
    assert list(rows["split"]) == ["training", "training", "test"]


def test_a_csv_of_images_brings_its_labels(tmp_path, model):
    runs_kit.write_images(tmp_path / "a", 2)
    runs_kit.write_images(tmp_path / "b", 1)
    listing = tmp_path / "images.csv"
    listing.write_text("path,mass,patient\nb/image-000.png,1,q\na/image-001.png,0,r\na/image-000.png,,\n")
    run = run_of(listing, model, tmp_path / "run")
    assert list(run.images["image_id"]) == ["b/image-000.png", "image-001", "a/image-000.png"]
    assert list(run.images["path"]) == ["b/image-000.png", "a/image-001.png", "a/image-000.png"]
    np.testing.assert_array_equal(run.label("mass"), [1, 0, np.nan])
    assert list(run.images["patient"]) == ["q", "r", "a/image-000.png"]


def test_a_csv_of_images_without_labels_and_with_a_missing_image(tmp_path, model):
    runs_kit.write_images(tmp_path / "a", 1)
    listing = tmp_path / "images.csv"
    listing.write_text("path,split\na/image-000.png,test\na/gone.png,test\n")
    run = run_of(listing, model, tmp_path / "run")
    assert run.labels == ()
    assert list(run.images["split"]) == ["test"]
    assert list(run.failures["reason"]) == ["gone.png: no such file in a; check the path"]


def test_a_csv_with_nothing_but_paths(tmp_path, model):
    runs_kit.write_images(tmp_path / "a", 2)
    listing, labels = tmp_path / "images.csv", tmp_path / "labels.csv"
    listing.write_text("path\na/image-001.png\na/image-000.png\n")
    run = run_of(listing, model, tmp_path / "run")
    assert run.labels == ()
    assert list(run.images["image_id"]) == ["image-001", "image-000"]
    labels.write_text("image,mass\nelsewhere,1\n")
    with pytest.raises(RunError, match=r"labels.csv: none of the 2 images is in it"):
        write_run(listing, model, tmp_path / "other", labels=labels)


def test_two_tables_complete_each_other(tmp_path, model):
    images = runs_kit.write_images(tmp_path / "images", 2)
    (tmp_path / "one.csv").write_text("image,mass\nimage-000,1\n")
    (tmp_path / "two.csv").write_text("image,mass,density,patient\nimage-000,0,A,p\nimage-001,0,B,p\n")
    run = run_of(images, model, tmp_path / "run", labels=[tmp_path / "one.csv", tmp_path / "two.csv"])
    np.testing.assert_array_equal(run.label("mass"), [1, 0])
    np.testing.assert_array_equal(run.label("density"), [0, 1])
    assert list(run.images["patient"]) == ["p", "p"]


def test_clashing_names_are_told_apart_by_their_folders(tmp_path, model):
    runs_kit.write_images(tmp_path / "images" / "study1", 1)
    runs_kit.write_images(tmp_path / "images" / "study2", 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass\nstudy1/image-000.png,1\nstudy2/image-000.png,0\nimage-001,1\n")
    run = run_of(tmp_path / "images", model, tmp_path / "run", labels=labels)
    assert list(run.images["image_id"]) == ["study1/image-000.png", "study2/image-000.png", "image-001"]
    np.testing.assert_array_equal(run.label("mass"), [1, 0, 1])


def test_patients_of_dicom_files_are_hashed(tmp_path, model):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, patient in (("one", "ID-7"), ("two", "ID-7"), ("three", "ID-8")):
        write_dicom(
            folder / f"{name}.dcm", breast_image(), bits=12, PatientID=patient, ImageLaterality="L", ViewPosition="CC"
        )
    tiny.write_image(folder / "png.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,laterality,mass\none,R,1\n")
    run = run_of(folder, model, tmp_path / "run", labels=labels)
    patient = dict(zip(run.images["image_id"], run.images["patient"], strict=True))
    assert patient["one"] == patient["two"] != patient["three"]
    assert "ID-" not in "".join(patient.values())
    assert patient["png"] == "png"
    assert run.info["patient_from"] == {"dicom": 3, "image_id": 1}
    assert set(run.images["laterality"].dropna()) == {"L"}  # the image knows better than the table
    stored = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"ID-0" not in stored
    assert b"Doe" not in stored


def test_tables_of_other_images_are_refused(tmp_path, model):
    images = runs_kit.write_images(tmp_path / "images", 1)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass\nwrong-1,1\n")
    with pytest.raises(RunError, match=r"labels.csv: none of the 1 images is in it.*'wrong-1'.*'image-000'"):
        write_run(images, model, tmp_path / "run", labels=labels)
    labels.write_text("image\nimage-000\n")
    with pytest.raises(FindingsError, match="no column with labels"):
        write_run(images, model, tmp_path / "run", labels=labels)
    assert not (tmp_path / "run").exists()


def test_notes_of_tables_are_passed_on(tmp_path, model):
    images = runs_kit.write_images(tmp_path / "images", 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass,grade\nimage-000,1,2\nimage-000,1,3\n")
    said = []
    write_run(images, model, tmp_path / "run", labels=labels, workers=0, notice=said.append)
    assert any("grade differs" in sentence for sentence in said)


def test_what_tables_say_of_side_and_view_reaches_the_regions(tmp_path):
    images = runs_kit.write_images(tmp_path / "images", 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass,laterality,view\nimage-000,1,Left,MLO\nimage-001,1,,XCCL\n")
    entries = read_sources(images, labels).entries
    assert [(entry.laterality, entry.view) for entry in entries] == [("L", "MLO"), (None, None)]


def label_values(images, tables, label, **how):
    found = read_sources(images, tables, **how)
    return found.labels[f"label.{label}"].tolist(), found


def test_texts_are_numbered_alike_in_all_tables(tmp_path):
    images = runs_kit.write_images(tmp_path / "images", 4)
    first, second, third = (tmp_path / f"{name}.csv" for name in ("one", "two", "three"))
    first.write_text("image,kind,pathology\nimage-000,oval,Normal\nimage-001,round,Normal\n")
    second.write_text("image,kind,pathology\nimage-002,lobed,Malignant\nimage-002,lobed,Malignant\n")
    third.write_text("image,kind,pathology\nimage-003,round,1\n")
    kinds, found = label_values(images, [first, second, third], "kind")
    assert found.categories == {"kind": ["lobed", "oval", "round"], "pathology": ["normal", "malignant"]}
    assert kinds == [1, 2, 0, 2]
    assert found.labels["label.pathology"].tolist() == [0, 0, 1, 1]
    assert found.rows["label.kind"].tolist() == [0, 0]
    assert found.rows["label.pathology"].tolist() == [1, 1]
    assert any("pathology counts 'malignant' as positive, 'normal' as negative" in note for note in found.notes)
    third.write_text("image,kind\nimage-003,2\n")
    with pytest.raises(FindingsError, match=r"three.csv: kind is text in one table and numbers in another"):
        read_sources(images, [first, second, third])


@pytest.mark.parametrize("positive", ["round", {"kind": "round"}])
def test_the_positive_value_counts_in_all_tables(tmp_path, positive):
    images = runs_kit.write_images(tmp_path / "images", 3)
    first, second = tmp_path / "one.csv", tmp_path / "two.csv"
    first.write_text("image,kind\nimage-000,oval\nimage-001,round\n")
    second.write_text("image,kind\nimage-002,lobed\n")
    kinds, found = label_values(images, [first, second], "kind", positive=positive)
    assert kinds == [0, 1, 0]
    plain = read_sources(images, [first, second])
    assert found.labels_sha256 != plain.labels_sha256  # a run with other labels is not resumed
    for wrong in ("square", {"kind": "square"}, {"other": "round"}):
        with pytest.raises(FindingsError, match="check --positive"):
            read_sources(images, [first, second], wrong)


def test_a_list_of_images_with_an_index_has_no_labels(tmp_path):
    runs_kit.write_images(tmp_path, 2)
    listing = tmp_path / "images.csv"
    listing.write_text("Unnamed: 0,path\n5,image-000.png\n9,image-001.png\n")
    found = read_sources(listing)
    assert [name for name in found.labels if name.startswith("label.")] == []
    assert any("numbers the rows" in note for note in found.notes)


FOUR = ("P1/1-1", "P1/1-2", "P2/1-1", "P2/1-2")


def four_images(root):
    for name in FOUR:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        tiny.write_image(root / f"{name}.png")
    return root


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("spelling", ["{}.png", "./{}", r"old\disk\{}.dcm", "/data/{}.png"])
def test_labels_of_two_patients_are_not_mixed_up(tmp_path, listed, spelling):
    images = four_images(tmp_path / "images")
    named = {"P1/1-1": 1, "P2/1-1": 0, "P1/1-2": 1}
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass\n" + "".join(f"{spelling.format(name)},{v}\n" for name, v in named.items()))
    if listed:
        images = tmp_path / "list.csv"
        images.write_text("path\n" + "".join(f"images/{name}.png\n" for name in FOUR))
    sources = read_sources(images, labels)
    order = [entry.name.removeprefix("images/").removesuffix(".png") for entry in sources.entries]
    np.testing.assert_array_equal(sources.labels["label.mass"], [named.get(name, np.nan) for name in order])


def test_the_folder_of_the_images_tells_patients_apart(tmp_path):
    images = four_images(tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass\nP1/1-1,1\nP2/1-1,0\nP1/1-2,1\n")
    sources = read_sources(images / "P2", labels)
    np.testing.assert_array_equal(sources.labels["label.mass"], [0, np.nan])


@pytest.mark.parametrize("names", [("1-1", "P1/1-2"), ("1-1.png", "P1/1-2.png")])
def test_labels_of_ambiguous_images_are_left_out_and_counted(tmp_path, names):
    images, labels = four_images(tmp_path / "images"), tmp_path / "labels.csv"
    labels.write_text("image,mass\n" + "".join(f"{name},1\n" for name in names))
    sources = read_sources(images, labels)
    np.testing.assert_array_equal(sources.labels["label.mass"], [np.nan, 1, np.nan, np.nan])
    assert any(
        "labels.csv: images whose names are ambiguous, left out: 2 (first: P1/1-1.png" in note for note in sources.notes
    )


def test_tables_whose_names_are_all_ambiguous_are_refused(tmp_path):
    images, labels = four_images(tmp_path / "images"), tmp_path / "labels.csv"
    labels.write_text("image,mass\n1-1,1\n")
    with pytest.raises(RunError, match=r"none of the 4 images is in it.*ambiguous, left out: 2 \(first: P1/1-1.png"):
        read_sources(images, labels)


def test_images_in_no_folder_of_the_table_are_found_by_name_and_that_is_told(tmp_path):
    images, labels = runs_kit.write_images(tmp_path / "flat", 2), tmp_path / "labels.csv"
    labels.write_text("image,mass\ntrain/image-000.png,1\ntest/image-001.png,0\n")
    sources = read_sources(images, labels)
    np.testing.assert_array_equal(sources.labels["label.mass"], [1, 0])
    assert sources.notes == (
        "labels.csv: images found by the name of the file alone, as no folder of theirs is known: 2 (first: "
        "train/image-000, taken for image-000.png)",
    )
