"""One graph in the formats of every library, each built at most once and outside the timing."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.graphs import BenchGraph, load_graph
from graphrep.kernels import CSR

__all__ = ["GraphForms", "graph_forms"]


class GraphForms:
    """Lazily built formats of one graph with seeded positive edge weights (row i gathers col)."""

    def __init__(self, graph: BenchGraph) -> None:
        self.graph = graph
        self.num_nodes = graph.num_nodes
        self.nnz = graph.nnz
        self.weight = torch.rand(graph.nnz, generator=torch.Generator().manual_seed(2)) + 0.1

    @functools.cached_property
    def rowptr(self) -> Tensor:
        return torch.from_numpy(self.graph.rowptr)

    @functools.cached_property
    def col(self) -> Tensor:
        return torch.from_numpy(self.graph.col)

    @functools.cached_property
    def row_long(self) -> Tensor:
        return torch.from_numpy(self.graph.row()).long()

    @functools.cached_property
    def col_long(self) -> Tensor:
        return self.col.long()

    @functools.cached_property
    def rowptr_long(self) -> Tensor:
        return self.rowptr.long()

    @functools.cached_property
    def has_entries(self) -> Tensor:
        return torch.from_numpy(self.graph.degree > 0)

    @functools.cached_property
    def _csr(self) -> CSR:
        csr = CSR(self.rowptr, self.col, num_cols=self.num_nodes)
        csr.t()
        return csr

    def csr(self, weighted: bool) -> CSR:
        """Ours, with its transpose cached."""
        return self._csr.with_value(self.weight if weighted else None)

    @functools.lru_cache(maxsize=4)  # noqa: B019 - lives as long as the forms
    def torch_csr(self, weighted: bool, *, wide: bool = False) -> Tensor:
        """int32 indices, which MKL takes as they are; int64 if `wide`."""
        values = self.weight if weighted else torch.ones(self.nnz)
        rowptr, col = (self.rowptr_long, self.col_long) if wide else (self.rowptr, self.col)
        size = (self.num_nodes, self.num_nodes)
        return torch.sparse_csr_tensor(rowptr, col, values, size=size, check_invariants=False)

    @functools.cached_property
    def edge_index(self) -> Any:
        """PyG's EdgeIndex, sorted by row with its cache filled."""
        from torch_geometric import EdgeIndex

        size = (self.num_nodes, self.num_nodes)
        pairs = torch.stack([self.row_long, self.col_long])
        return EdgeIndex(pairs, sparse_size=size, sort_order="row").fill_cache_()

    @functools.cached_property
    def dgl_graph(self) -> Any:
        """DGL's graph with int32 ids; edges in CSR order."""
        import dgl

        dgl.utils.set_num_threads(torch.get_num_threads())
        return dgl.graph((self.col_long, self.row_long), num_nodes=self.num_nodes).int()

    @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as the forms
    def scipy_csr(self, weighted: bool) -> Any:
        import scipy.sparse as sp

        values = self.weight.numpy() if weighted else np.ones(self.nnz, np.float32)
        return sp.csr_array((values, self.graph.col, self.graph.rowptr), shape=(self.num_nodes, self.num_nodes))


@functools.lru_cache(maxsize=1)
def graph_forms(key: str) -> GraphForms:
    """The forms of a graph of :data:`benchmarks.graphs.GRAPHS`; only the latest graph is kept in memory."""
    return GraphForms(load_graph(key))
