"""What a checkpoint's pickle may ask for, and what it gets instead of the functions it names.

With numpy's own constructors a file can make a data type whose flags hide that its bytes are object pointers. Here data
types are made by numpy from a short code, an array takes exactly its bytes, and nothing ever holds objects.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .machine import Named, NotHarmless, Unfinished, plain_key

_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|c(?:8|16)|[SU][0-9]{1,9}")
_ARRAY = Named("numpy.ndarray")
_MOST_DIMENSIONS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """The numbers behind tensors: 1-D, of the size that the file holds."""

    values: Tensor


@dataclass(frozen=True, slots=True)
class StorageKind:
    """What a pickle gets for the name of a storage class."""

    dtype: torch.dtype


class TensorBudget:
    """Counts what tensors of one file take, however many share one storage.

    Parameters
    ----------
    most
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> None:
        """Count some bytes; raises ValueError when there are none left."""
        self._left -= size
        if self._left < 0:
            raise ValueError("its tensors take far more than the file holds")


def harmless_names(budget: TensorBudget) -> Mapping[str, Any]:
    """Return what stands for each name on the list while one file is read."""

    def rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        return _tensor(budget, storage, offset, size, stride)

    def rebuild_typed(
        storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
    ) -> Tensor:
        if type(storage) is not Storage or type(dtype) is not torch.dtype:
            raise NotHarmless("torch._utils._rebuild_tensor_v3 of something else than a storage")
        return _tensor(budget, Storage(storage.values.view(dtype)), offset, size, stride)

    made: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor": rebuild,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_tensor_v3": rebuild_typed,
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch.Size": lambda sizes=(): torch.Size(_counts(sizes)),
        "torch.device": lambda kind, index=None: torch.device(kind) if index is None else torch.device(kind, index),
        "collections.OrderedDict": _ordered,
        "collections.Counter": lambda counts=(): dict(_ordered(counts.items() if type(counts) is dict else counts)),
        "_codecs.encode": _bytes,
        "builtins.bytearray": lambda *text: bytearray(_bytes(*text)),
        "builtins.bytes": lambda *text: _bytes(*text),
        "builtins.set": lambda items=(): {plain_key(item) for item in _listed(items)},
        "builtins.complex": lambda real, imaginary: complex(float(real), float(imaginary)),
        "numpy.dtype": _dtype,
        **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
        **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    }
    return {name: Named(name, make) for name, make in made.items()} | _VALUES


def _dtypes() -> dict[str, torch.dtype]:
    kinds = {f"torch.{name}": getattr(torch, name) for name in dir(torch) if type(getattr(torch, name)) is torch.dtype}
    return {name: kind for name, kind in kinds.items() if not re.search(r"\.(q|bits|[u]?int[1-7]$|float[48])", name)}


_STORAGES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
}  # fmt: skip
_VALUES: dict[str, Any] = {
    "numpy.ndarray": _ARRAY,
    "torch.storage.UntypedStorage": StorageKind(torch.uint8),
    **_dtypes(),
    **{f"torch.{name}Storage": StorageKind(dtype) for name, dtype in _STORAGES.items()},
    **{f"torch.cuda.{name}Storage": StorageKind(dtype) for name, dtype in _STORAGES.items()},
}


def _tensor(budget: TensorBudget, storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """View a storage; every number of the view lies in it, and there are no more than it holds."""
    if type(storage) is not Storage:
        raise NotHarmless("a tensor of something else than a storage")
    sizes, strides = _counts(size), _counts(stride)
    (start,) = _counts((offset,))
    held, wanted = storage.values.numel(), prod(sizes)
    last = start + sum((length - 1) * step for length, step in zip(sizes, strides, strict=True))
    if len(sizes) > _MOST_DIMENSIONS or wanted > held or (wanted and last >= held) or start > held:
        raise ValueError("a tensor that reaches beyond its storage")
    budget.take(wanted * storage.values.element_size())
    if not wanted:
        return torch.empty(sizes, dtype=storage.values.dtype)
    return torch.as_strided(storage.values, sizes, strides, start)


def _counts(values: Any) -> tuple[int, ...]:
    counts: tuple[Any, ...] = tuple(values) if type(values) in (tuple, list, torch.Size) else (None,)
    if not all(type(value) is int and 0 <= value < 1 << 62 for value in counts):
        raise ValueError("a size that is not a whole number")
    return counts


def _listed(items: Any) -> Iterable[Any]:
    if type(items) not in (list, tuple, set):
        raise NotHarmless(f"items of a {type(items).__name__}")
    return list(items)


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    pairs = items if type(items) is type({}.items()) else _listed(items)
    return OrderedDict((plain_key(key), value) for key, value in pairs)


def _bytes(text: Any = b"", encoding: Any = "latin1") -> bytes:
    """Bytes as protocol 2 keeps them: text in Latin-1."""
    if type(text) is bytes:
        return text
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise NotHarmless("bytes of something else than text")
    return text.encode("latin-1")


def _dtype(code: Any, align: Any = False, copy: Any = True) -> Unfinished:
    """A plain data type: truth values, whole, real and complex numbers, bytes and text."""
    if type(code) is bytes:
        code = code.decode("ascii")
    if type(code) is not str or not _PLAIN.fullmatch(code) or align not in (0, 1) or copy not in (0, 1):
        raise NotHarmless(f"numpy.dtype({str(code)[:20]!r})")

    def finish(state: Any) -> np.dtype[Any]:
        for dtype in (np.dtype(code).newbyteorder("<"), np.dtype(code).newbyteorder(">")):
            written: Any = dtype.__reduce__()
            if type(state) is tuple and _same(state, written[2]):
                return dtype
        raise NotHarmless(f"numpy.dtype({code!r}) with a state that numpy does not write")

    return Unfinished(finish)


def _same(state: tuple[Any, ...], written: tuple[Any, ...]) -> bool:
    return len(state) == len(written) and all(
        type(a) in (int, str, type(None)) and a == b for a, b in zip(state, written, strict=True)
    )


def _scalar(dtype: Any, data: Any = None) -> Any:
    return _values("numpy.core.multiarray.scalar", dtype, data, 1)[0]


def _array(kind: Any, shape: Any, code: Any) -> Unfinished:
    if kind is not _ARRAY or shape != (0,) or code not in (b"b", "b"):
        raise NotHarmless("numpy.core.multiarray._reconstruct of something else than an empty numpy.ndarray")

    def finish(state: Any) -> NDArray[Any]:
        if type(state) is not tuple or len(state) != 5 or state[0] != 1 or type(state[3]) not in (bool, int):
            raise NotHarmless("numpy.ndarray with a state that numpy does not write")
        _, shape, dtype, fortran, data = state
        sizes = _counts(shape)
        if len(sizes) > _MOST_DIMENSIONS:
            raise ValueError("an array of too many dimensions")
        values = _values("numpy.ndarray", dtype, data, prod(sizes))
        return values.reshape(sizes, order="F" if fortran else "C")

    return Unfinished(finish)


def _values(name: str, dtype: Any, data: Any, count: int) -> NDArray[Any]:
    """Exactly `count` values of a plain kind, copied from their bytes."""
    if not isinstance(dtype, np.dtype):  # one without its state is Unfinished
        raise NotHarmless(f"{name} with something else than a plain numpy.dtype")
    if type(data) is str:  # bytes that Python 2 wrote
        data = data.encode("latin-1")
    if type(data) is not bytes or len(data) != count * dtype.itemsize:
        raise NotHarmless(f"{name} with other data than its bytes")
    if dtype.kind == "b" and not set(data) <= {0, 1}:
        raise ValueError("a truth value that is neither true nor false")
    if dtype.kind == "U" and (np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder)) > 0x10FFFF).any():
        raise ValueError("text that is not Unicode")
    if data:
        return np.frombuffer(data, dtype).copy()
    if count > 1:  # of no size each
        raise ValueError("an array of empty texts")
    return np.zeros(count, dtype)
