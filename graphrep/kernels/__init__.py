"""Sparse kernels: tensors in, tensors out; no graph objects above :class:`CSR`."""

from graphrep.kernels._dispatch import backend
from graphrep.kernels._numba import release_memory
from graphrep.kernels._warmup import warmup
from graphrep.kernels.blockwise import streaming_logsumexp
from graphrep.kernels.common_neighbors import common_neighbor_pool, common_neighbors
from graphrep.kernels.csr import CSR
from graphrep.kernels.edge_logsumexp import edge_logsumexp
from graphrep.kernels.edge_softmax import edge_softmax, scatter_softmax
from graphrep.kernels.gat import gat_aggregate
from graphrep.kernels.influence import influence_matrix
from graphrep.kernels.louvain import bipartite_louvain, bipartite_modularity, louvain, modularity
from graphrep.kernels.negatives import uniform_negatives
from graphrep.kernels.norm import gcn_norm
from graphrep.kernels.projection.gds import GDSRandom
from graphrep.kernels.proximity import katz_scores, pagerank_rows
from graphrep.kernels.reach import reach_mean
from graphrep.kernels.sampling import sample_neighbors
from graphrep.kernels.sddmm import sddmm
from graphrep.kernels.segment import (
    gather_csr,
    scatter,
    scatter_add,
    scatter_max,
    scatter_mean,
    scatter_min,
    segment_csr,
    segment_reduce,
)
from graphrep.kernels.sketch import random_projection
from graphrep.kernels.sparse_product import sparse_product
from graphrep.kernels.spmm import spmm
from graphrep.kernels.walks import random_walks

__all__ = [
    "CSR",
    "GDSRandom",
    "backend",
    "bipartite_louvain",
    "bipartite_modularity",
    "common_neighbor_pool",
    "common_neighbors",
    "edge_logsumexp",
    "edge_softmax",
    "gat_aggregate",
    "gather_csr",
    "gcn_norm",
    "influence_matrix",
    "katz_scores",
    "louvain",
    "modularity",
    "pagerank_rows",
    "random_projection",
    "random_walks",
    "reach_mean",
    "release_memory",
    "sample_neighbors",
    "scatter",
    "scatter_add",
    "scatter_max",
    "scatter_mean",
    "scatter_min",
    "scatter_softmax",
    "sddmm",
    "segment_csr",
    "segment_reduce",
    "sparse_product",
    "spmm",
    "streaming_logsumexp",
    "uniform_negatives",
    "warmup",
]
