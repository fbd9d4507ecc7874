"""The folder of a training under way: features, checkpoint, and what was asked for, until the weights are written."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..base.errors import RunError, SettingsError
from ..base.files import PREFIX, remove_leftovers
from ..base.provenance import SOFTWARE, beside, json_text, write_json
from ..runs.making.folder import hold_alone


class TrainingFolder:
    """What a training keeps while it runs, and leaves when it is stopped, so that the same command resumes it.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, out: Path) -> "TrainingFolder":
        """Return the one beside a file of weights."""
        return cls(beside(out.absolute(), ".training"))

    def checkpoint(self, name: str = "") -> Path:
        """State after the last epoch that was kept, of one of several trainings by its name."""
        return self.root / f"checkpoint{name}.safetensors"

    def features(self, name: str) -> Path:
        """File of the feature vectors of one part of the images; its log lies beside it."""
        return self.root / f"{name}.features"

    @contextmanager
    def used_for(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder alone for a training with these settings; make it, or resume the one that it holds.

        Raises
        ------
        RunError
            It holds a training with other settings, or something else, or another process uses it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with hold_alone(self.root):
            remove_leftovers(self.root)
            self._check(json.loads(json_text(settings)))
            try:
                yield
            except SettingsError:  # the same command would meet the same error
                self.remove()
                raise

    def remove_features(self) -> None:
        """Make room: they can be computed again."""
        for path in self.root.glob("*.features*"):
            path.unlink()

    def remove(self) -> None:
        """Remove all of it; when this process is killed meanwhile, the next write beside it does."""
        removed = self.root.with_name(f"{PREFIX}{uuid4().hex}")
        with suppress(OSError):  # Windows moves no folder in which a file is open
            self.root.rename(removed)
        for folder in (removed, self.root):
            shutil.rmtree(folder, ignore_errors=True)

    def _check(self, settings: dict[str, Any]) -> None:
        note = self.root / "training.json"
        if not note.exists():
            if any(not path.name.startswith(".") for path in self.root.iterdir()):
                raise RunError(f"{self.root.name} holds other files, not a training. Move it away.")
            write_json(note, {"software": SOFTWARE, "settings": settings})
            return
        try:
            before = json.loads(note.read_text(encoding="utf-8"))["settings"]
            differing = [f"{key} ({before.get(key)} then, {value} now)" for key, value in settings.items()
                         if before.get(key) != value]  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(
                f"{self.root.name}/training.json does not describe a training. Remove the folder."
            ) from error
        if differing:
            raise RunError(
                f"{self.root.name} holds an unfinished training with other settings: {', '.join(differing)}. Use the "
                "same settings, or remove the folder."
            )
