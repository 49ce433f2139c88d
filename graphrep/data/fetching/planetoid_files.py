"""The Planetoid files without running them: they are Python 2 pickles, and a pickle is a program.

`pickletools` lists the instructions of a pickle without executing any. The few that build numbers, text and containers
are followed here; names of functions and classes stay names (:class:`Call`), and nothing is ever imported or called.
Only arrays, CSR matrices and dictionaries of lists are then made from what was read.
"""

from __future__ import annotations

import dataclasses
from pickletools import genops
from typing import Any

import numpy as np

from graphrep.errors import FileFormatError

__all__ = ["Call", "as_array", "as_csr", "as_lists", "read_instructions"]

_MARK = object()
_MOST_ITEMS = 1 << 26


@dataclasses.dataclass
class Call:
    """A call that the file asks for and that is not made: a name, its arguments, and what was to be put into it."""

    name: str
    args: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = dataclasses.field(default_factory=dict)


def read_instructions(content: bytes, source: str) -> Any:
    """What a pickle describes: numbers, text, lists, dictionaries, and :class:`Call` for everything else.

    Raises:
        FileFormatError: damaged, or instructions that plain data does not need.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in genops(content):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise FileFormatError(f"{source} is damaged: {error}.", hint="download it again") from error
    raise FileFormatError(f"{source} is cut off.", hint="download it again")


class _Machine:
    """The instructions of pickle protocols 0 to 2 that put data together."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSHES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name != "PROTO":
            self.build(name, argument)

    def build(self, name: str, argument: Any) -> None:
        if name == "GLOBAL":
            self.stack.append(Call(str(argument).replace(" ", "."), ()))
        elif name in ("REDUCE", "NEWOBJ"):
            args, function = self.stack.pop(), self.stack.pop()
            self.stack.append(Call(function.name, tuple(args)))
        elif name == "BUILD":
            state = self.stack.pop()
            self.stack[-1].state = state
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self.since_mark()
            self.stack.append(_pairs(items) if name == "DICT" else tuple(items) if name == "TUPLE" else items)
        elif name in ("APPEND", "APPENDS"):
            items = self.since_mark() if name == "APPENDS" else [self.stack.pop()]
            self.stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self.since_mark() if name == "SETITEMS" else [self.stack.pop(-2), self.stack.pop()]
            target = self.stack[-1]
            (target.items if isinstance(target, Call) else target).update(_pairs(items))
        else:
            raise ValueError(f"plain data does not need the instruction {name}")

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items


_PUSHES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def as_array(value: Any, source: str) -> np.ndarray[Any, Any]:
    """The numeric array that a file describes.

    Raises:
        FileFormatError: something else, or an array of Python objects.
    """
    if isinstance(value, Call) and value.name.endswith("multiarray._reconstruct") and isinstance(value.state, tuple):
        _, shape, dtype, fortran, raw = value.state
        code = str(dtype.args[0]) if isinstance(dtype, Call) else ""
        if isinstance(raw, Call) and raw.name.endswith("_codecs.encode"):
            raw = raw.args[0]
        if code[:1] in tuple("biuf") and isinstance(raw, str) and int(np.prod(shape)) <= _MOST_ITEMS:
            kind = np.dtype(code).newbyteorder(">" if dtype.state and dtype.state[1] == ">" else "<")
            data = raw.encode("latin-1")
            if len(data) == kind.itemsize * int(np.prod(shape)):
                array = np.frombuffer(data, dtype=kind).reshape(shape, order="F" if fortran else "C")
                return array.astype(kind.newbyteorder("="))
    raise FileFormatError(f"{source} does not hold an array of numbers.", hint="download it again")


def as_csr(value: Any, source: str) -> Any:
    """The scipy CSR array that a file describes.

    Raises:
        FileFormatError: something else.
    """
    import scipy.sparse as sp

    state = value.state if isinstance(value, Call) else None
    shape = state.get("_shape", state.get("shape")) if isinstance(state, dict) else None
    if isinstance(state, dict) and isinstance(shape, tuple) and {"data", "indices", "indptr"} <= state.keys():
        data, indices, indptr = (as_array(state[key], source) for key in ("data", "indices", "indptr"))
        try:
            matrix = sp.csr_array((data, indices, indptr), shape=shape)
            matrix.check_format(full_check=True)
            return matrix
        except (ValueError, IndexError) as error:
            raise FileFormatError(f"{source} holds a damaged matrix: {error}.", hint="download it again") from error
    raise FileFormatError(f"{source} does not hold a sparse matrix.", hint="download it again")


def as_lists(value: Any, source: str) -> np.ndarray[Any, Any]:
    """(2, E) int64 edges from a dictionary {node: [neighbours]}, in the order of the file.

    Raises:
        FileFormatError: something else.
    """
    found = value.items if isinstance(value, Call) and value.name == "collections.defaultdict" else value
    if not isinstance(found, dict) or not all(isinstance(row, list) for row in found.values()):
        raise FileFormatError(f"{source} does not hold lists of neighbours.", hint="download it again")
    ends = [(int(node), int(other)) for node, row in found.items() for other in row]
    return np.array(ends, dtype=np.int64).reshape(-1, 2).T
