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
    assert any("left out" in note for note in notes) == bool(outside)


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
