"""Connected components of a symmetric matrix."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import CSR

__all__ = ["connected_components"]


def connected_components(csr: CSR) -> Tensor:
    """(N,) int64 component of each node of a symmetric matrix, numbered by first node; zero weights are no links."""
    import scipy.sparse as sp

    matrix = csr.to_scipy()
    matrix.eliminate_zeros()
    _, found = sp.csgraph.connected_components(matrix, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[first.argsort()] = np.arange(len(first))
    return torch.from_numpy(rank[inverse])
