"""Arithmetic, comparisons and exp on the vectors of :mod:`graphrep.kernels._simd`."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import types as nb_types
from numba.extending import intrinsic

from graphrep.kernels._simd import FLAGS, INT32, Vec, constant, splat

__all__ = [
    "vabove",
    "vadd",
    "vdiv",
    "vequal",
    "vexp",
    "vfirst",
    "vfma",
    "vlargest",
    "vmul",
    "vpick",
    "vsub",
    "vsum",
]


@intrinsic  # type: ignore[untyped-decorator]
def vadd(typingctx: Any, a: Any, b: Any) -> Any:
    """``a + b``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1], flags=FLAGS)

    return a(a, a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vsub(typingctx: Any, a: Any, b: Any) -> Any:
    """``a - b``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(args[0], args[1])

    return a(a, a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vmul(typingctx: Any, a: Any, b: Any) -> Any:
    """``a * b``; `a` is a vector or a number."""
    given = a if isinstance(a, Vec) else b.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factor = args[0] if isinstance(args[0].type, ir.VectorType) else splat(builder, args[0], args[1].type)
        return builder.fmul(factor, args[1])

    return b(given, b), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vdiv(typingctx: Any, a: Any, b: Any) -> Any:
    """``a / b``; `b` is a vector or a number."""
    given = b if isinstance(b, Vec) else a.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = args
        divisor = b if isinstance(b.type, ir.VectorType) else splat(builder, b, a.type)
        return builder.fdiv(a, divisor)

    return a(a, given), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vfma(typingctx: Any, acc: Any, a: Any, b: Any) -> Any:
    """``acc + a * b``; `a` is a vector or a number."""
    given = a if isinstance(a, Vec) else acc.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        acc, a, b = args
        factor = a if isinstance(a.type, ir.VectorType) else splat(builder, a, acc.type)
        return builder.fadd(acc, builder.fmul(factor, b, flags=FLAGS), flags=FLAGS)

    return acc(acc, given, acc), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vsum(typingctx: Any, a: Any) -> Any:
    """The sum of the lanes, in a fixed order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0]
        while vector.type.count > 1:
            half = vector.type.count // 2
            low, high = (_lanes(builder, vector, start, half) for start in (0, half))
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, INT32(0))

    return a.scalar(a), codegen


def _lanes(builder: Any, vector: Any, start: int, count: int) -> Any:
    picked = ir.Constant(ir.VectorType(INT32, count), list(range(start, start + count)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), picked)


@intrinsic  # type: ignore[untyped-decorator]
def vabove(typingctx: Any, a: Any, b: Any) -> Any:
    """Lanes where `a` should replace `b` as the maximum: larger, or the first NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        larger = builder.fcmp_unordered(">", args[0], args[1])
        return builder.and_(larger, builder.fcmp_ordered("ord", args[1], args[1]))

    return Vec(nb_types.boolean, a.lanes)(a, a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vlargest(typingctx: Any, a: Any) -> Any:
    """The largest lane; NaN if there is one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0]
        while vector.type.count > 1:
            half = vector.type.count // 2
            low, high = (_lanes(builder, vector, start, half) for start in (0, half))
            larger = builder.fcmp_unordered(">", high, low)
            vector = builder.select(builder.and_(larger, builder.fcmp_ordered("ord", low, low)), high, low)
        return builder.extract_element(vector, INT32(0))

    return a.scalar(a), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vequal(typingctx: Any, a: Any, number: Any) -> Any:
    """Lanes of the integer vector `a` that equal `number`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_signed("==", args[0], splat(builder, args[1], args[0].type))

    return Vec(nb_types.boolean, a.lanes)(a, a.scalar), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vpick(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lanes of `a` where `mask` holds, else of `b`; `a` is a vector or a number."""
    given = a if isinstance(a, Vec) else b.scalar

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        mask, a, b = args
        chosen = a if isinstance(a.type, ir.VectorType) else splat(builder, a, b.type)
        return builder.select(mask, chosen, b)

    return b(mask, given, b), codegen


@intrinsic  # type: ignore[untyped-decorator]
def vfirst(typingctx: Any, a: Any, count: Any, fill: Any) -> Any:
    """`a` with the number `fill` in all lanes from `count` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, count, fill = args
        words = ir.VectorType(INT32, vector.type.count)
        lane = ir.Constant(words, list(range(vector.type.count)))
        inside = builder.icmp_signed("<", lane, splat(builder, count, words))
        return builder.select(inside, vector, splat(builder, fill, vector.type))

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
    magic = constant(kind, 1.5 * 2.0**mantissa)
    shifted = builder.fadd(builder.fmul(x, constant(kind, 1.4426950408889634)), magic)
    power = builder.sub(builder.bitcast(shifted, words), builder.bitcast(magic, words))
    whole = builder.fsub(shifted, magic)
    rest = x
    for part in (
        (0.693359375, -2.1219444005469057e-4) if single else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    ):
        rest = builder.fsub(rest, builder.fmul(whole, constant(kind, part), flags=FLAGS), flags=FLAGS)
    series = constant(kind, 1 / math.factorial(terms - 1))
    for k in range(terms - 2, -1, -1):
        product = builder.fmul(series, rest, flags=FLAGS)
        series = builder.fadd(product, constant(kind, 1 / math.factorial(k)), flags=FLAGS)
    scale = builder.shl(builder.add(power, constant(words, bias)), constant(words, mantissa))
    result = builder.fmul(series, builder.bitcast(scale, kind))
    return builder.select(builder.fcmp_ordered("<", x, constant(kind, lowest)), constant(kind, 0.0), result)
