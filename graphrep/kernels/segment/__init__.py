"""Reductions of rows that belong together: consecutive ones, or by an index; and the names that users know them by."""

from graphrep.kernels.segment.names import (
    gather_csr,
    scatter_add,
    scatter_max,
    scatter_mean,
    scatter_min,
    segment_csr,
)
from graphrep.kernels.segment.reduce import scatter, segment_reduce

__all__ = [
    "gather_csr",
    "scatter",
    "scatter_add",
    "scatter_max",
    "scatter_mean",
    "scatter_min",
    "segment_csr",
    "segment_reduce",
]
