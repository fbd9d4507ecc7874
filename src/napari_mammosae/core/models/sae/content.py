"""What a file of an SAE holds, with the checks that every format shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from ...base.errors import CheckpointError
from ...base.reading import reading
from ...base.structured import read_json
from .options import CONFIGS, SaeOptions


@dataclass(eq=False)
class SaeContent:
    """Tensors and settings of one file, before it is known whose they are.

    Attributes
    ----------
    path
        The weights file.
    tensors
        Weights by name.
    values
        What else the file holds.
    options
        What a person adds.
    header
        Settings at the start of the file; None where there are none.
    """

    path: Path
    tensors: dict[str, Tensor]
    values: Mapping[str, Any]
    options: SaeOptions
    header: Mapping[str, Any] | None = None
    used: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Settings in the `cfg.json` or `config.json` beside the file; empty where there are none."""
        for name in CONFIGS:
            path = self.path.parent / name
            if path.is_file():
                with reading(path, CheckpointError, "the settings of an SAE"):
                    found = read_json(path, CheckpointError)
                if not isinstance(found, dict):
                    raise CheckpointError(f"{name} holds a {type(found).__name__}; expected the settings of an SAE")
                return found
        return {}

    def has(self, *names: str) -> bool:
        """Whether the file holds all these tensors."""
        return all(name in self.tensors for name in names)

    def matrix(self, name: str) -> Tensor:
        """A tensor of two dimensions."""
        return self.tensor(name, (None, None))

    def tensor(self, name: str, shape: Sequence[int | None], beside: str = "") -> Tensor:
        """A tensor as float32, of the shape that is expected.

        Parameters
        ----------
        name
            Of the tensor.
        shape
            None for any length.
        beside
            Name of the tensor that the expectation comes from.

        Raises
        ------
        CheckpointError
            If it is missing, has another shape, or holds values that are not finite.
        """
        if name not in self.tensors:
            found = ", ".join(list(self.tensors)[:4])
            raise CheckpointError(f"{self.name} holds no {name}; found {found}. Copy or save the file again")
        self.used.add(name)
        value = self.tensors[name]
        if len(value.shape) != len(shape) or any(b not in (None, a) for a, b in zip(value.shape, shape, strict=True)):
            expected = "(" + ", ".join("any" if one is None else str(one) for one in shape) + ")"
            turned = len(shape) == 2 and tuple(value.shape) == tuple(reversed(shape))
            if beside and len(shape) == 1 and len(value.shape) == 1 and value.shape[0] in self.tensors[beside].shape:
                turned = True
            beside_it = f" beside {beside} {tuple(self.tensors[beside].shape)}" if beside else ""
            raise CheckpointError(
                f"{self.name}: {name} has shape {tuple(value.shape)}, expected {expected}{beside_it}"
                + ("; one of them is transposed" if turned else "; they are of different SAEs" if beside else "")
            )
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{self.name}: {name} holds values that are not finite; the file is damaged")
        return value.float()

    def number(self, name: str) -> float | None:
        """A single number, stored as a tensor or beside the tensors; None where it is not there."""
        value = self.values.get(name)
        if name in self.tensors:
            self.used.add(name)
            if self.tensors[name].numel() != 1:
                raise CheckpointError(
                    f"{self.name}: {name} has shape {tuple(self.tensors[name].shape)}, expected one number"
                )
            value = self.tensors[name].item()
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def k(self, stored: Any, latents: int) -> int:
        """Latents that fire at each cell: what the file says, or the option.

        Raises
        ------
        CheckpointError
            If neither says, or the number is not 1 to h.
        """
        k = self.options.k if self.options.k is not None else stored
        if k is None:
            self.ask("k", "how many latents fire at each cell")
        if isinstance(k, bool) or not isinstance(k, int | float) or k != int(k) or not 1 <= k <= latents:
            raise CheckpointError(f"{self.name}: k is {str(k)[:20]}, expected a whole number from 1 to {latents:,}")
        return int(k)

    def ask(self, option: str, what: str) -> NoReturn:
        """Raise CheckpointError: the file does not say `what`, and an option can."""
        raise CheckpointError(
            f"{self.name} does not say {what}; give `{option}` under [sae] in model.toml, or as "
            f"--sae-option {option}=VALUE"
        )

    def refuse(self, what: str, todo: str = "") -> NoReturn:
        """Raise CheckpointError for what is known and not supported."""
        raise CheckpointError(f"{self.name} {what}, which is not supported{'; ' + todo if todo else ''}")

    def allow_negative(self, why: str) -> None:
        """Raise CheckpointError for a file whose codes can fall below zero, unless they are to be clamped."""
        if not self.options.clamp:
            raise CheckpointError(
                f"{self.name}: codes can be below zero, because {why}; means, colours and scores here need codes of at "
                "least 0. Give `clamp = true` under [sae] in model.toml, or --sae-option clamp=true, to set them to 0"
            )

    def expect_size(self, name: str, said: Any, found: int) -> None:
        """Raise CheckpointError where the settings tell another size than the weights have."""
        if isinstance(said, int) and said != found:
            raise CheckpointError(
                f"{self.name}: its settings say {name} {said:,}, its weights have {found:,}; they are transposed or of "
                "different SAEs"
            )

    def check_all_used(self, *ignored: str) -> None:
        """Raise CheckpointError for a tensor that the format does not have."""
        for name in self.tensors:
            if name not in self.used and name not in ignored:
                raise CheckpointError(f"{self.name} holds {name}, which this kind of SAE does not have; not supported")

    def ask_for(self, file: str) -> NoReturn:
        """Raise CheckpointError: the settings beside the weights are missing."""
        raise CheckpointError(f"{self.name}: no {file} beside it, which says what kind of SAE it is; copy both files")

    def counts(self, name: str) -> tuple[int, ...]:
        """Whole numbers of a tensor of one dimension."""
        values = self.tensor(name, (None,))
        return tuple(int(value) for value in values)
