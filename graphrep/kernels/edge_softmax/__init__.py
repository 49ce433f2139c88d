"""Softmax over groups of entries: the rows of a sparse matrix, or whatever an index names."""

from graphrep.kernels import _triton
from graphrep.kernels.edge_softmax.by_index import scatter_softmax
from graphrep.kernels.edge_softmax.by_row import edge_softmax

if _triton.AVAILABLE:
    from graphrep.kernels.edge_softmax import cuda  # noqa: F401

__all__ = ["edge_softmax", "scatter_softmax"]
