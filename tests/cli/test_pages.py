"""`pages` from the command line: what a page says equals what the run holds, and needs no other file."""

import base64
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import localize_kit
import napari_mammosae as ms
from napari_mammosae.cli import main
from napari_mammosae.core.verdicts.suggestions import Suggestion


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return localize_kit.write_localized_run(tmp_path_factory.mktemp("pages"), tiny_model)


@pytest.fixture(scope="module")
def site(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    with ms.Verdicts(ms.open_run(folder / "run"), annotator="<reader>") as verdicts:
        verdicts.set(_best(folder), "spurious", concept="view & marker")
    options = ["--label", "mass", "--top", "3", "--boxes", str(folder / "boxes.csv"), "--quiet"]
    assert main(["pages", str(folder / "run"), "--out", str(out), *options]) == 0
    return out


def _best(folder):
    run = ms.open_run(folder / "run")
    mean, labels = run.pooled("mean").toarray(), run.label("mass")
    return int((mean[labels == 1].mean(0) - mean[labels == 0].mean(0)).argmax())


def _latents(site):
    return json.loads((site / "index.json").read_text())["settings"]["latents"]


class _Tags(HTMLParser):
    """Addresses that a page asks for, and whether all that is opened is closed again."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.asked += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_pages_lead_to_each_other_and_nowhere_else(site):
    names = {path.name for path in site.iterdir()}
    latents = _latents(site)
    assert names == {"index.html", "index.json", *(f"latent-{latent}.html" for latent in latents)}
    for name in names - {"index.json"}:
        tags = _Tags((site / name).read_text(encoding="utf-8"))
        assert tags.open == []
        assert {to for to in tags.asked if not to.startswith("data:image/jpeg;base64,")} <= names


def test_the_pictures_are_those_of_the_images_that_excite_the_latent(site, folder):
    latent = _latents(site)[0]
    run = ms.open_run(folder / "run")
    values = run.pooled("mean").toarray()[:, latent]
    text = (site / f"latent-{latent}.html").read_text(encoding="utf-8")
    shown = re.findall("<img alt='([^']+)' src='data:image/jpeg;base64,([^']+)'", text)
    best = run.images["image_id"].iloc[int(values.argmax())]
    assert shown[0][0] == best
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(shown[0][1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[0] == 220


def test_figures_equal_those_of_the_run(site, folder):
    latent = _latents(site)[0]
    run = ms.open_run(folder / "run")
    values, labels = run.pooled("mean").toarray()[:, latent], run.label("mass")
    text = (site / f"latent-{latent}.html").read_text(encoding="utf-8")
    assert f"Fires on {(values > 0).sum()} of {len(run)} images" in text
    assert f"<td>{roc_auc_score(labels, values):.3f}</td>" in text
    assert f"<td>{values[labels == 1].mean():.4g}</td>" in text


def test_what_people_wrote_is_shown_as_text(site, folder):
    text = (site / f"latent-{_best(folder)}.html").read_text(encoding="utf-8")
    assert "spurious: view &amp; marker, &lt;reader&gt;" in text


def test_the_model_adds_logits_and_neighbours(folder, tmp_path, tiny_model):
    latent, options = _best(folder), ["--model", str(tiny_model), "--out", str(tmp_path)]
    assert main(["pages", str(folder / "run"), "--latents", str(latent), *options]) == 0
    text = (tmp_path / f"latent-{latent}.html").read_text(encoding="utf-8")
    model = ms.load_model(tiny_model)
    assert f"<td>{float(model.facts.attribution[0, latent]):+.4g}</td>" in text
    decoder = model.autoencoder.decoder_weight.double().cpu().numpy()
    cosines = decoder.T @ decoder[:, latent] / np.linalg.norm(decoder, axis=0) / np.linalg.norm(decoder[:, latent])
    cosines[latent] = -1
    assert f"<td>{cosines.argmax()}</td><td>{cosines.max():.3f}</td>" in text


def test_nothing_is_written_about_latents_that_do_not_exist(folder, tmp_path, capsys):
    assert main(["pages", str(folder / "run"), "--out", str(tmp_path), "--latents", "1,99999"]) != 0
    assert "latent 99999 does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_suggested_name_that_beats_chance_is_printed(folder, tmp_path):
    latent = _best(folder)
    with ms.Verdicts(ms.open_run(folder / "run"), annotator="<reader>") as verdicts:
        verdicts.suggest([Suggestion(latent - 1, "skin & fold", "text", 0.5, 0.2, 0.01)])
    assert main(["pages", str(folder / "run"), "--out", str(tmp_path), "--latents", str(latent - 1)]) == 0
    assert "Called skin &amp; fold?" in (tmp_path / f"latent-{latent - 1}.html").read_text(encoding="utf-8")
