"""The run that comes with the package: complete, balanced, its images there or drawn, nothing written beside it."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.caches import cache_folder, cache_named, is_embedded
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.files.model_files import SAMPLE_DATA
from napari_mammosae.core.phantoms.phantom import has_marker, labels_of, make_phantom
from napari_mammosae.core.reports.concepts import report_folder
from napari_mammosae.core.runs.making.demo import demo_hashes
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.ready import PHANTOMS, files_of_run, ready_facts, ready_run
from napari_mammosae.core.verdicts.places import default_path

LABELS = ("mass", "suspicious_calcification")


@pytest.fixture(scope="module")
def run():
    return open_run(ready_run())


@pytest.fixture
def markers():
    structures = pd.read_csv(SAMPLE_DATA / PHANTOMS / "structures.csv")
    return set(structures.loc[structures["finding"] == "marker", "image"])


def seed_of(image_id):
    return int(image_id.rpartition("-")[2])


def test_it_is_the_embedded_models_with_every_map(run):
    facts = ready_facts()
    run.check_model(facts)
    assert (facts.model_sha256, facts.sae_sha256) == demo_hashes()
    assert len(run) == 40
    assert run.has_maps
    assert run.labels == LABELS
    weight, constant = facts.linear_tail()  # what latents add up to is the logit that the run kept
    np.testing.assert_allclose(run.pooled("mean") @ weight.T + constant, run.logits_sae, atol=2e-3)


def test_labels_and_markers_are_those_of_the_phantoms_and_balanced(run, markers):
    ids = list(run.images["image_id"])
    truth = pd.DataFrame({name: run.label(name).astype(int) for name in LABELS}, ids)
    truth["marker"] = [int(one in markers) for one in ids]
    for image_id, row in truth.iterrows():
        seed = seed_of(image_id)
        assert (*row,) == (*map(int, labels_of(seed).values()), int(has_marker(seed)))
    counts = truth.value_counts()
    assert len(counts) == 8  # with and without each of the three, in all combinations
    assert truth["mass"].mean() == truth["suspicious_calcification"].mean() == truth["marker"].mean() == 0.5
    with_mass = (truth["mass"] == truth["marker"]).sum()
    assert 0 < with_mass < len(run) - with_mass  # against the mass on most: what the shortcut costs is to be seen


def test_boxes_are_those_of_its_images(run):
    findings = read_findings(SAMPLE_DATA / PHANTOMS / "findings.csv")
    for image_id, mass in zip(run.images["image_id"], run.label("mass"), strict=True):
        assert len(findings.boxes(image_id, "mass")) == mass


def test_the_first_images_are_there_and_others_are_drawn_into_the_cache(run):
    files = files_of_run(run)
    there = [row for row in range(len(run)) if files.path(row).is_file() and is_embedded(files.path(row))]
    assert there[: len(there)] == list(range(len(there)))
    assert len(there) >= 6
    row = len(there)
    path = files.path(row)
    path.unlink(missing_ok=True)
    assert path.is_relative_to(cache_folder())
    assert files.fetch(row) == path
    drawn = make_phantom(seed_of(run.images["image_id"][row])).pixels
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), drawn)
    assert run.frame(row).source_shape == read_mammogram(path).shape
    assert any(path.is_relative_to(entry) for entry in cache_named("demo").entries())


def test_a_phantom_that_cannot_be_drawn_is_said_to_be(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RunError, match="cannot be written"):
        files_of_run(run).fetch(len(run) - 1)


def test_every_image_has_a_small_picture_of_itself(run):
    files = files_of_run(run)
    for row in range(len(run)):
        small = cv2.imread(str(files.thumbnail(row)), cv2.IMREAD_GRAYSCALE)
        assert small.shape[0] == 220
        if (path := files.path(row)).is_file():
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            same = cv2.resize(image, small.shape[::-1], interpolation=cv2.INTER_AREA)
            assert np.corrcoef(small.ravel(), same.ravel())[0, 1] > 0.99


def test_nothing_is_written_beside_it(tmp_path):
    assert default_path(ready_run()) == default_path()
    assert not is_embedded(report_folder(ready_run()))
    assert report_folder(tmp_path) == tmp_path / "concepts"
    assert default_path(tmp_path).parent == tmp_path
    assert {path.name for path in Path(ready_run()).iterdir()} <= {
        "run.json", "images.parquet", "images", "pooled", "regions", "features", "maps",
    }  # fmt: skip
