"""All-pairs log-sum-exps and their gradients in Triton: which kernel runs on which pair of row sets.

Forward: 2 d operations per pair for each direction. Backward: 4 d per pair for each owner of rows; U U^T and V V^T need
one owner because both orders of a pair carry the same rows. float32 products keep float32's accuracy (three tf32
products) unless ``torch.set_float32_matmul_precision("high")`` allows one; half types multiply as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator
from graphrep.kernels._triton import CompileCase, ceil_div, launch, next_power_of_2, pointer
from graphrep.kernels.blockwise._masks import Masks, pairs_of, transposed
from graphrep.kernels.blockwise._terms import SKIP_DIAGONAL, UU, UV, VU, VV
from graphrep.kernels.blockwise._unit import reciprocal_norms, restored, unit_dots
from graphrep.kernels.blockwise.tiles_cuda import grad_rows, lse_rows

__all__ = ["compile_cases", "contrast", "contrast_backward"]

STEP = {torch.float32: 32, torch.float64: 16}  # numbers of a row that one product takes; 64 of half types
WIDEST = 128  # columns of the gradient that a program owns
Pair = tuple[Tensor | None, Tensor | None]


def _precision(dtype: torch.dtype) -> str:
    """How tensor cores multiply float32: to full accuracy, unless torch is told that tf32 will do."""
    if dtype == torch.float32:
        return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    return "ieee" if dtype == torch.float64 else "tf32"


def _options(dtype: torch.dtype, width: int, *, backward: bool) -> tuple[dict[str, Any], int]:
    """Tile sizes and types of a kernel, and its warps."""
    rows, cols = {torch.float64: (32, 32), torch.float32: (64, 32 if backward else 64)}.get(dtype, (128, 64))
    rows = min(rows, 64) if backward else rows
    options = {
        "DIM": max(16, min(next_power_of_2(width), STEP.get(dtype, 64))),
        "ROWS": rows,
        "COLS": cols,
        "ACC": _triton.accumulator(dtype),
        "PRECISION": _precision(dtype),
        "WIDE": _triton.INTERPRETED,  # the interpreter does not multiply bfloat16
    }
    if backward:
        options["OUT"] = max(16, min(next_power_of_2(width), 32 if dtype == torch.float64 else WIDEST))
        # float16 has no room for weights of 1 / N, and tf32 holds its ten bits; bfloat16 has float32's range.
        options["CARRY"] = {torch.bfloat16: tl.bfloat16, torch.float64: tl.float64}.get(dtype, tl.float32)
    return options, 4 if dtype == torch.float64 else 8


class _Inputs:
    """Rows, factors and lists of both sides; a side is 0 for u and 1 for v."""

    def __init__(
        self, rows: tuple[Tensor, Tensor], scale: float, terms: int, unit: bool, given: tuple[Any, ...]
    ) -> None:
        scale_u, scale_v, bias_u, bias_v, *masks = given
        self.rows, self.terms, self.dtype = rows, terms, accumulator(rows[0].dtype)
        self.norms = (reciprocal_norms(rows[0]), reciprocal_norms(rows[1])) if unit else None
        self.scales = [self._scale(x, scale, s) for x, s in zip(rows, (scale_u, scale_v), strict=True)]
        self.bias = [None if b is None else b.to(self.dtype).contiguous() for b in (bias_u, bias_v)]
        self.masks: Masks = tuple(masks)

    def _scale(self, x: Tensor, scale: float, given: Tensor | None) -> Tensor:
        out = x.new_full((x.shape[0],), scale, dtype=self.dtype)
        return out if given is None else out.mul_(given)

    def norm(self, side: int) -> Tensor | None:
        return None if self.norms is None else self.norms[side]

    def lists(self, anchor: int, other: int) -> Pair:
        """(rowptr, col) of the pairs that anchors of one side leave out."""
        return pairs_of(self.masks, "uv"[anchor] + "uv"[other]) or (None, None)

    def lists_of_columns(self, side: int, other: int) -> Pair:
        """For each row of `side` the anchors of `other` that leave it out."""
        found = pairs_of(self.masks, "uv"[other] + "uv"[side])
        return (None, None) if found is None else transposed(*found, self.rows[side].shape[0])

    def skips(self, anchor: int, other: int) -> bool:
        return anchor == other or bool(self.terms & SKIP_DIAGONAL)


def _lse(inputs: _Inputs, anchor: int, other: int) -> Tensor:
    x, y = inputs.rows[anchor], inputs.rows[other]
    out = _triton.empty((x.shape[0],), inputs.dtype, x.device)
    factor, norm = inputs.scales[anchor], inputs.norm(anchor)
    options, warps = _options(x.dtype, x.shape[1], backward=False)
    launch(
        lse_rows,
        (ceil_div(x.shape[0], options["ROWS"]),),
        x,
        y,
        factor if norm is None else factor * norm,
        inputs.norm(other),
        inputs.bias[other],
        *inputs.lists(anchor, other),
        out,
        x.shape[0],
        y.shape[0],
        x.shape[1],
        on=x,
        num_warps=warps,
        SKIP=inputs.skips(anchor, other),
        **options,
    )
    return out


@register("contrast", "cuda")
def contrast(
    u: Tensor, v: Tensor, scale: float, terms: int, unit: bool, block_size: int, *given: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`graphrep.kernels.blockwise.contrast`; the tile size is the device's, not `block_size`."""
    inputs = _Inputs((u, v), scale, terms, unit, given)
    found = []
    for anchor, wanted in ((0, ((UU, 0), (UV, 1))), (1, ((VV, 1), (VU, 0)))):
        parts = [_lse(inputs, anchor, other) for term, other in wanted if terms & term]
        nothing = u.new_empty(0, dtype=inputs.dtype)
        found.append(torch.logaddexp(*parts) if len(parts) == 2 else parts[0] if parts else nothing)
    return found[0], found[1], unit_dots(u, v, scale, inputs.norms, terms)


def _grad(inputs: _Inputs, numbers: tuple[list[Tensor], list[Tensor]], side: int, other: int, grad: Tensor) -> None:
    """Adds to the gradient of `side` what its pairs with the rows of `other` give, in both roles."""
    x, y = inputs.rows[side], inputs.rows[other]
    options, warps = _options(x.dtype, x.shape[1], backward=True)
    terms = ((UU, UV), (VU, VV))
    shifts, weights = numbers
    pairs = [(part[side], part[other]) for part in (inputs.scales, inputs.bias, shifts, weights)]
    launch(
        grad_rows,
        (ceil_div(x.shape[0], options["ROWS"]), ceil_div(x.shape[1], options["OUT"])),
        x,
        y,
        inputs.norm(side),
        inputs.norm(other),
        *(tensor for pair in pairs for tensor in pair),
        *inputs.lists(side, other),
        *inputs.lists_of_columns(side, other),
        grad,
        x.shape[0],
        y.shape[0],
        x.shape[1],
        on=x,
        num_warps=warps,
        OWN=bool(inputs.terms & terms[side][other]),
        OTHER=bool(inputs.terms & terms[other][side]),
        SKIP=inputs.skips(side, other),
        **options,
    )


@register("contrast_backward", "cuda")
def contrast_backward(
    grad_u: Tensor | None, grad_v: Tensor | None, grad_dot: Tensor | None, lse_u: Tensor, lse_v: Tensor, u: Tensor,
    v: Tensor, scale: float, terms: int, unit: bool, block_size: int, *given: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """See :func:`graphrep.kernels.blockwise.reference.contrast_backward`."""
    inputs = _Inputs((u, v), scale, terms, unit, given)
    shifts, weights = [], []
    for x, lse, grad, factor in zip((u, v), (lse_u, lse_v), (grad_u, grad_v), inputs.scales, strict=True):
        known = lse if lse.numel() else lse.new_zeros(x.shape[0])
        weight = torch.zeros_like(factor) if grad is None else grad.to(inputs.dtype) * factor
        shifts.append(known.masked_fill(known == -torch.inf, torch.inf))
        weights.append(weight.masked_fill(known == -torch.inf, 0))
    grads = [torch.zeros(x.shape, dtype=inputs.dtype, device=x.device) for x in (u, v)]
    for term, side, other in ((UU, 0, 0), (UV | VU, 0, 1), (UV | VU, 1, 0), (VV, 1, 1)):
        if terms & term:
            _grad(inputs, (shifts, weights), side, other, grads[side])
    return restored(grads[0], grads[1], u, v, scale, grad_dot, inputs.norms)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, width in ((torch.float32, 128), (torch.float32, 48), (torch.bfloat16, 256), (torch.float16, 128)):
        for lists in (False, True):
            cases += _cases(dtype, width, lists)
    return [*cases, *_cases(torch.float64, 64, True)]


def _cases(dtype: torch.dtype, width: int, lists: bool) -> list[CompileCase]:
    number = pointer(accumulator(dtype))
    sizes = {"width": "i32:16"}
    columns = {"rowptr_ptr": "*i64", "list_ptr": "*i64"} if lists else {}
    forward = {"x_ptr": pointer(dtype), "y_ptr": pointer(dtype), "x_factor_ptr": number, "out_ptr": number}
    forward |= {"y_factor_ptr": number, **({"bias_ptr": number} if lists else {}), **columns, **sizes}
    backward = {"x_ptr": pointer(dtype), "y_ptr": pointer(dtype), "grad_ptr": number, **sizes}
    for name in ("norm", "scale", "shift", "weight", *(("bias",) if lists else ())):
        backward |= {f"x_{name}_ptr": number, f"y_{name}_ptr": number}
    for name in ("own", "other") if lists else ():
        backward |= {f"{name}_rowptr_ptr": "*i64", f"{name}_list_ptr": "*i64"}
    options, warps = _options(dtype, width, backward=False)
    ahead, more = _options(dtype, width, backward=True)
    options["WIDE"] = ahead["WIDE"] = False
    spills = 128 if lists and dtype == torch.float32 else 0  # on sm_80, whose three tf32 products need more registers
    return [
        CompileCase(lse_rows, forward, {**options, "SKIP": lists}, num_warps=warps),
        CompileCase(grad_rows, backward, {**ahead, "OWN": True, "OTHER": True, "SKIP": True}, more, spills=spills),
    ]
