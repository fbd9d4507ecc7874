"""A run and its annotations: boxes in the model's frame, and one latent's curves against its table."""

import numpy as np
import pytest

import localize_kit
import tiny
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import Cancelled, FindingsError, RunError
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.evaluation import LocalizationSettings
from napari_mammosae.core.localization.over_run import boxes_of_run, localize_latents, measure_latent
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.run import open_run

SETTINGS = LocalizationSettings(iou=0.1, resamples=50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return localize_kit.write_localized_run(tmp_path_factory.mktemp("over-run"), tiny_model)


@pytest.fixture(scope="module")
def run(folder):
    return open_run(folder / "run")


@pytest.fixture(scope="module")
def boxes(folder, run):
    return boxes_of_run(run, read_findings(folder / "boxes.csv"))


def test_boxes_lie_in_the_model_s_frame(folder, run, boxes):
    findings = read_findings(folder / "boxes.csv")
    for number in range(localize_kit.WITH):
        given = findings.boxes(f"image-{number:03d}", "mass")[["row_min", "col_min", "row_max", "col_max"]]
        expected = np.clip(run.frame(number).boxes_to_input(given.to_numpy(float)), 0, [190, 114, 190, 114])
        mine = boxes.table[(boxes.table["image"] == number) & (boxes.table["finding"] == "mass")]
        np.testing.assert_allclose(mine.iloc[:, 2:], expected)
    assert boxes.findings == ("mass", "suspicious_calcification")
    assert boxes.named.all()
    assert boxes.notes == ()


def test_one_latent_is_its_row_of_the_table_and_its_curves_agree(run, boxes):
    table = localize_latents(run, boxes, SETTINGS, findings=["mass"]).set_index("latent")
    for latent in table["ap"].nlargest(4).index:
        found = measure_latent(run, boxes, int(latent), "mass", SETTINGS)
        for name in ("ap", "precision", "recall", "pointing", "energy", "lift", "ap_lo", "ap_hi"):
            assert found.row[name] == pytest.approx(table.loc[latent, name], nan_ok=True), name
        assert found.curve.average_precision == pytest.approx(found.row["ap"])
        assert found.curve.recall[-1] == pytest.approx(found.row["recall"])
        assert found.froc.sensitivity[-1] == pytest.approx(found.row["recall"])
        free = sum(
            len(find_regions(run.latents(number)[int(latent)], (190, 114)))
            for number in range(localize_kit.WITH, localize_kit.COUNT)
        )
        assert found.froc.false_positives[-1] == pytest.approx(free / (localize_kit.COUNT - localize_kit.WITH))


def test_a_silent_latent_has_words_for_what_it_lacks(run, boxes):
    silent = int(np.flatnonzero(np.asarray(run.pooled("max").max(axis=0).toarray()).ravel() == 0)[0])
    found = measure_latent(run, boxes, silent, "mass", SETTINGS)
    assert found.row["ap"] == 0
    assert any("silent" in note for note in found.notes)
    assert found.curve.average_precision == 0


def test_images_that_nobody_annotated_do_not_count(folder, run, tmp_path):
    lines = (folder / "boxes.csv").read_text().split("\n")
    path = tmp_path / "some.csv"
    path.write_text("\n".join(line for line in lines if not line.endswith(",,,,,")))
    boxes = boxes_of_run(run, read_findings(path))
    assert boxes.named.sum() == localize_kit.WITH
    found = measure_latent(run, boxes, 0, "mass", SETTINGS)
    assert found.froc is None
    assert any("no FROC curve" in note for note in found.notes)


def test_it_can_be_stopped(run, boxes):
    def stop(text, done, total):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        localize_latents(run, boxes, SETTINGS, progress=stop)


def test_what_cannot_be_measured_is_refused(folder, run, boxes):
    with pytest.raises(FindingsError, match="no box of 'nodule'"):
        measure_latent(run, boxes, 0, "nodule", SETTINGS)
    pooled = open_run(folder / "pooled")
    with pytest.raises(RunError, match="pooled values only"):
        localize_latents(pooled, boxes, SETTINGS)


def test_a_finding_that_most_of_the_run_s_parts_lack(run, boxes):
    assert run.info["block"] < len(run)
    found = localize_latents(run, boxes, SETTINGS, findings=["suspicious_calcification"])
    assert set(found["images"]) == {1}
    assert np.isfinite(found["lift_image"]).any()


def test_boxes_of_two_patients_are_not_mixed_up(tmp_path, tiny_model):
    for number, name in enumerate(("P1/1-1", "P1/1-2", "P2/1-1", "P2/1-2")):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        tiny.write_image(tmp_path / "images" / f"{name}.png", number)
    write_run(tmp_path / "images", load_model(tiny_model, device="cpu"), tmp_path / "run", workers=0, maps=True)
    run, table = open_run(tmp_path / "run"), tmp_path / "boxes.csv"
    head = "image,finding,xmin,ymin,xmax,ymax\n"
    boxes = "P1/1-1.dcm,mass,90,50,130,90\nP2/1-1.dcm,mass,80,60,120,99\nP1/1-2.dcm,cyst,90,50,130,90\n"
    table.write_text(head + boxes)
    found = boxes_of_run(run, read_findings(table))
    assert found.table[["image", "finding"]].to_numpy().tolist() == [[0, "mass"], [2, "mass"], [1, "cyst"]]
    assert found.named.tolist() == [True, True, True, False]
    assert found.notes == ()
    table.write_text(head + "1-1,mass,90,50,130,90\nP1/1-2,cyst,90,50,130,90\n")
    found = boxes_of_run(run, read_findings(table))
    assert found.named.tolist() == [False, True, False, False]
    assert any("ambiguous, left out: 2 (first: P1/1-1.png may not be the 1-1 meant)" in note for note in found.notes)
    assert [run.row_of(name) for name in ("P2/1-1.png", "/data/P1/1-1.dcm", "P1/1-2")] == [2, 0, 1]
    with pytest.raises(RunError, match=r"has no image '1-1'.*ambiguous, left out: 1 "):
        run.row_of("1-1")
