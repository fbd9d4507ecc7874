"""Downloads from a stand-in for the hub, with every fault a network has: no half file is ever used."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED

import pytest
import torch

import published_kit as kit
from hub_server import Hub, reaching, serving
from napari_mammosae.core.base.errors import Cancelled, CheckpointError, DownloadError, ModelError, WriteError
from napari_mammosae.core.base.progress import ignore
from napari_mammosae.core.models.files.model_files import find_model
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.published import fetch, remote_file
from napari_mammosae.core.models.published.address import Address
from napari_mammosae.core.models.published.download import download_model, plan_download
from napari_mammosae.core.models.published.fetch import fetch_file
from napari_mammosae.core.models.published.places import is_ready, model_toml

BLOCK = 1 << 16
FILE = Address.parse(kit.SAE)


@pytest.fixture(scope="module")
def archive() -> bytes:
    return kit.archive(kit.members(), ZIP_DEFLATED)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def hub(archive: bytes, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(remote_file, "BLOCK", BLOCK)
    monkeypatch.setattr(remote_file, "_PAUSE", 0.0)
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "own")
    with serving() as hub, reaching(hub.url, cache):
        hub.put(kit.SAE, kit.sae())
        hub.put(kit.ARCHIVE, archive)
        yield hub


def left(folder: Path) -> list[str]:
    """Files of weights, or parts of them, in a folder."""
    marks = {".lock", ".blocks", ".TAG"}
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in marks and path.stat().st_size > 100
    ]


def test_a_model_by_name_from_the_hub_to_its_logits(hub: Hub, cache: Path):
    with pytest.raises(ModelError, match=r"mass-finetuned is not downloaded \(part of an archive of 849 MB\)\. Run"):
        load_model("mass-finetuned")
    planned = plan_download("mass-finetuned", ignore)
    assert [file.name for file in planned] == [Path(kit.NAMES["mass-finetuned"][0]).name, "sparse_autoencoder_final.pt"]
    assert planned[1].size == len(hub.files[kit.SAE.removeprefix("hf://")])
    assert "licence CC BY-NC-SA (see https://huggingface.co/shawn24/Mammo-CLIP)" in planned[0].describe()
    assert "licence not stated" in planned[1].describe()
    lines = download_model("mass-finetuned", ignore)
    model = load_model("mass-finetuned", device="cpu")
    assert lines[0].endswith(f"no published checksum; the file's SHA-256 is {model.model_sha256}, recorded")
    assert lines[1] == f"sparse_autoencoder_final.pt: SHA-256 {model.sae_sha256}, as expected"
    assert (model.name, model.classes, model.n_latents) == ("mass-finetuned", ("mass",), kit.LATENTS)
    logits = model.logits(torch.zeros(1, kit.WIDTH, 2, 2))
    assert logits.tolist() == [kit.head_bias(2, 1).tolist()]
    assert plan_download("mass-finetuned", ignore) == []


def test_only_the_member_of_the_archive_is_fetched(hub: Hub, archive: bytes, cache: Path, tmp_path: Path):
    (planned, _) = plan_download("density-pretrained", ignore)
    download_model("density-pretrained", ignore)
    parts = [part for path, part in hub.gets if path.endswith(".zip")]
    assert all(parts)
    assert hub.sent < planned.size + len(hub.files[kit.SAE.removeprefix("hf://")]) + 8 * BLOCK < len(archive) / 4
    model = load_model("density-pretrained", device="cpu")
    assert model.classes == ("density_a", "density_b", "density_c", "density_d")
    assert model.heads[0].bias.tolist() == kit.head_bias(7, 4).tolist()
    assert left(tmp_path / "own") == []


def test_a_server_without_ranges_sends_the_whole(hub: Hub, archive: bytes):
    hub.ranges = False
    planned = plan_download("mass-pretrained", ignore)
    assert (planned[0].size, hub.sent) < (len(archive) + 1, len(archive))  # planning fetches nothing whole
    seen: list[tuple[str, int, int]] = []
    download_model("mass-pretrained", lambda text, done=0, total=0: seen.append((text, done, total)))
    assert load_model("mass-pretrained", device="cpu").heads[0].bias.tolist() == [60.0]
    assert any(text.startswith("Downloading Downstream") and done == total for text, done, total in seen)
    before = hub.gets.copy()
    download_model("density-finetuned", ignore)
    assert hub.gets == before  # the archive is here now


def test_a_damaged_file_or_list_is_fetched_again(hub: Hub, cache: Path):
    download_model("mass-finetuned", ignore)
    toml = model_toml("mass-finetuned")
    (weights,) = toml.parent.glob("*.pth")
    (blob,) = (path for path in cache.rglob("blobs/*") if path.stat().st_size > 1000)
    for file in (weights, blob):
        content = file.read_bytes()
        file.write_bytes(content[:-1] + b"!")
        with pytest.raises(CheckpointError, match="is expected; copy or download it again"):
            load_model("mass-finetuned", device="cpu")
        assert len(plan_download("mass-finetuned", ignore)) == 1
        download_model("mass-finetuned", ignore)
        assert file.read_bytes() == content
    toml.write_text("half a fi")
    assert not is_ready("mass-finetuned")
    download_model("mass-finetuned", ignore)
    assert load_model("mass-finetuned", device="cpu").n_latents == kit.LATENTS


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dropped_connection_is_taken_up(hub: Hub, ranges: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.cut, hub.cuts, hub.ranges = 70_000, 3, ranges
    if ranges:
        download_model("cancer-finetuned", ignore)
        assert load_model("cancer-finetuned", device="cpu").heads[0].bias.tolist() == [40.0]
    else:
        assert fetch_file(FILE, ignore).read_bytes() == hub.files[kit.SAE.removeprefix("hf://")]
    assert hub.cuts == 0


def stop_after(steps: int) -> Callable[..., None]:
    calls = iter(range(steps))

    def report(text: str, done: int = 0, total: int = 0) -> None:
        if text.startswith("Downloading") and next(calls, None) is None:
            raise Cancelled("stopped")

    return report


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_fetched_before_a_stop_is_not_fetched_again(hub: Hub, whole: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote_file, "_CHUNK", BLOCK)
    content = os.urandom(20 * BLOCK + 5)
    hub.put(kit.B2, content)
    name = "mammo-clip-b2" if whole else "mass-finetuned"
    with pytest.raises(Cancelled):
        download_model(name, stop_after(12))
    assert not is_ready(name)
    with pytest.raises(ModelError, match="is not downloaded"):
        find_model(name)
    before = hub.gets.copy()
    download_model(name, ignore)
    again = hub.gets[len(before) :]
    (first, _, _) = again[0][1].removeprefix("bytes=").partition("-")
    assert int(first) >= 10 * BLOCK if whole else int(first) > 0
    if whole:
        assert find_model(name).backbone.read_bytes() == content
    else:
        assert load_model(name, device="cpu").heads[0].bias.tolist() == [20.0]


def test_marks_without_their_file_mean_nothing(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A cache that was emptied in part starts again."""
    monkeypatch.setattr(remote_file, "_CHUNK", BLOCK)
    with pytest.raises(Cancelled):
        download_model("mass-finetuned", stop_after(12))
    (mirror,) = (path for path in (tmp_path / "own" / "downloads").iterdir() if path.suffix != ".blocks")
    mirror.unlink()
    download_model("mass-finetuned", ignore)
    assert load_model("mass-finetuned", device="cpu").heads[0].bias.tolist() == [20.0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_is_not_what_the_hub_says_is_removed(hub: Hub, ranges: bool, cache: Path):
    hub.claim, hub.ranges = "0" * 64, ranges
    with pytest.raises(DownloadError, match=r"sparse_autoencoder_final\.pt has the SHA-256 .{13}, and 0{12}…"):
        fetch_file(FILE, ignore)
    assert left(cache) == []
    hub.claim = ""
    assert fetch_file(FILE, ignore).read_bytes() == hub.files[kit.SAE.removeprefix("hf://")]


def test_another_file_than_the_first_time_is_refused(hub: Hub):
    """The checksum of the first download is kept: nobody publishes one."""
    download_model("mass-finetuned", ignore)
    folder = model_toml("mass-finetuned").parent
    (file,) = folder.glob("*.pth")
    file.unlink()
    hub.put(kit.ARCHIVE, kit.archive({f"{kit.TOP}/{kit.NAMES['mass-finetuned'][0]}": kit.classifier(99, 1)}))
    with pytest.raises(DownloadError, match="is expected: not what was published"):
        download_model("mass-finetuned", ignore)
    assert list(folder.glob("*.pth")) == []
    with pytest.raises(ModelError, match="which does not exist"):
        load_model("mass-finetuned")


def test_a_damaged_member(hub: Hub, archive: bytes):
    spoiled = bytearray(archive)
    for place in range(len(archive) // 40, len(archive) - len(archive) // 40, 5000):
        spoiled[place] ^= 0xFF
    hub.put(kit.ARCHIVE, bytes(spoiled))
    with pytest.raises(DownloadError, match=r"\.pth: cannot be read|zip archive"):
        download_model("mass-finetuned", ignore)
    assert left(model_toml("mass-finetuned").parent) == []


def test_offline(hub: Hub, cache: Path):
    with reaching(hub.url, cache, offline=True), pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        plan_download("mass-finetuned", ignore)
    download_model("mass-finetuned", ignore)
    with reaching(hub.url, cache, offline=True):
        assert plan_download("mass-finetuned", ignore) == []
        assert load_model("mass-finetuned", device="cpu").n_latents == kit.LATENTS


def test_no_network(tmp_path: Path):
    with serving() as hub:
        url = hub.url
    with reaching(url, tmp_path), pytest.raises(DownloadError) as caught:
        plan_download("mass-finetuned", ignore)
    said = str(caught.value)
    assert "no connection to the Hugging Face hub" in said
    assert "models add" in said
    assert "\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "asks for a login"),
        (403, "Accept its terms at"),
        (404, "has no such file"),
        (503, "answers 503. Try again"),
    ],
)
def test_refusals_of_the_hub(hub: Hub, status: int, words: str):
    hub.status = status
    with pytest.raises(DownloadError, match=words):
        fetch_file(FILE, ignore)


def test_a_disk_without_room_is_seen_before(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(WriteError, match=r"The disk is full: sparse_.*\.pt needs .* kB, 1\.0 kB are free\."):
        fetch_file(FILE, ignore)
    assert [path for path, _ in hub.gets if path.endswith(".pt")] == []


class Usage:
    free = 1000


def test_a_disk_that_fills_up_keeps_nothing(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch):
    def mark(self: object, block: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(remote_file.RemoteFile, "_mark", mark)
        with pytest.raises(WriteError, match=r"The disk is full: sparse_autoencoder_final\.pt was not written"):
            fetch_file(FILE, ignore)
    assert left(cache) == []
    assert fetch_file(FILE, ignore).read_bytes() == hub.files[kit.SAE.removeprefix("hf://")]


DOWNLOAD = """
import sys
from napari_mammosae.core.base.progress import ignore
from napari_mammosae.core.models.published import remote_file
from napari_mammosae.core.models.published.download import download_model
remote_file.BLOCK = 1 << 16
download_model(sys.argv[1], ignore)
"""


def test_two_processes_at_once(hub: Hub, cache: Path, tmp_path: Path):
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_CACHE": str(cache),
        "XDG_CACHE_HOME": str(tmp_path / "xdg"),
    }
    command = [sys.executable, "-c", DOWNLOAD, "mass-finetuned"]
    both = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert load_model("mass-finetuned", device="cpu").heads[0].bias.tolist() == [20.0]
    assert sum(path.endswith(".pt") for path, _ in hub.gets) == 1
    (member,) = model_toml("mass-finetuned").parent.glob("*.pth")
    assert hub.sent < 1.5 * member.stat().st_size  # once, and the archive's directory


def test_a_member_that_is_there_is_not_fetched_again(hub: Hub):
    """Stopped between the classifier and the SAE."""
    sae = hub.files.pop(kit.SAE.removeprefix("hf://"))
    with pytest.raises(DownloadError, match="has no such file"):
        download_model("mass-finetuned", ignore)
    assert not is_ready("mass-finetuned")
    hub.put(kit.SAE, sae)
    assert [file.name for file in plan_download("mass-finetuned", ignore)] == ["sparse_autoencoder_final.pt"]
    before = hub.sent
    download_model("mass-finetuned", ignore)
    assert hub.sent - before < 3 * BLOCK + len(sae)
    assert load_model("mass-finetuned", device="cpu").heads[0].bias.tolist() == [20.0]


def test_several_members_that_fit_are_listed(hub: Hub):
    content = kit.members().copy()
    path = f"{kit.TOP}/{kit.NAMES['mass-finetuned'][0]}"
    content[path.replace("seed_10", "seed_20")] = kit.classifier(50, 1)
    hub.put(kit.ARCHIVE, kit.archive(content))
    with pytest.raises(ModelError, match=r"mass-finetuned: 2 files .* fit: upmc.*seed_10.*; upmc.*seed_20.* --member"):
        plan_download("mass-finetuned", ignore)
    download_model("mass-finetuned", ignore, "seed_20")
    assert load_model("mass-finetuned", device="cpu").heads[0].bias.tolist() == [500.0]


def test_addresses_in_a_model_toml(hub: Hub, tmp_path: Path):
    toml = tmp_path / "model.toml"
    toml.write_text(f'backbone = "{kit.B5}"\nsae = "{kit.SAE}"\n')
    hub.put(kit.B5, kit.pretrained())
    with pytest.raises(ModelError, match=r"not downloaded; run `napari-mammosae models download model.toml`"):
        load_model(toml)
    planned = plan_download(str(toml), ignore)
    assert [file.licence for file in planned] == ["CC BY-NC-SA", ""]
    download_model(str(toml), ignore)
    assert load_model(toml, device="cpu").n_latents == kit.LATENTS
    other = tmp_path / "other.toml"
    other.write_text('backbone = "hf://nonsense"\n')
    with pytest.raises(ModelError, match="is not an address of a file; expected hf://owner/repository/file"):
        load_model(other)


def test_load_model_downloads_only_when_it_is_said(hub: Hub):
    hub.put(kit.B2, kit.pretrained())
    with pytest.raises(ModelError, match="not downloaded"):
        load_model("mammo-clip-b2")
    assert hub.gets == []
    model = load_model("mammo-clip-b2", device="cpu", download=True)
    assert (model.classes, model.sae) == ((), None)
    assert "download" not in model.recipe
