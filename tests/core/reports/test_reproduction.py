"""The paper made again on a small stand-in of VinDr with weights in the released formats."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.io
import torch
from safetensors.torch import load_file, save_file
from skimage.measure import label, regionprops
from sklearn.metrics import roc_auc_score

import tiny
from napari_mammosae.core.base.errors import FindingsError, SettingsError
from napari_mammosae.core.reports.reproduction import make
from napari_mammosae.core.reports.reproduction.make import Material, Pass, Reproduction, plan_passes
from napari_mammosae.core.reports.reproduction.parts import CONCEPTS, PARTS, VARIANTS, Part, model_name, parts_named
from napari_mammosae.core.reports.reproduction.rankings import released_rankings
from napari_mammosae.core.reports.reproduction.vindr import find_vindr
from napari_mammosae.core.runs.opening import open_run

COUNT = 40
FINDINGS = {"Mass": "mass", "Suspicious Calcification": "suspicious_calcification"}


@pytest.fixture(scope="module")
def vindr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty made-up images, two a study: a bright disc where there is a mass, specks for calcification."""
    root, rows = tmp_path_factory.mktemp("vindr"), []
    for number in range(COUNT):
        study, name = f"study{number // 2:02d}", f"image{number:02d}"
        pixels = tiny.picture(number, (152, 91))
        found = []
        if number % 3 == 0:
            pixels[50:80, 20:50] += 90
            found.append(("Mass", 20, 50, 50, 80))
        if number % 4 == 0:
            pixels[100:120:3, 30:50:3] = 250
            found.append(("Suspicious Calcification", 28, 98, 52, 122))
        folder = root / "images_png" / study
        folder.mkdir(parents=True, exist_ok=True)
        skimage.io.imsave(folder / f"{name}.png", pixels, check_contrast=False)
        split = "training" if number < COUNT // 2 else "test"
        facts = [study, "series", name, "L", "CC", 152, 91, "BI-RADS 4", "DENSITY C"]
        for finding, *box in found or [("No Finding", "", "", "", "")]:
            rows.append([*facts, [finding], "BI-RADS 4", *box, split])
    columns = (
        "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
        "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
    )
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(root / "finding_annotations.csv", index=False)
    return root


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """Four small models in the released format under one SAE; the pretrained ones differ by their heads alone."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for seed, (concept, variant) in enumerate((c, v) for c in CONCEPTS for v in VARIANTS):
        toml = tiny.write_model(folder / f"{concept}-{variant}", seed if variant == "finetuned" else 0)
        tiny.keep_class(toml, concept)
        weights = toml.with_name("classifier.safetensors")
        tensors = load_file(weights)
        if seed:
            tensors["classifier.classification_head.weight"] *= -1
        torch.save({"model": tensors, "epoch": 1}, toml.with_name("classifier.pth"))
        weights.unlink()
        toml.write_text(toml.read_text().replace("classifier.safetensors", "classifier.pth"))
        if seed == 0:
            sae = load_file(toml.with_name("sae.safetensors"))
            sae["encoder_bias"] = torch.zeros(tiny.LATENTS)  # so that half of the latents fire
        save_file(sae, toml.with_name("sae.safetensors"))
        found[concept, variant] = str(toml)
    return found


@pytest.fixture(scope="module")
def made(vindr: Path, names: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory):
    """Everything, and once more after part of it was lost: the folder, what was said, and the files of both times."""
    out, said = tmp_path_factory.mktemp("reproduced") / "out", []

    def make_all(parts: list[Part]) -> dict[str, bytes]:
        material = Material(*find_vindr(vindr), names=names)
        Reproduction(material, parts, out, workers=0, how={"device": "cpu"}, say=said.append).make()
        return contents(out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "PICTURES", 1)  # each takes seconds to draw
        first = make_all(parts_named(None))
    run = out / "runs" / "mass-finetuned-test"
    for part in (run / "images").iterdir():  # as if this pass had been stopped before it wrote anything
        part.unlink()
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"complete": False}))
    (out / "figure2.csv").unlink()
    whole = {name: (out / name).read_bytes() for name in ("results.md", "results.json")}
    second = make_all([PARTS["table1"], PARTS["figure2"]])  # what rests on the pass, and what is missing
    for name, content in whole.items():
        (out / name).write_bytes(content)
    return out, said, first, second


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".csv", ".png", ".md")}


def folder_of(concept: str, variant: str) -> str:
    return variant if variant == "pretrained" else model_name(concept, variant)


def one(values: list[dict], **wanted) -> dict:
    (found,) = [value for value in values if all(value[name] == what for name, what in wanted.items())]
    return found


def rows_of(run, concept):
    """Finding rows of the test images: place of the image, and label."""
    place = {number: at for at, number in enumerate(run.images["image"])}
    table = run.rows
    return np.array([place[image] for image in table["image"]]), table[f"label.{concept}"].to_numpy()


@pytest.mark.slow
def test_every_part_is_made(made):
    out, said, first, _ = made
    assert {name.split("-")[0].split(".")[0] for name in first} == {*PARTS, "results"}
    assert said[0].startswith("6 passes over 120 images in all: about ")
    page = (out / "results.md").read_text()
    assert all(
        f"## {part.name.replace('table', 'Table ').replace('figure', 'Figure ')}:" in page for part in PARTS.values()
    )
    assert "augmented training images" in page
    assert "- mass, training: 22 of 22 finding rows used" in page
    assert "pass 6 of 6: mass-finetuned, test" in (out / "reproduce.log").read_text()


@pytest.mark.slow
def test_stopped_and_resumed_gives_the_same_bytes(made):
    _, _, first, second = made
    assert {name for name in first if first[name] != second[name]} == {"results.md"}  # of two parts


@pytest.mark.slow
@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_table_1(made, concept, variant):
    out = made[0]
    run = open_run(out / "runs" / f"{folder_of(concept, variant)}-test")
    at, labels = rows_of(run, concept)
    values = json.loads((out / "results.json").read_text())["values"]["auroc"]
    for prediction, column in (("without SAE", "logit"), ("with SAE", "logit_sae")):
        found = one(values, concept=concept, variant=variant, prediction=prediction)
        scores = run.images[f"{column}.{concept}"].to_numpy()[at]
        assert found["here"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert abs(found["here"] - 0.5) > 0.01
    paper = {"suspicious_calcification": (0.951, 0.978), "mass": (0.786, 0.856)}[concept]
    without = one(values, concept=concept, variant=variant, prediction="without SAE")
    assert without["paper"] == paper[VARIANTS.index(variant)]


@pytest.mark.slow
def test_figure_2(made, names):
    """Keep and zero, computed from pooled latents and the weights of the files."""
    out, concept, variant = made[0], "mass", "finetuned"
    training, test = (
        open_run(out / "runs" / f"{model_name(concept, variant)}-{split}") for split in ("training", "test")
    )
    z = {run.path.name: np.asarray(run.pooled("mean").todense()) for run in (training, test)}
    at, labels = rows_of(training, concept)
    rows = z[training.path.name][at]
    difference = rows[labels == 1].mean(0) - rows[labels == 0].mean(0)
    orders = [np.argsort(-difference * sign, kind="stable") for sign in (-1, 1)]
    folder = Path(names[concept, variant]).parent
    decoder = load_file(folder / "sae.safetensors")["decoder_weight"].double().numpy()
    head = torch.load(folder / "classifier.pth")["model"]["classifier.classification_head.weight"]
    effect = head.double().numpy()[0] @ decoder
    at, labels = rows_of(test, concept)
    latents = z[test.path.name].astype(np.float64)[at]
    values = json.loads((out / "results.json").read_text())["values"]["sweep"]
    seen = set()
    for k in (1, 5, 10):
        chosen = np.union1d(orders[0][:k], orders[1][:k])
        for mode in ("keep", "zero"):
            mask = np.isin(np.arange(tiny.LATENTS), chosen) == (mode == "keep")
            expected = roc_auc_score(labels, (latents[:, mask] * effect[mask]).sum(1))
            found = one(values, concept=concept, variant=variant, mode=mode, k=k)
            assert found["here"] == pytest.approx(expected, abs=1e-6), (k, mode)
            seen.add(expected)
    assert len(seen) > 3


@pytest.mark.slow
def test_class_means(made):
    out = made[0]
    run = open_run(out / "runs" / "pretrained-training")
    at, labels = rows_of(run, "mass")
    z = np.asarray(run.pooled("mean").todense())[at]
    table = pd.read_csv(out / "figure5.csv")
    for name, chosen in (("mean_class_a", labels == 1), ("mean_rest_a", labels == 0)):
        found = table[name].to_numpy(np.float64)
        np.testing.assert_allclose(found, z[chosen].mean(0)[table["latent"]], rtol=1e-5, atol=1e-9)


@pytest.mark.slow
def test_table_2(made, vindr):
    """Boxes and average precision of one ranked latent after another, from the run's maps by other means."""
    out, concept = made[0], "mass"
    run = open_run(out / "runs" / "mass-finetuned-test")
    table = pd.read_csv(vindr / "finding_annotations.csv")
    table = table[table["finding_categories"].str.contains("Mass") & (table["split"] == "test")].set_index("image_id")
    values = json.loads((out / "results.json").read_text())["values"]["localization"]
    found = one(values, concept=concept, variant="finetuned", threshold="95th percentile")
    assert len(found["latents"]) == 10
    for latent, here in zip(found["latents"], found["here"], strict=True):
        detections = []
        for image_id, box in table.iterrows():
            maps = run.latents(image_id)
            if maps.row(latent) is not None:
                detections += [(*one, image_id) for one in detected(maps, latent, box)]
        assert here == pytest.approx(average_precision(detections, len(table)), abs=1e-3), latent


@pytest.mark.slow
def test_any_number_of_latents(made, vindr, names, tmp_path):
    """The first ten are those of before; further ones stand in tables of their own; each k asked for is there."""
    out = tmp_path / "out"
    shutil.copytree(made[0] / "runs", out / "runs")
    material = Material(*find_vindr(vindr), names=names)
    parts = [PARTS["table2"], PARTS["figure2"]]
    Reproduction(material, parts, out, workers=0, how={"device": "cpu"}, top=23, ks=[0, 3, 7]).make()
    few, many = (json.loads((folder / "results.json").read_text())["values"] for folder in (made[0], out))
    for before, after in zip(few["localization"], many["localization"], strict=True):
        assert len(after["latents"]) == 23
        assert after["latents"][:10] == before["latents"]
        assert after["here"][:10] == before["here"]
    table = pd.read_csv(out / "table2.csv")
    last = one(many["localization"], concept="mass", variant="finetuned", threshold="0.3 of the maximum")
    own = table.query("finding == 'mass' and variant == 'finetuned' and threshold == 'relative:0.3'")
    assert own.set_index("latent")["ap"].get(last["latents"][22], 0.0) == last["here"][22]
    assert (out / "table2-quantile.md").read_text().count("| Concept | Model |") == 3
    assert "| Concept | Model | Threshold |  | 21 | 22 | 23 |" in (out / "results.md").read_text()
    assert set(pd.read_csv(out / "figure2.csv")["k"]) == {0, 3, 7}
    Reproduction(material, [PARTS["figure2"]], out, workers=0, how={"device": "cpu"}, ks="all").make()
    assert sorted(set(pd.read_csv(out / "figure2.csv")["k"])) == list(range(tiny.LATENTS + 1))


def detected(maps, latent: int, box) -> list[tuple[float, float]]:
    """Confidence, and IoU with a box, of each region above the 95th percentile."""
    heat = cv2.resize(np.asarray(maps[latent], np.float32), tiny.SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    labels = label(heat > np.quantile(heat, 0.95), connectivity=2)
    row0, col0, row1, col1 = maps.frame.crop
    rows, cols = (row1 - row0) / tiny.SIZE[0], (col1 - col0) / tiny.SIZE[1]
    found = []
    for region in regionprops(labels):
        top, left, bottom, right = region.bbox
        if (bottom - top) * (right - left) < 10:
            continue
        y0, x0, y1, x1 = top * rows + row0, left * cols + col0, bottom * rows + row0, right * cols + col0
        inside = max(0, min(y1, box.ymax) - max(y0, box.ymin)) * max(0, min(x1, box.xmax) - max(x0, box.xmin))
        union = (y1 - y0) * (x1 - x0) + (box.ymax - box.ymin) * (box.xmax - box.xmin) - inside
        found.append((float(heat[labels == region.label].max()), inside / union))
    return found


def average_precision(detections: list[tuple[float, float, str]], truth: int) -> float:
    """Area below the precision envelope, each image's box met once, detections by falling confidence."""
    met: set[str] = set()
    hits = []
    for _, overlap, image in sorted(detections, key=lambda one: -one[0]):
        hits.append(overlap >= 0.25 and image not in met)
        if hits[-1]:
            met.add(image)
    if not any(hits):
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / truth)


def test_passes_that_are_needed():
    mass = ("mass", "finetuned")
    assert plan_passes(parts_named("figure8"), ranked=True) == [Pass(mass, "test", False)]
    assert plan_passes(parts_named("figure8"), ranked=False) == [
        Pass(mass, "training", False),
        Pass(mass, "test", False),
    ]
    assert {one.split for one in plan_passes(parts_named("table1"), ranked=False)} == {"test"}
    assert {one.split for one in plan_passes(parts_named("figure4,figure5"), ranked=True)} == {"training"}
    assert all(one.maps for one in plan_passes(parts_named("table2"), ranked=True))
    assert len(plan_passes(parts_named(None), ranked=False)) == 8


def test_parts_by_name():
    assert [part.name for part in parts_named("Table 2, figure3")] == ["table2", "figure3"]
    with pytest.raises(SettingsError, match="the paper has no part 'table9' here; choose among table1"):
        parts_named("table9")


def ranking(path: Path, order: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"rank": at, "index": latent, "importance": -float(at)} for at, latent in enumerate(order)]
    path.write_text(json.dumps(entries))


@pytest.mark.parametrize("form", ["{concept}/{variant}/class={n}.json", "{concept}_{variant}_class_{n}.json"])
def test_released_rankings_of_several_labels_in_one_folder(tmp_path, form):
    for c, concept in enumerate(("Mass", "Suspicious_Calcification")):
        for v, variant in enumerate(("finetuned", "pretrained")):
            for n in (0, 1):
                ranking(
                    tmp_path / form.format(concept=concept, variant=variant, n=n),
                    np.roll(range(8), c * 4 + v * 2 + n).tolist(),
                )
    found = released_rankings(tmp_path, "suspicious_calcification", "pretrained")
    assert found[1].order.tolist() == np.roll(range(8), 7).tolist()
    assert released_rankings(tmp_path, "mass", "finetuned")[0].order.tolist() == list(range(8))
    ranking(tmp_path / "copy" / "Mass" / "finetuned" / "class=1.json", list(range(8)))
    with pytest.raises(SettingsError, match="both rank class 1 of mass, finetuned"):
        released_rankings(tmp_path, "mass", "finetuned")
    with pytest.raises(SettingsError, match="has no ranking of class 0 of mass, finetuned"):
        released_rankings(tmp_path / "copy", "mass", "finetuned")


def test_where_vindr_has_no_table(tmp_path):
    with pytest.raises(
        FindingsError, match=r"holds neither finding_annotations\.csv nor vindr_detection_v1_folds\.csv"
    ):
        find_vindr(tmp_path)


def test_the_paper_s_protocol_is_the_one_that_is_made():
    assert (make.PAPER.rank_split, make.PAPER.eval_split) == (make.TRAINING, make.TEST)
