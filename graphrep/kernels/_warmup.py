"""Compiles the usual kernels ahead of time, so that no timed or interactive call pays for it."""

from __future__ import annotations

import torch

from graphrep.kernels import _numba
from graphrep.kernels.csr import CSR
from graphrep.kernels.edge_softmax import edge_softmax
from graphrep.kernels.spmm import spmm

__all__ = ["warmup"]


def warmup(*, parallel: bool = True) -> None:
    """Runs sums, means and maxima in float32, forward and backward, on a graph of a few edges.

    The compiled code is kept on disk beside the package or in numba's cache folder; with a filled cache this takes a
    fraction of a second, without one 10 to 20 s.

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
        for out in (spmm(csr, x), spmm(weighted, x, reduce="mean"), spmm(csr, x, reduce="max")):
            out.sum().backward()
        edge_softmax(csr, torch.zeros(num_edges, requires_grad=True)).sum().backward()
