"""What decides a run's results, as `run.json` keeps it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import RunError
from ..base.provenance import NOTICE, write_json
from ..base.reading import reads, short_reason
from ..base.structured import read_json
from ..images.preprocessing import Preprocessing
from ..models.heads import lasting_logits
from .files.info_schema import defaults, fault_of
from .files.layout import Layout, writing

if TYPE_CHECKING:
    from ..models.model import MammoSAE

FORMAT = 3
"""Of the files that are written now. Formats 1, and 0 without a number in `run.json`, have maps without scales and no
pooled channels; they are read, but not resumed."""

_ANOTHER = "Give another folder, or make the run again."


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that must be the same when a run is resumed.

    Attributes
    ----------
    grid, latents, classes, task, layer, model_sha256, sae_sha256, precision, engine
        As the model says; a finished run may be taken up with another engine, as nothing is computed.
    preprocessing
        Of the images.
    maps
        Whether every cell that fires is kept.
    block
        Images a block.
    images, list_sha256
        Length and digest of the list of images.
    labels_sha256
        Digest of the label tables; empty without.
    """

    grid: tuple[int, int]
    latents: int
    classes: tuple[str, ...]
    task: str
    layer: str
    model_sha256: str
    sae_sha256: str
    precision: str
    engine: str
    preprocessing: Preprocessing
    maps: bool
    block: int
    images: int
    list_sha256: str
    labels_sha256: str

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.images // self.block)

    def plain(self) -> dict[str, Any]:
        """Return the settings as JSON keeps them."""
        return dict(json.loads(json.dumps(asdict(self) | {"preprocessing": self.preprocessing.record()})))


def model_settings(model: "MammoSAE") -> dict[str, Any]:
    """The part of the settings that a model decides."""
    return {
        "grid": model.grid,
        "latents": model.n_latents,
        "classes": tuple(model.classes[place] for place in lasting_logits(model.heads)),
        "task": model.task,
        "layer": model.layer,
        "model_sha256": model.model_sha256,
        "sae_sha256": model.sae_sha256,
        "precision": model.precision,
        "engine": model.engine,
    }


def kept_heads(model: "MammoSAE") -> list[dict[str, Any]]:
    """What `run.json` says of the heads whose logits a run keeps, in the order of their classes."""
    return [{"classes": list(head.classes), "task": head.task} for head in model.heads if head.prompt is None]


@reads(RunError, "the folder of a run")
def read_info(root: Path) -> dict[str, Any] | None:
    """Content of `run.json`, `format` included; None where there is no run yet.

    Raises
    ------
    RunError
        The file is damaged or of a later format, or the folder holds something else.
    """
    path = Layout(root).info
    try:
        info = read_json(path, RunError, f"{root.name}/run.json")
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise RunError(f"{root.name} is a file; a run is a folder.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else short_reason(error)
        raise RunError(f"{root.name}/run.json cannot be read ({reason}). {_ANOTHER}") from error
    if not isinstance(info, dict):
        raise RunError(f"{root.name}/run.json does not describe a run. {_ANOTHER}")
    number = info.setdefault("format", 0)
    if type(number) is not int or number not in range(FORMAT + 1):
        raise RunError(
            f"{root.name} has run format {repr(number)[:20]}; this napari-mammosae reads formats up to {FORMAT}. "
            "Update napari-mammosae to use this run."
        )
    if fault := fault_of(info):
        raise RunError(f"{root.name}/run.json does not describe a run: {fault}. {_ANOTHER}")
    return defaults() | info


def write_info(layout: Layout, settings: RunSettings, **state: Any) -> None:
    """Write `run.json`: the settings, and the state of the run."""
    from ... import __version__

    header = {"format": FORMAT, "version": __version__, "notice": NOTICE}
    with writing(layout.info):
        write_json(layout.info, header | state | settings.plain())


def check_same(info: dict[str, Any], settings: RunSettings, root: Path) -> None:
    """Raise RunError when a run was started with other settings, naming those that differ."""
    if info["format"] != FORMAT and not info["complete"]:
        raise RunError(
            f"{root.name} was started by another version, in run format {info['format']} (this one writes "
            f"{FORMAT}). Give another folder."
        )
    differing = [
        f"{name} ({_short(info.get(name))} then, {_short(value)} now)"
        for name, value in settings.plain().items()
        if info.get(name) != value and not (name == "engine" and info["complete"])
    ]
    if differing:
        raise RunError(
            f"{root.name} was started with other settings: {', '.join(differing)}. Use the same settings, or another "
            "folder."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text[1:9] if isinstance(value, str) and len(value) == 64 else text
