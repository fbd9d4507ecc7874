"""The table over a run: against the measures of one image at a time, with reasons where a figure is undefined."""

import numpy as np
import pandas as pd
import pytest

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.detections import sparse_maps
from napari_mammosae.core.localization.evaluation import LocalizationSettings, localize_run
from napari_mammosae.core.localization.focus import focus, places
from napari_mammosae.core.localization.matching import average_precision, iou, match
from napari_mammosae.core.localization.thresholds import Threshold
from napari_mammosae.core.reports.paper_table import paper_row, paper_table

SHAPE, GRID, N = (240, 180), (8, 6), 48
BOX = ["row_min", "col_min", "row_max", "col_max"]


@pytest.fixture(scope="module")
def run() -> dict:
    """Return a small run: 24 images of 12 patients, mass boxes on 14 of them, 9 latents; 0 follows the boxes."""
    rng = np.random.default_rng(0)
    images = np.arange(3, 27)
    boxes = []
    maps = np.zeros((9, 27, N), np.float16)
    for image in images[:14]:
        for _ in range(rng.integers(1, 3)):
            row, col = rng.integers(0, 6), rng.integers(0, 4)
            box = [30 * row, 30 * col, 30 * (row + 2), 30 * (col + 2)]
            boxes.append((image, "mass", *box))
            cells = maps[0, image].reshape(GRID)
            cells[row : row + 2, col : col + 2] = rng.uniform(1, 2)
    boxes.append((images[20], "calcification", 0, 0, 60, 60))
    for latent in range(1, 7):
        on = rng.random((27, N)) < 0.02 * latent
        maps[latent] = np.where(on, rng.exponential(size=(27, N)), 0)
    maps[7] = 1 + rng.random((27, N))  # on everywhere
    maps[8, images[14:]] = 1.0  # silent where there is a mass
    latent, image, cell = np.nonzero(maps[:, 3:])
    breast = np.ones((images.size, N))
    breast.reshape(-1, *GRID)[:, :, 5] = 0.25
    return {
        "maps": maps.astype(np.float32),
        "columns": (latent, image + 3, cell, maps[:, 3:][latent, image, cell]),
        "boxes": pd.DataFrame(boxes, columns=["image", "finding", *BOX]),
        "images": images,
        "patients": images // 2,
        "breast": breast,
    }


def table_of(run: dict, **changes: object) -> pd.DataFrame:
    options = {"images": run["images"], "grid": GRID, "input_shape": SHAPE, "patients": run["patients"],
               "regions": {"breast": run["breast"]}} | changes  # fmt: skip
    return localize_run(*run["columns"], run["boxes"], **options)


@pytest.mark.parametrize("include", ["finding", "all"])
def test_every_figure_against_one_image_at_a_time(run: dict, include: str) -> None:
    table = table_of(run, settings=LocalizationSettings(include=include, resamples=0)).set_index(["finding", "latent"])
    truth = run["boxes"][run["boxes"]["finding"] == "mass"]
    positive = sorted(set(truth["image"]))
    for latent in range(9):
        row = table.loc[("mass", latent)]
        images, scores, boxes = [], [], []
        measured = {"pointing": [], "energy": [], "lift": [], "outside": []}
        best = np.zeros(len(truth))
        for image in run["images"]:
            if include == "finding" and image not in positive:
                continue
            found = find_regions(run["maps"][latent, image].reshape(GRID), SHAPE)
            images += [image] * len(found)
            scores += found.maximum.tolist()
            boxes += found.boxes.tolist()
            mine = (truth["image"] == image).to_numpy()
            if len(found) and mine.any():
                best[mine] = iou(found.boxes, truth.loc[mine, BOX]).max(axis=0)
            cells = np.flatnonzero(run["maps"][latent, image])
            if image not in positive:
                continue
            if not cells.size:
                measured["pointing"].append(0.0)
                continue
            maps = sparse_maps(
                np.zeros(cells.size), np.full(cells.size, image), cells, run["maps"][latent, image, cells], GRID
            )
            where = places([image], truth["image"], truth[BOX], SHAPE, GRID, {"breast": run["breast"][:1]})
            got = focus(maps, where)
            for name in ("pointing", "energy", "lift"):
                measured[name].append(getattr(got, name)[0])
            measured["outside"].append(got.shares["outside"][0])
        hits = match(np.zeros(len(images)), images, scores, np.reshape(boxes, (-1, 4)), truth["image"], truth[BOX]).hit
        assert row["ap"] == pytest.approx(average_precision(scores, hits, len(truth)))
        assert row["recall"] == pytest.approx(hits.sum() / len(truth))
        assert row["precision"] == pytest.approx(hits.sum() / max(len(hits), 1))
        assert row["precision_x_recall"] == pytest.approx(row["precision"] * row["recall"])
        assert row["mean_best_iou"] == pytest.approx(best.mean())
        assert row["detections"] == len(images)
        assert row["boxes"] == len(truth)
        for name, values in measured.items():
            assert row[name] == pytest.approx(np.mean(values) if values else np.nan, nan_ok=True)
        negatives = [image not in positive for image in images]
        if include == "all":
            assert row["false_positives_per_image"] == pytest.approx(sum(negatives) / (24 - len(positive)))
    assert table.loc[("mass", 0), "ap"] == table.loc["mass", "ap"].max()
    assert table.loc[("mass", 7), "lift"] == pytest.approx(1.0, abs=0.05)


def test_no_figure_is_missing_without_a_reason(run: dict) -> None:
    settings = LocalizationSettings(Threshold("quantile", 0.7), resamples=50)
    table = table_of(run, latents=np.arange(11), settings=settings)
    assert len(table) == 22
    measures = [
        "ap",
        "precision",
        "recall",
        "mean_best_iou",
        "pointing",
        "energy",
        "lift",
        "lift_image",
        "lift_above_median",
    ]
    for _, row in table.iterrows():
        names = [*measures, *(f"{m}_{end}" for m in measures[:8] for end in ("lo", "hi"))]
        if row[names].isna().any():
            assert row["note"]
    silent = table[(table["finding"] == "mass") & table["latent"].isin([8, 9, 10])]
    assert (silent["ap"] == 0).all()
    assert (silent["pointing"] == 0).all()
    assert silent["note"].str.contains("silent").all()
    few = table[table["finding"] == "calcification"]
    assert few["note"].str.contains("too few patients").all()
    assert few["ap_lo"].isna().all()
    sparse = table[(table["finding"] == "mass") & (table["latent"] == 1)].iloc[0]
    assert sparse["zero_quantiles"] > 0
    assert "quantile is 0" in sparse["note"]


def test_a_finding_without_boxes_and_a_table_without_boxes(run: dict) -> None:
    table = table_of(run, findings=["asymmetry"])
    assert table["ap"].isna().all()
    assert table["note"].str.contains("no box of asymmetry").all()
    assert not len(localize_run([], [], [], [], run["boxes"].iloc[:0], images=[1], grid=GRID, input_shape=SHAPE))


@pytest.mark.slow
def test_intervals_are_those_of_resampled_patients(run: dict) -> None:
    settings = LocalizationSettings(resamples=40, seed=3)
    table = table_of(run, settings=settings).set_index(["finding", "latent"])
    positive = np.unique(run["boxes"].loc[run["boxes"]["finding"] == "mass", "image"])
    patients = run["patients"][np.isin(run["images"], positive)]
    names, patient = np.unique(patients, return_inverse=True)
    draws = np.random.default_rng(3).integers(0, names.size, (40, names.size))
    for latent in (0, 3, 7):
        samples = {"ap": [], "recall": [], "energy": [], "pointing": []}
        for draw in draws:
            drawn = np.concatenate([positive[patient == p] for p in draw])
            columns = [[], [], [], []]
            rows = []
            for new, image in enumerate(drawn):  # an image drawn twice is two images
                cells = np.flatnonzero(run["maps"][latent, image])
                for column, values in zip(
                    columns,
                    ([0] * cells.size, [new] * cells.size, cells, run["maps"][latent, image, cells]),
                    strict=True,
                ):
                    column.extend(values)
                rows.append(
                    run["boxes"][(run["boxes"]["image"] == image) & (run["boxes"]["finding"] == "mass")].assign(
                        image=new
                    )
                )
            again = localize_run(
                *columns, pd.concat(rows), images=np.arange(drawn.size), grid=GRID, input_shape=SHAPE, latents=[0],
                settings=LocalizationSettings(resamples=0),
            )  # fmt: skip
            for name, values in samples.items():
                values.append(again[name][0])
        for name, values in samples.items():
            expected = np.nanquantile(values, [0.025, 0.975])
            got = table.loc[("mass", latent), [f"{name}_lo", f"{name}_hi"]].to_numpy(float)
            np.testing.assert_allclose(got, expected, atol=1e-9)


def test_order_of_rows_and_images_does_not_matter(run: dict) -> None:
    settings = LocalizationSettings(resamples=20)
    shuffled = np.random.default_rng(0).permutation(run["columns"][0].size)
    other = localize_run(
        *(a[shuffled] for a in run["columns"]), run["boxes"].iloc[::-1], images=run["images"][::-1], grid=GRID,
        input_shape=SHAPE, patients=run["patients"][::-1], regions={"breast": run["breast"][::-1]}, settings=settings,
    )  # fmt: skip
    pd.testing.assert_frame_equal(table_of(run, settings=settings), other)


def test_progress_is_told_and_may_cancel(run: dict) -> None:
    told: list[tuple[int, int]] = []
    table_of(
        run, settings=LocalizationSettings(resamples=0), progress=lambda _, done, total: told.append((done, total))
    )
    assert told[-1][0] == told[-1][1] > 0

    def stop(text: str, done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        table_of(run, progress=stop)


def test_settings_without_meaning() -> None:
    for bad in ({"iou": 0.0}, {"iou": 1.5}, {"confidence": "median"}, {"include": "some"}):
        with pytest.raises(SettingsError):
            LocalizationSettings(**bad)


def test_paper_table(run: dict) -> None:
    table = table_of(run, settings=LocalizationSettings(resamples=0))
    text = paper_table([
        paper_row(table, "mass", "Finetuned", [7, 0, 500], top=3),
        paper_row(table, "mass", "Pretrained", top=2),
    ])  # fmt: skip
    ap = table[table["finding"] == "mass"].set_index("latent")["ap"]
    lines = text.splitlines()
    assert lines[0] == "| Concept | Model | 1 | 2 | 3 |"
    assert lines[2] == f"| Mass | Finetuned | {ap[7]:.3f} | {ap[0]:.3f} | 0.000 |"
    assert lines[3].startswith(f"| Mass | Pretrained | {ap[0]:.3f} |")
    assert "Mass, Finetuned: latents 7, 0, 500." in lines
