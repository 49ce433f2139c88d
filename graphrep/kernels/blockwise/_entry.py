"""Kernels called by address, so that one compiled form serves serial and parallel runs of any caller.

numba compiles everything a parallel loop calls once more with it; for the block kernels that is half a minute. Here the
parallel loop only calls an address: (words, worker, turn), where `words` holds addresses and sizes as int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import prange
from numba.core import types as nb_types
from numba.core.types.misc import CPointer
from numba.extending import intrinsic

from graphrep.kernels._numba import twin

__all__ = ["entry", "pointer", "run_rounds", "shifted", "words_of"]

_INT64 = ir.IntType(64)
_SIGNATURE = nb_types.void(CPointer(nb_types.int64), nb_types.int64, nb_types.int64)


def entry(function: Any) -> Any:
    """Decorator: compiles (words, worker, turn) to machine code with an `address`, on first use."""
    return _Entry(function)


class _Entry:
    def __init__(self, function: Any) -> None:
        self.function = function
        self.compiled: Any = None

    @property
    def address(self) -> int:
        if self.compiled is None:
            self.compiled = numba.cfunc(_SIGNATURE, cache=True, nopython=True, error_model="numpy")(self.function)
        return int(self.compiled.address)


def words_of(parts: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Addresses of arrays and tensors, and numbers as they are; the caller keeps the arrays alive."""
    words = []
    for part in parts:
        if isinstance(part, torch.Tensor):
            words.append(part.data_ptr())
        else:
            words.append(part.ctypes.data if isinstance(part, np.ndarray) else int(part))
    return np.array(words, np.int64)


@intrinsic  # type: ignore[untyped-decorator]
def pointer(typingctx: Any, words: Any, place: Any, dtype: Any) -> Any:
    """The address in ``words[place]``, as a pointer to numbers of `dtype`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(builder.gep(args[0], [args[1]]))
        return builder.inttoptr(word, context.get_value_type(signature.return_type))

    return CPointer(dtype.dtype)(words, nb_types.int64, dtype), codegen


@intrinsic  # type: ignore[untyped-decorator]
def shifted(typingctx: Any, start: Any, offset: Any) -> Any:
    """The pointer `offset` numbers further on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return start(start, nb_types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _call(typingctx: Any, function: Any, words: Any, worker: Any, turn: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_INT64.as_pointer(), _INT64, _INT64])
        target = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(target, [builder.inttoptr(args[1], _INT64.as_pointer()), args[2], args[3]])
        return context.get_dummy_value()

    size = nb_types.int64
    return nb_types.void(size, size, size, size), codegen


@twin()
def run_rounds(function: int, words: int, turns: int, workers: int) -> None:
    """Calls ``function(words, worker, turn)`` for all workers at once, turn after turn."""
    for turn in range(turns):
        for worker in prange(workers):
            _call(function, words, worker, turn)
