"""Compiles the usual kernels ahead of time, so that no timed or interactive call pays for it."""

from __future__ import annotations

from typing import Any

import torch

from graphrep.kernels import _numba
from graphrep.kernels.blockwise import streaming_logsumexp
from graphrep.kernels.common_neighbors import common_neighbor_pool, common_neighbors
from graphrep.kernels.csr import CSR
from graphrep.kernels.edge_logsumexp import edge_logsumexp
from graphrep.kernels.edge_softmax import edge_softmax
from graphrep.kernels.gat import gat_aggregate
from graphrep.kernels.louvain import louvain
from graphrep.kernels.negatives import uniform_negatives
from graphrep.kernels.sampling import sample_neighbors
from graphrep.kernels.sddmm import sddmm
from graphrep.kernels.spmm import spmm
from graphrep.kernels.views import keep_mask, view_of, view_plan
from graphrep.kernels.walks import random_walks

__all__ = ["warmup"]


def warmup(*, parallel: bool = True) -> None:
    """Runs sums, means, maxima, dot products, softmax, attention, pooling over common neighbours and the contrasts over
    edges and over all pairs forward and backward in float32, finds communities, and draws walks, samples, negatives and
    views.

    The compiled code is kept on disk beside the package or in numba's cache folder; with a filled cache this takes a
    few tenths of a second, without one about a minute.

    Args:
        parallel: also compile the forms for large inputs, by running once on an input that is just large enough.

    Example:
        >>> warmup(parallel=False)
    """
    sizes = [(2, 2)]
    if parallel and _numba.num_threads() > 1:
        sizes.append((64, _numba.SMALL_WORK // 16))
    for num_nodes, num_edges in sizes:
        edges = torch.arange(2 * num_edges).reshape(2, -1) % num_nodes
        csr = CSR.from_edge_index(edges, size=(num_nodes, num_nodes))
        weighted = csr.with_value(torch.ones(num_edges, requires_grad=True))
        x = torch.ones(num_nodes, 16, requires_grad=True)
        score = torch.zeros(num_nodes, 4, requires_grad=True)
        results: list[Any] = [
            spmm(csr, x),
            spmm(weighted, x, reduce="mean"),
            spmm(csr, x, reduce="max"),
            edge_softmax(csr, torch.zeros(num_edges, requires_grad=True)),
            gat_aggregate(csr, x.view(num_nodes, 4, 4), score, score),
            sddmm(csr, x.view(num_nodes, 4, 4), x.view(num_nodes, 4, 4)),
            edge_logsumexp(csr, x, x, zero_diagonal=True),
            common_neighbor_pool(csr, edges[:, :64], x),
            streaming_logsumexp(x, x, scale=0.1),
        ]
        for result in results:
            result.sum().backward()
        louvain(CSR.from_edge_index(torch.cat([edges[:, :64], edges[:, :64].flip(0)], dim=1)), seed=0)
        starts = edges[0, :64]
        common_neighbors(csr, edges[:, :64])
        random_walks(csr, starts, 2, seed=0)
        random_walks(csr, starts, 2, p=0.5, q=2.0, seed=0)
        sample_neighbors(csr, torch.arange(2), 2, seed=0)
        uniform_negatives(csr, starts, seed=0)
        view_of(view_plan(edges, num_nodes, loops=True), keep_mask(num_edges, 0.3, 0), dtype=torch.float32)
