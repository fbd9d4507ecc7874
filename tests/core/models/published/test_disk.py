"""Published files as people have them: the archive, its folder unpacked, single files, under other roots."""

import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED

import pytest

import published_kit as kit
from hub_server import reaching
from napari_mammosae.core.base.errors import DownloadError, ModelError, WriteError
from napari_mammosae.core.base.progress import ignore
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.published.disk import add_from_disk
from napari_mammosae.core.models.published.places import is_ready, model_toml

SAE_FILE, B5_FILE = "sparse_autoencoder_final.pt", "b5-model-best-epoch-7.tar"


@pytest.fixture(autouse=True)
def _no_hub(tmp_path: Path):
    with reaching("http://127.0.0.1:9", tmp_path / "hub", offline=True):
        yield


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    return kit.members()


def bias(name: str) -> list[float]:
    return load_model(name, device="cpu").heads[0].bias.tolist()


def laid_out(members: dict[str, bytes], layout: str, folder: Path) -> Path:
    """One release, as it lies on different disks."""
    short = {"/".join(name.split("/")[-3:]): data for name, data in members.items()}
    match layout:
        case "zip" | "the file":
            file = "Downstream_evalualtion_b5_fold0 (1).zip"
            kit.unpack({file: kit.archive(members)}, folder)
            return folder / file if layout == "the file" else folder
        case "slashes":
            windows = {name.replace("/", "\\"): data for name, data in members.items()}
            return kit.unpack({"release.zip": kit.archive(windows)}, folder)
        case "unpacked":
            return kit.unpack(members, folder)
        case "capitals":
            short = {name.replace("fine", "Fine").replace(".pth", ".PTH"): data for name, data in short.items()}
        case "rubbish":
            short |= {name.replace("upmc", "._upmc"): b"mac" for name in short}
            short |= {"notes.txt": b"", "fine_tune/mass/a.csv": b""}
    kit.unpack(short, folder)
    return folder / "fine_tune" / "mass" if layout == "one label" else folder


@pytest.mark.parametrize(
    "layout", ["zip", "the file", "slashes", "unpacked", "short", "capitals", "rubbish", "one label"]
)
def test_layouts(members: dict[str, bytes], tmp_path: Path, layout: str):
    added = add_from_disk(laid_out(members, layout, tmp_path / "disk"), ignore)
    assert set(added.names) == ({"mass-finetuned"} if layout == "one label" else set(kit.NAMES))
    assert bias("mass-finetuned") == [20.0]
    if layout != "one label":
        assert bias("density-finetuned") == [30.0, 31.0, 32.0, 33.0]  # of the same base name
    (note,) = added.notes
    assert note.endswith("no SAE, so no latents. Add sparse_autoencoder_final.pt, or download the model")


def test_single_files_in_any_order(members: dict[str, bytes], tmp_path: Path):
    folder = kit.unpack({SAE_FILE: kit.sae(), B5_FILE: kit.pretrained()}, tmp_path / "files")
    path = kit.NAMES["mass-pretrained"][0]
    late = kit.unpack({path: members[f"{kit.TOP}/{path}"]}, tmp_path / "late")
    assert add_from_disk(folder / B5_FILE, ignore).names == ["mammo-clip-b5"]
    assert load_model("mammo-clip-b5", device="cpu").sae is None
    assert add_from_disk(folder / SAE_FILE, ignore).names == [SAE_FILE, "mammo-clip-b5"]
    assert load_model("mammo-clip-b5", device="cpu").n_latents == kit.LATENTS
    added = add_from_disk(late, ignore)
    assert (added.names, added.notes) == (["mass-pretrained"], [])
    assert load_model("mass-pretrained", device="cpu").n_latents == kit.LATENTS
    assert str(late) in model_toml("mass-pretrained").read_text()  # it stays where it is
    shutil.rmtree(late)
    assert not is_ready("mass-pretrained")
    with pytest.raises(ModelError, match=r"names files\.classifier = .*\.pth', which does not exist"):
        load_model("mass-pretrained")


def test_a_file_whose_folders_do_not_say_what_it_is(members: dict[str, bytes], tmp_path: Path):
    name = Path(kit.NAMES["mass-finetuned"][0]).name
    loose = kit.unpack({name: members[f"{kit.TOP}/{kit.NAMES['mass-finetuned'][0]}"]}, tmp_path / "loose")
    with pytest.raises(ModelError, match=r"its folders do not say which model it is; .*--as mass-finetuned"):
        add_from_disk(loose, ignore)
    assert add_from_disk(loose / name, ignore, "mass-finetuned").names == ["mass-finetuned"]
    assert bias("mass-finetuned") == [20.0]


def test_two_that_fit_are_listed_and_the_others_added(members: dict[str, bytes], tmp_path: Path):
    path = f"{kit.TOP}/{kit.NAMES['mass-finetuned'][0]}"
    other = path.replace("seed_10", "seed_20")
    folder = kit.unpack(members | {other: kit.classifier(50, 1)}, tmp_path / "two")
    added = add_from_disk(folder, ignore)
    assert set(added.names) == set(kit.NAMES) - {"mass-finetuned"}
    assert "mass-finetuned: 2 files of two fit" in added.notes[0]
    assert [seed in added.notes[0] for seed in ("seed_10", "seed_20", "--member")] == [True] * 3
    assert not is_ready("mass-finetuned")
    assert add_from_disk(folder, ignore, "mass-finetuned", "seed_20").names[0] == "mass-finetuned"
    assert bias("mass-finetuned") == [500.0]


def test_copies_count_once(members: dict[str, bytes], tmp_path: Path):
    path = f"{kit.TOP}/{kit.NAMES['mass-finetuned'][0]}"
    content = {path: members[path], f"copy/{path}": members[path], SAE_FILE: kit.sae(), f"copy/{SAE_FILE}": kit.sae()}
    folder = kit.unpack(content | {"all.zip": kit.archive(members)}, tmp_path / "copies")
    added = add_from_disk(folder, ignore)
    assert set(added.names) == {*kit.NAMES, SAE_FILE}
    assert added.notes == []
    assert str(folder) in model_toml("mass-finetuned").read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "has none of the published files"),
        ({"a.zip": b"PK no zip at all"}, r"a\.zip: cannot be read, expected a zip archive"),
        ({"other.pt": b"x"}, "has none of the published files"),
    ],
)
def test_nothing_published(tmp_path: Path, content: dict[str, bytes], words: str):
    folder = tmp_path / "here"
    folder.mkdir()
    with pytest.raises(ModelError, match=words):
        add_from_disk(kit.unpack(content, folder), ignore)
    with pytest.raises(ModelError, match=r"gone: no such file or folder; check the path"):
        add_from_disk(tmp_path / "gone", ignore)


def test_a_full_disk_leaves_nothing(members: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Usage:
        free = 10

    archive = laid_out(members, "the file", tmp_path / "disk")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(WriteError, match=r"The disk is full: .*\.pth needs 2\.5 MB, 10 bytes are free"):
        add_from_disk(archive, ignore)
    assert list(model_toml("x").parents[1].rglob("*.pth")) == []


def test_a_member_that_grows_beyond_measure(tmp_path: Path):
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(kit.archive({f"{kit.TOP}/{kit.NAMES['mass-finetuned'][0]}": bytes(65_000_000)}, ZIP_DEFLATED))
    with pytest.raises((DownloadError, ModelError), match=r"unpack to 65\.0 MB"):
        add_from_disk(bomb, ignore)
