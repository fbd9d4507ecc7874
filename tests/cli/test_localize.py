"""`localize` from the command line, on a run of a tiny model: what it prints, writes, notes and refuses."""

import json

import numpy as np
import pandas as pd
import pytest

import localize_kit
from napari_mammosae.cli import main
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.matching import average_precision, match
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

WITH = localize_kit.WITH
BOX = ["row_min", "col_min", "row_max", "col_max"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A run with maps over 14 pictures, mass boxes on 9 of them, one of these with two."""
    return localize_kit.write_localized_run(tmp_path_factory.mktemp("localize"), tiny_model)


def localize(folder, *options, boxes="boxes.csv", run="run"):
    return main(["localize", str(folder / run), "--boxes", str(folder / boxes), *map(str, options)])


def test_csv_has_every_live_latent_and_finding(folder, tmp_path, capsys):
    assert localize(folder, "--csv", tmp_path / "out.csv") == 0
    table = pd.read_csv(tmp_path / "out.csv")
    first = ["finding", "latent", "ap", "precision", "recall", "mean_best_iou", "pointing", "energy", "lift"]
    assert list(table.columns[:9]) == first
    wanted = {"precision", "recall", "mean_best_iou", "pointing", "energy", "lift", "ap_lo", "ap_hi", "note"}
    assert wanted <= set(table.columns)
    run = open_run(folder / "run")
    named = np.arange(WITH)
    live = np.flatnonzero(run.pooled("max")[named].max(axis=0).toarray())
    for finding in ("mass", "suspicious_calcification"):
        assert set(live) >= set(table.loc[table["finding"] == finding, "latent"])
    record = json.loads((tmp_path / "out.csv.json").read_text())
    assert record["settings"]["threshold"] == "quantile:0.95"
    assert record["made_with"]["model_sha256"] == run.info["model_sha256"]
    assert str(folder) not in (tmp_path / "out.csv.json").read_text()
    few = table[table["finding"] == "suspicious_calcification"].iloc[0]
    assert np.isnan(few["ap_lo"])
    assert "too few patients" in few["note"]
    mass = table[table["finding"] == "mass"]
    assert (mass["ap_lo"] <= mass["ap"] + 1e-12).all()
    assert (mass["ap"] <= mass["ap_hi"] + 1e-12).all()
    printed = capsys.readouterr().out
    assert (tmp_path / "out.csv.md").read_text().startswith(printed.split("\n")[0])
    header, _rule, *rows = printed.split("\n")
    assert header == "| Concept | Model | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |"
    assert rows[0].startswith("| Mass | tiny |")
    assert rows[1].startswith("| Suspicious Calcification | tiny |")


def test_average_precision_is_that_of_one_image_at_a_time(folder, tmp_path):
    """Boxes are brought into the model's frame here by the definition of the crop, not by the code under test."""
    assert localize(folder, "--csv", tmp_path / "out.csv", "--finding", "mass", "--resamples", 0, "-q") == 0
    table = pd.read_csv(tmp_path / "out.csv").set_index("latent")
    run, findings = open_run(folder / "run"), read_findings(folder / "boxes.csv")
    height, width = run.info["preprocessing"]["size"]
    for latent in table["ap"].nlargest(3).index:
        scores, boxes, of_image, truth, truth_image = [], [], [], [], []
        for number in range(WITH):
            row = run.images.iloc[number]
            top, left, bottom, right = (row[f"crop_{name}"] for name in ("row0", "col0", "row1", "col1"))
            steps = (height / (bottom - top), width / (right - left))
            given = findings.boxes(f"image-{number:03d}", "mass")[BOX].to_numpy(float)
            moved = (given - [top, left, top, left]) * [*steps, *steps]
            truth += np.clip(moved, 0, [height, width, height, width]).tolist()
            truth_image += [number] * len(given)
            regions = find_regions(run.latents(number)[latent], (height, width))
            scores += regions.maximum.tolist()
            boxes += regions.boxes.tolist()
            of_image += [number] * len(regions)
        hit = match(np.zeros(len(scores)), of_image, scores, boxes, truth_image, truth, 0.25).hit
        assert table.loc[latent, "ap"] == pytest.approx(average_precision(scores, hit, len(truth)), abs=1e-12)
        assert table.loc[latent, "boxes"] == len(truth) == WITH + 1


def test_choices_change_the_figures_and_all_images_give_false_positives(folder, tmp_path):
    assert localize(folder, "--csv", tmp_path / "a.csv", "--images", "all", "--finding", "mass", "-q") == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["false_positives_per_image"].notna().all()
    options = ("--threshold", "relative:0.3", "--iou", 0.1, "--finding", "Mass", "--resamples", 0, "--order", "ap")
    assert localize(folder, "--csv", tmp_path / "b.csv", *options, "-q") == 0
    other = pd.read_csv(tmp_path / "b.csv")
    assert other["recall"].sum() > table["recall"].sum()
    assert "the highest first, at IoU 0.1, threshold relative:0.3" in (tmp_path / "b.csv.md").read_text()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--threshold", "median:0.5"), "expected quantile, relative or absolute"),
        (("--threshold", "quantile"), "expected quantile:Q"),
        (("--iou", "0"), "IoU 0.0: expected a number above 0"),
    ],
)
def test_what_has_no_meaning_is_wrong_usage(folder, capsys, tmp_path, options, reason):
    assert localize(folder, *options, "--csv", tmp_path / "out.csv") == 2
    error = capsys.readouterr().err
    assert f"Invalid value for '{options[0]}'" in error
    assert reason in error
    assert list(tmp_path.iterdir()) == []


def test_a_finding_without_boxes_is_refused_in_one_line(folder, capsys, tmp_path):
    assert localize(folder, "--finding", "nodule", "--csv", tmp_path / "out.csv") == 1
    error = capsys.readouterr().err
    assert "no box of 'nodule' on the run's images; the annotations have boxes of mass" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_maps_and_boxes_of_other_images_are_refused(folder, capsys):
    assert localize(folder, run="pooled") == 1
    assert "keeps pooled values only" in capsys.readouterr().err
    (folder / "others.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nelse,mass,1,2,3,4\n")
    assert localize(folder, boxes="others.csv") == 1
    assert "names none of the 14 images" in capsys.readouterr().err
    (folder / "none.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-000,,,,,\n")
    assert localize(folder, boxes="none.csv") == 1
    assert "nothing to localise" in capsys.readouterr().err


def test_what_was_changed_about_the_boxes_is_noted(folder, capsys, tmp_path):
    text = (folder / "boxes.csv").read_text() + "image-001,mass,250,100,900,300\nelsewhere,mass,1,2,3,4\n"
    (folder / "wild.csv").write_text(text)
    assert localize(folder, "--csv", tmp_path / "out.csv", boxes="wild.csv") == 0
    notes = capsys.readouterr().err
    assert "beyond those at hand: 1" in notes
    assert "clipped" in notes
    assert localize(folder, "--csv", tmp_path / "out.csv", "--quiet", boxes="wild.csv") == 0
    assert capsys.readouterr() == ("", "")
    assert any("clipped" in note for note in json.loads((tmp_path / "out.csv.json").read_text())["notes"])


@pytest.mark.parametrize("more", [("--images", "all"), ("--images", "all", "--order", "ap"), ()])
def test_a_label_of_texts_needs_its_positive_one(folder, tiny_model, tmp_path_factory, capsys, more):
    """The same figures as with labels of 0 and 1, once it is said which text is positive; a question before."""
    root = tmp_path_factory.getbasetemp() / "texts"
    if not root.exists():
        root.mkdir()
        labels = pd.read_csv(folder / "labels.csv")
        labels["mass"] = labels["mass"].map({1: "clear of nothing", 0: "quiet"})  # the alphabet would be wrong
        labels.to_csv(root / "labels.csv", index=False)
        write_run(folder / "images", str(tiny_model), root / "run", labels=root / "labels.csv", maps=True, block=5)
        lines = (folder / "boxes.csv").read_text().split("\n")
        (root / "boxes.csv").write_text("\n".join(line for line in lines if not line.endswith(",,,,,")))
    words = ["--finding", "mass", "--resamples", "0", *more]
    assert localize(root, *words) == 1
    error = capsys.readouterr().err
    assert "'mass' has the values clear of nothing, quiet, and it is not known which one is positive" in error
    assert localize(root, *words, "--positive", "clear of nothing", "--csv", root / "out.csv") == 0
    said = capsys.readouterr().out
    assert localize(folder, *words, "--csv", root / "same.csv") == 0
    assert capsys.readouterr().out.replace("same.csv", "out.csv") == said
    pd.testing.assert_frame_equal(pd.read_csv(root / "out.csv"), pd.read_csv(root / "same.csv"))
    used = json.loads((root / "out.csv.json").read_text())["used"]["mass"]
    assert used["used"] == (14 if more else WITH)
