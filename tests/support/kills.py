"""Jobs that are killed at random moments, and what must hold of their files right after it and when they ran again."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

import compare_kit
import runs_kit
from kill_jobs import SUBJECT
from napari_mammosae.core.base.files import sha256_file
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.verdicts.exchange import export_verdicts
from napari_mammosae.core.verdicts.store import VerdictStore

COUNT = 8
QUICK = ("--epochs", "6", "--expansion", "2", "--learning-rate", "1e-2", "--workers", "0", "--device", "cpu")


@dataclass(frozen=True)
class Job:
    """A command that leaves files.

    Attributes
    ----------
    words
        Of the command, from the folder that it writes into and the variant, 0 or 1.
    note
        Name of the file that says where the others come from; empty where there is none.
    variants
        How many different results it can leave.
    """

    words: Callable[[Path, int], list[object]]
    note: str = ""
    variants: int = 2


def jobs(world: Path, model: Path) -> dict[str, Job]:
    """Every command that writes files, with two variants each, so that the one replaces the results of the other."""
    a, b, made = world / "a", world / "b", ("--model", model)
    images, device = world / "images", ("--model", model, "--device", "cpu")
    verdicts = ("--verdicts", world / "verdicts.sqlite")
    return {
        "run": Job(lambda to, _: ["run", images, *device, "--labels", world / "labels.csv", "--maps", "--workers", "0",
                                  "--out", to / "run"], variants=1),
        "train-sae": Job(lambda to, _: ["train-sae", images, *device[:2], *QUICK, "--out", to / "sae.safetensors"],
                         "sae.safetensors.json", 1),
        "verdicts": Job(lambda to, _: ["decide", to / "v.sqlite", to / "acknowledged", "60"], variants=1),
        "export": Job(lambda to, v: ["verdicts", "export", to / "e.csv", *verdicts, *(["--current"] * v)],
                      "e.csv.json"),
        "compare": Job(lambda to, v: ["compare", a, b, "--label", "mass", "--class", str(v), "--out", to],
                       "comparison.json"),
        "intervene": Job(lambda to, v: ["intervene", a, "--label", "mass", *made, "--k", "0,1,5", "--mode",
                                        ("keep", "zero")[v], "--csv", to / "i.csv"], "i.csv.json"),
        "plot": Job(lambda to, v: ["intervene", a, "--label", "mass", *made, "--k", "0,1", "--mode",
                                   ("keep", "zero")[v], "--plot", to / "i.svg"], "i.svg.json"),
        "rank": Job(lambda to, v: ["rank", a, "--label", "mass", "--score", ("diff", "auroc")[v], "--csv",
                                   to / "r.csv"], "r.csv.json"),
        "localize": Job(lambda to, v: ["localize", world / "run", "--boxes", world / "boxes.csv", "--resamples", "0",
                                       "--iou", ("0.25", "0.5")[v], "--csv", to / "l.csv"], "l.csv.json"),
        "inspect": Job(lambda to, v: ["inspect", images / "image-000.png", *device, "--top", str(v + 1), "--out", to],
                       "prediction.json"),
        "agreement": Job(lambda to, v: ["verdicts", "agreement", *(("anna", "bea"), ("bea", "anna"))[v], *verdicts,
                                        "--csv", to / "g.csv"], "g.csv.json"),
        "import": Job(lambda to, _: ["verdicts", "import", world / "e.csv", "--verdicts", to / "i.sqlite"], variants=1),
        "merge": Job(lambda to, v: ["verdicts", "merge", world / "e.csv", world / "verdicts.sqlite", "--out",
                                    to / f"m{v}.sqlite"]),
        "boxes": Job(lambda to, v: ["save-boxes", to / "b.csv", ("mass", "=cyst")[v]], "b.csv.json"),
        "phantoms": Job(lambda to, v: ["phantoms", to, "--count", "1", "--marker-bias", str(v)], "phantoms.json"),
    }  # fmt: skip


def write_world(folder: Path) -> Path:
    """Write what the quick jobs read: images, labels, boxes, and verdicts of two people with an export of these."""
    runs_kit.write_images(folder / "images", COUNT)
    numbers = range(COUNT)
    (folder / "labels.csv").write_text("\n".join(["image_id,mass", *(f"image-{i:03d},{i % 2}" for i in numbers)]))
    lines = [f"image-{i:03d},mass,{10 * i},80,{10 * i + 90},190" for i in numbers]
    (folder / "boxes.csv").write_text("\n".join(["image,finding,xmin,ymin,xmax,ymax", *lines]))
    with VerdictStore(folder / "verdicts.sqlite") as store:
        for name, verdicts in (("anna", ("lesion", "spurious") * 10), ("bea", ("lesion",) * 20)):
            store.annotator = name
            for latent, verdict in enumerate(verdicts):
                store.decide(SUBJECT, latent, verdict, concept="@concept", note="-1+1")
        store.decide(SUBJECT, 0, "unsure")
        export_verdicts(store, folder / "e.csv")
    return folder


def add_runs(world: Path, model: Path) -> None:
    """Write the runs that the other jobs read."""
    compare_kit.write_runs(world, model)
    write_run(world / "images", load_model(model, device="cpu"), world / "run", maps=True, workers=0)


class Killer:
    """Runs jobs in copies of a process, and kills them.

    Parameters
    ----------
    process
        One that runs `kill_jobs`.
    folder
        For what is noted down meanwhile.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._count = process, folder / "count"

    def run(self, words: list[object], moment: int = -1, seconds: float = np.inf) -> int:
        """Run a job, killed at a change to files, after a time, or not at all; return what `waitpid` says."""
        self._count.unlink(missing_ok=True)
        job = {"words": [str(word) for word in words], "moment": moment, "count_file": str(self._count)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        copy = int(self._process.stdout.readline())

        def end() -> None:
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(copy, signal.SIGKILL)

        kill = threading.Timer(seconds, end) if np.isfinite(seconds) else None
        if kill is not None:
            kill.start()
        status = int(self._process.stdout.readline())
        if kill is not None:
            kill.cancel()
            with suppress(RuntimeError):
                kill.join()
        return status

    @property
    def changes(self) -> int:
        """How many changes to files the last job, which ended by itself, made."""
        return int(self._count.read_text())


@contextmanager
def killer(folder: Path) -> Iterator[Killer]:
    """Start the process that runs jobs."""
    command = [sys.executable, str(Path(__file__).with_name("kill_jobs.py"))]
    log = folder / "log"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    with (
        log.open("w") as err,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True,
                         env=environment) as process,
    ):  # fmt: skip
        yield Killer(process, folder)
        process.stdin.close()


def kill_at_random(
    killer: Killer, job: Job, name: str, folder: Path, kills: int, rng: random.Random
) -> dict[str, float]:
    """Kill a job so often at random moments, half of them at changes to files, and check its files each time.

    After each kill the same command is given again, and must leave what it leaves undisturbed.
    """
    whole = [folder / f"whole-{variant}" for variant in range(job.variants)]
    changes, lasted = [], []
    for variant, to in enumerate(whole):
        to.mkdir(parents=True)
        began = time.monotonic()
        assert killer.run(job.words(to, variant)) == 0, name
        lasted.append(time.monotonic() - began)
        changes.append(killer.changes)
    to, done, tries = folder / "killed", 0, 0
    to.mkdir()
    while done < kills:
        variant = tries % job.variants
        tries += 1
        assert tries < 10 * kills + 10, f"{name} is never killed"
        by_change = rng.random() < 0.5
        status = killer.run(
            job.words(to, variant),
            rng.randrange(changes[variant]) if by_change and changes[variant] else -1,
            np.inf if by_change and changes[variant] else rng.uniform(0, 1.05 * lasted[variant]),
        )
        assert status in (0, signal.SIGKILL), name
        done += status == signal.SIGKILL
        check_now(name, job, to, whole)
        assert killer.run(job.words(to, variant)) == 0, name
        check_after(name, job, to, whole[variant])
        if name in ("run", "import", "merge") or rng.random() < 0.3:
            for path in sorted(to.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
    return {"kills": done, "starts": 2 * tries + job.variants, "seconds": sum(lasted) / job.variants}


def check_now(name: str, job: Job, to: Path, whole: list[Path]) -> None:
    """What must hold right after a kill: no half file, and no result without or beside another's record."""
    shown = {path.name: path for path in to.iterdir() if not path.name.startswith(".") and path.is_file()}
    if name == "verdicts":
        check_acknowledged(to)
    if not job.note or name == "train-sae" or not shown:
        return
    if name == "phantoms":  # the images come first, each whole by itself
        shown = {key: path for key, path in shown.items() if path.suffix != ".png"}
    results = shown.keys() - {job.note}
    if results:
        assert job.note in shown, (name, "a result without its record", sorted(shown))
    fits = [all(same(path, folder / key) for key, path in shown.items()) for folder in whole]
    assert any(fits), (name, "results of two variants, or a half one", sorted(shown))


def check_after(name: str, job: Job, to: Path, whole: Path) -> None:
    """What must hold once the command ran again: all is as if it had never been killed, and nothing else is there."""
    if name == "verdicts":
        check_acknowledged(to)
    if name == "run":
        runs_kit.assert_same(whole / "run", to / "run")
    left = [path for path in to.rglob(".*") if path.name != ".lock"]
    assert not left, (name, left)
    expected = {path.relative_to(whole) for path in whole.rglob("*")}
    found = {path.relative_to(to) for path in to.rglob("*")}
    if name not in ("verdicts", "import", "merge", "phantoms"):
        assert found == expected, (name, found ^ expected)
    if job.note:
        for key in expected:
            if (whole / key).is_file():
                assert same(to / key, whole / key), (name, key)
    if name in ("import", "merge"):
        states = []
        for folder in (to, whole):
            with VerdictStore(next(folder.glob("*.sqlite"))) as store:
                states.append(store.events())
        assert states[0] == states[1], name
        assert states[0], name


def check_acknowledged(to: Path) -> None:
    """Every verdict that was acknowledged is in the file."""
    log = to / "acknowledged"
    lines = log.read_text().splitlines() if log.exists() else []
    wanted = {line.removesuffix(" .") for line in lines if line.endswith(" .")}
    if wanted:
        with VerdictStore(to / "v.sqlite") as store:
            assert wanted <= {event.uuid for event in store.events()}


def same(path: Path, other: Path) -> bool:
    """Whether two files say the same, whenever they were written."""
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text())) == without_times(json.loads(other.read_text()))
    if path.suffix == ".npz":
        with np.load(path) as a, np.load(other) as b:
            return set(a) == set(b) and all(np.array_equal(a[key], b[key]) for key in a)
    if path.suffix == ".safetensors":  # whose metadata come in any order
        record = json.loads(path.with_name(f"{path.name}.json").read_text())
        assert record["sha256"] == sha256_file(path)
        a, b = load_file(path), load_file(other)
        return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    if path.suffix == ".csv":
        pd.read_csv(path)
    return path.read_bytes() == other.read_bytes()


def without_times(value: object) -> object:
    """Return JSON without the times of writing."""
    if isinstance(value, dict):
        return {key: without_times(part) for key, part in value.items() if key not in ("created", "sha256")}
    return [without_times(part) for part in value] if isinstance(value, list) else value
