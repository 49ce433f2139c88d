"""Sparse matrices out of pickles, as recommenders' authors publish them, without unpickling: nothing in a file is run.

The opcodes of the file are interpreted by a small machine that knows numbers, text, containers and a short list of
names (numpy arrays, dtypes and scipy's sparse matrices). A name outside the list ends the reading. Names stand for
records of their arguments and are never called; the arrays are built afterwards, from bytes, once everything was seen.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from pickletools import genops
from typing import Any

import numpy as np
import scipy.sparse as sp

from graphrep.data._bytes import file_bytes
from graphrep.data.interactions import PARTS, Interactions
from graphrep.errors import FileFormatError, GraphrepError, ShapeError

__all__ = ["PICKLES", "interactions_in_pickles", "is_pickle", "matrix_in_pickle"]

PICKLES = (".pkl", ".pickle")
_PART_FILES = {
    "train": ("trnMat", "train", "trn"),
    "val": ("valMat", "val", "valid"),
    "test": ("tstMat", "test", "tst"),
}
_DTYPES = frozenset(f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)) - {"f1"} | {"b1"}
_FORMATS = ("coo", "csr", "csc")
_MOST_STACK = 1 << 20
_ALLOWED = {
    **{(f"numpy.{core}.multiarray", name): name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "_frombuffer" for core in ("core", "_core")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    **{
        (f"scipy.sparse.{dash}{kind}", f"{kind}_{form}"): f"scipy {kind}"
        for kind in _FORMATS
        for dash in ("", "_")
        for form in ("matrix", "array")
    },
    **{(module, "_reconstructor"): "_reconstructor" for module in ("copyreg", "copy_reg")},
    **{(module, "object"): "object" for module in ("builtins", "__builtin__")},
}


@dataclasses.dataclass
class _Name:
    """An allowed name; it is never looked up."""

    name: str


@dataclasses.dataclass
class _Made:
    """What a pickle would have made: the name, the arguments, and the state that was set afterwards."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


class _Mark:
    """Where a group of operands begins."""


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, by its ending; or a folder with one of a training matrix."""
    return path.suffix.lower() in PICKLES or (path.is_dir() and _found(path, "train") is not None)


def interactions_in_pickles(path: Path) -> Interactions:
    """The parts of a data set that lies in pickles: ``trnMat.pkl``, ``tstMat.pkl`` and perhaps ``valMat.pkl``.

    Args:
        path: the folder, or one of the files; the others beside it belong to it. A file with another name is a matrix
            that is not split.

    Raises:
        FileFormatError: a file that holds anything but one sparse matrix.
        ShapeError: matrices of several shapes.
    """
    folder = path if path.is_dir() else path.parent
    own = path.is_dir() or any(path == _found(folder, part) for part in _PART_FILES)
    files = {part: file for part in _PART_FILES if (file := _found(folder, part)) is not None} if own else {}
    if not files:
        return Interactions.coerce(matrix_in_pickle(path)).replace(name=path.name.partition(".")[0])
    if "train" not in files:
        raise FileFormatError(f"{folder} has no training matrix beside {path.name}.", hint="trnMat.pkl")
    matrices = {part: matrix_in_pickle(file) for part, file in files.items()}
    shapes = {part: matrix.shape for part, matrix in matrices.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{files[part].name} {shape}" for part, shape in shapes.items())
        raise ShapeError(f"{folder}: matrices of one data set differ in shape: {told}.", hint="users x items in each")
    codes = [np.full(matrix.nnz, PARTS.index(part), dtype=np.int8) for part, matrix in matrices.items()]
    values = np.concatenate([matrix.data for matrix in matrices.values()]).astype(np.float32)
    return Interactions(
        np.concatenate([matrix.row for matrix in matrices.values()]),
        np.concatenate([matrix.col for matrix in matrices.values()]),
        None if (values == 1).all() else values,
        part=np.concatenate(codes),
        num_users=int(shapes["train"][0]), num_items=int(shapes["train"][1]),
        name=folder.resolve().name,
    )  # fmt: skip


def _found(folder: Path, part: str) -> Path | None:
    names = [folder / f"{stem}{ending}" for stem in _PART_FILES[part] for ending in PICKLES]
    return next((file for file in names if file.is_file()), None)


def matrix_in_pickle(path: Path) -> Any:
    """The scipy COO matrix in a pickle of protocol 0 to 5; duplicates stay, stored zeros go.

    Raises:
        FileFormatError: the pickle holds anything else, and then the message has the name that is not allowed.
    """
    try:
        found = _Machine(path).run(io.BytesIO(file_bytes(path).tobytes()))
        matrix = _matrix(found, path)
    except GraphrepError:
        raise
    except Exception as error:  # bytes at random may fail anywhere in the parser
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _refused(path, f"it cannot be read: {reason}") from error
    keep = matrix.data != 0
    return sp.coo_array((matrix.data[keep], (matrix.row[keep], matrix.col[keep])), shape=matrix.shape)


def _refused(path: Path, why: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is a pickle, and graphrep runs nothing in it: {why}.",
        hint="pickles of one scipy sparse matrix are read; else convert it where you trust it: scipy.sparse.save_npz",
    )


class _Machine:
    """Interprets the opcodes of a pickle; every operand is a plain value or a record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, file: io.BytesIO) -> Any:
        """What the pickle holds."""
        for opcode, argument, _ in genops(file):
            if opcode.name == "STOP":
                return self.stack.pop()
            if len(self.stack) > _MOST_STACK:
                raise _refused(self.path, "it is nested too deeply")
            handler = _OPERATIONS.get(opcode.name)
            if handler is None:
                raise _refused(self.path, f"the operation {opcode.name} is not allowed")
            handler(self, argument)
        raise _refused(self.path, "it ends early")

    def name(self, module: str, name: str) -> None:
        """Puts an allowed name on the stack."""
        found = _ALLOWED.get((module, name))
        if found is None:
            raise _refused(self.path, f"it asks for {module}.{name}")
        self.stack.append(_Name(found))

    def group(self) -> list[Any]:
        """The operands since the last mark."""
        group: list[Any] = []
        while not isinstance(item := self.stack.pop(), _Mark):
            group.append(item)
        return group[::-1]

    def call(self, name: Any, arguments: Any) -> None:
        """Notes what would be called with what; text that stands for bytes is decoded."""
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise _refused(self.path, "it calls something that is no name")
        if name.name == "encode":
            text, coding = arguments
            if not isinstance(text, str) or coding not in ("latin1", "latin-1"):
                raise _refused(self.path, f"it encodes text as {coding}")
            self.stack.append(text.encode("latin-1"))
            return
        kind, given = name.name, arguments
        if kind == "_reconstructor":  # (class, object, None), as protocols 0 and 1 make objects
            kind, given = getattr(arguments[0], "name", "?"), ()
        self.stack.append(_Made(kind, given))

    def build(self) -> None:
        """Sets the state of the record below it."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Made):
            raise _refused(self.path, "it sets the state of a plain value")
        self.stack[-1].state = state

    def put(self, items: list[Any]) -> None:
        """Items into the dict below them."""
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _push(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, argument: machine.stack.append(value() if callable(value) else value)


def _pushed(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    def make(machine: _Machine, argument: Any) -> None:
        items = tuple(machine.stack[len(machine.stack) - count :])
        del machine.stack[len(machine.stack) - count :]
        machine.stack.append(items)

    return make


def _global(machine: _Machine, argument: Any) -> None:
    module, _, name = str(argument).partition(" ")
    machine.name(module, name)


def _stack_global(machine: _Machine, argument: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.name(str(module), str(name))


def _reduce(machine: _Machine, argument: Any) -> None:
    arguments, name = machine.stack.pop(), machine.stack.pop()
    machine.call(name, arguments)


def _set_item(machine: _Machine, argument: Any) -> None:
    items = machine.stack[-2:]
    del machine.stack[-2:]
    machine.put(items)


def _memoize(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _remember(machine: _Machine, argument: Any) -> None:
    machine.memo[int(argument)] = machine.stack[-1]


_OPERATIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, argument: None),
    **dict.fromkeys(
        ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
         "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
         "BINBYTES8", "BYTEARRAY8"),
        _pushed,
    ),
    "NONE": _push(None), "NEWTRUE": _push(True), "NEWFALSE": _push(False), "MARK": _push(_Mark),
    "EMPTY_TUPLE": _push(()), "EMPTY_DICT": _push(dict), "EMPTY_LIST": _push(list),
    "TUPLE1": _tuple(1), "TUPLE2": _tuple(2), "TUPLE3": _tuple(3),
    "TUPLE": lambda machine, argument: machine.stack.append(tuple(machine.group())),
    "DICT": lambda machine, argument: machine.stack.append(_as_dict(machine.group())),
    "SETITEM": _set_item, "SETITEMS": lambda machine, argument: machine.put(machine.group()),
    "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "REDUCE": _reduce, "NEWOBJ": _reduce,
    "BUILD": lambda machine, argument: machine.build(),
    "MEMOIZE": _memoize, **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _remember),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, argument: machine.stack.append(machine.memo[int(argument)])
    ),
    "POP": lambda machine, argument: machine.stack.pop(),
}  # fmt: skip


def _as_dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _matrix(found: Any, path: Path) -> Any:
    if not isinstance(found, _Made) or not found.name.startswith("scipy ") or not isinstance(found.state, dict):
        raise _refused(path, "it holds no sparse matrix of scipy")
    state = {key: value for key, value in found.state.items() if isinstance(key, str)}
    kind, made = found.name.removeprefix("scipy "), getattr(sp, f"{found.name.removeprefix('scipy ')}_array")
    shape = tuple(_integer(side) for side in state.get("_shape", ()))
    if len(shape) != 2 or min(shape) < 0:
        raise _refused(path, f"its shape is {shape}")
    data = _array(state["data"])
    if kind != "coo":
        matrix = made((data, _array(state["indices"]), _array(state["indptr"])), shape=shape)
        matrix.check_format(full_check=True)
        return matrix.tocoo()
    row, col = state.get("coords") or (state["row"], state["col"])
    return made((data, (_array(row), _array(col))), shape=shape)


def _integer(value: Any) -> int:
    return int(_array(value).reshape(-1)[0]) if isinstance(value, _Made) else int(value)


def _array(found: Any) -> np.ndarray[Any, Any]:
    """The array of a record: of bytes and a dtype of numbers, never of objects."""
    if not isinstance(found, _Made):
        raise ValueError("an array is missing")
    if found.name == "scalar":
        return np.frombuffer(found.arguments[1], _dtype(found.arguments[0]))
    if found.name == "_frombuffer":
        raw, dtype, shape, order = found.arguments
    elif found.name in ("_reconstruct", "ndarray"):
        _, shape, dtype, fortran, raw = found.state
        order = "F" if fortran else "C"
    else:
        raise ValueError(f"{found.name} is no array")
    if isinstance(raw, str):  # a string of Python 2
        raw = raw.encode("latin-1")
    if not isinstance(raw, bytes | bytearray):
        raise ValueError("an array of objects")
    values = np.frombuffer(raw, _dtype(dtype)).reshape([_integer(side) for side in shape], order=order)
    return values.astype(values.dtype.newbyteorder("="))


def _dtype(found: Any) -> np.dtype[Any]:
    if not isinstance(found, _Made) or found.name != "dtype" or found.arguments[0] not in _DTYPES:
        raise ValueError(f"the dtype {getattr(found, 'arguments', ('?',))[0]} is not allowed")
    big = isinstance(found.state, tuple) and found.state[1] == ">"
    return np.dtype(str(found.arguments[0])).newbyteorder(">" if big else "<")
