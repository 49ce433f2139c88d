"""Compiles the usual kernels ahead of time, so that no timed or interactive call pays for it."""

from __future__ import annotations

from typing import Any

import torch

from graphrep.kernels import _numba
from graphrep.kernels.blockwise import streaming_logsumexp
from graphrep.kernels.csr import CSR
from graphrep.kernels.edge_softmax import edge_softmax
from graphrep.kernels.gat import gat_aggregate
from graphrep.kernels.spmm import spmm

__all__ = ["warmup"]


def warmup(*, parallel: bool = True) -> None:
    """Runs sums, means, maxima, softmax, attention and the contrast over all pairs, forward and backward, in float32.

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
            streaming_logsumexp(x, x, scale=0.1),
        ]
        for result in results:
            result.sum().backward()
