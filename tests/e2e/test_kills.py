"""Programs killed at random moments: nothing acknowledged is lost, no file is half, no pair torn, nothing left over."""

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import kills

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as Linux and macOS do")

COUNTS = {"run": 8, "train-sae": 8, "verdicts": 24, "export": 20, "import": 10, "boxes": 10, "compare": 4}
OTHERS = 2


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kills.Killer]:
    """What runs and kills programs."""
    with kills.killer(tmp_path_factory.mktemp("killer")) as killer:
        yield killer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the killed programs read."""
    return kills.write_world(tmp_path_factory.mktemp("world"))


@pytest.mark.soak
def test_a_hundred_kills(tmp_path: Path, killer: kills.Killer, world: Path, tiny_model: Path):
    rng, figures = random.Random(1), {}
    kills.add_runs(world, tiny_model)
    for name, job in kills.jobs(world, tiny_model).items():
        figures[name] = kills.kill_at_random(killer, job, name, tmp_path / name, COUNTS.get(name, OTHERS), rng)
    print(json.dumps(figures, indent=1))
    assert sum(figure["kills"] for figure in figures.values()) >= 100
