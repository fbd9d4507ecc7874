"""What is around the code: the wheel's contents, the figures that must agree, the benchmark runner."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, PYTEST = CONFIGURATION["project"], CONFIGURATION["tool"]["pytest"]["ini_options"]
INFO = "napari_mammosae-1.dist-info"
METADATA = "License-Expression: BSD-3-Clause\nClassifier: Framework :: napari\nRequires-Dist: numpy\n{}\n"
ENTRY_POINTS = "napari-mammosae = napari_mammosae.cli:main\nnapari-mammosae = napari_mammosae:napari.yaml\n"
GOOD = {
    "napari_mammosae/__init__.py": "",
    "napari_mammosae/__init__.pyi": "",
    "napari_mammosae/napari.yaml": "",
    "napari_mammosae/py.typed": "",
    "napari_mammosae/cli/app.py": "",
    "napari_mammosae/core/base/errors.py": "",
    "napari_mammosae/core/models/published/models.toml": "",
    "napari_mammosae/viewer/reader.py": "",
    "napari_mammosae/sample_data/demo/model.toml": "",
    "napari_mammosae/sample_data/demo/model.safetensors": "",
    "napari_mammosae/sample_data/demo/README.md": "",
    "napari_mammosae/sample_data/phantoms/a.png": "",
    f"{INFO}/licenses/LICENSE": "",
    f"{INFO}/METADATA": METADATA.format(""),
    f"{INFO}/entry_points.txt": ENTRY_POINTS,
}


def check_wheel(folder: Path, contents: dict[str, str | bytes]) -> subprocess.CompletedProcess[str]:
    path = folder / "napari_mammosae-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in contents.items():
            wheel.writestr(name, content)
    command = [sys.executable, ROOT / "scripts" / "check_wheel.py", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_right_wheel_passes(tmp_path: Path):
    done = check_wheel(tmp_path, GOOD)
    assert done.returncode == 0, done.stderr


def without(*names: str) -> Callable[[], dict]:
    return lambda: {name: content for name, content in GOOD.items() if name not in names}


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (without("napari_mammosae/napari.yaml"), "no napari_mammosae/napari"),
        (without("napari_mammosae/sample_data/demo/model.safetensors"), "safetensors"),
        (without("napari_mammosae/core/base/errors.py"), "errors"),
        (without(f"{INFO}/licenses/LICENSE"), "LICENSE"),
        (lambda: GOOD | {"tests/test_a.py": ""}, "does not belong: tests/test_a.py"),
        (lambda: GOOD | {"napari_mammosae/model.safetensors": ""}, "does not belong"),
        (lambda: GOOD | {"napari_mammosae/__pycache__/a.pyc": ""}, "does not belong"),
        (lambda: GOOD | {"napari_mammosae/sample_data/a.png": bytes(16 * 2**20)}, "more than 15"),
        (lambda: GOOD | {f"{INFO}/METADATA": METADATA.format("Requires-Dist: PyQt6>=6")}, "brings a Qt binding"),
        (lambda: GOOD | {f"{INFO}/METADATA": METADATA.replace("Framework", "Work")}, "classifier"),
        (lambda: GOOD | {f"{INFO}/entry_points.txt": ""}, "no entry point"),
    ],
)
def test_wrong_wheels_do_not(tmp_path: Path, contents: Callable[[], dict], complaint: str):
    done = check_wheel(tmp_path, contents())
    assert done.returncode == 1
    assert complaint in done.stderr


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\n## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_what_is_tested_is_pinned():
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    named = {re.match(r"[A-Za-z0-9_.-]+", line).group() for line in [*PROJECT["dependencies"], *extras]}
    named = {re.sub(r"[-_.]+", "-", name).lower() for name in named}
    assert named - pinned <= {"napari-mammosae", "pyside6"}


def test_checks_before_a_commit_are_those_of_make_check():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    called = {hook["entry"].removeprefix(".venv/bin/").partition(" --force")[0] for hook in hooks[0]["hooks"]}
    recipes = re.findall(r"^\t\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = (
        "ruff check",
        "ruff format --check",
        "mypy",
        "lint-imports",
        "npe2 validate src/napari_mammosae/napari.yaml",
    )
    assert called == set(wanted)
    assert set(wanted) <= set(recipes)


def test_the_workflow_names_marks_and_scripts_that_exist():
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    (job,) = yaml.safe_load(text)["jobs"].values()
    marks = {line.partition(":")[0] for line in PYTEST["markers"]}
    systems = set()
    for run in job["strategy"]["matrix"]["include"]:
        systems.add(run["os"].partition("-")[0])
        assert set(re.findall(r"\b(?!not\b|and\b)\w+", run["marks"])) <= marks
        assert f"Programming Language :: Python :: {run['python']}" in PROJECT["classifiers"]
    assert systems == {"ubuntu", "windows", "macos"}
    assert all((ROOT / script).is_file() for script in re.findall(r"\bscripts/[\w.]+", text))
    assert "Untried" in text


def test_what_is_for_the_forge_asks_for_the_report_and_against_patient_data():
    folder = ROOT / ".github"
    bug = yaml.safe_load((folder / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    report = next(part for part in bug["body"] if part.get("id") == "report")
    assert "napari-mammosae --diagnose" in report["attributes"]["description"]
    assert "Diagnostic report and caches" in report["attributes"]["description"]
    for path in (folder / "ISSUE_TEMPLATE").glob("*.yml"):
        assert {"name", "description", "body"} <= set(yaml.safe_load(path.read_text()))
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any("://" in text for text in texts)
    assert "patient" in (folder / "pull_request_template.md").read_text()


def test_links_at_the_top_lead_into_the_package():
    for name in ("napari.yaml", "sample_data"):
        assert (ROOT / name).resolve() == ROOT / "src" / "napari_mammosae" / name


def bench(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, folder / "run.py", *names]
    environment = {"DISPLAY": ":0", "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_benchmarks_keep_each_others_results(tmp_path: Path):
    for name in ("run.py", "_report.py"):
        (tmp_path / name).write_text((ROOT / "benchmarks" / name).read_text())
    script = (
        "from _report import Report\nreport = Report('{0}')\nreport.add('t', {1}, 's', at_most=2)\nreport.finish()\n"
    )
    (tmp_path / "good.py").write_text(script.format("Good", 1.5))
    (tmp_path / "slow.py").write_text(script.format("Slow", 2.5))
    (tmp_path / "broken.py").write_text("1 / 0\n")

    done = bench(tmp_path)
    assert done.returncode == 1
    assert "missed a bound: broken, slow" in done.stderr
    results = (tmp_path / "results.md").read_text()
    assert results.startswith("# Benchmarks")
    assert "Machine: " in results
    assert "| t | 1.5 s | at most 2 s | yes |" in results
    assert "| t | 2.5 s | at most 2 s | **no** |" in results
    assert "The benchmark failed with status 1." in results

    (tmp_path / "slow.py").write_text(script.format("Slow", 0.5))
    assert bench(tmp_path, "slow").returncode == 0
    results = (tmp_path / "results.md").read_text()
    assert "| t | 0.5 s | at most 2 s | yes |" in results
    assert "## Good" in results
    assert bench(tmp_path, "nonsense").returncode == 2


@pytest.fixture
def hatch_build(monkeypatch):
    """The hook, without the build backend that calls it."""
    plugin = ModuleType("hatchling.metadata.plugin.interface")
    plugin.MetadataHookInterface = object
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", plugin)
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TEXT = "![A](docs/a.png)\n\n*Its caption.*\n\n[page](docs/p.md#x) and [far](https://far.org/y), *words*.\n"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", "\n\n\npage and [far](https://far.org/y), *words*.\n"),
        (
            "https://f.org/n",
            "![A](https://f.org/n/raw/main/docs/a.png)\n\n*Its caption.*\n\n"
            "[page](https://f.org/n/blob/main/docs/p.md#x) and [far](https://far.org/y), *words*.\n",
        ),
    ],
)
def test_links_of_the_description_lead_somewhere(hatch_build, address, expected):
    assert hatch_build.describe(TEXT, address) == expected
    assert bool(hatch_build.addresses(address)) == bool(address)


def test_the_description_of_the_wheel_has_no_relative_link(hatch_build):
    for address in ("", "https://f.org/n"):
        text = hatch_build.describe((ROOT / "README.md").read_text(), address)
        assert not re.search(r"\]\((?!\w+://)", text)


def test_the_conda_recipe_asks_for_what_the_wheel_does():
    text = (ROOT / "recipe" / "meta.yaml").read_text()
    run = text[text.index("  run:") : text.index("  run_constrained:")]
    recipe = dict(line.strip().removeprefix("- ").split(" >=") for line in run.splitlines()[1:])
    names = {"matplotlib": "matplotlib-base", "opencv-python-headless": "opencv", "torch": "pytorch"}
    wheel = dict(one.split(">=") for one in PROJECT["dependencies"])
    assert recipe == {names.get(name, name): version for name, version in wheel.items()} | {"python": "3.11"}
    assert f'version = "{PROJECT["version"]}"' in text
