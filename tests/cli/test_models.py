from collections.abc import Iterator
from pathlib import Path

import pytest

import published_kit as kit
import timm_kit
from hub_server import Hub, reaching, serving
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.published.catalogue import published_models


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as hub, reaching(hub.url, tmp_path / "hub"):
        hub.put(kit.SAE, kit.sae())
        hub.put(kit.ARCHIVE, kit.archive(kit.members()))
        hub.put(kit.B2, kit.pretrained())
        yield hub


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    lines = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    return {name: rest for name, *rest in lines}


def test_list_download_verify(hub: Hub, capsys: pytest.CaptureFixture[str]):
    before = rows(capsys)
    assert list(before) == ["demo", *published_models()]
    assert before["mass-finetuned"][0] == "not downloaded: part of an archive of 849 MB"
    assert before["mass-finetuned"][-1] == "Table 1 (b), Finetuned: AUROC 0.856, with the SAE 0.855"
    assert before["mammo-clip-b2"][0] == "not downloaded: size unknown"
    assert all(row[1] == "mammo-clip, layer head, closed form" for row in before.values())
    assert main(["models", "download", "mass-finetuned", "mammo-clip-b2", "demo", "--yes"]) == 0
    said = capsys.readouterr().out
    for words in (
        "from shawn24/Mammo-CLIP, licence CC BY-NC-SA (see https://huggingface.co/shawn24/Mammo-CLIP)",
        "sparse_autoencoder_final.pt: 71.4 kB from KKNakka/MammoSAE, licence not stated",
        "no published checksum; the file's SHA-256 is",
        "mass-finetuned is ready\n",
        "mammo-clip-b2 is ready\n",
        "demo comes with the package; nothing to download\n",
    ):
        assert words in said
    after = rows(capsys)
    assert [name for name, row in after.items() if row[0] == "ready"] == ["mass-finetuned", "mammo-clip-b2"]
    assert main(["models", "verify", "mass-finetuned"]) == 0
    said = capsys.readouterr().out
    assert "head classifier, binary: mass\n" in said
    assert load_model("mass-finetuned", device="cpu").sae_sha256 in said


def test_nothing_is_fetched_before_it_is_accepted(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert main(["models", "download", "mammo-clip-b2", "--quiet"]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("b2-model-best-epoch-10.tar: 2.5 MB from shawn24/Mammo-CLIP, licence CC BY-NC-SA")
    assert "mammo-clip-b2 was not downloaded" in " ".join(shown.err.replace("│", " ").split())
    assert hub.gets == []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, status in ((False, 1), (True, 0)):
        monkeypatch.setattr("typer.confirm", lambda text, abort, answer=answer: answer or _abort())
        assert main(["models", "download", "mammo-clip-b2"]) == status
    assert rows(capsys)["mammo-clip-b2"][0] == "ready"


def _abort() -> None:
    import typer

    raise typer.Abort


def test_add(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    release = kit.unpack(kit.members(), tmp_path / "release")
    with reaching("http://127.0.0.1:9", tmp_path / "hub", offline=True):
        assert main(["models", "add", str(release)]) == 0
        shown = capsys.readouterr()
        assert shown.out.splitlines() == [f"added {name}" for name in published_models() if name in kit.NAMES]
        assert shown.err.startswith("Note: suspicious-calcification-finetuned, ")
        assert rows(capsys)["mass-finetuned"][0] == "ready, no SAE"
        (release / "sparse_autoencoder_final.pt").write_bytes(kit.sae())
        assert main(["models", "add", str(release / "sparse_autoencoder_final.pt"), "-q"]) == 0
        assert [row[0] for row in rows(capsys).values()].count("ready") == 8
        assert main(["models", "download", "mass-finetuned", "--yes"]) == 0  # nothing is missing, so no network
        assert capsys.readouterr().out == "mass-finetuned is ready\n"
    assert load_model("mass-finetuned", device="cpu").n_latents == kit.LATENTS


def test_what_goes_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with reaching("http://127.0.0.1:9", tmp_path / "hub"):
        for words, said in (
            (["models", "download", "mass-finetuned", "--yes"], "no connection to the Hugging Face hub"),
            (["models", "download", "mass-fintuned", "--yes"], "did you mean mass-finetuned?"),
            (["models", "add", str(tmp_path)], "has none of the published files"),
            (["models", "verify", "density-finetuned"], "density-finetuned is not downloaded"),
        ):
            assert main(words) == 1
            error = capsys.readouterr().err
            assert said in error
            assert (error.startswith("Error: "), error.count("\n"), len(error) < 310) == (True, 1, True)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("test_resnet", "", "layer head\ntail: closed form (mean of the cells, then linear)\n"),
        ("test_convnext", "", "layer head\ntail: re-run (not linear in the cells)\n"),
        ("test_vit", "", "layer head\ntail: re-run (the head reads class tokens alone: cells have no direct effect)\n"),
        ("test_resnet", 'layer = "blocks.2"', "layer blocks.2\ntail: re-run (the layers after it)\n"),
    ],
)
def test_what_a_network_of_one_s_own_is(
    name: str, more: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["models", "verify", str(timm_kit.write_model(tmp_path, name, more=more))]) == 0
    assert f"own-{name}: {name}, adapter timm, {words}" in capsys.readouterr().out
