"""`ProcessModel` in a process of its own: against `LocalModel`, cancelled, killed, unloaded."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import psutil
import pytest

import tiny
from in_process import handle_of
from napari_mammosae.core.base.errors import Cancelled, CheckpointError, ModelError, ProcessEnded, SettingsError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.heads import Head
from napari_mammosae.process import child as child_module
from napari_mammosae.process import transport
from napari_mammosae.process.batch import BatchJob
from napari_mammosae.process.child import Child
from napari_mammosae.process.handle import ModelHandle
from napari_mammosae.process.main import Call, Server
from napari_mammosae.process.opening import ModelOpener, open_handles
from napari_mammosae.process.remote import ProcessModel
from napari_mammosae.process.tasks import TASKS, RunJob

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def silent(*_: object) -> None:
    return


def image(seed: int = 0):
    return read_mammogram(tiny.picture(seed))


def gone(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> dict:
    return {"name": tiny_model, "device": "cpu"}


@pytest.fixture(scope="module")
def model(recipe: dict):
    opener = ModelOpener()
    opener.warm_up()
    found = opener.open(recipe, silent)
    assert isinstance(found, ModelHandle)
    yield found
    found.unload()
    opener.close()


def test_it_gives_what_a_model_here_gives(model, recipe):
    here = handle_of(recipe)
    assert model.facts.name == here.facts.name
    np.testing.assert_array_equal(model.facts.attribution, here.facts.attribution)
    found, expected = model.compute(image(), silent), here.compute(image(), silent)
    np.testing.assert_array_equal(found.latents, expected.latents)
    # another process may add up in another order: equal to the rounding of the largest value
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=2e-6 * expected.values.max())
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-5)
    assert found.frame == expected.frame
    assert found.key == ""
    np.testing.assert_array_equal(model.neighbours(3, 5)[0], here.neighbours(3, 5)[0])
    assert model.memory() == here.memory()
    assert model.pid != os.getpid()


def test_errors_keep_their_type_and_words(model, recipe, tmp_path):
    with pytest.raises(SettingsError, match="there is no latent 64"):
        model.neighbours(64, 5)
    with pytest.raises(ModelError, match="no model is called 'nothing'"):
        ModelOpener().open({"name": "nothing"}, silent)
    damaged = tmp_path / "classifier.pth"
    damaged.write_bytes(b"no weights at all")
    with pytest.raises(CheckpointError, match=r"classifier\.pth"):
        ModelOpener().open({"classifier": damaged}, silent)


def test_several_threads_ask_at_a_time(model):
    found = {}

    def ask(seed: int) -> None:
        found[seed] = model.compute(image(seed), silent, urgent=bool(seed % 2)).logits

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed in range(6):
        np.testing.assert_allclose(found[seed], model.compute(image(seed), silent).logits, rtol=1e-5)


def test_what_a_user_asks_overtakes_what_is_read_ahead(model):
    order, lock = [], threading.Lock()

    def ask(name: str, urgent: bool) -> None:
        model.compute(image(), silent, urgent=urgent)
        with lock:
            order.append(name)

    os.kill(model.pid, signal.SIGSTOP)  # so that all of them wait
    threads = [threading.Thread(target=ask, args=(f"ahead {n}", False)) for n in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    threads.append(threading.Thread(target=ask, args=("user", True)))
    threads[-1].start()
    time.sleep(0.3)
    os.kill(model.pid, signal.SIGCONT)
    for thread in threads:
        thread.join(60)
    assert order.index("user") <= 2  # one had begun, and another may have before the request came in


def test_reports_arrive_in_the_thread_that_asks_and_stop_the_work(model):
    said = []

    def report(text, done=0, total=0):
        said.append((threading.current_thread(), text))

    model.compute(image(), report)
    assert {thread for thread, _ in said} == {threading.current_thread()}
    assert "Computing 64 latents of array on cpu" in {text for _, text in said}

    def stop(text, done=0, total=0):
        raise Cancelled("stopped")

    pid = model.pid
    with pytest.raises(Cancelled, match="stopped"):
        model.compute(image(), stop)
    assert model.compute(image(), silent).latents.size
    assert model.pid == pid


def test_cancelled_work_that_does_not_stop_is_ended(model, monkeypatch):
    monkeypatch.setattr(child_module, "PATIENCE", 0.2)
    pid = model.pid
    os.kill(pid, signal.SIGSTOP)

    def stop(text, done=0, total=0):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        model.compute(image(), stop)
    assert gone(pid)
    monkeypatch.undo()
    assert model.compute(image(), silent).latents.size
    assert model.pid != pid


def test_a_killed_process_is_said_and_replaced(model):
    lost = []
    model.lost = lost.append
    model.add_head(Head("cyst", ("cyst",), "binary", np.ones((1, 256)), np.zeros(1)))
    before = model.compute(image(), silent)
    pid = model.pid
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(ProcessEnded, match=r"ended unexpectedly \(signal 9, often because memory is short\)"):
        model.compute(image(), silent)
    after = model.compute(image(), silent)
    assert model.pid != pid
    assert len(lost) == 1
    assert after.logits.size == before.logits.size == 3  # the added head is there again
    np.testing.assert_allclose(after.logits, before.logits, rtol=1e-5)


def test_unloading_ends_the_process(recipe):
    opener = ModelOpener()
    opener.warm_up()
    model = opener.open(recipe, silent)
    pid, lost = model.pid, []
    model.lost = lost.append
    model.unload()
    assert gone(pid)
    assert model.pid is None
    assert model.memory().weights == 0
    assert model.facts.n_latents == tiny.LATENTS
    with pytest.raises(ModelError, match="was unloaded; load it again"):
        model.compute(image(), silent)
    model.unload()
    assert lost == []


def test_a_model_that_is_dropped_ends_its_process(recipe):
    opener = ModelOpener()
    opener.warm_up()
    model = opener.open(recipe, silent)
    opener.warm_up()
    pids = [model.pid, opener._spare.pid]
    del model, opener
    gc.collect()
    assert all(gone(pid) for pid in pids)


def test_a_viewer_that_is_killed_takes_the_process_along(recipe, tmp_path):
    code = (
        "import sys, time; from napari_mammosae.process.opening import ModelOpener\n"
        "opener = ModelOpener(); opener.warm_up(); print(opener._spare.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.communicate()
    assert gone(pid, 2)


def test_files_of_the_current_folder_are_not_imported(tmp_path, monkeypatch, recipe):
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    (tmp_path / "triton").mkdir()  # enough to break torch, if it is taken for the package
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    child = Child()
    assert child.call("load", recipe, ())[1].n_latents == tiny.LATENTS
    child.kill()


def test_what_a_process_prints_on_its_way_out_is_said(tmp_path, monkeypatch, recipe):
    (tmp_path / "torch.py").write_text("raise ImportError('this torch is broken')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises((ProcessEnded, ModelError), match="this torch is broken"):
        Child(warm=True).call("load", recipe, ())


def test_files_that_changed_are_not_mixed_up(tmp_path):
    toml = tiny.write_model(tmp_path)
    model = ModelOpener().open({"name": toml, "device": "cpu"}, silent)
    tiny.write_model(tmp_path, seed=8)
    os.kill(model.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match=r"have changed since it was loaded|ended unexpectedly"):
        model.compute(image(), silent)
    with pytest.raises(ModelError, match="have changed since it was loaded"):
        model.compute(image(), silent)
    model.unload()


def test_a_model_object_is_loaded_again_from_its_files(recipe):
    from napari_mammosae.core.models.loading import load_model

    loaded = load_model(**recipe)
    handle, local = open_handles(loaded)
    assert isinstance(handle, ProcessModel)
    assert handle.pid is None  # until it is asked
    np.testing.assert_allclose(handle.compute(image(), silent).logits, local.compute(image(), silent).logits, rtol=1e-5)
    handle.unload()
    loaded.recipe = None
    with pytest.warns(UserWarning, match="was not loaded from files, so it computes in the viewer's process"):
        handle, local = open_handles(loaded)
    assert handle is local


def test_a_run_in_a_batch_process(recipe, tmp_path):
    for seed in range(4):
        np.save(tmp_path / f"{seed}.npy", tiny.picture(seed))
    said, job = [], RunJob(str(tmp_path / "*.npy"), tmp_path / "run", workers=0)
    started = BatchJob("make_run", recipe, job).start()
    pid, nice = started._child.pid, []

    def report(*what):
        said.append(what)
        nice.append(psutil.Process(pid).nice())

    path, _ = started.result(report)
    assert path == tmp_path / "run"
    assert nice[-1] >= 10  # it gives way
    assert ("Computing latents", 4, 4) in said
    assert gone(pid)

    def stop(text, done=0, total=0):
        if total:
            raise Cancelled("stopped")

    other = RunJob(str(tmp_path / "*.npy"), tmp_path / "other", workers=0)
    with pytest.raises(Cancelled):
        BatchJob("make_run", recipe, other).result(stop)
    assert BatchJob("make_run", recipe, other).result()[0] == tmp_path / "other"


def test_warnings_of_the_process_are_warnings_here(monkeypatch):
    def moves(models, report):
        warnings.warn("using the CPU instead", stacklevel=1)
        return "done"

    monkeypatch.setitem(TASKS, "moves", moves)
    here, there = Pipe()
    Server(there)._do(Call(False, 0, 7, "moves"))
    received = [transport.receive(here) for _ in range(3)]
    assert [message for message, _ in received] == [
        ("progress", 7, "Starting", 0, 0),
        ("note", 7, "using the CPU instead"),
        ("result", 7),
    ]
    assert transport.unpack(received[-1][1]) == "done"
