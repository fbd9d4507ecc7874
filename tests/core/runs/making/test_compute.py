"""The computation of a run: worker processes that crash, memory that runs out, stops."""

import multiprocessing
import platform
import subprocess
import sys
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import decoders
import overflow
import runs_kit
import tiny
from napari_mammosae.core.base.errors import ModelError, RunError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.tensors import normalise
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.memory import out_of_memory
from napari_mammosae.core.runs.files.layout import Layout
from napari_mammosae.core.runs.making import process
from napari_mammosae.core.runs.making.compute import Computer
from napari_mammosae.core.runs.making.decode import Decoded, Decoder, Failed
from napari_mammosae.core.runs.making.decode_pool import DecodePool
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.making.part_files import Block
from napari_mammosae.core.runs.making.writer import PartWriter
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.sources import Entry, read_sources


@pytest.fixture
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return runs_kit.write_images(tmp_path_factory.mktemp("images"), 8)


def decoded(images, model, decoder=Decoder, **options):
    return decoder(replace(model.preprocessing, **options), model.grid)


@pytest.mark.slow
def test_a_file_that_crashes_its_decoder_costs_itself_only(images, model):
    entries = read_sources(images).entries
    with DecodePool(2) as pool:
        found = list(pool.decode(entries, decoded(images, model, decoders.Crashing), ahead=4))
    assert [result.entry.image for result in found] == list(range(8))
    assert [isinstance(result, Failed) for result in found] == [i in (2, 5) for i in range(8)]
    assert found[2].reason == "image-002.png: the decoder crashed on this file"


def test_no_more_images_are_under_way_than_said(images, model):
    begun = []

    class Counting(Decoder):
        __slots__ = ()

        def __call__(self, entry):
            begun.append(entry.image)
            return super().__call__(entry)

    with DecodePool(0) as pool:
        stream = pool.decode(read_sources(images).entries, decoded(images, model, Counting), ahead=3)
        next(stream)
        next(stream)
        assert len(begun) <= 4
    assert len(begun) <= 5


def test_decoding_processes_import_no_more_than_they_need(tmp_path, images, model):
    """As seen in the processes themselves, after they have decoded."""
    with DecodePool(1) as pool:
        entries = read_sources(images).entries[:2]
        found = list(pool.decode(entries, decoded(images, model, decoders.Listing), ahead=2))
    modules = set(found[1].reason.split())
    assert "cv2" in modules
    assert not {"torch", "timm", "pandas", "napari", "qtpy"} & modules


SCRIPT = """
from pathlib import Path
from napari_mammosae.core.runs.making.make import write_run

with Path("count.txt").open("a") as file:
    file.write("again ")
write_run({images!r}, {model!r}, "run", workers=2)
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(tmp_path, tiny_model, images):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(images=str(images), model=str(tiny_model)))
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=work)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # nothing is said at the end either
    assert (work / "count.txt").read_text() == "again "
    assert len(open_run(work / "run")) == 8


def test_processes_that_cannot_start_are_an_error_that_says_what_to_do(images, model, monkeypatch):
    monkeypatch.setattr(process, "initialise", decoders.end_at_once)
    with DecodePool(1) as pool, pytest.raises(RunError, match=r"did not start\. .*--workers 0"):
        next(pool.decode(read_sources(images).entries, decoded(images, model), ahead=1))


def test_decoding_processes_do_not_outlive_their_pool(images, model):
    before = set(multiprocessing.active_children())
    with DecodePool(2) as pool:
        next(pool.decode(read_sources(images).entries, decoded(images, model), ahead=8))
        assert len(set(multiprocessing.active_children()) - before) == 2
    assert not set(multiprocessing.active_children()) - before


FAULTS = """
import resource, sys
from napari_mammosae.core.runs.making.process import keep_freed_memory

def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(2):
        b"x" * 40_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if "keep" in sys.argv:
    keep_freed_memory()
touch()
print(touch())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_freed_memory_is_kept_where_the_process_is_ours():
    """Pages that the system has to hand out while 40 MB are filled twice, after a first time."""
    pages = [int(subprocess.check_output([sys.executable, "-c", FAULTS, *arguments])) for arguments in ((), ("keep",))]
    assert pages[0] > 2 * 40_000_000 / 65536  # 64 kB: the largest page of a usual machine
    assert pages[1] < pages[0] / 10


class SmallMemory:
    """Stands in for `features` on a GPU that holds `room` images: the CPU by another name, so all goes as on a GPU."""

    def __init__(self, model, room):
        self.model, self.room, self.tried = model, room, []
        self.features = model.features
        model.device = "cpu:0"
        model.features = self

    def __call__(self, x):
        self.tried.append((self.model.device, len(x)))
        if self.model.device != "cpu" and len(x) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")
        return self.features(x)


def inputs(images, model):
    decoder = Decoder(model.preprocessing, model.grid)
    return [decoder(entry) for entry in read_sources(images).entries]


def dense(computed, n_latents):
    """Means of all latents of all images, from what was computed of them."""
    found = []
    for images, latents in computed.parts:
        rows = np.zeros((len(images), n_latents))
        rows[latents.fires.image, latents.fires.latent] = latents.fires.mean
        found.append(rows)
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("room", "tried"),
    [
        (8, [("cpu:0", 8)]),
        (3, [("cpu:0", 8), ("cpu:0", 8), ("cpu:0", 4), *[("cpu:0", 2)] * 4]),
        (0, [("cpu:0", 8), ("cpu:0", 8), ("cpu:0", 4), ("cpu:0", 2), ("cpu:0", 1), *[("cpu", 1)] * 8]),
    ],
)
def test_out_of_gpu_memory_smaller_batches_then_the_cpu(images, model, room, tried):
    whole = inputs(images, model)
    expected = dense(Computer(model, None, print)(whole), model.n_latents)
    gpu = SmallMemory(model, room)
    said = []
    computer = Computer(model, None, said.append)
    assert computer.batch == 8
    computed = computer(whole)
    assert gpu.tried == tried
    assert [image for images, _ in computed.parts for image in images] == whole
    np.testing.assert_allclose(dense(computed, model.n_latents), expected, rtol=1e-4, atol=1e-7)
    assert len(said) == {8: 0, 3: 2, 0: 4}[room]
    if room == 3:
        assert said[0] == "Out of memory on cpu:0 with 8 images at a time; continuing with 4."
    if room == 0:
        assert said[-1] == "Out of memory on cpu:0; using the CPU instead, which is slower."
        assert model.device == "cpu"


def on_a_gpu(tiny_model):
    """A model on the CPU by another name: batches go as they do on a GPU, one begun before the last is finished."""
    model = load_model(tiny_model, device="cpu")
    model.device = "cpu:0"
    return model


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (3, 0), (8, 2)])
def test_batches_on_a_gpu_give_what_single_images_give_on_the_cpu(tmp_path, images, model, tiny_model, batch, workers):
    write_run(images, model, tmp_path / "one", maps=True, workers=0, block=5)
    write_run(images, on_a_gpu(tiny_model), tmp_path / "gpu", maps=True, workers=workers, batch=batch, block=5)
    one, gpu = (runs_kit.tables(tmp_path / name) for name in ("one", "gpu"))
    assert gpu.keys() == one.keys()
    for name, rows in one.items():
        keys = [key for key in ("latent", "image", "cell") if key in rows] or ["image_id"]
        values = [table.sort_values(keys, ignore_index=True) for table in (rows, gpu[name])]
        for column in rows:
            first, second = (table[column] for table in values)
            if name == "features" and column != "image":
                first, second = (np.stack(column) for column in (first, second))
            if np.asarray(first).dtype.kind == "f":
                np.testing.assert_allclose(second, first, rtol=1e-3 if name == "maps" else 1e-4, atol=1e-4)
            else:
                assert list(first) == list(second), (name, column)


@pytest.mark.parametrize("batch", [2, 5])
def test_on_the_cpu_runs_are_the_same_whatever_the_batch_and_block(tmp_path, images, model, batch):
    write_run(images, model, tmp_path / "one", maps=True, workers=0, block=8)
    write_run(images, model, tmp_path / "other", maps=True, workers=0, block=8, batch=batch)
    runs_kit.assert_same(tmp_path / "one", tmp_path / "other")
    write_run(images, model, tmp_path / "third", workers=0, block=3, batch=batch)
    for kind in ("pooled", "features", "images"):
        expected = runs_kit.tables(tmp_path / "one")[kind]
        assert runs_kit.tables(tmp_path / "third")[kind].astype(str).equals(expected.astype(str))


def test_an_image_that_overflows_float16_is_computed_again_and_counted(tmp_path):
    images = runs_kit.write_images(tmp_path / "images", 8)
    bright = np.full(tiny.SIZE, 255, np.uint8)
    bright[40, 40] = 0
    cv2.imwrite(str(images / "image-004.png"), bright)
    toml = overflow.write_model(tmp_path / "model", [read_mammogram(path) for path in sorted(images.iterdir())])
    said, runs = [], {}
    for precision in ("float32", "float16"):
        model = load_model(toml, device="cpu", precision=precision)
        write_run(images, model, tmp_path / precision, workers=0, batch=4, maps=True, notice=said.append)
        runs[precision] = open_run(tmp_path / precision)
    assert [run.info["precision"] for run in runs.values()] == ["float32", "float16"]
    assert said[-1] == "image-004.png: values overflowed float16, so it was computed in float32."
    assert sum("overflowed" in note for note in said) == 1
    assert not len(runs["float16"].failures)
    exact, half = (run.pooled("mean").toarray() for run in runs.values())
    apart = np.linalg.norm(half - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert apart.max() < 1e-2
    assert (apart < 1e-6).sum() == 1
    assert list(runs["float16"].numbers) == list(range(8))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_block_whose_writing_process_died_is_written_here(tmp_path, images, model, processes):
    """The second of four blocks kills its process, and may take others with it; the last is written by a new one."""
    computer, layout = Computer(model, None, print), Layout(tmp_path)
    computed = computer(inputs(images, model))
    with PartWriter(layout, processes) as writer:
        for number in range(4):
            kind = decoders.DyingBlock if number == 1 else Block
            block = kind(number, model.classes, keep_maps=True)
            for decoded_images, latents in computed.parts:
                block.add(decoded_images, latents)
            writer.write(block)
    assert all(layout.part(kind, number).exists() for kind in ("images", "maps") for number in range(4))


def test_out_of_memory_on_the_cpu_ends_the_run_clearly(tmp_path, images, model, monkeypatch):
    def full(x):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr(model, "features", full)
    with pytest.raises(ModelError, match="one image alone does not fit in memory"):
        write_run(images, model, tmp_path / "run", workers=0)


def test_what_counts_as_out_of_memory():
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_other_errors_of_the_model_are_not_hidden(tmp_path, images, model, monkeypatch):
    def broken(x):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(model, "features", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        write_run(images, model, tmp_path / "run", workers=0)


def test_latents_that_are_not_finite_cost_their_image(tmp_path, images, model, monkeypatch):
    features = model.features

    def sometimes(x):
        result = features(x).clone()
        result[[i for i in range(len(x)) if abs(float(x[i].sum()) - wrong) < 1e-3]] = torch.nan
        return result

    entry = read_sources(images).entries[4]
    one = Decoder(model.preprocessing, model.grid)(entry)
    assert isinstance(one, Decoded)
    wrong = float(normalise(torch.from_numpy(one.pixels)[None], model.preprocessing).sum())
    monkeypatch.setattr(model, "features", sometimes)
    write_run(images, model, tmp_path / "run", workers=0, batch=8)
    run = open_run(tmp_path / "run")
    assert list(run.failures["image_id"]) == ["image-004"]
    assert "not finite" in run.failures["reason"][0]
    assert list(run.numbers) == [0, 1, 2, 3, 5, 6, 7]


def test_memory_does_not_grow_with_the_images(tmp_path, model):
    """Nothing of a finished block is kept: what is alive after many blocks is what is alive after few."""
    alive = most = 0
    add = Block.add

    class Watched(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def watching(self, images, latents):
        nonlocal alive, most
        watched = latents.cells.value.view(Watched)
        alive += 1
        most = max(most, alive)
        add(self, images, replace(latents, cells=replace(latents.cells, value=watched)))

    images = runs_kit.write_images(tmp_path / "images", 24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Block, "add", watching)
        write_run(images, model, tmp_path / "run", maps=True, block=2, workers=0)
    assert most <= 4


def test_a_run_can_be_stopped_from_another_thread(tmp_path, images, model):
    from napari_mammosae.core.base.errors import Cancelled

    stop = threading.Event()
    with pytest.raises(Cancelled):
        write_run(
            images,
            model,
            tmp_path / "run",
            workers=0,
            block=2,
            cancel=stop.is_set,
            progress=lambda _, done, total: stop.set() if done == 5 else None,
        )
    assert len(list((tmp_path / "run" / "images").glob("part-*"))) == 2


def test_an_unexpected_error_of_a_decoder_is_a_failure_without_paths(tmp_path, model, monkeypatch):
    from napari_mammosae.core.runs.making import decode

    def broken(path, **_):
        raise KeyError(f"no such thing in {path}")

    monkeypatch.setattr(decode, "read_mammogram", broken)
    path = tiny.write_image(tmp_path / "secret" / "a.png")
    result = Decoder(model.preprocessing, model.grid)(Entry(0, "a", path, "a.png"))
    assert isinstance(result, Failed)
    assert result.reason == "a.png: KeyError: 'no such thing in a.png'"
