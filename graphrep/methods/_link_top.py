"""The best missing links of each node, by scoring candidates block after block; never all pairs at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.kernels import CSR, sparse_product
from graphrep.kernels._budget import ranges_within
from graphrep.kernels._select import select_rows
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.sparse_product import product_cost

__all__ = ["best_links"]

_PATHS = 1 << 22  # paths of two links followed at a time
Best = tuple[Tensor, Tensor]


def best_links(
    score: Callable[[Tensor], Tensor],
    graph: CSR,
    known: CSR,
    nodes: Tensor,
    k: int,
    *,
    candidates: str,
    block_size: int,
) -> Best:
    """(n, k) int64 nodes and their scores, best first, equal scores by number; -1 and -inf where fewer are left.

    Args:
        score: logits (P,) of pairs (2, P).
        graph: (N, N) pattern in which paths of two links are followed.
        known: (N, N) pattern of pairs that are left out, as each node itself is.
        nodes: (n,) int64.
        k: candidates per node.
        candidates: ``"two-hop"``, ``"all"``, or ``"auto"``: all for nodes with fewer than k two links away.
        block_size: pairs scored at a time.

    Raises:
        GraphrepError, UnknownNameError: `k` or `candidates` out of range.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise GraphrepError(f"k must be an integer of 1 or more; got {k!r}.", hint="k=10")
    if candidates not in ("auto", "two-hop", "all"):
        raise UnknownNameError(f'candidates is "{candidates}".', hint="one of auto, two-hop, all")
    chosen = torch.full((nodes.numel(), k), -1, dtype=torch.int64)
    values = torch.full((nodes.numel(), k), -torch.inf)
    left_out = sorted_pattern(known)
    whole = torch.arange(nodes.numel()) if candidates == "all" else torch.empty(0, dtype=torch.int64)
    if candidates != "all":
        for first, last in ranges_within(_paths(graph, nodes), _PATHS):
            part = nodes[first:last]
            row, column = _two_hop(graph, left_out, part)
            blocks = zip(_cut(part[row], block_size), _cut(column, block_size), strict=True)
            found = [score(torch.stack(pair)) for pair in blocks]
            best = _best_of_rows(row, column, torch.cat(found) if found else values.new_empty(0), len(part), k)
            chosen[first:last], values[first:last] = best
        if candidates == "auto":
            whole = (chosen[:, -1] < 0).nonzero()[:, 0]
    for place in whole.tolist():
        chosen[place], values[place] = _best_of_all(score, left_out, int(nodes[place]), k, block_size)
    return chosen, values


def _cut(x: Tensor, size: int) -> tuple[Tensor, ...]:
    return torch.split(x, size) if x.numel() else ()


def _paths(graph: CSR, nodes: Tensor) -> Tensor:
    """(n,) paths of two links from each node, and one more."""
    cost: Tensor = product_cost(graph, graph)[nodes]
    return cost


def _two_hop(graph: CSR, known: CSR, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """(row, column), ascending: for each of `nodes` those two links away that are neither known nor the node."""
    reached = sparse_product(select_rows(graph, nodes), graph, counts=False)
    row, column = reached.row().long(), reached.col.long()
    start = nodes[row]
    keys = known.row().long() * known.num_cols + known.col.long()
    key = start * known.num_cols + column
    place = torch.searchsorted(keys, key).clamp(max=max(keys.numel() - 1, 0))
    kept = column != start
    if keys.numel():
        kept &= keys[place] != key
    return row[kept], column[kept]


def _best_of_rows(row: Tensor, column: Tensor, value: Tensor, count: int, k: int) -> Best:
    """The k best of each row; `row` ascends, and `column` within it."""
    order = torch.argsort(value, descending=True, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    row, column, value = row[order], column[order], value[order]
    sizes = torch.bincount(row, minlength=count)
    slot = torch.arange(row.numel()) - (sizes.cumsum(0) - sizes)[row]
    kept = slot < k
    chosen = torch.full((count, k), -1, dtype=torch.int64)
    values = value.new_full((count, k), -torch.inf)
    chosen[row[kept], slot[kept]] = column[kept]
    values[row[kept], slot[kept]] = value[kept]
    return chosen, values


def _best_of_all(score: Callable[[Tensor], Tensor], known: CSR, node: int, k: int, block_size: int) -> Best:
    """The k best nodes that are neither known to `node` nor itself, over all."""
    allowed = torch.ones(known.num_cols, dtype=torch.bool)
    allowed[node] = False
    allowed[known.col[int(known.rowptr[node]) : int(known.rowptr[node + 1])].long()] = False
    columns, values = torch.empty(0, dtype=torch.int64), torch.empty(0)
    for part in _cut(allowed.nonzero()[:, 0], block_size):
        columns = torch.cat([columns, part])
        values = torch.cat([values, score(torch.stack([torch.full_like(part, node), part]))])
        order = torch.argsort(values, descending=True, stable=True)[:k]  # those before come first among equals
        columns, values = columns[order], values[order]
    missing = k - len(columns)
    return (
        torch.cat([columns, columns.new_full((missing,), -1)]),
        torch.cat([values, values.new_full((missing,), -torch.inf)]),
    )
