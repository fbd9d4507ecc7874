"""Reading a pickle as data: an interpreter that builds plain containers and calls nothing but what stands on a list.

Python's own unpickler hands a file real functions and classes to call and to fill. This one hands it names; what a name
does is decided by `harmless`, which makes numbers, arrays and tensors of checked sizes.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from ...base.limits import limit, variable


class NotHarmless(Exception):
    """A pickle asks for something that is not on the list; the message is its name."""


class TooMuch(Exception):
    """A pickle is deeper or longer than the limits allow."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a pickle gets for a name on the list.

    Attributes
    ----------
    name
        As the pickle has it.
    make
        Called with the arguments that the pickle gives; None for what can only be an argument itself.
    """

    name: str
    make: Callable[..., Any] | None = None


@dataclass(slots=True, eq=False)
class Unfinished:
    """A value that is complete only with the state that follows it.

    Attributes
    ----------
    finish
        Makes the value from the state.
    places
        Where in the memo it stands, for the value to take its place.
    """

    finish: Callable[[Any], Any]
    places: list[int] = field(default_factory=list)


def read_pickle(file: IO[bytes], names: Mapping[str, Any], stored: Callable[[Any], Any]) -> Any:
    """Read one pickle of protocol 2 to 5 from where the file stands; afterwards it stands behind it.

    Parameters
    ----------
    file
        Its reading ends where the pickle ends.
    names
        What stands for each name: a `Named`, or a value.
    stored
        Returns what a persistent identifier stands for.

    Raises
    ------
    NotHarmless
        It asks for a name or an instruction that is not on the list.
    TooMuch
        It is too long or too deep.
    """
    machine = _Machine(names, stored)
    most = limit("pickle_steps")
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number >= most:
            raise TooMuch(
                f"more than {most:,} instructions; if the file is right, set {variable('pickle_steps')} higher"
            )
        if opcode.name == "STOP":
            return machine.stack.pop()
        step = _STEPS.get(opcode.name)
        if step is None:
            raise NotHarmless(
                str(argument).replace(" ", ".", 1) if opcode.name == "INST" else f"instruction {opcode.name}"
            )
        step(machine, argument)
    raise EOFError("the pickle has no end")


class _Machine:
    """The stack, the memo, and how deep what lies on them is."""

    def __init__(self, names: Mapping[str, Any], stored: Callable[[Any], Any]) -> None:
        self.names = names
        self.stored = stored
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.depths: dict[int, int] = {}
        self.deepest = limit("depth")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        if len(self.below) >= self.deepest:
            self._too_deep()
        self.below.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def deepen(self, container: Any, items: list[Any]) -> None:
        """Note how deep a container is with these items in it."""
        inner = max((self.depths.get(id(item), 0) for item in items), default=0)
        depth = max(self.depths.get(id(container), 1), inner + 1)
        if depth > self.deepest:
            self._too_deep()
        self.depths[id(container)] = depth

    def tuple_of(self, items: list[Any]) -> None:
        made = tuple(items)
        if made:
            self.deepen(made, items)
        self.push(made)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise NotHarmless(f"appending to a {type(target).__name__}")
        target.extend(items)
        self.deepen(target, items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict):
            raise NotHarmless(f"items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value
        self.deepen(target, items[1::2])

    def add_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise NotHarmless(f"adding to a {type(target).__name__}")
        target.update(map(plain_key, items))

    def look_up(self, module: str, name: str) -> None:
        if (module, name) in NAME_MAPPING:  # names of Python 2, as protocol 2 writes them
            module, name = NAME_MAPPING[module, name]
        full = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        if full not in self.names:
            raise NotHarmless(full)
        self.push(self.names[full])

    def look_up_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise NotHarmless("a name that is not text")
        self.look_up(module, name)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Named or function.make is None or type(arguments) is not tuple:
            raise NotHarmless(f"a call of {function.name if type(function) is Named else type(function).__name__}")
        self.push(function.make(*arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is Unfinished:
            self.stack[-1] = value = target.finish(state)
            for place in target.places:
                self.memo[place] = value
        elif type(target) is not OrderedDict:  # whose state, the versions of modules, says nothing about the weights
            raise NotHarmless(f"the state of a {target.name if type(target) is Named else type(target).__name__}")

    def remember(self, place: int) -> None:
        value = self.stack[-1]
        self.memo[place] = value
        if type(value) is Unfinished:
            value.places.append(place)

    def _too_deep(self) -> None:
        raise TooMuch(
            f"values nested more than {self.deepest} deep; if the file is right, set {variable('depth')} higher"
        )


def plain_key(key: Any) -> Any:
    """Return a key of a dictionary; anything but text, numbers and tuples of them could take for ever to hash."""
    for part in key if type(key) is tuple else (key,):
        if type(part) not in (str, bytes, int, float, bool, type(None)) and not isinstance(part, np.generic):
            raise NotHarmless(f"a {type(part).__name__} as a key")
    return key


def _make_ignored(machine: _Machine, _: Any) -> None:
    pass


def _make_top(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        if len(machine.stack) < count:
            raise IndexError("the stack is empty")
        items = machine.stack[-count:]
        del machine.stack[-count:]
        machine.tuple_of(items)

    return step


_PUSHED = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
)  # fmt: skip

_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _make_ignored,
    "FRAME": _make_ignored,
    **dict.fromkeys(_PUSHED, _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "MARK": lambda machine, _: machine.mark(),
    "TUPLE": lambda machine, _: machine.tuple_of(machine.marked()),
    "TUPLE1": _make_top(1),
    "TUPLE2": _make_top(2),
    "TUPLE3": _make_top(3),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.marked()),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.marked()),
    "ADDITEMS": lambda machine, _: machine.add_items(machine.marked()),
    "BINGET": lambda machine, place: machine.push(machine.memo[place]),
    "LONG_BINGET": lambda machine, place: machine.push(machine.memo[place]),
    "BINPUT": lambda machine, place: machine.remember(place),
    "LONG_BINPUT": lambda machine, place: machine.remember(place),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GLOBAL": lambda machine, name: machine.look_up(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.look_up_on_stack(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.push(machine.stored(machine.stack.pop())),
}
