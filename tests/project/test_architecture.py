"""The architecture page and its pictures are made from the code, and the code is as they say."""

import ast
import re
import xml.etree.ElementTree as ET
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from make_architecture import FLOWS, PAGE, START, Code, _imports, _owner, flow_svg, pictures, read_layers, tree_text

IMAGES = PAGE.parent / "images"
PACKAGE = Path(import_module("napari_mammosae").__file__).parent
AGAIN = "run `make architecture`"
LONGEST, FULL = 419, 16
"""Lines of a file, and files of a folder, at most."""


@pytest.fixture(scope="module")
def code() -> Code:
    return Code()


def tree_of(text: str) -> dict[str, str]:
    """Paths of the packages in a tree, with what is said of them."""
    rows, stack = {}, []
    for line in text.splitlines():
        indent = (len(line) - len(line.lstrip())) // 4
        name, _, says = line.strip().partition(" ")
        stack[indent:] = [name]
        if name.endswith("/"):
            rows["".join(stack)] = says.strip()
    return rows


def test_the_tree_on_the_page_is_that_of_the_code(code: Code):
    block = re.search(rf"{re.escape(START)}\n```text\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert tree_of(block[1]) == tree_of(tree_text(code)), AGAIN


def test_the_tree_has_every_package_with_its_docstring(code: Code):
    found = tree_of(tree_text(code))
    folders = {path.parent.relative_to(PACKAGE.parent).as_posix() + "/" for path in PACKAGE.rglob("__init__.py")}
    assert set(found) == folders
    for name, says in found.items():
        doc = import_module(name.strip("/").replace("/", ".")).__doc__ or ""
        assert says == doc.partition("\n")[0].rstrip(".")


def modules() -> dict[str, Path]:
    """Every module by its name below the package."""
    found = {
        path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")
    }
    return {name.removesuffix("__init__").rstrip("."): path for name, path in found.items()}


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside functions and those for types alone count as well."""
    paths = modules()
    uses: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                start = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
                targets = {one if (one := f"{start}.{alias.name}") in paths else start for alias in node.names}
                uses[name] |= targets & paths.keys() - {name}
    assert sum(map(len, uses.values())) > 2 * len(paths)
    TopologicalSorter(uses).prepare()  # a circle raises CycleError


def test_files_are_short_and_folders_not_full():
    paths = modules().values()
    long = {path.name: lines for path in paths if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST}
    full = {path.name: files for path in PACKAGE.rglob("*/") if (files := len(list(path.glob("*.py")))) > FULL}
    assert not long
    assert full.keys() <= {"cli"}  # a file a command


def test_packages_stand_below_what_uses_them(code: Code):
    order = [name for name in code.packages if name.count(".") == 1 and name.startswith("core.")]
    assert order[0] == "core.base"
    for name in order:
        assert set(code.uses(name)) <= set(order[: order.index(name)]), name


@pytest.mark.parametrize(
    ("line", "module", "is_package", "expected"),
    [
        ("from ..base.errors import RunError", "core.runs.run", False, "core.base"),
        ("from ...base.errors import RunError", "core.runs.making.make", False, "core.base"),
        ("from . import tasks", "viewer.image.controller", False, "viewer.image"),
        ("from .errors import RunError", "core.base", True, "core.base"),
        ("from ..workspace import workspace_of", "viewer.image.panel", False, "viewer.workspace"),
        ("from ...core.runs.making.demo import demo_run", "viewer.runs.tasks", False, "core.runs.making"),
    ],
)
def test_imports_are_followed_to_their_package(line: str, module: str, is_package: bool, expected: str):
    known = {"core", "core.base", "core.runs", "core.runs.making", "viewer", "viewer.image", "viewer.workspace"}
    (target,) = _imports(ast.parse(line), module, is_package)
    assert _owner(target, known) == expected


def test_the_layers_are_those_that_import_linter_checks(code: Code):
    layers = read_layers(PAGE.parents[1] / "pyproject.toml")
    assert set(layers) == {"core", "viewer"}
    assert layers["core"][-1] == ("base",)
    assert ("comparison", "training") in layers["core"]
    placed = {name for layer in layers["core"] for name in layer}
    assert {name.split(".")[1] for name in code.packages if name.startswith("core.")} <= placed


def test_pictures_are_whole_and_show_every_package_and_step(code: Code):
    shown = {
        name: [text.text or "" for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        for name, svg in pictures(code).items()
    }
    for package in code.packages:
        if package.count(".") == 1:
            assert package.partition(".")[2] in shown["architecture-packages.svg"]
    for flow, (_, steps) in FLOWS.items():
        assert set(steps) <= set(shown[f"architecture-{flow}.svg"])
    for name, texts in shown.items():
        committed = (IMAGES / name).read_text(encoding="utf-8")
        names = [text for text in texts if re.fullmatch(r"[A-Za-z_.]+", text)]
        assert [text for text in names if f">{text}<" not in committed] == [], f"{name}: {AGAIN}"


def test_text_stays_inside_its_box(code: Code):
    picture = ET.fromstring(flow_svg(code, "image"))
    for text in picture.iter("{http://www.w3.org/2000/svg}text"):
        assert float(text.get("x")) + 0.5 * float(text.get("font-size")) * len(text.text or "") < 740


@pytest.mark.slow
def test_a_step_that_is_not_in_the_code_is_named():
    with pytest.raises(LookupError, match="no_such_step is defined in no module"):
        Code().step("no_such_step")
    step = Code().step("VerdictStore.decide")
    assert step.file == "core/verdicts/store.py"
    assert step.says == import_module("napari_mammosae.core.verdicts.store").VerdictStore.decide.__doc__.split(".\n")[0]
