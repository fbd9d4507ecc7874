import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_mammosae.core.annotations.box_files import write_findings
from napari_mammosae.core.annotations.boxes import Findings, read_findings
from napari_mammosae.core.base.errors import FindingsError
from napari_mammosae.core.base.names import image_id_of, slug
from napari_mammosae.core.images.geometry import BOX

PLAIN = "image,finding,xmin,ymin,xmax,ymax\n"
VINDR = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split\n"
)
FOLDS = (
    "patient_id,series_id,image_id,laterality,view,height,width,breast_birads,breast_density,finding_categories,"
    "finding_birads,xmin,ymin,xmax,ymax,split,resized_xmin,resized_ymin,resized_xmax,resized_ymax,fold,"
    "Mass,Suspicious_Calcification,No_Finding,density\n"
)
BREASTS = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split\n"


def read(tmp_path: Path, text: str, name: str = "boxes.csv") -> Findings:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read_findings(path)


def boxes_of(found: Findings) -> list[tuple]:
    return [tuple(row) for row in found.table[["image_id", "finding", *BOX]].itertuples(index=False)]


def test_plain_boxes_are_rows_and_columns_in_our_order(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a.png,Mass,10,20.5,30,40\nb,Suspicious Calcification,1,2,3,4\n")
    assert boxes_of(found) == [
        ("a", "mass", 20.5, 10, 40, 30),
        ("b", "suspicious_calcification", 2, 1, 4, 3),
    ]
    assert found.notes == ()
    assert found.names == ("mass", "suspicious_calcification")


def test_boxes_of_one_image_and_one_finding(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a,Mass,1,2,3,4\na,Clip,5,6,7,8\nb,Mass,1,2,3,4\n")
    assert len(found.boxes("a")) == 2
    assert found.boxes("a", "Mass")[list(BOX)].to_numpy().tolist() == [[2, 1, 4, 3]]
    assert found.boxes("elsewhere").empty
    assert "b" in found
    assert "elsewhere" not in found


def test_images_without_boxes_are_known(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a,,,,,\nb,No Finding,0,0,0,0\nc,Mass,1,2,3,4\nd,Mass,nan,NaN,,\n")
    assert boxes_of(found) == [("c", "mass", 2, 1, 4, 3)]
    assert list(found.images.index) == ["a", "b", "c", "d"]
    assert found.boxes("a").empty


def test_vindr_annotations(tmp_path: Path) -> None:
    rows = (
        "s1,e,i1,L,CC,3000,2000,BI-RADS 4,DENSITY C,\"['Mass', 'Skin Thickening']\",BI-RADS 4,10.5,20,30,40,training\n"
        "s1,e,i2,R,MLO,3000,2000,BI-RADS 1,DENSITY C,['No Finding'],,,,,,test\n"
    )
    found = read(tmp_path, VINDR + rows)
    assert boxes_of(found) == [("i1", "mass", 20, 10.5, 40, 30), ("i1", "skin_thickening", 20, 10.5, 40, 30)]
    first = found.table.iloc[0]
    assert (first["laterality"], first["view"], first["split"], first["birads"]) == ("L", "CC", "training", "BI-RADS 4")
    assert found.images.loc["i2"].tolist() == ["s1", "R", "MLO", "test", 3000, 2000]


def folds_row(image: str, source: str, resized: str, finding: str = "['Mass']") -> str:
    return f"s,e,{image}.png,L,CC,3000,2000,BI-RADS 4,DENSITY B,{finding},,{source},test,{resized},0,1,0,0,1\n"


def test_vindr_folds_prefer_source_boxes(tmp_path: Path) -> None:
    found = read(tmp_path, FOLDS + folds_row("i1", "100,200,300,400", "50,60,70,80"))
    assert boxes_of(found) == [("i1", "mass", 200, 100, 400, 300)]
    assert found.boxes("i1", shape=(3000, 2000))["row_min"].tolist() == [200]


def test_resized_boxes_serve_images_that_were_resized(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        FOLDS + folds_row("i1", "100,200,300,400", "50,60,70,80") + folds_row("i2", "1,2,3,4", "5,80,900,1600"),
    )
    resized = found.boxes("i1", shape=(1520, 912))
    assert resized[list(BOX)].to_numpy().tolist() == [[60, 50, 80, 70]]
    both = found.for_images({"i1": (1520, 912), "i2": (1520, 912)})
    assert both.table["row_max"].tolist() == [80, 1520]
    assert any("reached beyond their image, clipped to it: 1" in note for note in both.notes)


def test_inverted_resized_boxes_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, FOLDS + folds_row("i1", "100,200,300,400", "50,90,70,80"))
    assert len(found.table) == 1
    fitted = found.for_images({"i1": (1520, 912)})
    assert fitted.table.empty
    assert any("inverted" in note for note in fitted.notes)


def test_boxes_for_an_image_of_another_size_are_refused(tmp_path: Path) -> None:
    found = read(tmp_path, VINDR + "s,e,i1,L,CC,3000,2000,,,['Mass'],,1,2,3,4,test\n")
    with pytest.raises(FindingsError, match=r"boxes of i1 are for 3000 x 2000 pixels, the image has 1520 x 912"):
        found.boxes("i1", shape=(1520, 912))
    with pytest.raises(FindingsError, match="3000 x 2000"):
        found.for_images({"i1": (7, 7)})


def test_a_misfit_among_others_costs_only_itself(tmp_path: Path) -> None:
    row = "s,e,{},L,CC,3000,2000,,,['Mass'],,1,2,3,4,test\n"
    found = read(tmp_path, VINDR + row.format("i1") + row.format("i2")).for_images({"i1": (7, 7), "i2": (3000, 2000)})
    assert found.table["image_id"].tolist() == ["i2"]
    assert any("boxes of i1 are for 3000 x 2000" in note for note in found.notes)


def test_breast_level_tables_have_no_boxes(tmp_path: Path) -> None:
    found = read(tmp_path, BREASTS + "s,e,i1,L,CC,3000,2000,BI-RADS 2,DENSITY B,test\n")
    assert found.table.empty
    assert "i1" in found
    assert found.boxes("i1").empty
    assert any("no boxes" in note for note in found.notes)


def test_inverted_and_flat_boxes_are_left_out_and_reported(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a,Mass,30,20,10,40\na,Mass,1,2,3,4\na,Clip,5,5,5,9\n")
    assert boxes_of(found) == [("a", "mass", 2, 1, 4, 3)]
    assert found.notes == (
        "boxes.csv: inverted boxes (minimum beyond maximum), left out: 1 (first: line 2, mass of a)",
        "boxes.csv: boxes without area, left out: 1 (first: line 4, clip of a)",
    )


def test_repeated_boxes_count_once(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a,Mass,1,2,3,4\na.png,mass,1,2,3,4.0\nb,Mass,1,2,3,4\n")
    assert len(found.table) == 2
    assert found.notes == ("boxes.csv: repeated boxes, left out: 1 (first: line 3, mass of a)",)


def test_boxes_beyond_the_image_are_clipped_and_reported(tmp_path: Path) -> None:
    row = "s,e,{},L,CC,100,80,,,['Mass'],,{},test\n"
    text = VINDR + row.format("i1", "-5,10,90,120") + row.format("i1", "81,0,90,10") + row.format("i2", "0,0,80,100")
    found = read(tmp_path, text)
    assert boxes_of(found) == [("i1", "mass", 10, 0, 100, 80), ("i2", "mass", 0, 0, 100, 80)]
    assert found.notes == (
        "boxes.csv: boxes that reached beyond their image, clipped to it: 1",
        "boxes.csv: boxes outside their image or inverted in it, left out: 1",
    )


def test_sizes_known_later_clip_later(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a,Mass,10,10,500,20\nb,Mass,1,2,3,4\nc,Mass,90,90,95,95\n")
    assert found.notes == ()
    assert found.boxes("a", shape=(50, 60))["col_max"].tolist() == [60]
    fitted = found.for_images({"a": (50, 60), "c": (50, 60), "d": (50, 60)})
    assert boxes_of(fitted) == [("a", "mass", 10, 10, 20, 60)]
    assert fitted.notes == (
        "boxes.csv: images it names beyond those at hand: 1 (first: b)",
        "boxes.csv: boxes that reached beyond their image, clipped to it: 1",
        "boxes.csv: boxes outside their image or inverted in it, left out: 1",
    )


def test_when_no_image_matches_names_are_shown(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + "a,Mass,1,2,3,4\n")
    with pytest.raises(FindingsError, match=r"names none of the 1 image; it has for example 'a', wanted are 'scan_a'"):
        found.for_images({"scan_a": (9, 9)})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff", "sep={}\n", '\ufeff"sep={}"\n'])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_as_people_save_them(tmp_path: Path, separator: str, mark: str, newline: str) -> None:
    text = mark.format(separator) + (PLAIN.replace("image", " Image ") + "a ,Mass, 1,2,3,4\n\n").replace(",", separator)
    assert boxes_of(read(tmp_path, text.replace("\n", newline))) == [("a", "mass", 2, 1, 4, 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        (
            "image,finding,xmin,ymin,xmax\na,Mass,1,2,3\n",
            "needs the columns ymax, which are missing; found image, finding",
        ),
        ("finding,xmin,ymin,xmax,ymax\nMass,1,2,3,4\n", "needs the columns image"),
        ("image,mass\na,1\n", "needs the columns finding, ymin, xmin"),
        (PLAIN + "a,Mass,1,2,3\n", "line 2: 5 cells where the header has 6"),
        (PLAIN + "a,Mass,1,2,3,4,5\n", "line 2: 7 cells"),
        (PLAIN + "a,Mass,1,2,3,4\nb,Mass,x,2,3,4\n", "line 3: xmin is 'x'; expected a number"),
        (PLAIN + 'a,Mass,"1,500",2,3,4\n', "line 2: xmin is '1,500'; expected a number with a decimal point"),
        (PLAIN.replace(",", ";") + "a;Mass;1,5;2;3;4\nb;Mass;1.5;2;3;4\n", "line 2: xmin is '1,5'"),
        (PLAIN + "a,Mass,1,2,inf,4\n", "line 2: xmax is 'inf'"),
        (PLAIN + "a,Mass,1_0,2,3,4\n", "line 2: xmin is '1_0'"),
        (PLAIN + "a,Mass,1,2,,4\n", "line 2: a box with blank coordinates"),
        (PLAIN + "a,,1,2,3,4\n", "line 2: a box without a finding"),
        (PLAIN + "a,???,1,2,3,4\n", "line 2: the finding needs a name"),
        (PLAIN + ",Mass,1,2,3,4\n", "line 2: no image is named"),
        ("image,image,finding,xmin,ymin,xmax,ymax\n", "two columns are named 'image'"),
        (PLAIN + 'a,"Mass,1,2,3,4\n', "not a readable CSV"),
        (VINDR + "s,e,i,L,CC,9,9,,,['Mass',,1,2,3,4,test\n", "line 2: finding_categories is"),
        (VINDR + "s,e,i,L,CC,9,9,,,[1],,1,2,3,4,test\n", "expected a list such as"),
        (VINDR + "s,e,i,L,CC,9,9,,,[__import__('os').getcwd()],,1,2,3,4,test\n", "expected a list such as"),
        (VINDR + "s,e,i,L,CC,9,9,,," + "[" * 5000 + ",,1,2,3,4,test\n", "expected a list such as"),
        (VINDR + "s,e,i,L,CC,high,9,,,['Mass'],,1,2,3,4,test\n", "height is 'high'"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FindingsError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith("boxes.csv")
    assert message in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN.encode("utf-16") + b"\0", "damaged UTF-16 text"),
        (b"\x89PNG\r\n\x1a\n\0", "a binary file"),
        (b"PK\x03\x04\0\0\0", "a zip file or an Excel workbook; save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook; save the sheet as CSV"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "boxes.csv").write_bytes(content)
    with pytest.raises(FindingsError, match=rf"boxes\.csv: .*{message}"):
        read_findings(tmp_path / "boxes.csv")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for name in ("gone.csv", "gone.json"):
        with pytest.raises(FindingsError, match=f"{name}: no such file"):
            read_findings(tmp_path / name)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FindingsError, match="a folder"):
        read_findings(tmp_path / "folder.csv")


def test_a_header_alone_is_no_error(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN)
    assert found.table.empty
    assert found.names == ()


def test_an_index_saved_along_is_ignored(tmp_path: Path) -> None:
    assert len(read(tmp_path, "," + PLAIN + "0,a,Mass,1,2,3,4\n").table) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (PLAIN + text).encode()))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    try:
        found = read_findings(path)
    except FindingsError as error:
        assert str(error).startswith("any.csv")  # noqa: PT017
    else:
        edges = found.table[list(BOX)].to_numpy(np.float64)
        assert (edges[:, 2:] > edges[:, :2]).all()


edge = st.floats(0, 4000, allow_subnormal=False) | st.integers(0, 4000)
some_boxes = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["Mass", "Clip"]), edge, edge, edge, edge), max_size=12
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_boxes)
def test_boxes_survive_writing_and_reading(tmp_path: Path, rows: list[tuple]) -> None:
    lines = [f"{image},{finding},{','.join(map(repr, xyxy))}" for image, finding, *xyxy in rows]
    found = read(tmp_path, PLAIN + "\n".join(lines) + "\n")
    expected = {
        (image, finding.lower(), y0, x0, y1, x1) for image, finding, x0, y0, x1, y1 in rows if x0 < x1 and y0 < y1
    }
    assert set(boxes_of(found)) == expected
    assert len(found.table) == len(expected)
    write_findings(tmp_path / "out.csv", found.table, overwrite=True)
    assert boxes_of(read_findings(tmp_path / "out.csv")) == boxes_of(found)
    shapes = dict.fromkeys("abc", (9000, 9000))
    write_findings(tmp_path / "out.json", found.table, shapes=shapes, overwrite=True)
    again = read_findings(tmp_path / "out.json")
    assert list(again.images.index) == ["a", "b", "c"]
    np.testing.assert_allclose(
        again.table[list(BOX)].to_numpy(float), found.table[list(BOX)].to_numpy(float), atol=1e-9
    )


def one_box(**more: object) -> pd.DataFrame:
    box = {"image_id": "a", "finding": "mass", "row_min": 2.0, "col_min": 1.0, "row_max": 4.0, "col_max": 3.5}
    return pd.DataFrame([{**box, **more}])


def test_csv_boxes_keep_notes_and_images_without_boxes(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    write_findings(path, one_box(note="seen, twice"), shapes={"a": (9, 9), "b": (9, 9)}, provenance={"version": "1"})
    assert path.read_text().splitlines() == [
        "image,finding,xmin,ymin,xmax,ymax,note",
        'a,mass,1.0,2.0,3.5,4.0,"seen, twice"',
        "b,,,,,,",
    ]
    assert json.loads((tmp_path / "mine.csv.json").read_text()) == {"version": "1"}
    again = read_findings(path)
    assert again.table["note"].tolist() == ["seen, twice"]
    assert "b" in again


def test_coco_boxes(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_findings(
        path, one_box(score=0.5), shapes={"a": (9, 8), "b": (7, 6)}, provenance={"file": Path("/home/me/x.png")}
    )
    content = json.loads(path.read_text())
    assert content["images"][1] == {"id": 2, "file_name": "b", "height": 7, "width": 6}
    assert content["categories"] == [{"id": 1, "name": "mass"}]
    assert content["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 2.5, 2], "area": 5, "iscrowd": 0, "score": 0.5}
    ]
    assert content["info"]["file"] == "x.png"
    assert "not for diagnosis" in content["info"]["description"]


@pytest.mark.parametrize("name", ["mine.csv", "mine.json"])
def test_files_are_never_replaced_unasked(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("precious")
    with pytest.raises(FindingsError, match=f"{name}: exists already"):
        write_findings(path, one_box(), shapes={"a": (9, 9)})
    assert path.read_text() == "precious"
    write_findings(path, one_box(), shapes={"a": (9, 9)}, overwrite=True)
    assert len(read_findings(path).table) == 1


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FindingsError, match=r"boxes\.xlsx: boxes are written as"):
        write_findings(tmp_path / "boxes.xlsx", one_box())
    with pytest.raises(FindingsError, match=r"COCO needs the size of every image; that of a"):
        write_findings(tmp_path / "boxes.json", one_box())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        "{}",
        '{"images": [], "categories": [], "annotations": [{}]}',
        '{"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 1, "name": "m"}], "annotations": '
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}]}',
        '{"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 1, "name": "m"}], "annotations": '
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, NaN]}]}',
        '{"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 1, "name": "?"}], "annotations": []}',
        "[" * 100_000,
    ],
)
def test_what_is_no_coco_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FindingsError, match=r"boxes\.json: (not COCO JSON|values nested)"):
        read(tmp_path, text, "boxes.json")


@pytest.mark.parametrize(
    ("annotation", "edges", "note"),
    [
        ({"segmentation": [[10, 20, 30.5, 20, 20, 41]]}, (20, 10, 41, 30.5), "drawn around polygons or masks: 1"),
        ({"bbox": [], "segmentation": [[1, 2, 3, 2, 3, 5], [0, 9, 2, 9, 2, 12]]}, (2, 0, 12, 3), "drawn around"),
        ({"bbox": None, "segmentation": [1, 2, 3, 2, 3, 5]}, (2, 1, 5, 3), "drawn around"),
        ({"bbox": [0, 0, 0, 0], "segmentation": {"size": [6, 4], "counts": [8, 2, 4, 3, 7]}}, (2, 1, 5, 3), "drawn"),
        ({"segmentation": {"size": [6, 4], "counts": [4, 9, 11]}}, (0, 0, 6, 3), "drawn around"),
        ({"bbox": None}, None, "without a box, polygon or mask, left out: 1"),
        ({"bbox": [], "segmentation": []}, None, "without a box, polygon or mask, left out: 1"),
        ({"bbox": [1, 2, 3, 4], "image_id": "9"}, None, "that the file does not list, left out: 1"),
        ({"bbox": [1, 2, 3, 4], "category_id": "9"}, None, "that the file does not list, left out: 1"),
        ({"bbox": [1, 2, 3, 4], "image_id": "1", "category_id": "7"}, (2, 1, 6, 4), None),
    ],
)
def test_coco_as_programs_write_it(
    tmp_path: Path, annotation: dict, edges: tuple[float, ...] | None, note: str | None
) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 7, "name": "Mass"}],
        "annotations": [{"image_id": 1, "category_id": 7} | annotation],
    }
    found = read(tmp_path, json.dumps(content), "boxes.json")
    assert boxes_of(found) == ([("a", "mass", *edges)] if edges else [])
    assert "a" in found
    assert (note or "") in " ".join(found.notes)


def test_masks_in_compressed_text(tmp_path: Path) -> None:
    lengths = [8, 2, 4, 3, 40, 5, 900]
    text = ""
    for at, length in enumerate(lengths):  # as the COCO tools write them
        value = length - (lengths[at - 2] if at > 2 else 0)
        while True:
            code, value = value & 31, value >> 5
            more = value != (-1 if code & 16 else 0)
            text += chr((code | 32 if more else code) + 48)
            if not more:
                break
    mask = np.repeat([0, 1, 0, 1, 0, 1, 0], lengths).reshape(-1, 26)  # a column a row
    cols, rows = np.nonzero(mask)
    content = {
        "images": [{"id": "1", "file_name": "a.png"}],
        "categories": [{"id": 7, "name": "Mass"}],
        "annotations": [
            {"image_id": 1, "category_id": "7", "segmentation": {"size": [26, len(mask)], "counts": counts}}
            for counts in (text, lengths)
        ],
    }
    found = read(tmp_path, json.dumps(content), "boxes.json")
    expected = ("a", "mass", rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
    assert boxes_of(found) == [expected]
    assert "repeated boxes, left out: 1" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "a,mass,0.1,0.2,0.5,0.6\n",
            "boxes within 0 to 1, which may be shares of the image but are taken as pixels: 1",
        ),
        ("a,mass,30,20,10,40\n", "inverted boxes (minimum beyond maximum), left out: 1 (first: line 2, mass of a)"),
        ("a,mass,10,40,30,20\n", "inverted boxes (minimum beyond maximum), left out: 1"),
    ],
)
def test_boxes_of_another_convention_are_noted(tmp_path: Path, text: str, note: str) -> None:
    assert note in " ".join(read(tmp_path, PLAIN + text + "b,mass,1,2,3,4\n").notes)


def test_coco_from_elsewhere(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "images": [
                {"id": "x", "file_name": "study/a.png", "height": 9, "width": 8},
                {"id": "y", "file_name": "b.png"},
            ],
            "categories": [{"id": 7, "name": "Suspicious Calcification"}],
            "annotations": [{"image_id": "x", "category_id": 7, "bbox": [1, 2, 30, 4]}],
        }
    )
    found = read(tmp_path, text, "boxes.json")
    assert boxes_of(found) == [("study/a", "suspicious_calcification", 2, 1, 6, 8)]
    assert any("clipped" in note for note in found.notes)


def test_slugs() -> None:
    assert slug("Suspicious Calcification") == slug("Suspicious_Calcification") == "suspicious_calcification"
    assert slug("  BI-RADS 4 (späť) ") == "bi_rads_4_spat"
    assert slug("???") == ""


@given(st.text())
def test_slugs_stay_what_they_are(text: str) -> None:
    assert slug(slug(text)) == slug(text)


def test_image_names() -> None:
    assert image_id_of("C:\\data\\a.PNG") == "a"
    assert image_id_of(".png") == ".png"
