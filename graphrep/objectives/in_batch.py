"""Link prediction by contrast: the other edges of the batch, and a shared pool of nodes, are the negatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_edge_index, check_floating, check_index, check_range
from graphrep.kernels.blockwise import DOTS, UV, contrast
from graphrep.objectives._common import Objective, check_temperature

__all__ = ["InBatchInfoNCELoss", "in_batch_info_nce"]


def in_batch_info_nce(
    x: Tensor,
    src: Tensor,
    dst: Tensor,
    *,
    temperature: float,
    pool: Tensor | None = None,
    in_batch: bool = True,
    known: Tensor | None = None,
    symmetric: bool = False,
    log_q: Tensor | None = None,
    unique: bool = False,
) -> Tensor:
    """InfoNCE on the cosines of a node table, one row per edge of a batch.

    Row i is ``-c(src_i, dst_i) / t + log sum_j exp(c(src_i, v_j) / t)`` over its columns v_j: the targets of the batch,
    its own among them, then the pool; the loss is the mean over rows.

    Args:
        x: (N, d) node vectors; rows are divided by their length inside.
        src: (B,) int32 or int64 node ids, the sources of the batch's edges, B >= 1.
        dst: (B,) their targets.
        temperature: t > 0.
        pool: (K,) ids of further columns that all rows share.
        in_batch: whether the other edges' targets are columns; without them a row has its own target and the pool.
        known: (2, M) known edges (source, target): a column is removed from row i if (src_i, v_j) is known or v_j =
            src_i, but never the row's own target. None removes nothing.
        symmetric: the mean with the direction dst -> src, whose columns are the batch's sources and the pool.
        log_q: (N,) log of the probability that a node is drawn as a column, subtracted from its column. No gradient.
        unique: lists each column node once.

    Returns:
        A scalar, float32 for half types; differentiable once in x. Costs 8 B (B + K) d floating-point operations,
        memory O((B + K) d) and the removed pairs.

    Raises:
        ShapeError, DTypeError, IndexRangeError, GraphrepError: the arguments do not fit.

    Source: sampled softmax with popularity correction; Yi et al., "Sampling-Bias-Corrected Neural Modeling", 2019.

    Example:
        >>> x = torch.eye(4)
        >>> in_batch_info_nce(x, torch.tensor([0, 1]), torch.tensor([2, 3]), temperature=1.0)
        tensor(0.6931)
    """
    _check(x, src, dst, temperature, pool, in_batch, known, log_q)
    ids = (src.long(), dst.long())
    pairs = None if known is None else known.long()
    options: dict[str, Any] = {"temperature": temperature, "in_batch": in_batch, "log_q": log_q, "unique": unique}
    rest = None if pool is None else pool.long()
    loss = _direction(x, *ids, rest, pairs, **options)
    if not symmetric:
        return loss
    flipped = None if pairs is None else pairs.flip(0)
    return (loss + _direction(x, ids[1], ids[0], rest, flipped, **options)) / 2


def _direction(
    x: Tensor,
    anchor: Tensor,
    target: Tensor,
    pool: Tensor | None,
    known: Tensor | None,
    *,
    temperature: float,
    in_batch: bool,
    log_q: Tensor | None,
    unique: bool,
) -> Tensor:
    columns, own = _columns(target, pool, in_batch=in_batch, unique=unique)
    forbidden = None if known is None else _removed(anchor, columns, own, known)
    bias = None if log_q is None else -log_q.detach()
    scale = 1 / temperature
    lse, _, _ = contrast(
        x[anchor],
        x[columns],
        terms=UV,
        scale=scale,
        unit=True,
        bias=(None, None if bias is None else bias[columns].to(x.dtype)),
        forbidden={"uv": forbidden},
    )
    _, _, positive = contrast(x[anchor], x[target], terms=DOTS, scale=scale, unit=True)
    if bias is not None:
        positive = positive + bias[target]
    if own is None:
        lse = torch.logaddexp(lse, positive)
    return (lse - positive).mean()


def _columns(target: Tensor, pool: Tensor | None, *, in_batch: bool, unique: bool) -> tuple[Tensor, Tensor | None]:
    """Nodes of the columns, and the column of each row's own target (None where that is no column)."""
    parts = [part for part in (target if in_batch else None, pool) if part is not None]
    columns = torch.cat(parts)
    own = torch.arange(target.numel(), device=target.device) if in_batch else None
    if unique:
        columns, inverse = torch.unique(columns, return_inverse=True)
        own = inverse[: target.numel()] if in_batch else None
    return columns, own


def _removed(anchor: Tensor, columns: Tensor, own: Tensor | None, known: Tensor) -> CSR:
    """Pairs (row, column) to remove: known partners of the row's anchor and the anchor itself, not the own target."""
    order = known[0].sort(stable=True)
    partners = known[1][order.indices]
    row, place = _matches(anchor, order.values)
    rows = torch.cat([row, torch.arange(anchor.numel(), device=anchor.device)])
    nodes = torch.cat([partners[place], anchor])
    listed = columns.sort(stable=True)
    entry, place = _matches(nodes, listed.values)
    row, column = rows[entry], listed.indices[place]
    if own is not None:
        keep = column != own[row]
        row, column = row[keep], column[keep]
    key = torch.unique(row * columns.numel() + column)
    pairs = torch.stack([key % columns.numel(), key // columns.numel()])
    return CSR.from_edge_index(pairs, size=(columns.numel(), anchor.numel()))


def _matches(wanted: Tensor, ordered: Tensor) -> tuple[Tensor, Tensor]:
    """All (i, p) with ``ordered[p] == wanted[i]``."""
    low = torch.searchsorted(ordered, wanted)
    count = torch.searchsorted(ordered, wanted, right=True) - low
    row = torch.repeat_interleave(torch.arange(wanted.numel(), device=wanted.device), count)
    start = count.cumsum(0) - count
    return row, torch.arange(row.numel(), device=wanted.device) - start[row] + low[row]


def _check(
    x: Tensor,
    src: Tensor,
    dst: Tensor,
    temperature: float,
    pool: Tensor | None,
    in_batch: bool,
    known: Tensor | None,
    log_q: Tensor | None,
) -> None:
    check_temperature(temperature)
    check_floating(x, "x")
    if x.dim() != 2:
        raise ShapeError(f"x has shape {tuple(x.shape)}; a node table has two axes.", hint="(N, d)")
    for name, ids in (("src", src), ("dst", dst), ("pool", pool)):
        if ids is not None:
            check_index(ids, name)
            check_range(ids, x.shape[0], name)
    if src.shape != dst.shape or src.numel() == 0:
        raise ShapeError(f"src has shape {tuple(src.shape)} and dst {tuple(dst.shape)}.", hint="(B,) both, B >= 1")
    if not in_batch and pool is None:
        raise GraphrepError("There are no negatives: in_batch is False and pool is None.", hint="pass pool")
    if known is not None:
        check_edge_index(known)
    if log_q is not None and log_q.shape != x.shape[:1]:
        raise ShapeError(f"log_q has shape {tuple(log_q.shape)} for {x.shape[0]} nodes.", hint="(N,)")


class InBatchInfoNCELoss(Objective):
    """:func:`in_batch_info_nce` as a module.

    Example:
        >>> loss = InBatchInfoNCELoss(temperature=1.0)
        >>> loss(torch.eye(4), torch.tensor([0, 1]), torch.tensor([2, 3]))
        tensor(0.6931)
    """

    pool: Tensor | None
    known: Tensor | None
    log_q: Tensor | None

    def __init__(
        self,
        *,
        temperature: float,
        pool: Tensor | None = None,
        in_batch: bool = True,
        known: Tensor | None = None,
        symmetric: bool = False,
        log_q: Tensor | None = None,
        unique: bool = False,
    ) -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature, in_batch=in_batch, symmetric=symmetric, unique=unique)
        self.register_buffer("pool", pool, persistent=False)
        self.register_buffer("known", known, persistent=False)
        self.register_buffer("log_q", log_q, persistent=False)

    def forward(self, x: Tensor, src: Tensor, dst: Tensor) -> Tensor:
        """See :func:`in_batch_info_nce`."""
        return in_batch_info_nce(x, src, dst, pool=self.pool, known=self.known, log_q=self.log_q, **self.options)
