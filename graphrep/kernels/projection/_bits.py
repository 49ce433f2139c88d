"""bfloat16 inside numba, which lacks the type: a value is its upper 16 bits, carried in int16."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["narrow", "widen"]

_I16, _I32, _F32 = ir.IntType(16), ir.IntType(32), ir.FloatType()


@intrinsic  # type: ignore[untyped-decorator]
def widen(typingctx: Any, value: Any, like: Any) -> Any:
    """`value` as a number of the type of `like`; int16 holds bfloat16 bits, int8 is a plain integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if value == types.int16:
            bits = builder.shl(builder.zext(args[0], _I32), _I32(16))
            return context.cast(builder, builder.bitcast(bits, _F32), types.float32, like)
        return context.cast(builder, args[0], value, like)

    return like(value, like), codegen


@intrinsic  # type: ignore[untyped-decorator]
def narrow(typingctx: Any, value: Any, out: Any) -> Any:
    """`value` in the element type of array `out`; int16 arrays get bfloat16 bits, rounded to nearest even."""
    target = out.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if target != types.int16:
            return context.cast(builder, args[0], value, target)
        bits = builder.bitcast(context.cast(builder, args[0], value, types.float32), _I32)
        odd = builder.and_(builder.lshr(bits, _I32(16)), _I32(1))
        rounded = builder.add(bits, builder.add(odd, _I32(0x7FFF)))
        return builder.trunc(builder.lshr(rounded, _I32(16)), _I16)

    return target(value, out), codegen
