"""A run and its annotations: boxes in the model's frame, and one latent's curves against its table."""

from dataclasses import replace

import numpy as np
import pytest

import localize_kit
import tiny
from napari_mammosae.core.anatomy.regions import region_masks
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import Cancelled, FindingsError, RunError, SettingsError
from napari_mammosae.core.images.cells import cell_shares
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.evaluation import LocalizationSettings
from napari_mammosae.core.localization.finding_order import rank_for_finding
from napari_mammosae.core.localization.matching import average_precision, match
from napari_mammosae.core.localization.over_run import localize_latents, measure_latent
from napari_mammosae.core.localization.run_boxes import boxes_of_run
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

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


def labelled(folder, labels):
    """Return the run with other labels of mass."""
    run = open_run(folder / "run")
    run.images["label.mass"] = np.array(labels, float)
    return run


NAN = float("nan")
ALL, FIRST = range(14), range(9)
LABELS = [1] * 9 + [0] * 5
LEFT = "used, {0} left out: {0}"
CASES = {  # label of each image, images that the table names without a box; images that count, what is said
    "table": ([NAN] * 14, range(9, 14), ALL, "14 of 14 images used"),
    "label": (LABELS, (), ALL, "14 of 14 images used"),
    "either": ([NAN] * 11 + [0] * 3, (9,), (*FIRST, 9, 11, 12, 13),
               f"13 of 14 images {LEFT.format(1)} not annotated for mass"),
    "neither": ([NAN] * 14, (), FIRST, f"9 of 14 images {LEFT.format(5)} not annotated for mass"),
    "no box": (
        [1] * 11 + [0] * 3, (), (*FIRST, 11, 12, 13),
        f"12 of 14 images {LEFT.format(2)} labelled mass but without a box of it",
    ),
    "contrary": ([0] * 14, (), ALL, "14 of 14 images used"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_which_images_are_annotated(folder, tmp_path, case):
    """AP and false positives of all annotated images, from the images that the case says count."""
    labels, named, counted, said = CASES[case]
    lines = [line for line in (folder / "boxes.csv").read_text().split("\n") if line and not line.endswith(",,,,,")]
    path = tmp_path / "some.csv"
    path.write_text("\n".join([*lines, *(f"image-{number:03d},No Finding,,,," for number in named)]) + "\n")
    run = labelled(folder, labels)
    boxes = boxes_of_run(run, read_findings(path))
    settings = LocalizationSettings(iou=0.1, resamples=0, include="all")
    table = localize_latents(run, boxes, settings, findings=["mass"]).set_index("latent")
    assert str(table.attrs["used"]["mass"]) == said
    latent = int(table["ap"].idxmax())
    found = {number: find_regions(run.latents(number)[latent], (190, 114)) for number in counted}
    truth = boxes.table[boxes.table["finding"] == "mass"]
    place = [number for number, regions in found.items() for _ in range(len(regions))]
    score = np.concatenate([regions.maximum for regions in found.values()])
    edges = np.concatenate([regions.boxes for regions in found.values()])
    hit = match(np.zeros(len(place)), place, score, edges, truth["image"], truth.iloc[:, 2:], 0.1).hit
    assert table.loc[latent, "ap"] == pytest.approx(average_precision(score, hit, len(truth)), abs=1e-12)
    one = measure_latent(run, boxes, latent, "mass", settings)
    assert str(one.used) == said
    negative = [number for number in counted if number not in FIRST]
    if not negative:
        assert one.froc is None
        assert any("no FROC curve" in note for note in one.notes)
        return
    free = sum(len(found[number]) for number in negative) / len(negative)
    assert table.loc[latent, "false_positives_per_image"] == pytest.approx(free)
    assert one.froc.false_positives[-1] == pytest.approx(free)
    odd = [note for note in one.notes if "says that they are without" in note]
    assert bool(odd) == (case == "contrary")
    assert all(note.startswith("9 images have a box of mass") for note in odd)


def test_images_with_the_finding_are_counted_too(folder):
    run = labelled(folder, [1] * 10 + [0] * 4)
    boxes = boxes_of_run(run, read_findings(folder / "boxes.csv"))
    used = localize_latents(run, boxes, SETTINGS, findings=["mass"]).attrs["used"]["mass"]
    assert str(used) == ("9 of 14 images used, 5 left out: 1 labelled mass but without a box of it, 4 without mass")
    assert (used.used, used.of, sum(used.left_out.values())) == (9, 14, 5)


def test_only_images_of_a_split(folder):
    run = labelled(folder, LABELS)
    run.images["split"] = ["training"] * 6 + ["test"] * 8
    boxes = boxes_of_run(run, read_findings(folder / "boxes.csv"))
    settings = LocalizationSettings(iou=0.1, resamples=0, include="all", split="test")
    table = localize_latents(run, boxes, settings, findings=["mass"])
    assert str(table.attrs["used"]["mass"]) == "8 of 14 images used, 6 left out: 6 not of split test"
    inside = boxes.table[(boxes.table["finding"] == "mass") & (boxes.table["image"] >= 6)]
    assert set(table["boxes"]) == {len(inside)}
    assert set(table["images"]) == {3}
    with pytest.raises(SettingsError, match=r"no split 'validation'; it has test, training"):
        localize_latents(run, boxes, replace(settings, split="validation"))
    with pytest.raises(FindingsError, match="no box of 'suspicious_calcification'"):
        localize_latents(run, boxes, settings, findings=["suspicious_calcification"])


def test_a_label_of_texts_needs_its_positive_value(folder):
    run = labelled(folder, [0] * 9 + [1] * 5)
    run.info["categories"] = {"mass": ["oval", "round"]}
    boxes = boxes_of_run(run, read_findings(folder / "boxes.csv"))
    with pytest.raises(SettingsError, match=r"'mass' has the values oval, round.*--positive VALUE"):
        localize_latents(run, boxes, replace(SETTINGS, include="all"), findings=["mass"])
    with pytest.raises(SettingsError, match="--positive VALUE"):
        rank_for_finding(run, boxes, "mass")
    run.info["categories"] = {"mass": ["normal", "abnormal"]}
    run.images["label.mass"] = np.array(LABELS, float)
    table = localize_latents(run, boxes, replace(SETTINGS, include="all", resamples=0), findings=["mass"])
    assert table.attrs["used"]["mass"].used == 14


@pytest.mark.parametrize(("split", "unit", "rows"), [
    (None, "image", range(14)), ("training", "image", range(4, 12)), ("training", "row", [*range(4, 12), 4, 4, 11]),
])  # fmt: skip
def test_the_order_follows_split_and_unit(folder, split, unit, rows):
    run = labelled(folder, LABELS)
    run.images["split"] = ["training" if 4 <= number < 12 else "test" for number in range(14)]
    extra = [4, 4, 11, 0]
    run.rows = run.images.iloc[[*range(14), *extra]][["image", "split", "label.mass"]].reset_index(drop=True)
    boxes = boxes_of_run(run, read_findings(folder / "boxes.csv"))
    ranking, used = rank_for_finding(run, boxes, "mass", split=split, unit=unit)
    rows = np.array([*rows])
    pooled, mass = run.pooled("mean").toarray()[rows], np.array(LABELS)[rows] == 1
    np.testing.assert_allclose(ranking.scores, pooled[mass].mean(0) - pooled[~mass].mean(0), atol=1e-12)
    assert used.used == rows.size
    with_boxes = labelled(folder, LABELS)
    del with_boxes.images["label.mass"]
    same, _ = rank_for_finding(with_boxes, boxes, "mass")  # the boxes stand for the label
    np.testing.assert_array_equal(same.order, rank_for_finding(run, boxes, "mass")[0].order)


@pytest.mark.parametrize("where", ["across", "outside"])
def test_the_lift_of_a_box_on_the_skin_line(folder, run, tmp_path, where):
    """The run knows the breast's outline well enough to cut boxes with it; the expected lift is that of the pixels."""
    image = read_mammogram(folder / "images" / "image-000.png")
    prepared = image.prepared(Preprocessing(tuple(run.info["preprocessing"]["size"])))
    masks = region_masks(prepared.pixels, laterality=image.laterality, view=image.view)
    breast, (height, width) = masks["breast"], prepared.pixels.shape
    bottom = height // 6
    rim, top = int(np.flatnonzero(breast[bottom])[-1]), bottom - 20  # the breast is broader below
    left, right = (rim - 30, rim + 20) if where == "across" else (rim + 6, width)
    box = prepared.frame.boxes_to_source(np.array([[top, left, bottom, right]], float))[0]
    table = tmp_path / "one.csv"
    table.write_text(f"image,finding,xmin,ymin,xmax,ymax\nimage-000,skin,{box[1]},{box[0]},{box[3]},{box[2]}\n")
    found = localize_latents(run, boxes_of_run(run, read_findings(table)), replace(SETTINGS, resamples=0))
    inside = np.zeros_like(breast)
    inside[top:bottom, left:right] = True
    share, both = cell_shares(breast, run.grid), cell_shares(breast & inside, run.grid)
    maps = run.latents(0)
    for row in found.itertuples():
        cells = maps[row.latent]
        expected = (cells * both).sum() / (cells * share).sum() / (both.sum() / share.sum()) if both.any() else np.nan
        assert row.lift == pytest.approx(expected, rel=0.02, nan_ok=True)
        assert np.isfinite(row.lift) or row.note
    assert np.isfinite(found["lift"]).any() == (where == "across")


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
