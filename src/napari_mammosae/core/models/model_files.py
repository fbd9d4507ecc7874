"""Models by name, and the `model.toml` that describes one."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..base.errors import ModelError

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"
PUBLISHED_SIZE = (1520, 912)
Task = Literal["binary", "multilabel", "multiclass"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files a model is put together from, and what they do not say themselves.

    Attributes
    ----------
    name
        Shown to people and kept with results.
    backbone, classifier, sae
        Weights files; see `load_model`.
    classes, task
        One slug a logit, and how logits become probabilities; empty and None for the defaults.
    layer
        The layer that the SAE reads, "head" or "blocks.N".
    input_size
        (H, W) pixels of the model's input.
    """

    name: str
    backbone: Path | None = None
    classifier: Path | None = None
    sae: Path | None = None
    classes: tuple[str, ...] = ()
    task: Task | None = None
    layer: str = "head"
    input_size: tuple[int, int] = PUBLISHED_SIZE


def embedded_models() -> dict[str, Path]:
    """Names of the models that come with the package, and their `model.toml`."""
    return {"demo": SAMPLE_DATA / "demo" / "model.toml"}


def find_model(name: str | Path) -> ModelFiles:
    """Return the files of a known model, or of the `model.toml` at a path.

    Raises
    ------
    ModelError
        If the name is not known, or the file is missing or not understood.
    """
    embedded = embedded_models()
    if str(name) in embedded:
        return read_model_file(embedded[str(name)])
    path = Path(name)
    if path.suffix == ".toml":
        return read_model_file(path)
    raise ModelError(
        f"no model is called {str(name)!r}; known are {', '.join(embedded)}. "
        "For other weights write a model.toml that names the files, or pass the files themselves"
    )


def read_model_file(path: Path | str) -> ModelFiles:
    """Read a `model.toml`; its file names are relative to it.

    Keys: `name`, `classifier`, `backbone`, `sae`, `classes`, `task`, `layer`, `input_size` (height, width); all but one
    of `classifier` and `backbone` may be left out.

    Raises
    ------
    ModelError
        If the file is missing, is not TOML, or has keys or values of another kind.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path.name}: no such file; check the path, or write a model.toml that names the weights files and sizes"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path.name} is no TOML file ({error}); expected lines such as classifier = 'file.pth'"
        ) from None
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({error.strerror or error}); expected a model.toml") from None
    known = {"name", "classifier", "backbone", "sae", "classes", "task", "layer", "input_size"}
    if unknown := sorted(set(content) - known):
        raise ModelError(f"{path.name} has keys {unknown}; known are {', '.join(sorted(known))}")
    files = {
        key: path.parent / _text(content, key, path) for key in ("classifier", "backbone", "sae") if key in content
    }
    for key, file in files.items():
        if not file.is_file():
            raise ModelError(
                f"{path.name} names {key} = {file.name!r}, which is not there; file names are relative to {path.name}"
            )
    size = content.get("input_size", list(PUBLISHED_SIZE))
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(s, int) and s >= 32 for s in size)):
        raise ModelError(f"{path.name}: input_size is {size!r}; expected [height, width] in pixels, at least 32")
    classes = content.get("classes", [])
    if not (isinstance(classes, list) and all(isinstance(c, str) for c in classes)):
        raise ModelError(f"{path.name}: classes is {classes!r}; expected a list of names, one a logit")
    if not {"classifier", "backbone"} & set(files):
        raise ModelError(
            f"{path.name} names no weights; expected classifier = 'file', or backbone = 'file' for features without a "
            "prediction"
        )
    return ModelFiles(
        name=str(content.get("name", path.parent.name or path.stem)),
        classes=tuple(classes),
        task=content.get("task"),
        layer=_text(content, "layer", path) if "layer" in content else "head",
        input_size=(size[0], size[1]),
        **files,
    )


def _text(content: dict[str, Any], key: str, path: Path) -> str:
    if not isinstance(content[key], str):
        raise ModelError(f"{path.name}: {key} is {content[key]!r}; expected text")
    return str(content[key])
