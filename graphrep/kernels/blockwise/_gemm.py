"""Matrix products of small tiles on CPU, as one block of vector registers per call.

The loop holds ``rows x columns`` running sums in registers and reads one vector row of the right operand and `rows`
single numbers of the left one per step, so it is bound by the multiply-add units alone. It is compiled into the kernels
that call it, which keeps threads independent (no barrier per product) and the rate the same on CPUs where the vendor's
library picks a slower path.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types as nb_types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from graphrep.kernels._rows import helper
from graphrep.kernels._simd import AVX512, FLAGS, Vec, constant, splat

__all__ = ["lanes_of", "panel_zero", "product", "product_add", "tile_shape"]

_INT64 = ir.IntType(64)
VECTORS = 2  # vectors side by side; with the rows below, 12 of 16 (or 16 of 32) registers hold sums
ROWS = 8 if AVX512 else 6
VECTOR_BYTES = 64 if AVX512 else 32


def tile_shape(itemsize: int) -> tuple[int, int]:
    """(rows, columns) of the tile that one call computes, for numbers of `itemsize` bytes."""
    return ROWS, VECTORS * VECTOR_BYTES // itemsize


def _lanes(dtype: Any) -> int:
    return VECTOR_BYTES // int(dtype.bitwidth // 8)


@intrinsic  # type: ignore[untyped-decorator]
def panel_zero(typingctx: Any, pointer: Any) -> Any:
    """A vector of zeros as wide as the tile, in the type that `pointer` points to."""
    vec = Vec(pointer.dtype, VECTORS * _lanes(pointer.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return constant(context.get_value_type(signature.return_type), 0.0)

    return vec(pointer), codegen


@intrinsic  # type: ignore[untyped-decorator]
def lanes_of(typingctx: Any, vector: Any) -> Any:
    """The number of lanes of a vector, known when the kernel is compiled."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _INT64(signature.args[0].lanes)

    return nb_types.int64(vector), codegen


class _Loop:
    """Builds the loop over the inner dimension: pointers and sums as values that go round."""

    def __init__(self, builder: Any, depth: Any) -> None:
        self.builder, self.depth = builder, depth
        self.before = builder.block
        self.body = builder.append_basic_block("product")
        self.after = builder.append_basic_block("product_end")
        builder.branch(self.body)
        builder.position_at_end(self.body)
        self.count = self.carried(_INT64(0))

    def carried(self, start: Any) -> Any:
        phi = self.builder.phi(start.type)
        phi.add_incoming(start, self.before)
        return phi

    def close(self, pairs: list[tuple[Any, Any]]) -> None:
        """Ends the body: each (carried value, its next value); the code after runs once `depth` steps are done."""
        following = self.builder.add(self.count, _INT64(1))
        for phi, value in [*pairs, (self.count, following)]:
            phi.add_incoming(value, self.body)
        self.builder.cbranch(self.builder.icmp_signed("<", following, self.depth), self.body, self.after)
        self.builder.position_at_end(self.after)


def _sums(builder: Any, kind: ir.VectorType, align: int, left: tuple[Any, ...], right: tuple[Any, ...]) -> list[Any]:
    """Row by row the vectors of the product; `left` = (pointer, row stride, step), `right` = (pointer, step, depth)."""
    a, row_stride, a_step = left
    b, b_step, depth = right
    starts = [builder.gep(a, [builder.mul(row_stride, _INT64(r))]) for r in range(ROWS)]
    loop = _Loop(builder, depth)
    numbers, vectors = [loop.carried(s) for s in starts], loop.carried(b)
    sums = [loop.carried(constant(kind, 0.0)) for _ in range(ROWS * VECTORS)]
    loaded = []
    for v in range(VECTORS):
        place = builder.bitcast(builder.gep(vectors, [_INT64(v * kind.count)]), kind.as_pointer())
        loaded.append(builder.load(place, align=align))
    results = []
    for r in range(ROWS):
        factor = splat(builder, builder.load(numbers[r], align=align), kind)
        for v in range(VECTORS):
            part = builder.fmul(factor, loaded[v], flags=FLAGS)
            results.append(builder.fadd(sums[r * VECTORS + v], part, flags=FLAGS))
    moved = [(n, builder.gep(n, [a_step])) for n in numbers]
    loop.close([*zip(sums, results, strict=True), *moved, (vectors, builder.gep(vectors, [b_step]))])
    return results


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _product(
    typingctx: Any, add: Any, a: Any, a0: Any, ar: Any, ak: Any, b: Any, b0: Any, bk: Any, depth: Any, c: Any, c0: Any,
    cr: Any,
) -> Any:  # fmt: skip
    """See :func:`product`; with the literal `add` not 0 the tile is added to what `c` holds."""
    if not (a.dtype == b.dtype == c.dtype):
        raise TypingError("the operands of a product have one type")
    size = nb_types.int64
    signature = nb_types.void(add, a, size, size, size, b, size, size, size, c, size, size)
    adds = bool(add.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, a, a0, ar, ak, b, b0, bk, depth, c, c0, cr = args
        dtype = signature.args[1].dtype
        kind, align = ir.VectorType(context.get_data_type(dtype), _lanes(dtype)), dtype.bitwidth // 8
        left, right = (builder.gep(a, [a0]), ar, ak), (builder.gep(b, [b0]), bk, depth)
        for number, total in enumerate(_sums(builder, kind, align, left, right)):
            row, v = divmod(number, VECTORS)
            offset = builder.add(c0, builder.add(builder.mul(cr, _INT64(row)), _INT64(v * kind.count)))
            place = builder.bitcast(builder.gep(c, [offset]), kind.as_pointer())
            if adds:
                total = builder.fadd(builder.load(place, align=align), total)
            builder.store(total, place, align=align)
        return context.get_dummy_value()

    return signature, codegen


@helper  # type: ignore[untyped-decorator]
def product(a: Any, a0: int, ar: int, ak: int, b: Any, b0: int, bk: int, depth: int, c: Any, c0: int, cr: int) -> None:
    """Writes one tile of A B: ``c[c0 + r cr + j] = sum_k a[a0 + r ar + k ak] b[b0 + k bk + j]``, `depth` > 0 steps."""
    _product(0, a, a0, ar, ak, b, b0, bk, depth, c, c0, cr)


@helper  # type: ignore[untyped-decorator]
def product_add(
    a: Any, a0: int, ar: int, ak: int, b: Any, b0: int, bk: int, depth: int, c: Any, c0: int, cr: int
) -> None:
    """Adds one tile of A B to ``c``."""
    _product(1, a, a0, ar, ak, b, b0, bk, depth, c, c0, cr)
