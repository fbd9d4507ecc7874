"""Rows that name several findings: two findings, or an error with the line, never one joined name."""

import json

import pytest

from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.annotations.labels import read_labels
from napari_mammosae.core.base.errors import FindingsError

BOTH = ["mass", "suspicious_calcification"]


def table(tmp_path, column, text):
    path = tmp_path / "boxes.csv"
    quoted = '"' + text.replace('"', '""') + '"'
    path.write_text(f"image,{column},xmin,ymin,xmax,ymax\nother,Mass,1,2,3,4\na,{quoted},1,2,3,4\n")
    return path


@pytest.mark.parametrize("column", ["finding_categories", "finding"])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['Mass', 'Suspicious Calcification']", BOTH),
        ("['Mass' 'Suspicious Calcification']", BOTH),
        ("['Mass'\n 'Suspicious Calcification']", BOTH),
        ("['Mass''Suspicious Calcification']", BOTH),
        ("['Mass'; 'Suspicious Calcification']", BOTH),
        ("['Mass'|'Suspicious Calcification']", BOTH),
        ("['Mass;Suspicious Calcification']", BOTH),
        ('["Mass" "Suspicious Calcification"]', BOTH),
        ("('Mass' 'Suspicious Calcification')", BOTH),
        ("('Mass',)", ["mass"]),
        ("Mass;Suspicious Calcification", BOTH),
        ("Mass | Suspicious Calcification", BOTH),
        ("Mass, Suspicious Calcification", BOTH),
        ("Suspicious Calcification;Mass;", BOTH),
        ("Suspicious Calcification", ["suspicious_calcification"]),
        ("['Mass' 'Mass']", ["mass"]),
    ],
)
def test_every_finding_of_a_row_counts(tmp_path, column, text, found):
    path = table(tmp_path, column, text)
    findings = read_findings(path)
    assert sorted(findings.boxes("a")["finding"]) == found
    labels = read_labels(path)
    assert [name for name in BOTH if f"label.{name}" in labels and labels.at["a", f"label.{name}"] == 1] == found
    assert {name for name in labels if str(name).startswith("label.")} == {f"label.{name}" for name in {*found, "mass"}}


@pytest.mark.parametrize("column", ["finding_categories", "finding"])
@pytest.mark.parametrize(
    "text", ["[", "['Mass'", "[Mass Calcification]", "['Mass' Calcification]", "['Mass' '?']", "['a' + 'b']"]
)
def test_what_begins_as_a_list_and_is_none_is_refused_with_its_line(tmp_path, column, text):
    path = table(tmp_path, column, text)
    for read in (read_findings, read_labels):
        with pytest.raises(FindingsError, match=rf"boxes.csv, line 3: {column} is .*expected a list such as"):
            read(path)


@pytest.mark.parametrize("mark", [";", "|", ", "])
def test_a_category_of_coco_is_one_finding(tmp_path, mark):
    path = tmp_path / "boxes.json"
    content = {"images": [], "categories": [{"id": 1, "name": f"Mass{mark}Calcification"}], "annotations": []}
    path.write_text(json.dumps(content))
    with pytest.raises(FindingsError, match="names several findings"):
        read_findings(path)
