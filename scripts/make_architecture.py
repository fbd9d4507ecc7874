"""Write the tree of docs/architecture.md and its pictures from the source: packages, docstrings, imports, layers.

python scripts/make_architecture.py
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).parents[1]
PACKAGE = "napari_mammosae"
PAGE = ROOT / "docs" / "architecture.md"
IMAGES = ROOT / "docs" / "images"
START, END = "<!-- tree: written by scripts/make_architecture.py -->", "<!-- end of tree -->"

FLOWS = {
    "image": (
        "An image",
        ("read_mammogram", "Mammogram", "Mammogram.prepared", "MammoSAE.features", "MammoSAE.encode", "LatentMaps",
         "Session.show", "Scene.show_stack"),
    ),
    "latent": (
        "A latent",
        ("write_run", "Run", "pool_of_run", "rank_latents", "Order", "LatentView", "judge_regions",
         "VerdictStore.decide"),
    ),
    "edit": (
        "An edit",
        ("EditState", "Edit", "edit_image", "masked_logits", "EditView", "Cohort.logits_after", "sweep_cohort"),
    ),
}  # fmt: skip
"""Steps of each flow, by the names of classes, methods and functions; where they stand is looked up."""

COLOURS = {"core": "#2f6db5", "process": "#3a8f5c", "viewer": "#b8651b", "cli": "#7a4fa3"}
FONT = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Step:
    """One step of a flow: its name, the file that defines it, and what its docstring says first."""

    name: str
    file: str
    says: str


@dataclass(frozen=True)
class Code:
    """The package, as far as this page tells of it.

    Attributes
    ----------
    root
        Folder of the package.
    layers
        For ``viewer`` and ``core``: their packages from the last to the first, those side by side in one tuple.
    """

    root: Path = ROOT / "src" / PACKAGE
    layers: dict[str, list[tuple[str, ...]]] = field(default_factory=lambda: read_layers(ROOT / "pyproject.toml"))

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """Every module by its dotted name inside the package; a package under its own name."""
        found = {}
        for path in sorted(self.root.rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
        return found

    @cached_property
    def packages(self) -> list[str]:
        """Dotted names of all packages, each after what it uses: by the layers, else by the alphabet."""
        names = {
            ".".join(path.parent.relative_to(self.root).parts)
            for path in self.root.rglob("__init__.py")
            if path.parent != self.root
        }
        return sorted(names, key=self._place)

    def _place(self, name: str) -> tuple[object, ...]:
        top, _, rest = name.partition(".")
        order = [one for layer in reversed(self.layers.get(top, [])) for one in layer]
        inner = rest.partition(".")[0]
        first = ("core", "process", "viewer", "cli")
        return (
            first.index(top) if top in first else len(first),
            order.index(inner) if inner in order else (len(order) if inner else -1),
            rest,
        )

    def loose(self, package: str) -> list[str]:
        """Modules that lie in a package of packages, not in one of them."""
        found = [name for name in self.modules if name.rpartition(".")[0] == package and name not in self.packages]
        return sorted(found, key=self._place)

    def says(self, name: str) -> str:
        """First line of the docstring of a package or module."""
        return (ast.get_docstring(self.modules[name]) or "").partition("\n")[0].rstrip(".")

    def uses(self, package: str) -> list[str]:
        """Packages and loose modules that the modules of one import from, typing-only imports among them."""
        known = {*self.packages, *self.loose("viewer")}
        found = set()
        for name, tree in self.modules.items():
            if name == package or name.startswith(f"{package}."):
                is_package = name in self.packages
                for target in _imports(tree, name, is_package):
                    owner = _owner(target, known)
                    if owner and owner != package and not f"{owner}.".startswith(f"{package}."):
                        found.add(".".join(owner.split(".")[:2]))
        return sorted(found, key=self._place)

    def step(self, name: str) -> Step:
        """Find the class, method or function of a name.

        Raises
        ------
        LookupError
            Nothing is called so, or more than one thing.
        """
        found = []
        for module, tree in self.modules.items():
            node: ast.AST | None = tree
            for part in name.split("."):
                node = next(
                    (
                        child
                        for child in ast.iter_child_nodes(node)
                        if isinstance(child, (ast.ClassDef, ast.FunctionDef)) and child.name == part
                    ),
                    None,
                )
                if node is None:
                    break
            if node is not None:
                says = (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")
                found.append(Step(name, f"{module.replace('.', '/')}.py", says))
        if len(found) != 1:
            places = ", ".join(step.file for step in found) or "no module"
            raise LookupError(f"{name} is defined in {places}; expected one. Correct FLOWS in make_architecture.py.")
        return found[0]


def read_layers(pyproject: Path) -> dict[str, list[tuple[str, ...]]]:
    """Return the layers that import-linter checks, last first."""
    contracts = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return {
        contract["containers"][0].removeprefix(f"{PACKAGE}."): [
            tuple(name.strip(" ()") for name in layer.split("|")) for layer in contract["layers"]
        ]
        for contract in contracts
        if contract["type"] == "layers" and contract["containers"] != [PACKAGE]
    }


def _imports(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    """Dotted names inside the package that a module imports."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = module.split(".")
            base = parts[: len(parts) - node.level + is_package]
            base += (node.module or "").split(".") if node.module else []
            found += [".".join([*base, alias.name]) for alias in node.names]
    return found


def _owner(target: str, known: set[str]) -> str:
    """The package, or loose module of the viewer, that an imported name belongs to."""
    while target and target not in known:
        target = target.rpartition(".")[0]
    return target


def tree_text(code: Code) -> str:
    """Return the packages, one line each, with what they hold."""
    rows = [(f"{PACKAGE}/", code.says(""))]
    for name in code.packages:
        rows.append((f"{'    ' * (name.count('.') + 1)}{name.rpartition('.')[2]}/", code.says(name)))
        if name == "viewer":
            last = [(f"        {module.rpartition('.')[2]}.py", code.says(module)) for module in code.loose("viewer")]
    at = max(place for place, name in enumerate(code.packages) if name.startswith("viewer")) + 2
    rows[at:at] = last
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:{width}}{says}".rstrip() for name, says in rows)


def with_tree(page: str, code: Code) -> str:
    """Return the page with the tree between its two marks."""
    before, rest = page.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n```text\n{tree_text(code)}\n```\n{END}{after}"


class Drawing:
    """An SVG that grows downwards."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, colour: str, *, fill: str = "#ffffff") -> None:
        """Draw a rectangle with round corners."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="{colour}"/>'
        )

    def text(self, x: float, y: float, text: str, size: float, *, colour: str = "#222222", bold: bool = False) -> None:
        """Write one line; y is that of its foot."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}"{weight}>{escape(text)}</text>'
        )

    def arrow(self, x: float, y: float, length: float) -> None:
        """Draw an arrow downwards."""
        tip = y + length
        self._parts.append(f'<path d="M{x:g} {y:g}V{tip - 5:g}" stroke="#666666" fill="none"/>')
        self._parts.append(f'<path d="M{x - 4:g} {tip - 7:g}h8l-4 7z" fill="#666666"/>')

    def svg(self, height: float, title: str) -> str:
        """Return the whole picture."""
        size = f'width="{self.width}" height="{height:g}" viewBox="0 0 {self.width} {height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}"><title>{escape(title)}</title>'
        ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
        return "\n".join([head, ground, *self._parts, "</svg>", ""])


def _lines(text: str, width: float, size: float) -> list[str]:
    return wrap(text.replace("`", ""), max(8, int(width / (0.56 * size)))) or [""]


def packages_svg(code: Code) -> str:
    """Draw the packages in their layers: whoever stands higher may use what stands lower."""
    drawing, gap, half = Drawing(1200), 10, 585
    y = 10 + _rows(drawing, code, [("cli",)], "", 10, 10, 1180) + gap
    left = y + _panel(drawing, code, "viewer", 10, y, half)
    right = y
    if "process" in code.packages:
        right += _rows(drawing, code, [("process",)], "", 605, y, half) + gap
    right += _panel(drawing, code, "core", 605, right, half)
    return drawing.svg(max(left, right) + 10, "The packages and their layers")


def _panel(drawing: Drawing, code: Code, top: str, x: float, y: float, width: float) -> float:
    """Draw the layers of the viewer or the core; return the height they take."""
    says = _lines(code.says(top), width, 11)
    drawing.text(x, y + 16, top, 15, colour=COLOURS[top], bold=True)
    for line, text in enumerate(says):
        drawing.text(x, y + 33 + 14 * line, text, 11)
    head = 30 + 14 * len(says)
    return head + _rows(drawing, code, code.layers[top], top, x, y + head, width)


def _rows(
    drawing: Drawing, code: Code, layers: list[tuple[str, ...]], top: str, x: float, y: float, width: float
) -> float:
    known, start, gap = {*code.packages, *code.loose("viewer")}, y, 6
    for layer in layers:
        names = [name for name in (f"{top}.{one}" if top else one for one in layer) if name in known]
        for row in (names[at : at + 3] for at in range(0, len(names), 3)):
            each = (width - gap * (len(row) - 1)) / len(row)
            texts = [(_lines(code.says(name), each - 16, 11), _lines(_uses(code, name), each - 16, 10)) for name in row]
            height = 26 + max(14 * len(says) + 12 * len(uses) for says, uses in texts)
            for at, (name, (says, uses)) in enumerate(zip(row, texts, strict=True)):
                left = x + at * (each + gap)
                colour = COLOURS[name.partition(".")[0]]
                drawing.box(left, y, each, height, colour)
                drawing.text(left + 8, y + 17, name.rpartition(".")[2], 13, colour=colour, bold=True)
                for line, text in enumerate(says):
                    drawing.text(left + 8, y + 32 + 14 * line, text, 11)
                for line, text in enumerate(uses):
                    drawing.text(left + 8, y + 31 + 14 * len(says) + 12 * line, text, 10, colour="#777777")
            y += height + gap
    return y - start


def _uses(code: Code, package: str) -> str:
    """Names of what a package uses, those of another part of the program after its name."""
    top = package.partition(".")[0]
    parts: dict[str, list[str]] = {}
    for name in code.uses(package):
        part, _, rest = name.partition(".")
        parts.setdefault("" if part == top else part, []).append(rest)
    texts = [f"{part}: {', '.join(filter(None, names))}".strip(": ") for part, names in parts.items()]
    return f"uses {'; '.join(texts)}" if texts else "uses nothing of the others"


def flow_svg(code: Code, flow: str) -> str:
    """Draw the steps of a flow, one under the other."""
    title, names = FLOWS[flow]
    drawing, y = Drawing(760), 40
    drawing.text(20, 26, title, 16, bold=True)
    for at, step in enumerate(map(code.step, names)):
        says = _lines(step.says, 700, 12)
        height, colour = 30 + 15 * len(says), COLOURS[step.file.partition("/")[0]]
        if at:
            drawing.arrow(380, y - 20, 18)
        drawing.box(20, y, 720, height, colour)
        drawing.text(30, y + 19, step.name, 13, colour=colour, bold=True)
        drawing.text(420, y + 19, step.file, 11, colour="#777777")
        for line, text in enumerate(says):
            drawing.text(30, y + 37 + 15 * line, text, 12)
        y += height + 22
    return drawing.svg(y - 6, title)


def pictures(code: Code) -> dict[str, str]:
    """Return every picture of the page under its file name."""
    return {
        "architecture-packages.svg": packages_svg(code),
        **{f"architecture-{flow}.svg": flow_svg(code, flow) for flow in FLOWS},
    }


def main() -> None:
    """Write the page and its pictures."""
    from napari_mammosae.core.base.files import write_atomic

    code = Code()
    made = {PAGE: with_tree(PAGE.read_text(encoding="utf-8"), code)}
    made |= {IMAGES / name: svg for name, svg in pictures(code).items()}
    for path, text in made.items():
        with write_atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
