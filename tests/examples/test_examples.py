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


RUNNER = """
import os, runpy, sys, traceback
import torch, napari_mammosae
from napari_mammosae.core.models import loading, timm_import
from napari_mammosae.core.runs.making import make
timm_import.import_timm()

# copies of a process that has torch loaded already: a new one each time would take seconds
for line in sys.stdin:
    script, folder = line.rstrip("\\n").split("\\t")
    copy = os.fork()
    if copy == 0:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(folder + "." + name, os.O_WRONLY | os.O_CREAT), number)
        status = 1
        try:
            runpy.run_path(script, run_name="__main__")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def runner():
    """A process that runs scripts: a script and its folder in, the exit status out."""
    environment = os.environ | {"MPLBACKEND": "agg"}
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow, *([pytest.mark.opengl] if name in OPENGL else [])])
        for name in WRITES
    ],
)
@pytest.mark.timeout(280)
def test_example_runs(name, tmp_path, request, runner):
    if name in OPENGL:
        request.getfixturevalue("qapp")
    folder = tmp_path / "here"
    folder.mkdir()
    runner.stdin.write(f"{EXAMPLES / f'{name}.py'}\t{folder}\n")
    runner.stdin.flush()
    status = runner.stdout.readline().strip()
    assert status == "0", (tmp_path / "here.stderr").read_text()
    assert SAYS[name] in (tmp_path / "here.stdout").read_text()
    written = {path.name for path in folder.iterdir()}
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
