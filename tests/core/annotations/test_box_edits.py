import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.annotations.box_edits import SMALLEST, to_write, with_boxes
from napari_mammosae.core.annotations.box_files import write_findings
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import FindingsError

BOX = ["row_min", "col_min", "row_max", "col_max"]


def table(*rows, **columns):
    return pd.DataFrame([row[1:] for row in rows], columns=BOX).assign(finding=[row[0] for row in rows], **columns)


@pytest.fixture
def findings(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(
        "image,finding,xmin,ymin,xmax,ymax,note\na,mass,1,2,30,40,old\na,mass,50,60,70,80,\nb,mass,1,1,9,9,\nc,,,,,,\n"
    )
    return read_findings(path)


def test_only_the_image_changes(findings):
    changed, notes = with_boxes(findings, "a", (100, 90), table(("Focal asymmetry", 5, 6, 50, 60), note=["new"]))
    assert notes == ()
    mine = changed.boxes("a", shape=(100, 90))
    assert mine["finding"].tolist() == ["focal_asymmetry"]
    np.testing.assert_array_equal(mine[BOX], [[5, 6, 50, 60]])
    assert mine["note"].tolist() == ["new"]
    assert len(changed.boxes("b")) == 1
    assert set(changed.images.index) == {"a", "b", "c"}
    assert len(findings.boxes("a")) == 2  # the former annotations are as they were


def test_nothing_annotated_before():
    changed, _ = with_boxes(None, "x", (100, 90), table(("mass", 5, 6, 50, 60)))
    assert changed.names == ("mass",)
    assert "x" in changed
    emptied, _ = with_boxes(changed, "x", (100, 90), table())
    assert "x" in emptied
    assert len(emptied.boxes("x", shape=(100, 90))) == 0


def test_an_image_the_annotations_do_not_name(findings):
    changed, _ = with_boxes(findings, "new", (100, 90), table(("mass", 5, 6, 50, 60)))
    assert len(changed.boxes("new", shape=(100, 90))) == 1


def test_a_box_needs_a_finding(findings):
    with pytest.raises(FindingsError, match="the finding of a box needs a name"):
        with_boxes(findings, "a", (100, 90), table(("胸", 5, 6, 50, 60)))


coordinate = st.floats(-500, 500, allow_nan=False)


@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=6))
def test_whatever_is_drawn_what_is_kept_lies_within_the_image(drawn):
    rows = [("mass", min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in drawn]
    changed, notes = with_boxes(None, "x", (100, 90), table(*rows))
    kept = changed.boxes("x", shape=(100, 90))[BOX].to_numpy(float)
    assert (kept[:, :2] >= 0).all()
    assert (kept[:, 2:] <= [100, 90]).all()
    assert (kept[:, 2:] - kept[:, :2] >= SMALLEST).all()
    outside = sum(r[3] <= 0 or r[4] <= 0 or r[1] >= 100 or r[2] >= 90 or r[1] == r[3] or r[2] == r[4] for r in rows)
    assert any("outside" in note for note in notes) == bool(outside)


def test_boxes_for_resized_images_are_written_for_the_images_drawn_on(tmp_path):
    path = tmp_path / "vindr.csv"
    path.write_text(
        "image_id,finding_categories,xmin,ymin,xmax,ymax,height,width,"
        "resized_xmin,resized_ymin,resized_xmax,resized_ymax\n"
        "a,['Mass'],100,200,300,400,3000,2000,30,60,90,120\nb,['Mass'],100,200,300,400,3000,2000,30,60,90,120\n"
    )
    findings = read_findings(path)
    size = (1520, 912)
    drawn = pd.concat([findings.boxes("a", shape=size), table(("mass", 5, 6, 50, 60))], ignore_index=True)
    changed, _ = with_boxes(findings, "a", size, drawn)
    np.testing.assert_array_equal(changed.boxes("a", shape=size)[BOX], [[60, 30, 120, 90], [5, 6, 50, 60]])
    np.testing.assert_array_equal(changed.boxes("b", shape=size)[BOX], [[60, 30, 120, 90]])
    boxes, shapes, remark = to_write(changed, ["a"])
    assert set(boxes["image_id"]) == {"a"}
    assert shapes == {"a": size}
    assert "keeps the other 1" in remark
    write_findings(tmp_path / "out.json", boxes, shapes=shapes)
    np.testing.assert_array_equal(
        read_findings(tmp_path / "out.json").boxes("a", shape=size)[BOX], [[60, 30, 120, 90], [5, 6, 50, 60]]
    )


@pytest.mark.parametrize("size", [(1, 1), (1.5, 30), (30, 0.25), (1.999, 1.999)])
@pytest.mark.parametrize("moved", [0, 7])
def test_a_small_box_of_the_file_stays_when_others_are_edited(tmp_path, size, moved):
    path = tmp_path / "boxes.csv"
    path.write_text(f"image,finding,xmin,ymin,xmax,ymax\na,mass,5,6,{5 + size[1]},{6 + size[0]}\na,mass,50,60,70,80\n")
    boxes = read_findings(path).boxes("a", shape=(100, 90))
    boxes.loc[0, BOX] += moved
    boxes.loc[1, "row_max"] = 90
    changed, notes = with_boxes(read_findings(path), "a", (100, 90), boxes)
    assert notes == ()
    corner = np.array([6, 5]) + moved
    np.testing.assert_allclose(changed.boxes("a")[BOX], [[*corner, *(corner + size)], [60, 50, 90, 70]])


@pytest.mark.parametrize(
    ("height", "width", "note"),
    [(1.5, 30, ("boxes under 2 pixels, left out: 1",)), (0, 0, ()), (0, 30, ())],  # a click is no box
)
def test_a_new_box_that_is_too_small_is_told(findings, height, width, note):
    boxes = pd.concat([findings.boxes("a"), table(("mass", 5, 6, 5 + height, 6 + width))], ignore_index=True)
    changed, notes = with_boxes(findings, "a", (100, 90), boxes)
    assert len(changed.boxes("a")) == 2
    assert tuple(one for one in notes if "outside" not in one) == note


def test_two_patients_images_of_one_name_keep_their_own_boxes(tmp_path):
    first, second = "/data/P1/1-1.dcm", "/data/P2/1-1.dcm"
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax\nP1/1-1.dcm,mass,1,2,30,40\nP2/1-1.dcm,mass,3,4,50,60\n")
    loaded = read_findings(path)
    changed, _ = with_boxes(loaded, second, (100, 90), table(("asymmetry", 5, 6, 50, 60)))
    assert changed.boxes(first)["finding"].tolist() == ["mass"]
    assert changed.boxes(second)["finding"].tolist() == ["asymmetry"]
    boxes, sizes, _ = to_write(changed, [second])
    write_findings(path, boxes, shapes=sizes, overwrite=True)
    again = read_findings(path)
    assert again.boxes(first)["finding"].tolist() == ["mass"]
    assert again.boxes(second)["finding"].tolist() == ["asymmetry"]


def test_images_of_one_name_that_are_drawn_on_are_told_apart(tmp_path):
    first, second = "/data/P1/1-1.dcm", "/data/P2/1-1.dcm"
    findings, _ = with_boxes(None, first, (100, 90), table(("mass", 5, 6, 50, 60)))
    assert second not in findings
    findings, _ = with_boxes(findings, second, (100, 90), table(("asymmetry", 5, 6, 50, 60)))
    boxes, sizes, _ = to_write(findings, [first, second])
    write_findings(tmp_path / "boxes.csv", boxes, shapes=sizes)
    again = read_findings(tmp_path / "boxes.csv")
    assert again.boxes(first)["finding"].tolist() == ["mass"]
    assert again.boxes(second)["finding"].tolist() == ["asymmetry"]
    assert "data" not in (tmp_path / "boxes.csv").read_text()
