"""Several SAEs in one pass over the features, stopped or killed anywhere, in each precision."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_mammosae.core.base.errors import Cancelled, SettingsError
from napari_mammosae.core.training import batches, checkpoint, sae_training
from napari_mammosae.core.training.sae_training import evaluate_sae, train_sae, train_saes
from napari_mammosae.core.training.settings import KINDS, SAETrainingSettings

SHORT = SAETrainingSettings(expansion=2, epochs=4, batch=64, learning_rate=1e-2, resample_every=1)
SEVERAL = {f"{l1:g}": replace(SHORT, l1=l1) for l1 in (1e-5, 3e-2, 3e-1)}


def features(cells: int = 300) -> np.ndarray:
    g = np.random.default_rng(0)
    directions = g.normal(size=(24, 20)) / 20**0.5
    return ((g.random((cells, 24)) < 0.1) * g.uniform(1, 3, (cells, 24)) @ directions + 0.4).astype(np.float16)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, sae in found.items():
        for a, b in zip(sae.parameters(), expected[name].parameters(), strict=True):
            assert torch.equal(a, b), name


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the state after every step."""
    monkeypatch.setattr(checkpoint, "_PAUSE", 0)
    monkeypatch.setattr(checkpoint, "_SPARING", 0)


def test_each_is_as_alone_and_every_batch_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a mapped file that is read piece by piece."""
    features().tofile(tmp_path / "features")
    file = np.memmap(tmp_path / "features", np.float16, "r", shape=(300, 20))
    monkeypatch.setattr(batches, "_WHOLE", 0)
    read, rows = batches.read, []
    alone = {name: train_sae(file, one) for name, one in SEVERAL.items()}
    monkeypatch.setattr(batches, "read", lambda given, part: rows.append(part) or read(given, part))
    together = train_saes(file, SEVERAL)
    assert_same(together, alone)
    assert sum(part.stop - part.start for part in rows if isinstance(part, slice)) == 4 * 300
    l0 = [evaluate_sae(sae, file).l0 for sae in together.values()]
    assert l0[0] > l0[1] > l0[2]


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("step", [1, 3, 5, 9, 19])
def test_stopped_within_an_epoch_they_end_the_same(tmp_path: Path, step: int) -> None:
    files = {name: tmp_path / f"{name}.safetensors" for name in SEVERAL}
    calls, records, told = iter(range(99)), [], []
    whole = train_saes(features(), SEVERAL, each_epoch=lambda *given: records.append(given))
    with pytest.raises(Cancelled):
        train_saes(features(), SEVERAL, checkpoints=files, cancelled=lambda: next(calls) == step)
    left = iter(range(99))
    again = train_saes(
        features(), SEVERAL, checkpoints=files, cancelled=lambda: next(left) == 20 - step,
        each_epoch=lambda *given: told.append(given),
    )  # fmt: skip
    assert_same(again, whole)
    assert told == records[-len(told) :]
    assert_same(train_saes(features(), SEVERAL, checkpoints=files, cancelled=lambda: True), whole)  # is done


@pytest.mark.usefixtures("often")
def test_one_that_was_kept_later_than_the_others_waits_for_them(tmp_path: Path) -> None:
    """As when a kill comes between the writing of two checkpoints."""
    files = {name: tmp_path / f"{name}.safetensors" for name in SEVERAL}
    whole = train_saes(features(), SEVERAL)
    for stop, name in ((9, "1e-05"), (7, "0.03"), (2, "0.3")):
        calls = iter(range(99))
        with pytest.raises(Cancelled):
            train_sae(features(), SEVERAL[name], checkpoint=files[name], cancelled=lambda: next(calls) == stop)  # noqa: B023
    assert_same(train_saes(features(), SEVERAL, checkpoints=files), whole)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as Linux and macOS do")
def test_killed_within_an_epoch_they_end_the_same(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_one_pass import SEVERAL, features, checkpoint, train_saes\n"
        "checkpoint._PAUSE = checkpoint._SPARING = 0\n"
        "files = {name: Path(sys.argv[1]) / f'{name}.safetensors' for name in SEVERAL}\n"
        "steps = iter(range(99))\n"
        "train_saes(features(), SEVERAL, checkpoints=files,\n"
        "           cancelled=lambda: next(steps) == 12 and os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    files = {name: tmp_path / f"{name}.safetensors" for name in SEVERAL}
    assert all(path.exists() for path in files.values())
    steps = iter(range(99))
    again = train_saes(features(), SEVERAL, checkpoints=files, cancelled=lambda: next(steps) == 8)
    assert_same(again, train_saes(features(), SEVERAL))


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_weights_stay_float32_and_learn_the_same(kind: Any, monkeypatch) -> None:
    monkeypatch.setattr(sae_training, "computes_in", lambda *_: True)  # slowly, on some processors
    options = {"l1": 1e-3} if kind in ("relu", "gated") else {"k": 4}
    exact = replace(SHORT, kind=kind, epochs=8, **options)
    stats = []
    for precision in ("float32", "tf32", "bfloat16"):
        sae = train_sae(features(), replace(exact, precision=precision))
        assert all(parameter.dtype == torch.float32 for parameter in sae.parameters())
        stats.append(evaluate_sae(sae, features()))
    assert stats[1].explained_variance == stats[0].explained_variance  # a CPU has no TF32
    assert stats[2].explained_variance != stats[0].explained_variance
    assert stats[2].explained_variance == pytest.approx(stats[0].explained_variance, abs=0.03)


@pytest.mark.parametrize("kind", ["relu", "topk"])
def test_a_processor_without_bfloat16_trains_in_float32_and_says_so(kind: Any, monkeypatch) -> None:
    monkeypatch.setattr(sae_training, "computes_in", lambda *_: False)
    options = {"l1": 1e-3} if kind == "relu" else {"k": 4}
    exact = replace(SHORT, kind=kind, epochs=2, **options)
    with pytest.warns(UserWarning, match="does not compute in bfloat16: training in float32"):
        found = train_sae(features(), replace(exact, precision="bfloat16"))
    assert_same({"": found}, {"": train_sae(features(), exact)})


def test_settings_that_share_no_pass_are_refused() -> None:
    with pytest.raises(SettingsError, match="differ in l1 or k alone"):
        train_saes(features(), {"a": SHORT, "b": replace(SHORT, batch=32)})
    with pytest.raises(SettingsError, match="precision is 'float8'; expected one of float32, tf32, bfloat16"):
        train_sae(features(), replace(SHORT, precision="float8"))
