"""What every numba kernel shares: serial twins, thread counts, row prefetch, huge-page outputs.

Why serial twins: a forked child of a process that has used GNU OpenMP is killed when it enters a parallel region, the
`workqueue` layer aborts on concurrent calls, and starting threads costs more than small inputs take.
"""

from __future__ import annotations

import math
import os
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils
from numba.core import types as nb_types
from numba.extending import intrinsic

__all__ = [
    "CACHE_LINE",
    "SMALL_WORK",
    "TwinKernel",
    "empty_output",
    "int_bits",
    "num_threads",
    "prefetch_row",
    "release_memory",
    "twin",
]

SMALL_WORK = 65_536  # elements below which threads cost more than they bring
CACHE_LINE = 64
HUGE_PAGE_BYTES = 4 << 20  # numpy asks the kernel for huge pages at this size and above
POOL_BYTES = 1 << 30  # or a sixteenth of the machine's memory if that is less

_forked = False
_workqueue_lock = threading.Lock()


def _mark_forked() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_mark_forked)


def num_threads() -> int:
    """Threads that kernels use: torch's setting, at most the pool numba was started with, and 1 after a fork."""
    return 1 if _forked else max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


class TwinKernel:
    """A numba function compiled twice, parallel and serial, that picks one per call.

    The twin has a name of its own because numba's on-disk cache does not tell the two apart otherwise.
    """

    def __init__(self, function: Callable[..., Any], *, fastmath: bool | set[str] = False) -> None:
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        serial_code = function.__code__.replace(co_name=f"{function.__name__}_serial")
        serial = types.FunctionType(
            serial_code, function.__globals__, f"{function.__name__}_serial", function.__defaults__
        )
        serial.__qualname__ = f"{function.__qualname__}_serial"
        serial.__module__ = function.__module__
        options: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": fastmath, "error_model": "numpy"}
        self.parallel = numba.njit(parallel=True, **options)(function)
        self.serial = numba.njit(**options)(serial)

    def __call__(self, *args: Any, work: int) -> Any:
        """Runs the kernel; `work` is the number of elements touched, which decides about threads."""
        threads = num_threads()
        if threads == 1 or work < SMALL_WORK:
            return self.serial(*args)
        numba.set_num_threads(threads)
        if _is_workqueue():
            with _workqueue_lock:
                return self.parallel(*args)
        return self.parallel(*args)


def _is_workqueue() -> bool:
    """Whether numba runs on its `workqueue` layer; before the first parallel call that is not known, so lock."""
    try:
        return str(numba.threading_layer()) == "workqueue"
    except ValueError:
        return True


def twin(*, fastmath: bool | set[str] = False) -> Callable[[Callable[..., Any]], TwinKernel]:
    """Decorator form of :class:`TwinKernel`."""
    return lambda function: TwinKernel(function, fastmath=fastmath)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch_row(typingctx: Any, array: Any, offset: Any) -> Any:
    """Asks the CPU to load the cache line of ``array.ravel()[offset]`` (C-contiguous array) for reading."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array_type, _ = signature.args
        data = context.make_array(array_type)(context, builder, args[0]).data
        pointer = builder.gep(data, [args[1]])
        byte_pointer = builder.bitcast(pointer, cgutils.voidptr_t)
        int32 = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, int32, int32, int32])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0i8")
        builder.call(function, [byte_pointer, int32(0), int32(3), int32(1)])
        return context.get_dummy_value()

    return nb_types.void(array, nb_types.int64), codegen


class _Pool:
    """Memory of outputs that nobody uses any more, for the next ones of about that size.

    A training step frees and allocates the same arrays over and over. Each time the system hands out cleared pages,
    which costs more than a sparse product itself where it has to ask a hypervisor for them. Kept are at most `limit`
    bytes, the latest ones. No lock: deque operations are atomic, and a finaliser may run inside any of them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free: deque[np.ndarray[Any, Any]] = deque()

    def take(self, size: int) -> np.ndarray[Any, Any]:
        """Uninitialised memory of `size` bytes, perhaps used before."""
        for _ in range(len(self._free)):
            try:
                memory = self._free.popleft()
            except IndexError:  # another thread was faster
                break
            if size <= memory.size <= size + size // 4:
                return memory
            self._free.append(memory)
        return np.empty(size, dtype=np.uint8)

    def give_back(self, memory: np.ndarray[Any, Any]) -> None:
        """Keeps memory that is no longer used, in place of what was kept longest."""
        self._free.append(memory)
        try:
            while sum(kept.size for kept in self._free.copy()) > self.limit:
                self._free.popleft()
        except (IndexError, RuntimeError):  # another thread, or a finaliser in between, changed what is kept
            self._free.clear()

    def clear(self) -> None:
        """Lets go of everything."""
        self._free.clear()


def _pool_limit() -> int:
    set_by_user = os.environ.get("GRAPHREP_POOL_BYTES", "")
    if set_by_user.isdecimal():
        return int(set_by_user)
    try:
        return min(POOL_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16)
    except (AttributeError, ValueError, OSError):  # not everywhere
        return POOL_BYTES // 4


_pool = _Pool(_pool_limit())


def release_memory() -> None:
    """Returns the memory that finished outputs left for the next ones to the system.

    That is at most 1 GiB, and at most a sixteenth of the machine's memory.

    The environment variable ``GRAPHREP_POOL_BYTES``, read at import, sets another limit; 0 keeps nothing.
    """
    _pool.clear()


def empty_output(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An uninitialised CPU tensor; large ones come from numpy, which asks for huge pages, or from earlier ones.

    First touch of 256 MB in 4 KB pages costs several times what the kernels need to fill it. numpy's memory starts 16
    bytes behind a cache line; a tensor that starts there would spread each 64-byte row over two lines.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < HUGE_PAGE_BYTES:
        return torch.empty(shape, dtype=dtype)
    memory = _pool.take(size + CACHE_LINE)
    start = -memory.ctypes.data % CACHE_LINE
    part = memory[start : start + size]
    weakref.finalize(part, _pool.give_back, memory).atexit = False
    return torch.from_numpy(part).view(dtype).reshape(shape)


def int_bits(x: torch.Tensor) -> np.ndarray[Any, Any]:
    """A numpy view of a CPU tensor; half types, which numba lacks, come as their bits in int16."""
    if x.requires_grad:
        x = x.detach()
    return (x.view(torch.int16) if x.dtype.itemsize == 2 and x.is_floating_point() else x).numpy()
