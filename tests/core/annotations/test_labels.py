from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_mammosae.core.annotations.labels import read_label_rows, read_labels
from napari_mammosae.core.base.errors import FindingsError

VINDR = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split\n"
    "s1,e,i1,L,CC,3000,2000,BI-RADS 4,DENSITY C,\"['Mass', 'Skin Thickening']\",BI-RADS 4,1,2,3,4,training\n"
    "s1,e,i1,L,CC,3000,2000,BI-RADS 4,DENSITY C,['Suspicious Calcification'],BI-RADS 4,5,6,7,8,training\n"
    "s2,e,i2,R,MLO,3000,2000,BI-RADS 1,DENSITY A,['No Finding'],,,,,,test\n"
)
FOLDS = (
    "patient_id,image_id,laterality,view,breast_birads,breast_density,finding_categories,finding_birads,xmin,ymin,"
    "xmax,ymax,split,resized_xmin,fold,Mass,Suspicious_Calcification,No_Finding,density\n"
    "p1,i1.png,L,CC,BI-RADS 4,DENSITY B,['Mass'],,1,2,3,4,test,1,0,1,0,0,1\n"
    "p1,i1.png,L,CC,BI-RADS 4,DENSITY B,['Suspicious Calcification'],,1,2,3,4,test,1,0,0,1,0,1\n"
    "p2,i2.png,R,MLO,BI-RADS 1,DENSITY D,['No Finding'],,0,0,0,0,training,0,1,0,0,1,3\n"
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def values(table: pd.DataFrame, name: str) -> list[float | None]:
    assert table[name].dtype == np.float64
    return [None if np.isnan(value) else value for value in table[name]]


def test_a_finding_counts_when_any_row_of_the_image_has_it(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, VINDR))
    assert list(labels.index) == ["i1", "i2"]
    assert labels.index.name == "image_id"
    assert values(labels, "label.mass") == [1, 0]
    assert values(labels, "label.skin_thickening") == [1, 0]
    assert values(labels, "label.suspicious_calcification") == [1, 0]
    assert values(labels, "label.no_finding") == [0, 1]
    assert values(labels, "label.density") == [2, 0]
    assert values(labels, "label.birads") == [4, 1]
    assert labels.loc["i2", ["patient", "laterality", "view", "split"]].tolist() == ["s2", "R", "MLO", "test"]
    assert labels.attrs["categories"] == {"density": ["a", "b", "c", "d"]}


def test_rows_keep_their_own_findings(tmp_path: Path) -> None:
    rows = read_label_rows(written(tmp_path, VINDR))
    assert rows["row"].tolist() == [0, 1, 2]
    assert rows["image_id"].tolist() == ["i1", "i1", "i2"]
    assert rows["split"].tolist() == ["training", "training", "test"]
    assert values(rows, "label.mass") == [1, 0, 0]
    assert values(rows, "label.suspicious_calcification") == [0, 1, 0]
    assert values(rows, "label.density") == [2, 2, 0]


def test_vindr_folds(tmp_path: Path) -> None:
    path = written(tmp_path, FOLDS)
    labels = read_labels(path)
    assert list(labels.index) == ["i1", "i2"]
    assert labels["patient"].tolist() == ["p1", "p2"]
    assert values(labels, "label.mass") == [1, 0]
    assert values(labels, "label.density") == [1, 3]
    assert labels.attrs["categories"] == {"density": ["a", "b", "c", "d"]}
    assert not {"label.fold", "label.xmin", "label.resized_xmin"} & set(labels)
    assert values(read_label_rows(path), "label.mass") == [1, 0, 0]


def test_breast_level_tables(tmp_path: Path) -> None:
    text = (
        "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split\n"
        "s,e,i1,L,CC,30,20,BI-RADS 2,DENSITY D,test\n"
    )
    labels = read_labels(written(tmp_path, text))
    assert [name for name in labels if name.startswith("label.")] == ["label.birads", "label.density"]
    assert (values(labels, "label.birads"), values(labels, "label.density")) == ([2], [3])


def test_plain_boxes_are_labels_too(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "image,finding,xmin,ymin,xmax,ymax\na.png,Mass,1,2,3,4\nb,,,,,\n"))
    assert values(labels, "label.mass") == [1, 0]
    assert [name for name in labels if name.startswith("label.")] == ["label.mass"]


@pytest.mark.parametrize("key", ["image", "image_id", "path", "Image"])
def test_wide_tables(tmp_path: Path, key: str) -> None:
    text = f"{key},patient,Mass,label.density,side\nx/a.png,p1,1,A,left\nb,p2,,C,right\nc,,0,,left\n"
    labels = read_labels(written(tmp_path, text))
    assert list(labels.index) == ["x/a", "b", "c"]
    assert labels["patient"].tolist() == ["p1", "p2", None]
    assert values(labels, "label.mass") == [1, None, 0]
    assert values(labels, "label.density") == [0, 2, None]
    assert values(labels, "label.side") == [0, 1, 0]
    assert labels.attrs["categories"]["side"] == ["left", "right"]


def test_words_for_yes_and_no(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "image,a,b,c\nx,yes,TRUE,Negative\ny,yes,false,n/a\n"))
    assert values(labels, "label.a") == [1, 1]
    assert values(labels, "label.b") == [1, 0]
    assert values(labels, "label.c") == [0, None]


def test_any_row_counts_in_wide_tables(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "image,mass,clip\na,0,\na,1,\nb,0,1\nb,,\n"))
    assert values(labels, "label.mass") == [1, 0]
    assert values(labels, "label.clip") == [None, 1]


def test_categories_that_contradict_each_other_are_unknown(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "image,density\na,A\na,C\nb,D\nb,D\n"))
    assert values(labels, "label.density") == [None, 3]
    assert any("differs between the rows of 1 image and" in note for note in labels.attrs["notes"])


def test_remarks_and_blank_columns_are_no_labels(tmp_path: Path) -> None:
    lines = "".join(f"i{n},{n % 2},remark number {n} of many,\n" for n in range(60))
    labels = read_labels(written(tmp_path, "image,mass,remark,later\n" + lines))
    assert [name for name in labels if name.startswith("label.")] == ["label.mass"]
    assert len(labels.attrs["notes"]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mass\n1\n", "needs the columns image"),
        ("image,patient\na,1\n", "has no column with labels; found image, patient"),
        ("image,mass\na,1\nb,maybe\n", "line 3: mass is 'maybe'; expected a number"),
        ("image,mass\na,1\n,0\n", "line 3: no image is named"),
        ("image,mass,Mass\na,1,0\n", "two columns are named 'mass'"),
        ("image,???\na,1\n", "needs a name with Latin letters"),
        ("image,finding_categories\na,[\n", "line 2: finding_categories is '['"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FindingsError) as caught:
        read_labels(written(tmp_path, text))
    assert str(caught.value).startswith("labels.csv")
    assert message in str(caught.value)


def test_labels_survive_parquet(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, VINDR))
    labels.to_parquet(tmp_path / "labels.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "labels.parquet"), labels, check_dtype=False)
