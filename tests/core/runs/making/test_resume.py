"""Runs that were killed, stopped, or ran out of disk, and then go on."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import runs_kit
from napari_mammosae.core.base.errors import Cancelled, RunError
from napari_mammosae.core.models.engines.threads import torch_threads
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.files import layout as run_layout
from napari_mammosae.core.runs.making import dask_cluster
from napari_mammosae.core.runs.making import folder as run_folder
from napari_mammosae.core.runs.making.compute import Computer
from napari_mammosae.core.runs.making.folder import hold_alone
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

KILLS = 4

RUNNER = """
import os, sys
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs import run, sources  # so that the copies need not
from napari_mammosae.core.runs.making import assemble, compute, part_files

images, labels, spec = sys.argv[1:]
model = load_model(spec, device="cpu")

def begun(*_):
    os.write(1, b".")

# copies of a process that has torch loaded already: a new one each time would take two seconds
for line in sys.stdin:
    copy = os.fork()
    if copy == 0:
        write_run(images, model, line.strip(), labels=labels, maps=True, block=3, workers=0, progress=begun)
        begun()  # nothing is reported where the one before was killed after its last word
        os._exit(0)
    os.write(1, b"%d\\n" % copy)
    _, status = os.waitpid(copy, 0)
    os.write(1, b"end %d\\n" % status)
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the processes that are killed: with another number of threads sums differ in the last bits."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = runs_kit.write_images(tmp_path_factory.mktemp("images"), 48)
    (folder / "image-017.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    lines = [f"image-{i:03d},patient-{i // 4},{i % 2}" for i in range(48)]
    path.write_text("\n".join(["image,patient,mass", *lines, lines[3]]))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, model, images, labels):
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    write_run(images, model, out, labels=labels, maps=True, block=3, workers=0)
    return out


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(tmp_path, tiny_model, images, labels, undisturbed):
    rng, kills, number = random.Random(0), 0, 0
    command = [sys.executable, "-c", RUNNER, str(images), str(labels), str(tiny_model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as runner:
        finished = False
        while kills < KILLS or not finished:
            if finished:  # it was quicker than the kills: once more from the start
                runs_kit.assert_same(undisturbed, tmp_path / f"run-{number}")
                number += 1
            runner.stdin.write(f"{tmp_path / f'run-{number}'}\n".encode())
            runner.stdin.flush()
            copy = int(_until(runner.stdout, b"\n"))
            _until(runner.stdout, b".")  # the computation has begun
            if kills < KILLS:
                time.sleep(rng.uniform(0, 0.15))
                with suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(copy, signal.SIGKILL)
            status = int(_until(runner.stdout, b"\n").split(b"end ")[1])
            kills += status == signal.SIGKILL
            assert status in (0, signal.SIGKILL)
            finished = status == 0
        runner.stdin.close()
    runs_kit.assert_same(undisturbed, tmp_path / f"run-{number}")
    assert not [path for path in (tmp_path / f"run-{number}").rglob(".*") if path.name != ".lock"]


def _until(stream, end):
    text = b""
    while not text.endswith(end):
        byte = stream.read(1)
        assert byte, "the runner ended"
        text += byte
    return text


def test_finished_parts_are_not_computed_again(tmp_path, model, images, labels, undisturbed):
    out = tmp_path / "run"
    calls = iter(range(20))
    with pytest.raises(Cancelled, match="Give the same command again"):
        write_run(images, model, out, labels=labels, maps=True, block=3, workers=0, cancel=lambda: next(calls) == 16)
    parts = {path: path.stat().st_mtime_ns for path in sorted((out / "images").glob("*.parquet"))}
    assert len(parts) == 5
    assert not (out / "images.parquet").exists()
    with pytest.raises(RunError, match=r"run is not complete \(5 of 16 blocks done\)"):
        open_run(out)
    # a part without its mark does not count, and what a killed writer left is swept away
    (out / "pooled" / "part-00009.parquet").write_bytes(b"half a part")
    (out / "pooled" / ".writing-x").mkdir()
    (out / "pooled" / ".writing-x" / "part-00009.parquet").write_bytes(b"half a part")
    summary = write_run(images, model, out, labels=labels, maps=True, workers=0)  # the block size is the run's own
    assert (summary.computed, summary.failed) == (48 - 15, 1)
    assert parts.items() <= {path: path.stat().st_mtime_ns for path in (out / "images").glob("*.parquet")}.items()
    runs_kit.assert_same(undisturbed, out)
    assert not list((out / "pooled").glob(".*"))


def test_an_exception_from_progress_stops_and_leaves_a_run_to_resume(tmp_path, model, images, labels, undisturbed):
    def stop(_, done, total):
        if done == 20:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        write_run(images, model, out, labels=labels, maps=True, block=3, workers=1, progress=stop)
    write_run(images, model, out, labels=labels, maps=True, workers=0)
    runs_kit.assert_same(undisturbed, out)


LONG_RUN = """
import multiprocessing, os, sys, time
from napari_mammosae.core.runs.making.make import write_run

def progress(_, done, total):
    if done == 4:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(60)

if __name__ == "__main__":
    images, labels, spec, out = sys.argv[1:]
    write_run(images, spec, out, labels=labels, maps=True, block=3, workers=2, progress=progress)
"""


@pytest.mark.slow
def test_decoding_processes_end_with_a_killed_run(tmp_path, tiny_model, images, labels):
    script = tmp_path / "long_run.py"
    script.write_text(LONG_RUN)
    command = [sys.executable, script, images, labels, tiny_model, tmp_path / "run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    children = [int(pid) for pid in process.stdout.readline().split()]
    assert len(children) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_two_writers_do_not_share_a_run(tmp_path, model, images):
    def second(_, done, total):
        if done == 2:
            with pytest.raises(RunError, match="Another process is computing run"):
                write_run(images, model, tmp_path / "run", block=3, workers=0)

    write_run(images, model, tmp_path / "run", block=3, workers=0, progress=second)


HOLDER = """
import sys, time
from pathlib import Path
from napari_mammosae.core.runs.making.folder import hold_alone

with hold_alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_writer_ends_with_it(tmp_path, model, images):
    out = tmp_path / "run"
    out.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLDER, out], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="Another process is computing run; wait for it, or choose another folder"):
            write_run(images, model, out, workers=0)
        holder.kill()
    assert write_run(images, model, out, workers=0).failed == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks on every drive")
@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_drive_without_locks_does_not_stop_the_work(tmp_path, model, images, monkeypatch, reason):
    import fcntl

    def refuse(*_):
        raise OSError(reason, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):  # what the first leaves must not look like another writer
        with hold_alone(tmp_path):
            assert write_run(images, model, tmp_path / f"run-{reason}", workers=0, block=24).images == 48


@pytest.mark.parametrize("kind", ["images", "pooled", "maps", "regions"])
def test_a_full_disk_at_any_part(tmp_path, model, images, labels, undisturbed, kind, monkeypatch):
    write = pq.write_table

    def full(table, where, **options):
        if Path(where).parents[1].name == kind and "00004" in Path(where).name:
            Path(where).write_bytes(b"as far as it went")
            raise OSError(errno.ENOSPC, "No space left on device", str(where))
        write(table, where, **options)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(run_layout.pq, "write_table", full)
        with pytest.raises(RunError, match=rf"The disk is full: {kind}/part-00004.parquet was not written") as caught:
            write_run(images, model, out, labels=labels, maps=True, block=3, workers=0)
        assert str(tmp_path) not in str(caught.value)
    assert [path.name for path in sorted((out / "images").iterdir())] == [f"part-{i:05d}.parquet" for i in range(4)]
    write_run(images, model, out, labels=labels, maps=True, workers=0)
    runs_kit.assert_same(undisturbed, out)


def test_a_full_disk_at_the_last_tables(tmp_path, model, images, labels, undisturbed, monkeypatch):
    out = tmp_path / "run"

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("images.parquet", "rows.parquet"):
        with monkeypatch.context() as patch:
            write = pq.write_table
            patch.setattr(
                run_layout.pq,
                "write_table",
                lambda table, where, name=name, write=write, **options: (
                    full() if name.split(".")[0] in Path(where).name else write(table, where, **options)
                ),
            )
            with pytest.raises(RunError, match=f"The disk is full: run/{name}"):
                write_run(images, model, out, labels=labels, maps=True, block=3, workers=0)
    assert write_run(images, model, out, labels=labels, maps=True, workers=0).computed == 0
    runs_kit.assert_same(undisturbed, out)


def test_a_small_real_disk(tmp_path, model, images, labels, undisturbed, monkeypatch):
    """On a memory disk of 300 kB where one may be mounted, else with a limit on what may be written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = sys.platform == "linux" and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], stderr=subprocess.DEVNULL
    )
    arguments = (images, model, disk / "run")
    options = {"labels": labels, "maps": True, "block": 3, "workers": 0}
    try:
        if mounted:
            with pytest.raises(RunError, match=r"The disk is full: .* was not written"):
                write_run(*arguments, **options)
            subprocess.check_call(["mount", "-o", "remount,size=20m", disk])
        else:
            left, write = [150_000], pq.write_table

            def limited(table, where, **settings):
                write(table, where, **settings)
                left[0] -= Path(where).stat().st_size
                if left[0] < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(run_layout.pq, "write_table", limited)
            with pytest.raises(RunError, match="The disk is full"):
                write_run(*arguments, **options)
            monkeypatch.undo()
        done = sorted((disk / "run" / "images").glob("part-*.parquet"))
        assert 0 < len(done) < 16
        for number, path in enumerate(done):
            for kind in runs_kit.KINDS:
                whole = pq.read_table(undisturbed / kind / path.name)
                assert pq.read_table(disk / "run" / kind / path.name).equals(whole), (number, kind)
        write_run(*arguments, **options)
        runs_kit.assert_same(undisturbed, disk / "run")
    finally:
        if mounted:
            subprocess.check_call(["umount", disk])


def test_maps_that_cannot_fit_are_not_begun(tmp_path, model, images, monkeypatch):
    from napari_mammosae.core.runs.making import folder as space

    usage = type("Usage", (), {"free": 1500})
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(RunError, match=r"Not started: the maps take about [\d.]+ kB, 1.5 kB are free. Free some space"):
        write_run(images, model, tmp_path / "run", maps=True, workers=0)
    write_run(images, model, tmp_path / "run", workers=0)  # without maps it fits, in the same folder


def _no_scheduler(monkeypatch):
    monkeypatch.setattr(dask_cluster, "START_SECONDS", 1)
    return {"scheduler": "tcp://127.0.0.1:1"}


def _no_space(monkeypatch):
    monkeypatch.setattr(run_folder.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1500}))
    return {"maps": True}


def _no_memory(monkeypatch):
    monkeypatch.setattr(Computer, "warm_up", lambda *_: (_ for _ in ()).throw(RunError("no memory")))
    return {}


def _stopped(monkeypatch):
    return {"cancel": lambda: True}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("fail", [_no_scheduler, _no_space, _no_memory, _stopped])
def test_a_run_that_computed_nothing_leaves_nothing(tmp_path, tiny_model, images, monkeypatch, fail, there):
    out = tmp_path / "deep" / "run"
    if there:
        out.mkdir(parents=True)
        (out / ".keep").write_text("")
    with monkeypatch.context() as patch, pytest.raises((RunError, Cancelled)):
        write_run(images, str(tiny_model), out, workers=0, **fail(patch))
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == (["deep", "deep/run", "deep/run/.keep"] if there else [])


def test_the_space_for_maps_is_told_once(tmp_path, model, images):
    said = []
    for _ in range(2):
        write_run(images, model, tmp_path / "run", maps=True, workers=0, notice=said.append)
    assert len([text for text in said if text.startswith("The maps take about ")]) == 1


def test_a_damaged_part_is_named(tmp_path, model, images, labels):
    out = tmp_path / "run"
    write_run(images, model, out, labels=labels, block=24, workers=0)
    info = (out / "run.json").read_text()
    (out / "run.json").write_text(info.replace('"complete": true', '"complete": false'))
    part = out / "images" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(RunError, match=r"images/part-00001.parquet is damaged .* delete it and run the same command"):
        write_run(images, model, out, labels=labels, workers=0)
    pq.write_table(pa.table({"image": [1]}), part)
    with pytest.raises(RunError, match="is damaged"):
        write_run(images, model, out, labels=labels, workers=0)
    part.unlink()
    assert write_run(images, model, out, labels=labels, workers=0).computed == 24
