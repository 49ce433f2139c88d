"""Common neighbours of 8192 pairs (half edges, half random): listed, and summed over features of width 64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm import GRAPH_OF_SIZE
from benchmarks.reference import relative_difference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

NUM_PAIRS, WIDTH = 8192, 64
OPS = ("list", "pool/fwd", "pool/fwd+bwd")


@dataclass(frozen=True)
class PairInputs:
    """pairs (2, P); x (N, 64); g (P, 64) the gradient that backward starts from."""

    forms: GraphForms
    pairs: Tensor
    x: Tensor
    g: Tensor
    op: str


def _inputs(graph: str, op: str) -> PairInputs:
    forms = graph_forms(graph)
    generator = torch.Generator().manual_seed(11)
    edge = torch.randint(0, forms.nnz, (NUM_PAIRS // 2,), generator=generator)
    used = forms.has_entries.nonzero().squeeze(1)
    drawn = used[torch.randint(0, used.numel(), (2, NUM_PAIRS // 2), generator=generator)]
    pairs = torch.cat([torch.stack([forms.row_long[edge], forms.col_long[edge]]), drawn], dim=1)
    x = torch.randn(forms.num_nodes, WIDTH, generator=generator).requires_grad_(op == "pool/fwd+bwd")
    return PairInputs(forms, pairs, x, torch.randn(NUM_PAIRS, WIDTH, generator=generator), op)


def _pooled(inputs: PairInputs, forward: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
    def run() -> tuple[Tensor, ...]:
        out = forward(inputs.x)
        if not out.requires_grad:
            return (out,)
        return out.detach(), torch.autograd.grad(out, inputs.x, inputs.g)[0]

    return run


def _ours(inputs: PairInputs) -> Callable[[], Any]:
    from graphrep.kernels import common_neighbor_pool, common_neighbors

    csr = inputs.forms.csr(False)
    if inputs.op == "list":
        return lambda: common_neighbors(csr, inputs.pairs)
    return _pooled(inputs, lambda x: common_neighbor_pool(csr, inputs.pairs, x))


def _listed_by_search(forms: GraphForms, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Both rows of every pair as sorted (pair, node) keys, one list looked up in the other."""
    keys = []
    for end in pairs:
        low = forms.rowptr_long[end]
        degree = forms.rowptr_long[end + 1] - low
        pair = torch.repeat_interleave(torch.arange(end.numel()), degree)
        place = torch.arange(pair.numel()) - (degree.cumsum(0) - degree)[pair] + low[pair]
        keys.append(pair * forms.num_nodes + forms.col_long[place])
    first, second = keys
    place = torch.searchsorted(second, first).clamp(max=max(second.numel() - 1, 0))
    key = first[second[place] == first] if second.numel() else first[:0]
    return key // forms.num_nodes, key % forms.num_nodes


def _torch(inputs: PairInputs) -> Callable[[], Any]:
    forms, pairs = inputs.forms, inputs.pairs
    if inputs.op == "list":
        return lambda: _listed_by_search(forms, pairs)

    def forward(x: Tensor) -> Tensor:
        pair, node = _listed_by_search(forms, pairs)
        return x.new_zeros(pairs.shape[1], x.shape[1]).index_add(0, pair, x[node])

    return _pooled(inputs, forward)


def _scipy(inputs: PairInputs) -> Callable[[], Any]:
    if inputs.op == "pool/fwd+bwd":
        raise Skip("scipy has no gradients")
    matrix, (left, right) = inputs.forms.scipy_csr(False), inputs.pairs.numpy()
    if inputs.op == "list":

        def listed() -> tuple[Tensor, Tensor]:
            found = matrix[left].multiply(matrix[right]).tocoo()
            return torch.from_numpy(found.row).long(), torch.from_numpy(found.col).long()

        return listed
    x = inputs.x.numpy()
    return lambda: (torch.from_numpy(matrix[left].multiply(matrix[right]).tocsr() @ x),)


def _check(inputs: PairInputs, result: tuple[Tensor, ...]) -> float:
    """Sets of 300 pairs, in float64."""
    forms, worst = inputs.forms, 0.0
    x = inputs.x.detach().double()
    for p in np.random.default_rng(12).permutation(NUM_PAIRS)[:300]:
        rows = [set(forms.graph.col[forms.graph.rowptr[i] : forms.graph.rowptr[i + 1]]) for i in inputs.pairs[:, p]]
        shared = torch.tensor(sorted(rows[0] & rows[1]), dtype=torch.int64)
        if inputs.op == "list":
            worst = max(worst, 0.0 if torch.equal(result[1][result[0] == p], shared) else float("inf"))
        else:
            worst = max(worst, relative_difference(result[0][p : p + 1], x[shared].sum(0, keepdim=True)))
    return worst


def _agree(_: PairInputs, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    if len(ours) != len(theirs):
        return float("inf")
    if ours[0].dtype == torch.int64:
        return 0.0 if all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)) else float("inf")
    return max(relative_difference(b, a) for a, b in zip(ours, theirs, strict=True))


_RIVALS = {
    "torch-search": Method(_torch, note="keys (pair, node) of both rows, torch.searchsorted, index_add"),
    "scipy": Method(_scipy, "scipy", "A[left].multiply(A[right]) @ x"),
}


def _case(size: str, op: str) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name=f"{graph}/{op}",
        family="common_neighbors",
        size=size,
        inputs=lambda: _inputs(graph, op),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=_agree,
        tolerance=1e-4,  # float32 sums over thousands of hits, in another order
        params={"graph": graph, "op": op, "pairs": NUM_PAIRS, "width": WIDTH},
        tags=frozenset({"memory"}) if size in ("tiny", "medium") else frozenset(),
    )


def cases() -> list[Case]:
    """Three operations on each graph."""
    return [_case(size, op) for size in GRAPH_OF_SIZE for op in OPS]
