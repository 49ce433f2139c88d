"""Vectors of lanes as values inside numba kernels: loads, arithmetic and comparisons that stay in registers.

LLVM does not keep a loop-carried block of columns in registers by itself, so the kernels say it: a block is one value
of type ``Vec``, which LLVM splits over the registers that the CPU has. Half types come in as their bits (bfloat16 as
int16, float16 as uint16) and are widened on load, so every vector holds float32 or float64.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core import types as nb_types
from numba.core.datamodel.models import PrimitiveModel
from numba.core.errors import TypingError
from numba.core.types.misc import CPointer
from numba.extending import intrinsic, register_model

__all__ = [
    "Vec",
    "address",
    "at",
    "prefetch",
    "put",
    "vabove",
    "vadd",
    "vdiv",
    "vequal",
    "vexp",
    "vfill",
    "vfirst",
    "vfma",
    "vload",
    "vload_int",
    "vmul",
    "vpick",
    "vstore",
    "vsub",
    "vsum",
    "vzero",
    "vzero_like",
]

_FLAGS = ("contract",)  # a * b + c may become one fused operation; NaN and infinities keep their meaning
_I32 = ir.IntType(32)
_LLVM_TYPES = {
    nb_types.float32: ir.FloatType(),
    nb_types.float64: ir.DoubleType(),
    nb_types.int32: _I32,
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


def _constant(vector: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _splat(builder: Any, scalar: Any, vector: ir.VectorType) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, _I32(0))
    return builder.shuffle_vector(
        first, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
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


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typingctx: Any, pointer: Any, offset: Any) -> Any:
    """Asks the CPU to load the cache line at `offset` behind a pointer, for reading."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(builder.gep(args[0], [args[1]]), cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return nb_types.void(pointer, nb_types.int64), codegen


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def vzero(typingctx: Any, pointer: Any, lanes: Any) -> Any:
    """A vector of `lanes` zeros (a literal) in the type that sums of what `pointer` points to are kept in."""
    vec = Vec(_accumulator(pointer.dtype), lanes.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _constant(context.get_value_type(signature.return_type), 0.0)

    return vec(pointer, lanes), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vzero_like(typingctx: Any, a: Any) -> Any:
    """A vector of zeros like `a`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _constant(args[0].type, 0.0)

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


def _widen_bfloat16(builder: Any, bits: Any, wide: ir.VectorType) -> Any:
    words = ir.VectorType(_I32, wide.count)
    return builder.bitcast(builder.shl(builder.zext(bits, words), _constant(words, 16)), wide)


def _widen_float16(builder: Any, bits: Any, wide: ir.VectorType) -> Any:
    """Exponent and mantissa move up and are rescaled by 2^112, which is exact and covers subnormals."""
    words = ir.VectorType(_I32, wide.count)
    word = builder.zext(bits, words)
    magnitude = builder.shl(builder.and_(word, _constant(words, 0x7FFF)), _constant(words, 13))
    sign = builder.shl(builder.and_(word, _constant(words, 0x8000)), _constant(words, 16))
    scaled = builder.bitcast(builder.fmul(builder.bitcast(magnitude, wide), _constant(wide, 2.0**112)), words)
    special = builder.icmp_unsigned(">=", magnitude, _constant(words, 0x7C00 << 13))
    infinite = builder.or_(magnitude, _constant(words, 0x7F800000))
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
def vadd(typingctx: Any, a: Any, b: Any) -> Any:
    """``a + b``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1], flags=_FLAGS)

    return a(a, a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vfma(typingctx: Any, acc: Any, a: Any, b: Any) -> Any:
    """``acc + a * b``; `a` is a vector or a number."""
    given = a if isinstance(a, Vec) else acc.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        acc, a, b = args
        factor = a if isinstance(a.type, ir.VectorType) else _splat(builder, a, acc.type)
        return builder.fadd(acc, builder.fmul(factor, b, flags=_FLAGS), flags=_FLAGS)

    return acc(acc, given, acc), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vdiv(typingctx: Any, a: Any, b: Any) -> Any:
    """``a / b``; `b` is a number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fdiv(args[0], _splat(builder, args[1], args[0].type))

    return a(a, a.scalar), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vmul(typingctx: Any, a: Any, b: Any) -> Any:
    """``a * b``; `a` is a vector or a number."""
    given = a if isinstance(a, Vec) else b.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factor = args[0] if isinstance(args[0].type, ir.VectorType) else _splat(builder, args[0], args[1].type)
        return builder.fmul(factor, args[1])

    return b(given, b), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vsum(typingctx: Any, a: Any) -> Any:
    """The sum of the lanes, in a fixed order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0]
        while vector.type.count > 1:
            half = vector.type.count // 2
            low, high = (_lanes(builder, vector, start, half) for start in (0, half))
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, _I32(0))

    return a.scalar(a), codegen


def _lanes(builder: Any, vector: Any, start: int, count: int) -> Any:
    picked = ir.Constant(ir.VectorType(_I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), picked)


@intrinsic  # type: ignore[untyped-decorator]
def vabove(typingctx: Any, a: Any, b: Any) -> Any:
    """Lanes where `a` should replace `b` as the maximum: larger, or the first NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        larger = builder.fcmp_unordered(">", args[0], args[1])
        return builder.and_(larger, builder.fcmp_ordered("ord", args[1], args[1]))

    return Vec(nb_types.boolean, a.lanes)(a, a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vequal(typingctx: Any, a: Any, number: Any) -> Any:
    """Lanes of the integer vector `a` that equal `number`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_signed("==", args[0], _splat(builder, args[1], args[0].type))

    return Vec(nb_types.boolean, a.lanes)(a, a.scalar), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vpick(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lanes of `a` where `mask` holds, else of `b`; `a` is a vector or a number."""
    given = a if isinstance(a, Vec) else b.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        mask, a, b = args
        chosen = a if isinstance(a.type, ir.VectorType) else _splat(builder, a, b.type)
        return builder.select(mask, chosen, b)

    return b(mask, given, b), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vfill(typingctx: Any, pointer: Any, number: Any, like: Any) -> Any:
    """`number` in every lane, as many as `like` has, in the type that `pointer` points to."""
    vec = Vec(pointer.dtype, like.lanes)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[1], context.get_value_type(signature.return_type))

    return vec(pointer, pointer.dtype, like), codegen


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
def vsub(typingctx: Any, a: Any, b: Any) -> Any:
    """``a - b``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(args[0], args[1])

    return a(a, a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vfirst(typingctx: Any, a: Any, count: Any, fill: Any) -> Any:
    """`a` with the number `fill` in all lanes from `count` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, count, fill = args
        words = ir.VectorType(_I32, vector.type.count)
        lane = ir.Constant(words, list(range(vector.type.count)))
        inside = builder.icmp_signed("<", lane, _splat(builder, count, words))
        return builder.select(inside, vector, _splat(builder, fill, vector.type))

    return a(a, nb_types.int32, a.scalar), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vexp(typingctx: Any, a: Any) -> Any:
    """Exp of numbers that are at most 0 (or NaN), to within one rounding or two; 0 below the normal range."""
    single = a.scalar == nb_types.float32

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _exp(builder, args[0], single)

    return a(a), codegen


def _exp(builder: Any, x: Any, single: bool) -> Any:
    """2^n times the Taylor series of exp on [-log(2) / 2, log(2) / 2]; n comes from adding 1.5 * 2^mantissa."""
    kind = x.type
    bits, mantissa, bias, lowest, terms = (32, 23, 127, -87.0, 8) if single else (64, 52, 1023, -708.0, 14)
    words = ir.VectorType(ir.IntType(bits), kind.count)
    magic = _constant(kind, 1.5 * 2.0**mantissa)
    shifted = builder.fadd(builder.fmul(x, _constant(kind, 1.4426950408889634)), magic)
    power = builder.sub(builder.bitcast(shifted, words), builder.bitcast(magic, words))
    whole = builder.fsub(shifted, magic)
    rest = x
    for part in (
        (0.693359375, -2.1219444005469057e-4) if single else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    ):
        rest = builder.fsub(rest, builder.fmul(whole, _constant(kind, part), flags=_FLAGS), flags=_FLAGS)
    series = _constant(kind, 1 / math.factorial(terms - 1))
    for k in range(terms - 2, -1, -1):
        product = builder.fmul(series, rest, flags=_FLAGS)
        series = builder.fadd(product, _constant(kind, 1 / math.factorial(k)), flags=_FLAGS)
    scale = builder.shl(builder.add(power, _constant(words, bias)), _constant(words, mantissa))
    result = builder.fmul(series, builder.bitcast(scale, kind))
    return builder.select(builder.fcmp_ordered("<", x, _constant(kind, lowest)), _constant(kind, 0.0), result)
