from pathlib import Path

import cv2
import pytest

from dicom_factory import breast_image
from napari_mammosae.core.base import caches
from napari_mammosae.core.base.caches import FolderCache, all_caches, cache_folder, cache_named, register_cache
from napari_mammosae.core.base.errors import RunError, SettingsError
from napari_mammosae.core.runs.making.demo import demo_folder
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.verdicts.places import default_path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def demo(size: int = 1000) -> Path:
    folder = cache_folder() / "demo-0.1.0-aaaa-bbbb-200"
    (folder / "run" / "pooled").mkdir(parents=True)
    (folder / "run" / ".lock").touch()
    (folder / "run" / "pooled" / "part-00000.parquet").write_bytes(bytes(size))
    (folder / "phantoms").mkdir()
    (folder / "phantoms" / "a.png").write_bytes(bytes(24))
    return folder


def test_the_demo_run_lies_where_the_cache_looks():
    folder = demo_folder("0" * 64, "1" * 64)
    assert folder.parent == cache_folder()
    assert folder.match(cache_named("demo").pattern)


def test_size_is_that_of_all_files_and_empty_leaves_the_rest():
    folder = demo()
    other = cache_folder() / "something-else"
    other.write_text("kept")
    cache = cache_named("demo")
    assert cache.size() == 1024
    cache.empty()
    assert cache.size() == 0
    assert not folder.exists()
    assert other.read_text() == "kept"
    cache.empty()


@pytest.mark.parametrize("place", ["demo-link", "demo-0.1.0-aaaa-bbbb-200/run/maps"])
def test_what_a_link_leads_to_is_neither_counted_nor_removed(place: str, tmp_path: Path):
    demo(0)
    outside = tmp_path / "patients"
    outside.mkdir()
    (outside / "a.dcm").write_bytes(bytes(5000))
    (cache_folder() / place).symlink_to(outside, target_is_directory=True)
    cache = cache_named("demo")
    assert cache.size() < 1000
    cache.empty()
    assert (outside / "a.dcm").stat().st_size == 5000
    assert cache.entries() == []


def test_it_is_not_emptied_while_a_run_is_being_made(tiny_model: Path, tmp_path: Path):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), breast_image(seed=number))
    folder = cache_folder() / "demo-0.1.0-aaaa-bbbb-2"
    asked = []

    def progress(*_: object) -> None:
        with pytest.raises(RunError, match=r"being made in demo-0\.1\.0-aaaa-bbbb-2\."):
            cache_named("demo").empty()
        asked.append(cache_named("demo").size())

    write_run(tmp_path, tiny_model, folder / "run", workers=0, progress=progress)
    assert asked
    assert (folder / "run" / "images.parquet").exists()
    cache_named("demo").empty()
    assert not folder.exists()


def test_verdicts_are_never_removed():
    folder = demo()
    assert not default_path(folder / "run").is_relative_to(cache_folder()), "they are kept elsewhere"
    (folder / "run" / "verdicts.sqlite").write_text("put here by hand")
    with pytest.raises(RunError, match=r"verdicts\.sqlite"):
        cache_named("demo").empty()
    assert (folder / "run" / "pooled" / "part-00000.parquet").exists()


def test_a_file_that_cannot_be_removed_is_named(monkeypatch: pytest.MonkeyPatch):
    demo()

    def fail(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(caches.shutil, "rmtree", fail)
    with pytest.raises(RunError, match=r"^demo-0\.1\.0-aaaa-bbbb-200 cannot be removed \(Permission denied\)"):
        cache_named("demo").empty()


def test_a_cache_in_memory_is_listed_while_it_lives():
    class Pictures:
        name, holds = "pictures", "small pictures"

        def size(self) -> int:
            return 7

        def empty(self) -> None: ...

    held = Pictures()
    register_cache(held)
    assert cache_named("pictures") is held
    assert [cache.name for cache in all_caches()] == ["demo", "openvino", "compiled", "downloads", "pictures"]
    del held
    with pytest.raises(
        SettingsError, match=r"'pictures' is not a cache; expected one of: compiled, demo, downloads, openvino\."
    ):
        cache_named("pictures")


def test_every_cache_has_a_name_of_its_own_and_no_two_share_a_file():
    names = [cache.name for cache in caches.FOLDERS]
    assert len(set(names)) == len(names)
    folder = demo()
    assert [cache.name for cache in caches.FOLDERS if folder in cache.entries()] == ["demo"]
    assert FolderCache("x", "", "nothing-*").size() == 0
