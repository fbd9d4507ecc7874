"""A run and its annotations: boxes in the model's frame, and one latent's curves against its table."""

import numpy as np
import pytest

import localize_kit
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import Cancelled, FindingsError, RunError
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.evaluation import LocalizationSettings
from napari_mammosae.core.localization.over_run import boxes_of_run, localize_latents, measure_latent
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
