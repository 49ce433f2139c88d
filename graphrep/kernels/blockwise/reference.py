"""Plain torch, in float64, a block of anchor rows against everything at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator
from graphrep.kernels.blockwise._masks import pairs_of
from graphrep.kernels.blockwise._terms import SKIP_DIAGONAL, UU, UV, VU, VV
from graphrep.kernels.blockwise._unit import reciprocal_norms, restored, unit_dots

__all__ = ["contrast", "contrast_backward"]

STEP = 512  # anchor rows at a time
Part = tuple[str, Tensor, Tensor, bool, Tensor | None, Tensor | None]


def _norms(u: Tensor, v: Tensor, unit: bool) -> tuple[Tensor, Tensor] | None:
    return (reciprocal_norms(u.double()), reciprocal_norms(v.double())) if unit else None


def _parts(u: Tensor, v: Tensor, terms: int, rest: tuple[Tensor | None, ...]) -> dict[str, list[Part]]:
    """For the anchors of u and of v: (block, anchors, columns, leave the diagonal out, scale, bias) of each term."""
    scale_u, scale_v, bias_u, bias_v = rest
    skip = bool(terms & SKIP_DIAGONAL)
    wanted = (
        (UU, "u", ("uu", u, u, True, scale_u, bias_u)),
        (UV, "u", ("uv", u, v, skip, scale_u, bias_v)),
        (VV, "v", ("vv", v, v, True, scale_v, bias_v)),
        (VU, "v", ("vu", v, u, skip, scale_v, bias_u)),
    )
    parts: dict[str, list[Part]] = {"u": [], "v": []}
    for term, anchor, part in wanted:
        if terms & term:
            parts[anchor].append(part)
    return parts


def _logits(part: Part, rows: slice, scale: float, masks: tuple[Tensor | None, ...]) -> tuple[Tensor, Any]:
    """(rows, columns) logits with -inf where a pair is left out, and the anchors' scale."""
    block, anchors, columns, skip, scales, bias = part
    factor = scale if scales is None else scale * scales[rows].double().unsqueeze(1)
    logits = factor * (anchors[rows] @ columns.t())
    if bias is not None:
        logits = logits + bias.double()
    if skip:
        logits.diagonal(offset=rows.start).fill_(-torch.inf) if rows.start < columns.shape[0] else None
    lists = pairs_of(masks, block)
    if lists is not None:
        pointer = lists[0][rows.start : rows.stop + 1]
        row = torch.repeat_interleave(torch.arange(pointer.numel() - 1, device=pointer.device), pointer.diff())
        logits[row, lists[1][pointer[0] : pointer[-1]]] = -torch.inf
    return logits, factor


def _steps(count: int, block_size: int) -> list[slice]:
    step = block_size or STEP
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


@register("contrast", "reference")
def contrast(
    u: Tensor, v: Tensor, scale: float, terms: int, unit: bool, block_size: int, scale_u: Tensor | None,
    scale_v: Tensor | None, bias_u: Tensor | None, bias_v: Tensor | None, *masks: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Log-sum-exps of u's rows and of v's rows (empty where no term asks), and products of the pairs."""
    norms = _norms(u, v, unit)
    x, y = _rows(u, v, norms)
    found = []
    for anchor, parts in _parts(x, y, terms, (scale_u, scale_v, bias_u, bias_v)).items():
        count = (u if anchor == "u" else v).shape[0] if parts else 0
        lse = x.new_full((count,), -torch.inf)
        for rows in _steps(count, block_size):
            logits = torch.cat([_logits(part, rows, scale, masks)[0] for part in parts], dim=1)
            if logits.shape[1]:
                lse[rows] = torch.logsumexp(logits, dim=1)
        found.append(lse.to(accumulator(u.dtype)))
    dots = unit_dots(u.double(), v.double(), scale, norms, terms).to(accumulator(u.dtype))
    return found[0], found[1], dots


@register("contrast_backward", "reference")
def contrast_backward(
    grad_u: Tensor | None, grad_v: Tensor | None, grad_dot: Tensor | None, lse_u: Tensor, lse_v: Tensor, u: Tensor,
    v: Tensor, scale: float, terms: int, unit: bool, block_size: int, scale_u: Tensor | None, scale_v: Tensor | None,
    bias_u: Tensor | None, bias_v: Tensor | None, *masks: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Gradients in u and v: each pair's softmax probability times the gradient of its log-sum-exp."""
    norms = _norms(u, v, unit)
    x, y = _rows(u, v, norms)
    dx, dy = torch.zeros_like(x), torch.zeros_like(y)
    sides = {"u": (x, dx, lse_u, grad_u), "v": (y, dy, lse_v, grad_v)}
    for anchor, parts in _parts(x, y, terms, (scale_u, scale_v, bias_u, bias_v)).items():
        _, mine, lse, grad = sides[anchor]
        if grad is None:
            continue
        for part in parts:
            theirs = sides[part[0][1]][1]
            for rows in _steps(mine.shape[0], block_size):
                logits, factor = _logits(part, rows, scale, masks)
                shift = lse[rows].double().unsqueeze(1)
                weights = torch.where(shift == -torch.inf, 0, (logits - shift).exp() * grad[rows].unsqueeze(1)) * factor
                mine[rows] += weights @ part[2]
                theirs += weights.t() @ part[1][rows]
    wide = None if grad_dot is None else grad_dot.double()
    dx, dy = restored(dx, dy, u.double(), v.double(), scale, wide, norms)
    return dx.to(u.dtype), dy.to(v.dtype)


def _rows(u: Tensor, v: Tensor, norms: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    x, y = u.double(), v.double()
    return (x, y) if norms is None else (x * norms[0].unsqueeze(1), y * norms[1].unsqueeze(1))
