"""The documentation keeps up with the code: links, commands, options, keys, scores and columns."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

from napari_mammosae.cli.app import app
from napari_mammosae.core.ranking.scores import SCORES
from napari_mammosae.core.stats.measures import BinaryMeasures

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CALL = re.compile(r"napari-mammosae ((?:\[?--?)?[a-z][^`\n]*)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for target in LINK.findall(prose):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(found), f"{page.name} links to {target}"


def test_every_page_is_in_the_index():
    linked = set(LINK.findall(text_of(ROOT / "docs" / "README.md")))
    assert {page.name for page in DOCS} - {"README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    root = typer.main.get_command(app)
    for call in CALL.findall(text_of(page)):
        words = shlex.split(call.split(" #")[0], posix=False)
        if words[0] in ("COMMAND", *(name for option in root.params for name in option.opts)):
            continue
        names = [words[0]]
        commands = [root.commands.get(words[0])]
        assert commands[0] is not None, f"{page.name}: napari-mammosae {call}"
        if hasattr(commands[0], "commands"):
            names = re.split(r"\|", words[1])
            commands = [commands[0].commands.get(name) for name in names]
            assert all(commands), f"{page.name}: napari-mammosae {call}"
        options = {name for command in commands for option in command.params for name in option.opts}
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", call))
        assert used <= options | {"--help"}, f"{page.name}: napari-mammosae {call}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_named_in_passing_exist(page):
    root = typer.main.get_command(app)
    commands = [sub for one in root.commands.values() for sub in getattr(one, "commands", {"": one}).values()]
    options = {name for command in [root, *commands] for option in command.params for name in option.opts} | {"--help"}
    foreign = {"--nthreads", "--host"}  # of dask
    assert set(re.findall(r"`(--[a-z][a-z0-9-]*)", text_of(page))) <= options | foreign


def test_the_command_line_page_has_every_command():
    page = text_of(ROOT / "docs" / "command-line.md")
    assert all(f"\n## {name}\n" in page or f"`{name}`" in page for name in typer.main.get_command(app).commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_project_that_are_named_exist(page):
    prose = re.sub(r"<!-- tree.*?<!-- end of tree -->", "", text_of(page), flags=re.DOTALL)
    named = re.findall(r"`((?:src|docs|tests|scripts|examples|benchmarks|core|viewer|cli)/[\w./-]*)`", prose)
    places = (ROOT, ROOT / "src" / "napari_mammosae")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_every_target_of_make_is_in_the_table():
    targets = re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE)
    phony = set(re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", text_of(ROOT / "Makefile"), re.MULTILINE)[1].split()) - {"\\"}
    assert set(targets) == phony
    parts = {"help", "screen", "display", "lint", "types", "imports", "manifest"}  # of others, or what others need
    told = set(re.findall(r"^\| `make ([a-z]+)`", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE))
    assert told == phony - parts


def test_marks_are_those_of_pytest():
    page = text_of(ROOT / "CONTRIBUTING.md")
    options = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["pytest"]["ini_options"]
    marks = {mark.partition(":")[0] for mark in options["markers"]}
    assert marks == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_the_table_of_keys_is_the_one_that_is_bound():
    script = runpy.run_path(str(ROOT / "scripts" / "write_keys.py"))
    page = text_of(ROOT / "docs" / "look.md")
    assert script["with_table"](page) == page, "run python scripts/write_keys.py"


def test_every_score_is_defined():
    page = text_of(ROOT / "docs" / "numbers.md")
    assert all(f"`{name}`" in page for name in SCORES)


def test_measures_are_named():
    page = text_of(ROOT / "docs" / "numbers.md").lower()
    two = BinaryMeasures._fields
    assert all(name in page for name in two)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_one_takes_it_for_a_diagnosis(page):
    assert not re.search(r"[^n]\bpatient images?\b", text_of(page))
    if page.name == "README.md":
        assert "esearch use only, not for diagnosis" in text_of(page)


def test_make_targets_named_in_the_documentation_exist():
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:`|^)make ([a-z]+)\b", text_of(page), re.MULTILINE)) <= targets
