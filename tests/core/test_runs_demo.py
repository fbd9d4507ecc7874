"""The demo run: made on first use, kept, resumed."""

import pytest
from platformdirs import user_cache_path

from napari_mammosae.core.findings import read_findings
from napari_mammosae.core.runs import demo_run, open_run
from napari_mammosae.core.runs.demo import COUNT, FIRST_SEED

FEW = 4


def test_the_demo_run_is_made_once_and_resumed(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = []

    def stop_at(text, number):
        def report(*state):
            told.append(state)
            if state[0] == text and state[1] == number:
                raise KeyboardInterrupt

        return report

    with pytest.raises(KeyboardInterrupt):
        demo_run(stop_at("drawing synthetic phantoms", 2), count=FEW, model=tiny_model)
    with pytest.raises(KeyboardInterrupt):
        demo_run(stop_at("computing latents of synthetic phantoms", 3), count=FEW, model=tiny_model)
    drawn = [state[1:] for state in told if state[0] == "drawing synthetic phantoms"]
    assert drawn[:2] == [(1, FEW), (2, FEW)]
    assert all(done > 2 for done, _ in drawn[2:])  # those that were drawn are not drawn again

    path = demo_run(count=FEW, model=tiny_model)
    assert path.is_relative_to(user_cache_path("napari-mammosae", appauthor=False))
    run = open_run(path)
    assert run.has_maps
    assert list(run.images["image_id"]) == [f"phantom-{FIRST_SEED + i}" for i in range(FEW)]
    assert run.labels == ("mass", "suspicious_calcification")
    assert run.info["patient_from"] == {"labels": FEW}
    findings = read_findings(path.parent / "phantoms" / "findings.csv")
    marked = set(findings.table["image_id"])
    known = run.images.set_index("image_id")[["label.mass", "label.suspicious_calcification"]].max(axis=1)
    assert marked == set(known.index[known == 1])
    assert (path.parent / "phantoms" / "structures.csv").exists()

    assert all(len(run.latent_maps(number).latents) == 0 for number in run.numbers)  # nothing fires in this model
    assert sum(len(part.cell) for part in run.map_parts()) == 0

    told.clear()
    assert demo_run(stop_at("", 0), count=FEW, model=tiny_model) == path
    assert told == []


def test_the_phantoms_are_those_of_their_seeds(tiny_model, tmp_path, monkeypatch):
    import cv2
    import numpy as np

    from napari_mammosae.core.phantoms import make_phantom

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = demo_run(count=1, model=tiny_model).parent / "phantoms"
    pixels = cv2.imread(str(folder / f"phantom-{FIRST_SEED}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, make_phantom(FIRST_SEED).pixels)
    assert COUNT >= 200
