"""The demo run: made on first use, kept, resumed."""

import errno

import pytest
import torch
from platformdirs import user_cache_path

from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.phantoms import dataset
from napari_mammosae.core.phantoms.phantom import labels_of, make_phantom, names_of
from napari_mammosae.core.runs.making.demo import COUNT, FIRST_SEED, Drawer, demo_folder, demo_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.sources import Entry

FEW = 4


def hashes(spec):
    model = load_model(spec)
    return model.model_sha256, model.sae_sha256


@pytest.mark.slow
def test_the_demo_run_is_made_once_and_resumed(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # a GPU would take all images at once
    threads = torch.get_num_threads()
    told = []

    def stop_at(number):
        def report(*state):
            told.append(state)
            if state[1] == number:
                raise KeyboardInterrupt

        return report

    folder = demo_folder(*hashes(tiny_model), FEW) / "phantoms"
    with pytest.raises(KeyboardInterrupt):
        demo_run(stop_at(2), count=FEW, model=tiny_model)
    assert [state[1:] for state in told] == [(0, FEW), (1, FEW), (2, FEW)]
    drawn = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert len(drawn) >= 2

    path = demo_run(count=FEW, model=tiny_model)
    assert path.is_relative_to(user_cache_path("napari-mammosae", appauthor=False))
    run = open_run(path)
    assert run.has_maps
    assert list(run.images["image_id"]) == [f"phantom-{FIRST_SEED + i}" for i in range(FEW)]
    assert run.labels == ("mass", "suspicious_calcification")
    assert run.info["patient_from"] == {"labels": FEW}
    assert drawn.items() <= {png: png.stat().st_mtime_ns for png in folder.glob("*.png")}.items()  # not drawn again
    findings = read_findings(path.parent / "phantoms" / "findings.csv")
    marked = set(findings.table["image_id"])
    known = run.images.set_index("image_id")[["label.mass", "label.suspicious_calcification"]].max(axis=1)
    assert marked == set(known.index[known == 1])
    assert (path.parent / "phantoms" / "structures.csv").exists()

    assert all(len(run.latents(number).latents) == 0 for number in run.numbers)  # nothing fires in this model
    assert sum(len(part.cell) for part in run.map_parts()) == 0

    told.clear()
    assert demo_run(stop_at(0), count=FEW, model=tiny_model) == path
    assert told == []
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_a_run_that_was_begun_in_another_format_is_not_in_the_way(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with monkeypatch.context() as earlier:
        for module in ("settings", "making.demo"):
            earlier.setattr(f"napari_mammosae.core.runs.{module}.FORMAT", 2)
        with pytest.raises(KeyboardInterrupt):
            demo_run(_stop, count=1, model=tiny_model)
    assert len(open_run(demo_run(count=1, model=tiny_model))) == 1


def _stop(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_the_phantoms_are_those_of_their_seeds(tiny_model, tmp_path, monkeypatch):
    import cv2
    import numpy as np

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = demo_run(count=1, model=tiny_model).parent / "phantoms"
    pixels = cv2.imread(str(folder / f"phantom-{FIRST_SEED}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, make_phantom(FIRST_SEED).pixels)
    assert COUNT >= 200


def test_a_full_disk_ends_the_demo_run_and_is_no_failed_image(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def full(folder, phantom):
        raise OSError(errno.ENOSPC, "No space left on device")

    entry = Entry(0, "a", tmp_path / "phantoms" / f"phantom-{FIRST_SEED}.png", "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_image", full)
        with pytest.raises(RunError, match="The disk is full"):
            Drawer(load_model(tiny_model).preprocessing, (4, 3))(entry)
    assert not list(tmp_path.rglob("*.json"))


def test_labels_are_known_before_anything_is_drawn():
    for seed in (FIRST_SEED, FIRST_SEED + 1):
        phantom = make_phantom(seed)
        assert labels_of(seed) == phantom.labels
        assert names_of(seed) == (phantom.image_id, phantom.patient)
