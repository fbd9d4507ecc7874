"""Runs on a Dask cluster: the same rows as on one machine, also when a worker dies."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from functools import partial
from unittest.mock import patch

import pytest
import torch
from distributed import Client, Nanny, Scheduler, SpecCluster

import runs_kit
from napari_mammosae.core.base.errors import Cancelled, ModelError, RunError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making import dask_cluster
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[SpecCluster]:
    """Two workers, each of which sees a GPU of its own, as `dask cuda worker` starts them."""
    workers = {
        gpu: {"cls": Nanny, "options": {"nthreads": 1, "env": {"CUDA_VISIBLE_DEVICES": str(gpu)}}} for gpu in range(2)
    }
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
    # Dask's nannies set OMP_NUM_THREADS and more in this process, for good: processes of later tests would inherit it.
    with patch.dict(os.environ), SpecCluster(workers, scheduler) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = runs_kit.write_images(tmp_path_factory.mktemp("images"), 24)
    (folder / "image-007.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory, tiny_model, images):
    out = tmp_path_factory.mktemp("runs") / "local"
    write_run(images, load_model(tiny_model, device="cpu"), out, maps=True, block=2, workers=0)
    return out


def test_a_cluster_gives_the_same_bits(tmp_path, cluster, tiny_model, images, local):
    told = []
    summary = write_run(
        images,
        {"name": tiny_model, "device": "cpu"},
        tmp_path / "run",
        maps=True,
        block=2,
        scheduler=cluster.scheduler_address,
        progress=lambda *state: told.append(state),
    )
    assert (summary.computed, summary.failed) == (24, 1)
    runs_kit.assert_same(local, tmp_path / "run")
    assert (told[0], told[-1]) == (("Computing latents", 0, 24), ("Computing latents, 1 failed", 24, 24))
    with Client(cluster) as client:  # the model is let go with the run
        assert all(not names for names in client.run(runs_kit.models_on).values())


def test_one_worker_slow_and_the_other_killed_give_the_same_files(tmp_path, cluster, tiny_model, images, local):
    with Client(cluster) as client:
        slow, killed = client.run(os.getpid)
        client.run(runs_kit.slow_down, 0.2, workers=[slow])
        process = client.run(os.getpid, workers=[killed])[killed]

        def kill(_, done, total):
            if done >= 6 and not gone:
                os.kill(process, signal.SIGKILL)
                gone.append(done)

        gone = []
        write_run(
            images,
            {"name": tiny_model, "device": "cpu"},
            tmp_path / "run",
            maps=True,
            block=2,
            scheduler=cluster.scheduler_address,
            progress=kill,
        )
        client.run(runs_kit.at_full_speed, workers=[slow])
    assert gone
    assert runs_kit.contents(tmp_path / "run") == runs_kit.contents(local)


def test_each_worker_loads_the_model_under_the_gpu_that_it_sees(tmp_path, cluster, tiny_model, images, local):
    model = partial(runs_kit.load_and_note, tiny_model, tmp_path)
    write_run(images, model, tmp_path / "run", maps=True, block=2, scheduler=cluster.scheduler_address)
    seen = {path.name: path.read_text() for path in tmp_path.glob("*.gpu")}
    assert seen.pop(f"{os.getpid()}.gpu") == str(os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert sorted(seen.values()) == ["0", "1"]
    runs_kit.assert_same(local, tmp_path / "run")


def test_stopped_on_a_cluster_and_finished_here(tmp_path, cluster, tiny_model, images, local):
    arguments = (images, str(tiny_model), tmp_path / "run")
    seen = []
    with pytest.raises(Cancelled):
        write_run(
            *arguments,
            maps=True,
            block=2,
            scheduler=cluster.scheduler_address,
            progress=lambda _, done, total: seen.append(done),
            cancel=lambda: max(seen) >= 8,
        )
    with pytest.raises(RunError, match="is not complete"):
        open_run(tmp_path / "run")
    write_run(*arguments, maps=True, workers=0)
    runs_kit.assert_same(local, tmp_path / "run")


def test_what_cannot_work_is_said(tmp_path, cluster, tiny_model, images, monkeypatch):
    model = load_model(tiny_model, device="cpu")
    with pytest.raises(RunError, match="A loaded model cannot be sent to a cluster; give its name"):
        write_run(images, model, tmp_path / "a", scheduler=cluster.scheduler_address)
    monkeypatch.setattr(dask_cluster, "START_SECONDS", 1)
    with pytest.raises(RunError, match=r"No Dask scheduler answers at tcp://127.0.0.1:1 .* `dask scheduler --host"):
        write_run(images, tiny_model, tmp_path / "b", scheduler="tcp://127.0.0.1:1")
    with pytest.raises(ModelError):
        write_run(images, "no such model", tmp_path / "c", scheduler=cluster.scheduler_address)


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("tls://192.0.2.1:8786", True),
        ("tcp://192.0.2.1:8786", False),
        ("192.0.2.1:8786", False),
        ("ws://192.0.2.1:8786", False),
    ],
)
def test_a_scheduler_elsewhere_needs_encryption(address, safe):
    assert (dask_cluster.insecurity(address) == "") == safe


def test_a_scheduler_without_encryption_is_noted(tmp_path, tiny_model, images, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_connected", lambda address: (_ for _ in ()).throw(RunError("far away")))
    notes = []
    with pytest.raises(RunError, match="far away"):
        write_run(
            images, str(tiny_model), tmp_path / "run", workers=0, scheduler="tcp://192.0.2.1:1", notice=notes.append
        )
    assert any("tcp://192.0.2.1:1 is used without TLS" in note for note in notes)


def test_workers_without_the_folder_or_with_another_model(tmp_path, tiny_model, images):
    from napari_mammosae.core.models.engines.threads import torch_threads
    from napari_mammosae.core.runs.files.layout import Layout
    from napari_mammosae.core.runs.making.dask_cluster import ModelOnWorker
    from napari_mammosae.core.runs.settings import RunSettings, model_settings
    from napari_mammosae.core.runs.sources import read_sources

    model = load_model(tiny_model, device="cpu")
    settings = RunSettings(
        **model_settings(model), preprocessing=model.preprocessing, maps=False, block=4, images=24, list_sha256="",
        labels_sha256="",
    )  # fmt: skip
    holder = ModelOnWorker(lambda: model, 1)
    holder.setup(None)
    entries = read_sources(images).entries[:4]
    other = dataclasses.replace(settings, model_sha256="f" * 64)
    with torch_threads(2):
        with pytest.raises(RunError, match=r"A worker does not see elsewhere/run.json"):
            holder.compute(0, entries, settings, Layout(tmp_path / "elsewhere"), None)
        with pytest.raises(RunError, match="A worker loaded another model: model_sha256 differ"):
            holder.compute(0, entries, other, Layout(tmp_path / "elsewhere"), None)
        assert torch.get_num_threads() == 2  # whatever the run asked for
