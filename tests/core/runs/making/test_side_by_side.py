"""Images that OpenVINO computes side by side: the same results, one at a time where memory is short, an orderly end."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import runs_kit
from napari_mammosae.core.base.errors import Cancelled
from napari_mammosae.core.models.engines.openvino import OpenVinoNetwork
from napari_mammosae.core.models.engines.threads import side_by_side, torch_threads
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run

COUNT = 7


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return runs_kit.write_images(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture
def quick(tiny_model):
    with torch_threads(2):
        yield load_model(tiny_model, device="cpu", engine="openvino")


class Watched:
    """A model's `features` that knows how many threads are in it; with `alone`, there is memory for one."""

    def __init__(self, model, *, alone=False):
        self._features, self._alone, self._lock = model.features, alone, threading.Lock()
        self.now = self.most = self.calls = 0
        self.both = threading.Event()

    def __call__(self, x):
        with self._lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)
            crowded = self.now > 1
        try:
            if crowded:
                self.both.set()
            elif not self._alone or not self.both.is_set():
                self.both.wait(10)
            if crowded and self._alone:
                raise MemoryError
            return self._features(x)
        finally:
            with self._lock:
                self.now -= 1


@pytest.mark.parametrize("batch", [None, 3])
def test_results_are_those_of_one_at_a_time(tmp_path, images, quick, monkeypatch, batch):
    with torch_threads(1):
        write_run(images, quick, tmp_path / "one", maps=True, workers=0, block=4)
    watched = Watched(quick)
    monkeypatch.setattr(quick, "features", watched)
    write_run(images, quick, tmp_path / "two", maps=True, workers=0, block=4, batch=batch)
    assert watched.most == 2
    runs_kit.assert_same(tmp_path / "one", tmp_path / "two")


def test_one_at_a_time_where_memory_does_not_suffice_for_two(tmp_path, images, quick, monkeypatch):
    write_run(images, quick, tmp_path / "two", maps=True, workers=0)
    said, watched = [], Watched(quick, alone=True)
    monkeypatch.setattr(quick, "features", watched)
    write_run(images, quick, tmp_path / "one", maps=True, workers=0, notice=said.append)
    assert watched.most == 2
    assert [text for text in said if "memory" in text] == [
        "Out of memory with 2 images side by side; continuing with one at a time."
    ]
    runs_kit.assert_same(tmp_path / "one", tmp_path / "two")


def test_a_stopped_run_leaves_nothing_computing(tmp_path, images, quick, monkeypatch):
    watched = Watched(quick)
    monkeypatch.setattr(quick, "features", watched)
    with pytest.raises(Cancelled):
        write_run(images, quick, tmp_path / "run", workers=0, cancel=lambda: watched.calls > 3)
    assert watched.now == 0
    assert watched.calls < COUNT
    calls = watched.calls
    assert write_run(images, quick, tmp_path / "run", workers=0).images == COUNT
    assert watched.calls > calls


def test_other_errors_end_the_run(tmp_path, images, quick, monkeypatch):
    def broken(x):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(quick, "features", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        write_run(images, quick, tmp_path / "run", workers=0)


def test_where_openvino_fails_in_both_threads_pytorch_computes(tmp_path, images, tiny_model, quick, monkeypatch):
    both = threading.Barrier(2, timeout=10)

    def fail(*_):
        both.wait()
        raise RuntimeError("no operation")

    monkeypatch.setattr(OpenVinoNetwork, "_request", fail)
    monkeypatch.setattr(OpenVinoNetwork, "__call__", lambda self, x: self._request())
    with pytest.warns(UserWarning, match="OpenVINO failed") as warned:
        write_run(images, quick, tmp_path / "run", workers=0)
    assert len(warned) == 1
    with torch_threads(1):
        write_run(images, load_model(tiny_model, device="cpu", engine="torch"), tmp_path / "torch", workers=0)
    for kind in ("pooled", "features"):
        expected, found = (runs_kit.tables(tmp_path / name)[kind].astype(str) for name in ("torch", "run"))
        assert found.equals(expected)


def test_threads_are_shared_out_and_left_as_they_were():
    def threads():
        torch.ones(1000, 1000).sum()
        return torch.get_num_threads()

    with torch_threads(4):
        with side_by_side(2) as pool:
            inside = [pool.submit(threads).result() for _ in range(2)]
            assert torch.get_num_threads() == 4
            with ThreadPoolExecutor(1) as later:
                assert later.submit(threads).result() == 4
        assert inside == [2, 2]
