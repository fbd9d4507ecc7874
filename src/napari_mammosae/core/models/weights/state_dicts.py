"""Where in a checkpoint the wanted weights stand: below which keys, with which prefix, and whether that is certain."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ...base.errors import CheckpointError

TOP = "."
"""What weights are called that stand at the top, without any prefix."""
_DEEPEST = 4
"""Levels of dictionaries that are searched: more than any trainer wraps around weights."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place where the wanted weights can be read.

    Attributes
    ----------
    path
        The keys that lead there, and the prefix of the weights' own names: ("state_dict", "module").
    tensors
        What stands there, by the names behind the prefix.
    name
        What tells it from the other places of its kind: the path without what all of them end with.
    """

    path: tuple[str, ...]
    tensors: dict[str, Tensor]
    name: str = TOP

    def within(self, key: str) -> bool:
        """Whether the place is called so, or lies in what is."""
        return key == self.name or f".{key}." in f".{'.'.join(self.path)}."


def tables(content: Any, file: str) -> list[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Return every dictionary of named tensors within what a file holds, and the keys that lead to it.

    Raises
    ------
    CheckpointError
        There is none.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file} holds a {type(content).__name__}; expected a dictionary of named tensors")
    found = list(_tables(content, ()))
    if not found:
        raise CheckpointError(
            f"{file} holds no tensors; expected weights by name, or such a dictionary under `model` or `state_dict`"
        )
    return found


def places(content: Any, file: str, endings: Sequence[str]) -> list[Place]:
    """Find every place that holds a tensor whose name is one of `endings`, alone or behind a prefix.

    Raises
    ------
    CheckpointError
        The file holds no named tensors at all.
    """
    found = []
    for keys, table in tables(content, file):
        prefixes = sorted({prefix for key in table if (prefix := _prefix(key, endings)) is not None})
        for prefix in prefixes:
            inner = tuple(other for other in prefixes if other != prefix and other.startswith(prefix))
            own = {
                key.removeprefix(prefix): value
                for key, value in table.items()
                if key.startswith(prefix) and not key.startswith(inner)
            }
            found.append(Place((*keys, *prefix.split(".")[:-1]), own))
    return found


def choose(found: Sequence[Place], key: str | None, file: str, what: str, kind: str) -> Place | None:
    """Return the one place that is meant; None where there is none.

    Parameters
    ----------
    found
        All places.
    key
        Which of several to take: a place's name, or keys that lead to it.
    file, what, kind
        For messages: the file's name, what is looked for, and the entry of `keys` that tells.

    Raises
    ------
    CheckpointError
        There are several, and the key does not tell which.
    """
    named = name_places(found)
    left = named if key is None else [place for place in named if place.within(key)] or named
    if len(left) > 1:
        left = [place for place in left if place.name == key] or left
    if len(left) < 2:
        return left[0] if left else None
    first = repr(left[0].name)
    raise CheckpointError(
        f"{file} holds {len(left)} {what}: {_listed(left)}. Say which, as keys={{{kind!r}: {first}}}, or under [keys] "
        f"in model.toml as {kind} = {first}"
    )


def check_known(key: str | None, found: Sequence[Place], file: str) -> None:
    """Raise CheckpointError where a key leads to none of the places."""
    if key is not None and not any(place.within(key) for place in found):
        raise CheckpointError(f"{file} holds no weights under the key {key[:60]!r}; it has {_listed(found)}")


def name_places(found: Sequence[Place]) -> list[Place]:
    """Give each place the name that tells it from the others."""
    shared = 0
    paths = [place.path for place in found]
    while len(paths) > 1 and all(len(path) > shared for path in paths):
        if len({path[len(path) - shared - 1] for path in paths}) > 1:
            break
        shared += 1
    return [replace(place, name=".".join(place.path[: len(place.path) - shared]) or TOP) for place in found]


def _tables(content: Mapping[Any, Any], keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    own = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if own:
        yield keys, own
    if len(keys) < _DEEPEST:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _tables(value, (*keys, str(key)))


def _prefix(key: str, endings: Sequence[str]) -> str | None:
    for ending in endings:
        prefix = key.removesuffix(ending)
        if key.endswith(ending) and (not prefix or prefix.endswith(".")):
            return prefix
    return None


def _listed(found: Sequence[Place]) -> str:
    names = [name if len(name) <= 40 else f"…{name[-39:]}" for name in dict.fromkeys(place.name for place in found)]
    *first, last = names if len(names) < 5 else [*names[:3], f"{len(names) - 3} others"]
    return f"{', '.join(first)} and {last}" if first else last
