"""Pickles that no honest program writes, put together by hand, and words that must be said of each."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

POINTER = b"\x41" * 8
OBJECT_STATE = (3, "|", None, None, None, -1, -1, 63)
PLAIN_STATE = (3, "<", None, None, None, -1, -1, 0)


def push(value: Any) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def dtype(code: str, state: Any = None) -> bytes:
    made = call(name("numpy", "dtype"), push(code), push(False), push(True))
    return made if state is None else made + (state if isinstance(state, bytes) else push(state)) + b"b"


def scalar(kind: bytes, data: bytes) -> bytes:
    return call(name("numpy.core.multiarray", "scalar"), kind, data)


def array(shape: Any, kind: bytes, data: bytes, core: str = "_core") -> bytes:
    empty = call(name(f"numpy.{core}.multiarray", "_reconstruct"), name("numpy", "ndarray"), push((0,)), push("b"))
    return empty + b"(" + push(1) + push(shape) + kind + push(False) + data + b"tb"


def text_pointer() -> bytes:
    return call(name("_codecs", "encode"), push(POINTER.decode("latin-1")), push("latin1"))


def pickled(body: bytes) -> bytes:
    """A dictionary with some weights' place and, beside it, the body."""
    return b"\x80\x02}(" + push("model") + b"}" + push("extra") + body + b"u."


OTHER_FLAGS = (3, "|", None, None, None, -1, -1, 0)
_FIELDS = b"(" + push(3) + push("|") + b"N" + push(("a",)) + b"}" + push("a") + b"(" + dtype("O8", OBJECT_STATE)
STRUCTURE = _FIELDS + push(0) + b"ts" + push(8) + push(1) + push(0) + b"t"
SUBARRAY = b"(" + push(3) + push("|") + b"(" + dtype("O8", OBJECT_STATE) + push((2,)) + b"t"
SUBARRAY += b"NN" + push(16) + push(8) + push(0) + b"t"

EMPTY = name("numpy.core.multiarray", "_reconstruct")

NUMPY: dict[str, tuple[bytes, str]] = {
    "object dtype": (dtype("O8", OBJECT_STATE), "numpy.dtype"),
    "object dtype, short": (dtype("O", OBJECT_STATE), "numpy.dtype"),
    "object flags hidden": (array((1,), dtype("O8", OTHER_FLAGS), text_pointer()), "numpy.dtype"),
    "object array of pointers": (array((1,), dtype("O8", OBJECT_STATE), text_pointer()), "numpy.dtype"),
    "object array of a list": (pickle.dumps(np.array([{}], object), 2)[2:-1], "numpy.dtype"),
    "object scalar": (scalar(dtype("O8", OBJECT_STATE), text_pointer()), "numpy.dtype"),
    "object state on float": (scalar(dtype("f8", (3, "|", None, None, None, 8, 8, 63)), text_pointer()), "state"),
    "no flags on text": (array((1,), dtype("U2", (3, "<", None, None, None, 8, 4, 0)), text_pointer()), "state"),
    "subarray on void": (array((1,), dtype("V16", SUBARRAY), text_pointer()), "numpy.dtype"),
    "subarray on float": (array((1,), dtype("f8", SUBARRAY), text_pointer()), "numpy.dtype"),
    "subarray of floats": (dtype("f8", (3, "|", ("f8", (2,)), None, None, 16, 8, 0)), "state"),
    "structure on void": (array((1,), dtype("V8", STRUCTURE), text_pointer()), "numpy.dtype"),
    "structure on float": (scalar(dtype("f8", STRUCTURE), text_pointer()), "numpy.dtype"),
    "structure of floats": (dtype("f8", (3, "|", None, ("a",), {"a": ("f8", 0)}, 8, 1, 0)), "state"),
    "structure by code": (dtype("O,O", OBJECT_STATE), "numpy.dtype"),
    "structure by list": (call(name("numpy", "dtype"), push([("a", "O")])), "numpy.dtype"),
    "times": (array((1,), dtype("M8", PLAIN_STATE), text_pointer()), "numpy.dtype"),
    "metadata": (dtype("f8", (4, "<", None, None, None, -1, -1, 0, {})), "state"),
    "another item size": (scalar(dtype("U2", (3, "<", None, None, None, 1 << 30, 4, 8)), text_pointer()), "state"),
    "dtype without state": (scalar(dtype("f8"), text_pointer()), "scalar"),
    "dtype built twice": (dtype("f8", PLAIN_STATE) + push(OBJECT_STATE) + b"b", "state"),
    "scalar without dtype": (scalar(push("O8"), text_pointer()), "scalar"),
    "scalar of an object": (scalar(dtype("f8", PLAIN_STATE), push([])), "scalar"),
    "array of a list": (array((1,), dtype("f8", PLAIN_STATE), push([1.0])), "numpy.ndarray"),
    "array of few bytes": (array((1 << 40,), dtype("f8", PLAIN_STATE), text_pointer()), "numpy.ndarray"),
    "another class": (call(EMPTY, name("numpy", "dtype"), push((0,)), push("b")), "_reconstruct"),
    "built array": (call(EMPTY, name("numpy", "ndarray"), push((9,)), push("O")), "_reconstruct"),
    "ndarray called": (call(name("numpy", "ndarray"), push((1,)), push("O")), "numpy.ndarray"),
    "dtype.__setstate__": (call(name("numpy", "dtype.__setstate__"), push(OBJECT_STATE)), "numpy.dtype.__setstate__"),
    "ndarray.__setstate__": (
        push("numpy") + push("ndarray.__setstate__") + b"\x93" + b")R", "numpy.ndarray.__setstate__",
    ),
    "class of a dtype": (name("numpy.dtypes", "ObjectDType") + b")\x81", "numpy.dtypes.ObjectDType"),
    "state of the class": (name("numpy", "dtype") + push({"make": 1}) + b"b", "numpy.dtype"),
    "numpy.load": (call(name("numpy", "load"), push("a.npy")), "numpy.load"),
    "numpy.memmap": (call(name("numpy", "memmap"), push("a"), push("u1"), push("w+")), "numpy.memmap"),
    "numpy.frombuffer": (call(name("numpy", "frombuffer"), text_pointer(), push("O")), "numpy.frombuffer"),
    "numpy.fromfile": (call(name("numpy.core.multiarray", "fromfile"), push("a")), "multiarray.fromfile"),
}  # fmt: skip
"""Type confusion through what numpy allows: body, and words of the message."""

CODE: dict[str, tuple[bytes, str]] = {
    "os.system": (call(name("os", "system"), push("true")), "os.system"),
    "posix.system": (call(name("posix", "system"), push("true")), "posix.system"),
    "eval": (call(name("__builtin__", "eval"), push("1")), "builtins.eval"),
    "exec": (call(name("builtins", "exec"), push("1")), "builtins.exec"),
    "getattr": (call(name("builtins", "getattr"), name("torch", "Size"), push("count")), "builtins.getattr"),
    "decode": (call(name("codecs", "decode"), push("a"), push("rot13")), "codecs.decode"),
    "other encoding": (call(name("_codecs", "encode"), push("a"), push("rot13")), "bytes"),
    "import": (call(name("importlib", "import_module"), push("os")), "importlib.import_module"),
    "subprocess": (call(name("subprocess", "Popen"), push(["true"])), "subprocess.Popen"),
    "pickle": (call(name("pickle", "loads"), push("a")), "pickle.loads"),
    "copyreg": (call(name("copy_reg", "_reconstructor"), name("builtins", "object")), "copyreg._reconstructor"),
    "torch.load": (call(name("torch", "load"), push("a")), "torch.load"),
    "torch.hub": (call(name("torch.hub", "load"), push("a")), "torch.hub.load"),
    "tensor of a size": (call(name("torch", "FloatTensor"), push(1 << 40)), "torch.FloatTensor"),
    "rebuilt type": (call(name("torch._tensor", "_rebuild_from_type_v2")), "_rebuild_from_type_v2"),
    "quantised": (call(name("torch._utils", "_rebuild_qtensor")), "_rebuild_qtensor"),
    "sparse": (call(name("torch._utils", "_rebuild_sparse_tensor")), "_rebuild_sparse_tensor"),
    "zeros": (call(name("builtins", "bytearray"), push(1 << 40)), "bytes"),
    "INST": (b"(" + push("true") + b"ios\nsystem\n", "os.system"),
    "OBJ": (b"(" + name("os", "system") + push("true") + b"o", "os.system"),
    "OBJ of a harmless one": (b"(" + name("collections", "OrderedDict") + b"o", "OBJ"),
    "STACK_GLOBAL": (push("os") + push("system") + b"\x93" + push(("true",)) + b"R", "os.system"),
    "NEWOBJ": (name("subprocess", "Popen") + push(("true",)) + b"\x81", "subprocess.Popen"),
    "NEWOBJ_EX": (name("subprocess", "Popen") + push(("true",)) + b"}\x92", "subprocess.Popen"),
    "NEWOBJ_EX of a harmless one": (name("collections", "OrderedDict") + b")}\x92", "NEWOBJ_EX"),
    "EXT1": (b"\x82\x01", "EXT1"),
    "EXT2": (b"\x83\x01\x00", "EXT2"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "EXT4"),
    "PERSID": (b"Pstorage\n", "PERSID"),
    "persistent list": (push(["storage"]) + b"Q", "persistent"),
    "state of a function": (name("_codecs", "encode") + push({"a": 1}) + b"b", "_codecs.encode"),
    "slots of a class": (
        name("collections", "OrderedDict") + push((None, {"__init__": 1})) + b"b", "collections.OrderedDict",
    ),
    "a dotted name": (name("torch", "Size.__init__.__globals__") + b")R", "torch.Size.__init__.__globals__"),
    "a call of a result": (call(name("torch", "Size")) + b")R", "a call of Size"),
    "a tuple of tuples as key": (b"}" + push(((1,),)) + b"Ns", "tuple as a key"),
}  # fmt: skip
"""Code, by every instruction that can name or call something."""


def bomb(levels: int) -> bytes:
    """Lists that hold the list before twice: for who goes through them, 2 to the number of levels."""
    body = b"]q\x00"
    for level in range(levels):
        body += b"](" + bytes((ord("h"), level)) * 2 + b"eq" + bytes((level + 1,))
    return body


COSTLY: dict[str, tuple[bytes, str]] = {
    "memo bomb": (bomb(200), "nested more than 64 deep"),
    "deep tuple": (b"N" + b"\x85" * 100_000, "nested more than 64 deep"),
    "deep lists": (b"](" * 100_000, "nested more than 64 deep"),
}
"""What costs much for its size."""


def write_zip(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", b"3\n")


def write_old(path: Path, data: bytes) -> None:
    torch.save({}, path, _use_new_zipfile_serialization=False)
    empty = pickle.dumps({}, 2)
    header, _, rest = path.read_bytes().rpartition(empty)
    path.write_bytes(header + data + rest)
