"""`--prompt` of rank, intervene, localize and inspect against the same text as a classifier's head; and `name`."""

import json

import numpy as np
import pandas as pd
import pytest

import localize_kit
import text_kit
from napari_mammosae.cli import main
from napari_mammosae.core.localization.over_run import localize as localize_run
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.naming.text.heads import text_head
from napari_mammosae.core.ranking.of_run import rank as rank_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.core.verdicts.suggestions import Suggestion

PAIR = "mass | no mass"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A run with maps, boxes, and the files of a text tower."""
    folder = localize_kit.write_localized_run(tmp_path_factory.mktemp("prompts"), tiny_model)
    text_kit.write_checkpoint(folder / "b5.tar", tiny_model.parent / "classifier.safetensors")
    text_kit.write_vocabulary(folder)
    return folder


@pytest.fixture(scope="module")
def files(folder):
    return "--text", str(folder / "b5.tar"), "--vocab", str(folder / "vocab.txt")


@pytest.fixture
def ask(folder, files, tiny_model):
    def ask(command, *options):
        return main([command, str(folder / "run"), *map(str, options), "--model", str(tiny_model), *files])

    return ask


@pytest.fixture(scope="module")
def prompted(folder, tiny_model):
    """The model with the pair as a head, what it adds, and that head's logit on every image by the long way."""
    model = load_model(tiny_model, device="cpu", text=folder / "b5.tar", vocabulary=folder / "vocab.txt")
    head = text_head(model, "mass", "no mass")
    weights = model.linear_tail()[0][model.classes.index(head.classes[0])]
    features = open_run(folder / "run").features("mean").astype(np.float64)
    return model, weights, features @ head.weight[0] + head.bias[0]


def test_rank_orders_by_what_latents_add_to_the_prompt(folder, ask, prompted, tmp_path, capsys):
    assert ask("rank", "--prompt", PAIR, "--csv", tmp_path / "out.csv") == 0
    table = pd.read_csv(tmp_path / "out.csv")
    means = open_run(folder / "run").pooled("mean").toarray().mean(axis=0)
    np.testing.assert_allclose(
        table.sort_values("latent")["score"], (prompted[1] * means)[: len(table)], rtol=1e-5, atol=1e-9
    )
    assert table["score"].is_monotonic_decreasing
    assert "“mass” – “no mass”" in capsys.readouterr().out
    assert "name" not in table


def test_ranked_latents_carry_the_names_of_the_verdict_file(folder, tmp_path):
    run = open_run(folder / "run")
    subject, file = Subject(run.info["model_sha256"], run.info["sae_sha256"]), folder / "run" / "verdicts.sqlite"
    with VerdictStore(file, "anna") as store:
        store.suggest(subject, [Suggestion(1, "clip", "text", 0.4, 0.2, 0.01), Suggestion(2, "fold", "text")])
        store.decide(subject, 2, "spurious", concept="view marker", rejected="fold")
    try:
        arguments = ["rank", str(folder / "run"), "--label", "mass", "--csv", str(tmp_path / "out.csv")]
        assert main(arguments) == 0
        before = file.read_bytes()
    finally:
        for path in file.parent.glob("verdicts.sqlite*"):
            path.unlink()
    assert before[:6] == b"SQLite"
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False).set_index("latent")
    columns = ["concept", "name", "name_method", "name_score", "name_q_value"]
    assert table.loc[1, columns].tolist() == ["", "clip", "text", "0.4", "0.01"]
    assert table.loc[2, columns].tolist() == ["view marker", "", "", "", ""]


def test_intervene_starts_from_the_prompts_own_auroc(ask, prompted, folder, tmp_path):
    assert ask("intervene", "--label", "mass", "--prompt", PAIR, "--form", "delta", "--k", "0,2", "--mode", "zero",
               "--csv", tmp_path / "out.csv") == 0  # fmt: skip
    table = pd.read_csv(tmp_path / "out.csv")
    labels = open_run(folder / "run").label("mass")
    start = table[table["k"] == 0].iloc[0]
    assert start["auroc"] == pytest.approx(auroc(labels, prompted[2]), abs=1e-6)
    record = json.loads((tmp_path / "out.csv.json").read_text())
    assert record["settings"]["logits"] == ["prompt_mass_against_no_mass"]


def test_localize_measures_the_logit_map_of_the_prompt(folder, ask, prompted, tmp_path, capsys, tiny_model):
    assert ask("localize", "--boxes", folder / "boxes.csv", "--prompt", PAIR, "--finding", "mass",
               "--csv", tmp_path / "out.csv") == 0  # fmt: skip
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out.prompt.csv")
    assert table["finding"].tolist() == ["mass"]
    assert f"mass: AP {table['ap'][0]:.3f}" in printed
    _, weights, _ = prompted
    run, energies = open_run(folder / "run"), []
    boxes = _boxes_on_cells(folder, run)
    for number, inside in boxes.items():
        maps = run.latents(number)
        pushes = np.maximum(np.tensordot(weights[maps.latents], maps.values.astype(np.float64), axes=1), 0)
        energies.append((pushes * inside).sum() / pushes.sum())
    assert table["energy"][0] == pytest.approx(np.mean(energies), rel=0.02)
    assert 0 <= table["pointing"][0] <= 1
    ranked = rank_run(run, model=prompted[0], logit="prompt_mass_against_no_mass", score="attribution")
    short = (tmp_path / "out.csv.md").read_text()
    assert f"latents {', '.join(map(str, ranked['latent'][:10]))}." in short
    record = json.loads((tmp_path / "out.csv.json").read_text())
    assert record["settings"]["prompt"] == PAIR


def _boxes_on_cells(folder, run):
    """Share of each cell that lies in a mass box, by image, from the boxes' own file."""
    table = pd.read_csv(folder / "boxes.csv")
    rows, cols = run.grid
    height, width = run.info["preprocessing"]["size"]
    found = {}
    for number, row in enumerate(run.images.to_dict("records")):
        own = table[(table["image"] == row["image_id"]) & (table["finding"] == "mass")]
        if own.empty:
            continue
        top, left = row["crop_row0"], row["crop_col0"]
        down, across = (row["crop_row1"] - top) / height, (row["crop_col1"] - left) / width
        inside = np.zeros((rows * FINE, cols * FINE), bool)
        for x0, y0, x1, y1 in own[["xmin", "ymin", "xmax", "ymax"]].to_numpy(float):
            high = _between((y0 - top) / down, (y1 - top) / down, height, rows)
            wide = _between((x0 - left) / across, (x1 - left) / across, width, cols)
            inside |= high[:, None] & wide[None]
        found[number] = inside.reshape(rows, FINE, cols, FINE).mean((1, 3))
    return found


FINE = 100  # points a cell and direction


def _between(low, high, size, cells):
    points = (np.arange(cells * FINE) + 0.5) * size / (cells * FINE)
    return (points > low) & (points < high)


@pytest.mark.slow
def test_inspect_adds_the_prompt_to_prediction_and_latents(folder, files, tiny_model, tmp_path, prompted, capsys):
    image = next(iter(sorted((folder / "images").glob("*.png"))))
    out = tmp_path / "out"
    assert main(["inspect", str(image), "--model", str(tiny_model), "--out", str(out), "--prompt", PAIR, *files]) == 0
    assert "“mass” – “no mass”" in capsys.readouterr().out
    latents = pd.read_csv(out / "latents.csv")
    column = next(name for name in latents if "prompt_mass_against_no_mass" in name)
    weights = prompted[1]
    np.testing.assert_allclose(latents[column], weights[latents["latent"]], rtol=1e-5, atol=1e-7)
    said = json.loads((out / "prediction.json").read_text())
    assert prompted[2][0] == pytest.approx(_found(said, "logit"), rel=1e-4, abs=1e-5)


def _found(said, key):
    for name, value in said.items():
        if isinstance(value, dict):
            if "prompt_mass_against_no_mass" in value and "logit" in name:
                return value["prompt_mass_against_no_mass"]
            if (inner := _found(value, key)) is not None:
                return inner
    return None


@pytest.mark.parametrize("command", ["rank", "intervene", "localize"])
def test_prompts_that_are_refused(folder, ask, command, capsys):
    more = {"rank": (), "intervene": ("--label", "mass"), "localize": ("--boxes", folder / "boxes.csv")}[command]
    for prompt, words in (("a | b | c", "3 parts"), ("...", "no words"), ("xylophone", "has not learned")):
        assert ask(command, "--prompt", prompt, *more) != 0
        assert words in capsys.readouterr().err


def test_text_goes_with_a_prompt(folder, files, capsys):
    assert main(["rank", str(folder / "run"), "--label", "mass", *files]) == 2
    assert "it goes with --prompt" in capsys.readouterr().err


@pytest.fixture
def terms(tmp_path):
    path = tmp_path / "terms.csv"
    path.write_text("id,group,term,synonyms\nmass,finding,mass,masses\nfold,skin,skin fold,\nclip,technique,clip,\n")
    return path


def test_name_writes_suggestions_that_wait_for_a_person(folder, ask, terms, tmp_path, capsys):
    run, file = open_run(folder / "run"), tmp_path / "names.sqlite"
    subject = Subject(run.info["model_sha256"], run.info["sae_sha256"])
    with VerdictStore(file, "anna") as store:
        store.decide(subject, 3, "lesion", concept="ring")
        events = store.events()
    options = ("--terms", terms, "--csv", tmp_path / "names.csv", "--verdicts", file)
    assert ask("name", *options) == 0
    table = pd.read_csv(tmp_path / "names.csv", keep_default_na=False)
    assert f"{len(table):,} new names in {file}" in capsys.readouterr().out
    assert ask("name", *options) == 0
    assert "0 new names" in capsys.readouterr().out
    with VerdictStore(file, "anna") as store:
        assert store.events() == events
        found = store.suggestions(subject)
    assert sorted(found) == table["latent"].tolist()
    for row in table.to_dict("records"):
        (name,) = found[row["latent"]]
        assert (name.name, name.method, name.measure) == (row["name"], "text", "cosine")
        assert name.score == pytest.approx(row["cosine"], rel=1e-5)
        assert name.q_value == pytest.approx(row["q_value"], rel=1e-5)
    assert not list((folder / "run").glob("verdicts*"))


def test_name_without_suggestions(folder, ask, terms, capsys):
    assert ask("name", "--terms", terms, "--no-suggest") == 0
    assert not list((folder / "run").glob("verdicts*"))
    assert ask("name", "--terms", terms, "--no-suggest", "--verdicts", folder / "other.sqlite") == 2
    assert "does not go with --no-suggest" in capsys.readouterr().err


def test_tables_of_latents_are_as_without_a_prompt(folder, ask, tmp_path):
    assert ask("localize", "--boxes", folder / "boxes.csv", "--prompt", PAIR, "--finding", "mass", "--resamples", 0,
               "--csv", tmp_path / "out.csv") == 0  # fmt: skip
    plain = localize_run(
        open_run(folder / "run"), _findings(folder), finding="mass", resamples=0
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["latent"].tolist() == plain["latent"].tolist()
    np.testing.assert_allclose(table["ap"], plain["ap"])


def _findings(folder):
    from napari_mammosae.core.annotations.boxes import read_findings

    return read_findings(folder / "boxes.csv")
