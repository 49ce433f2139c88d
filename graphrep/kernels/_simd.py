"""Vectors of lanes as values inside numba kernels: loads, arithmetic and comparisons that stay in registers.

LLVM does not keep a loop-carried block of columns in registers by itself, so the kernels say it: a block is one value
of type ``Vec``, which LLVM splits over the registers that the CPU has. Half types come in as their bits (bfloat16 as
int16, float16 as uint16) and are widened on load, so every vector holds float32 or float64.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils
from numba.core import types as nb_types
from numba.core.datamodel.models import PrimitiveModel
from numba.core.errors import TypingError
from numba.core.types.misc import CPointer
from numba.extending import intrinsic, register_model

__all__ = [
    "AVX512",
    "FLAGS",
    "INT32",
    "Vec",
    "address",
    "at",
    "constant",
    "prefetch",
    "prefetch_lanes",
    "put",
    "splat",
    "vfill",
    "vload",
    "vload_int",
    "vnarrow",
    "vstore",
    "vstore_int",
    "vzero",
    "vzero_like",
]

CACHE_LINE = 64
AVX512 = bool(llvm.get_host_cpu_features().get("avx512f", False))  # 32 registers of 64 bytes, else 16 of 32 or less
FLAGS = ("contract",)  # a * b + c may become one fused operation; NaN and infinities keep their meaning
INT32 = ir.IntType(32)
_LLVM_TYPES = {
    nb_types.float32: ir.FloatType(),
    nb_types.float64: ir.DoubleType(),
    nb_types.int32: INT32,
    nb_types.int64: ir.IntType(64),
    nb_types.boolean: ir.IntType(1),
}


class Vec(nb_types.Type):
    """A fixed number of lanes of one scalar type."""

    def __init__(self, scalar: Any, lanes: int) -> None:
        self.scalar = scalar
        self.lanes = lanes
        super().__init__(name=f"Vec({scalar}, {lanes})")


@register_model(Vec)
class _VecModel(PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Vec) -> None:
        super().__init__(manager, fe_type, ir.VectorType(_LLVM_TYPES[fe_type.scalar], fe_type.lanes))


def _accumulator(dtype: Any) -> Any:
    return nb_types.float64 if dtype == nb_types.float64 else nb_types.float32


def _pointer(builder: Any, pointer: Any, offset: Any, vector: ir.VectorType) -> Any:
    return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())


def constant(vector: ir.VectorType, value: float) -> ir.Constant:
    """`value` in every lane, known at compile time."""
    return ir.Constant(vector, [value] * vector.count)


def splat(builder: Any, scalar: Any, vector: ir.VectorType) -> Any:
    """A number of the running kernel in every lane."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, INT32(0))
    return builder.shuffle_vector(
        first, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
    )


@intrinsic  # type: ignore[untyped-decorator]
def address(typingctx: Any, array: Any) -> Any:
    """Pointer to the first number of a contiguous array; None for None.

    Helpers take pointers because an array costs a dozen arguments and a reference count at each call.
    """
    if array == nb_types.none:
        return array(array), lambda context, builder, signature, args: context.get_dummy_value()

    if array.layout != "C":
        raise TypingError("kernels take C-contiguous arrays")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return CPointer(array.dtype)(array), codegen


@intrinsic  # type: ignore[untyped-decorator]
def at(typingctx: Any, pointer: Any, offset: Any) -> Any:
    """The number at `offset` behind a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return pointer.dtype(pointer, nb_types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def put(typingctx: Any, pointer: Any, offset: Any, number: Any) -> Any:
    """Writes `number` at `offset` behind a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return nb_types.void(pointer, nb_types.int64, pointer.dtype), codegen


def _prefetch_line(builder: Any, place: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [builder.bitcast(place, cgutils.voidptr_t), INT32(0), INT32(3), INT32(1)])


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typingctx: Any, pointer: Any, offset: Any) -> Any:
    """Asks the CPU to load the cache line at `offset` behind a pointer, for reading."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _prefetch_line(builder, builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return nb_types.void(pointer, nb_types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def prefetch_lanes(typingctx: Any, pointer: Any, offset: Any, like: Any) -> Any:
    """Asks the CPU to load what `vload` with the same arguments would read; no loop, as the size is known."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        per_line = CACHE_LINE * 8 // signature.args[0].dtype.bitwidth
        place = builder.gep(args[0], [args[1]])
        for first in range(0, like.lanes, per_line):
            _prefetch_line(builder, builder.gep(place, [INT32(first)]))
        return context.get_dummy_value()

    return nb_types.void(pointer, nb_types.int64, like), codegen


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def vzero(typingctx: Any, pointer: Any, lanes: Any) -> Any:
    """A vector of `lanes` zeros (a literal) in the type that sums of what `pointer` points to are kept in."""
    vec = Vec(_accumulator(pointer.dtype), lanes.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return constant(context.get_value_type(signature.return_type), 0.0)

    return vec(pointer, lanes), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vzero_like(typingctx: Any, a: Any) -> Any:
    """A vector of zeros like `a`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return constant(args[0].type, 0.0)

    return a(a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vload(typingctx: Any, pointer: Any, offset: Any, like: Any) -> Any:
    """The lanes of the memory at `pointer` from `offset` on, as many as `like` has, widened to its type."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.args[0].dtype
        wide = context.get_value_type(signature.return_type)
        narrow = ir.VectorType(context.get_data_type(dtype), wide.count)
        pointer = _pointer(builder, args[0], args[1], narrow)
        loaded = builder.load(pointer, align=dtype.bitwidth // 8)
        if dtype == nb_types.int16:
            return _widen_bfloat16(builder, loaded, wide)
        if dtype == nb_types.uint16:
            return _widen_float16(builder, loaded, wide)
        return loaded

    return like(pointer, nb_types.int64, like), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vload_int(typingctx: Any, pointer: Any, offset: Any, like: Any) -> Any:
    """Integers of the memory at `pointer` from `offset` on, as many as `like` has lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.args[0].dtype
        vector = context.get_value_type(signature.return_type)
        pointer = _pointer(builder, args[0], args[1], vector)
        return builder.load(pointer, align=dtype.bitwidth // 8)

    return Vec(pointer.dtype, like.lanes)(pointer, nb_types.int64, like), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vfill(typingctx: Any, pointer: Any, number: Any, like: Any) -> Any:
    """`number` in every lane, as many as `like` has, in the type that `pointer` points to."""
    vec = Vec(pointer.dtype, like.lanes)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return splat(builder, args[1], context.get_value_type(signature.return_type))

    return vec(pointer, pointer.dtype, like), codegen


def _widen_bfloat16(builder: Any, bits: Any, wide: ir.VectorType) -> Any:
    words = ir.VectorType(INT32, wide.count)
    return builder.bitcast(builder.shl(builder.zext(bits, words), constant(words, 16)), wide)


def _widen_float16(builder: Any, bits: Any, wide: ir.VectorType) -> Any:
    """Exponent and mantissa move up and are rescaled by 2^112, which is exact and covers subnormals."""
    words = ir.VectorType(INT32, wide.count)
    word = builder.zext(bits, words)
    magnitude = builder.shl(builder.and_(word, constant(words, 0x7FFF)), constant(words, 13))
    sign = builder.shl(builder.and_(word, constant(words, 0x8000)), constant(words, 16))
    scaled = builder.bitcast(builder.fmul(builder.bitcast(magnitude, wide), constant(wide, 2.0**112)), words)
    special = builder.icmp_unsigned(">=", magnitude, constant(words, 0x7C00 << 13))
    infinite = builder.or_(magnitude, constant(words, 0x7F800000))
    return builder.bitcast(builder.or_(builder.select(special, infinite, scaled), sign), wide)


@intrinsic  # type: ignore[untyped-decorator]
def vstore(typingctx: Any, pointer: Any, offset: Any, vector: Any) -> Any:
    """Writes `vector` to the memory at `pointer` from `offset` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.args[0].dtype
        pointer = _pointer(builder, args[0], args[1], args[2].type)
        builder.store(args[2], pointer, align=dtype.bitwidth // 8)
        return context.get_dummy_value()

    return nb_types.void(pointer, nb_types.int64, vector), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vnarrow(typingctx: Any, vector: Any, pointer: Any) -> Any:
    """Integers in the type that `pointer` points to, which must hold them."""
    vec = Vec(pointer.dtype, vector.lanes)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wanted = context.get_value_type(signature.return_type)
        return args[0] if args[0].type == wanted else builder.trunc(args[0], wanted)

    return vec(vector, pointer), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vstore_int(typingctx: Any, pointer: Any, offset: Any, vector: Any) -> Any:
    """Writes integers to the memory at `pointer` from `offset` on, widened to what it points to."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.args[0].dtype
        memory = ir.VectorType(context.get_data_type(dtype), args[2].type.count)
        number = args[2] if args[2].type == memory else builder.sext(args[2], memory)
        builder.store(number, _pointer(builder, args[0], args[1], memory), align=dtype.bitwidth // 8)
        return context.get_dummy_value()

    return nb_types.void(pointer, nb_types.int64, vector), codegen
