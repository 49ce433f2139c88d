"""Log-sum-exps over all pairs of rows without an N x N array: what every contrastive objective stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define
from graphrep.kernels._ops import accumulator
from graphrep.kernels.blockwise import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.blockwise._masks import mask_tensors
from graphrep.kernels.blockwise._terms import DOTS, SKIP_DIAGONAL, UU, UV, VU, VV
from graphrep.kernels.csr import CSR

if _triton.AVAILABLE:
    from graphrep.kernels.blockwise import cuda  # noqa: F401

__all__ = ["DOTS", "SKIP_DIAGONAL", "UU", "UV", "VU", "VV", "contrast", "streaming_logsumexp"]

_NUMBERS = "Tensor? scale_u, Tensor? scale_v, Tensor? bias_u, Tensor? bias_v"
_LISTS = ", ".join(f"Tensor? {block}_rowptr, Tensor? {block}_col" for block in ("uu", "uv", "vu", "vv"))
_INPUTS = f"Tensor u, Tensor v, float scale, int terms, bool unit, int block_size, {_NUMBERS}, {_LISTS}"


def streaming_logsumexp(
    q: Tensor, k: Tensor, *, scale: float = 1.0, exclude_diagonal: bool = False, block_size: int | None = None
) -> Tensor:
    """``log sum_j exp(scale <q_i, k_j>)`` for each row i of `q`, exact, without a Tq x Tk array.

    Args:
        q: (Tq, d) rows.
        k: (Tk, d) rows, of the same dtype. Half types are widened block by block.
        scale: factor of the products; an inverse temperature.
        exclude_diagonal: leaves j = i out.
        block_size: rows of a block; default by the shapes. The value depends on it by rounding alone.

    Returns:
        (Tq,) in float32 for half types, else in the inputs' dtype; -inf for a row without columns. Differentiable once
        in `q` and `k`. Costs 2 Tq Tk d multiply-adds forward and 6 Tq Tk d backward, O((Tq + Tk) d) memory.

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Source: the blockwise form of Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", 2024.

    Example:
        >>> q, k = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 2.0]])
        >>> streaming_logsumexp(q, k)
        tensor([0.6931])
    """
    terms = UV | (SKIP_DIAGONAL if exclude_diagonal else 0)
    lse, _, _ = contrast(q, k, terms=terms, scale=scale, block_size=block_size, names=("q", "k"))
    return lse


def contrast(
    u: Tensor,
    v: Tensor,
    *,
    terms: int,
    scale: float = 1.0,
    unit: bool = False,
    scales: tuple[Tensor | None, Tensor | None] = (None, None),
    bias: tuple[Tensor | None, Tensor | None] = (None, None),
    forbidden: Mapping[str, CSR | None] | None = None,
    block_size: int | None = None,
    names: tuple[str, str] = ("u", "v"),
) -> tuple[Tensor, Tensor, Tensor]:
    """Row log-sum-exps over several sets of columns at once, sharing every product that serves two of them.

    The logit of anchor i and column j is ``scale scales_i <x_i, x_j> + bias_j``; an anchor's log-sum-exp runs over the
    columns of the terms that name its side: ``UV`` and ``UU`` for rows of u, ``VU`` and ``VV`` for rows of v.

    Args:
        u: (N, d).
        v: (M, d), of the same dtype.
        terms: sum of UV, VU, UU, VV (the last two never hold a row with itself), SKIP_DIAGONAL (leaves (i, i) out of UV
            and VU) and DOTS (also gives the logits of the pairs (i, i), without bias).
        scale: factor of all products; an inverse temperature.
        unit: rows are divided by their length first (at least 1e-12), without a copy of the matrix.
        scales: (N,) and (M,) factors of the anchors; individual temperatures. No gradient.
        bias: (N,) and (M,) numbers added where a row is a column: the log of a weight. No gradient.
        forbidden: by block ("uu", "uv", "vu", "vv": anchor side, column side) the pairs to leave out, rows = anchors.
        block_size: rows of a block; default by the shapes.
        names: what errors call u and v.

    Returns:
        (N,) for u or empty, (M,) for v or empty, (N,) products or empty; differentiable once in u and v.
        Cost in multiply-adds per pair: d forward, 3 d backward for UV, VU or both, half of that for UU and VV.
    """
    _check(u, v, names, terms)
    dtype = torch.promote_types(u.dtype, v.dtype)
    masks = mask_tensors(forbidden or {})
    numbers = tuple(None if t is None else t.detach() for t in (*scales, *bias))
    rows = (u.to(dtype).contiguous(), v.to(dtype).contiguous())
    lse_u, lse_v, dots = _contrast(*rows, float(scale), terms, unit, block_size or 0, *numbers, *masks)
    return lse_u, lse_v, dots


def _check(u: Tensor, v: Tensor, names: tuple[str, str], terms: int) -> None:
    for name, x in zip(names, (u, v), strict=True):
        check_floating(x, name)
        if x.dim() != 2:
            raise ShapeError(f"{name} has shape {tuple(x.shape)}; rows of vectors have two axes.", hint="(N, d)")
    check_device(u.device, **{names[1]: v})
    if u.shape[1] != v.shape[1] or (terms & DOTS and u.shape != v.shape):
        raise ShapeError(
            f"{names[0]} has shape {tuple(u.shape)} and {names[1]} {tuple(v.shape)}.",
            hint="one row of each per pair" if terms & DOTS else "vectors of the same length",
        )


def _fake(u: Tensor, v: Tensor, scale: float, terms: int, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    dtype = accumulator(u.dtype)
    wanted = ((UU | UV, u), (VV | VU, v), (DOTS, u))
    sizes = [x.shape[0] if terms & term else 0 for term, x in wanted]
    return tuple(u.new_empty(size, dtype=dtype) for size in sizes)  # type: ignore[return-value]


def _fake_backward(*args: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(args[5]), torch.empty_like(args[6])


_contrast = define(f"contrast({_INPUTS}) -> (Tensor, Tensor, Tensor)", _fake)
_contrast_backward = define(
    "contrast_backward(Tensor? grad_u, Tensor? grad_v, Tensor? grad_dot, Tensor lse_u, Tensor lse_v, "
    f"{_INPUTS}) -> (Tensor, Tensor)",
    _fake_backward,
    device_of=5,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    u, v, ctx.scale, ctx.terms, ctx.unit, ctx.block_size, *rest = inputs
    ctx.save_for_backward(u, v, output[0], output[1], *rest)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    u, v, lse_u, lse_v, *rest = ctx.saved_tensors
    wanted = [g if g is not None and g.numel() else None for g in grads]
    options = (ctx.scale, ctx.terms, ctx.unit, ctx.block_size)
    du, dv = _contrast_backward(*wanted, lse_u, lse_v, u, v, *options, *rest)
    needs = ctx.needs_input_grad
    return du if needs[0] else None, dv if needs[1] else None, *[None] * (len(options) + len(rest))


def _refuse(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    raise GraphrepError(
        "Second derivatives of the all-pairs log-sum-exp are not provided.",
        hint="call backward without create_graph, or use torch.logsumexp(q @ k.t(), 1) where N x N fits",
    )


torch.library.register_autograd("graphrep::contrast", _backward, setup_context=_save)
torch.library.register_autograd("graphrep::contrast_backward", _refuse, setup_context=lambda ctx, inputs, output: None)
