"""The scripts in `examples/` run as they stand, from an empty folder, without a `__main__` guard."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WRITES = {
    "one_image": {"latents.png"},
    "rank_a_data_set": {"ranking.csv", "run"},
    "localise_findings": {"localisation.png", "run"},
    "remove_the_marker": {"sweep.png", "run"},
    "verdicts_into_analysis": {"without_spurious.csv", "run"},
    "two_models": {"comparison.png", "exact", "rough"},
    "notebook": {"run", "other"},
}
SAYS = {
    "one_image": "mass: 0.",
    "rank_a_data_set": "<Run run: 8 images, 2048 latents of demo, pooled values only>",
    "localise_findings": "suspicious_calcification",
    "remove_the_marker": "<InterventionEffect zero of",
    "verdicts_into_analysis": "<Verdicts verdicts.sqlite: 3 latents of run reviewed>",
    "two_models": "<ModelComparison exact, rough: class 1",
    "notebook": "",
}
OPENGL = {"notebook"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow, *([pytest.mark.opengl] if name in OPENGL else [])])
        for name in WRITES
    ],
)
def test_example_runs(name, tmp_path, request):
    if name in OPENGL:
        request.getfixturevalue("qapp")
    environment = os.environ | {"MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    written = {path.name for path in tmp_path.iterdir()}
    assert written == WRITES[name] | {"phantoms"}


def test_every_example_is_tried_and_short():
    scripts = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in EXAMPLES.glob("*.py")}
    assert set(scripts) == set(WRITES)
    assert all(len(lines) < 60 for lines in scripts.values())
    assert not any("__main__" in line for lines in scripts.values() for line in lines)


def test_the_page_prints_the_notebook_as_it_runs():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    notebook = (EXAMPLES / "notebook.py").read_text(encoding="utf-8")
    assert f"```python\n{notebook}```\n" in page
