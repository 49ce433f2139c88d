"""The search behind both forms of Louvain: levels of merged communities, passes, random orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, NonFiniteError
from graphrep.kernels._counter import DOMAIN_ORDER, check_seed, torch_start, torch_word
from graphrep.kernels._dispatch import implementation
from graphrep.kernels.csr import CSR

__all__ = ["by_first_node", "check_search", "checked_weights", "communities", "wide"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def check_search(resolution: float, max_passes: int) -> None:
    """Raises unless both are in their range."""
    if not (math.isfinite(resolution) and resolution >= 0):
        raise GraphrepError(f"resolution must be finite and at least 0; got {resolution}.", hint="resolution=1.0")
    if isinstance(max_passes, bool) or not isinstance(max_passes, int) or max_passes < 1:
        raise GraphrepError(f"max_passes must be an integer of at least 1; got {max_passes!r}.", hint="max_passes=10")


def checked_weights(csr: CSR) -> Any:
    """The matrix as a scipy CSR array of float64 with int64 indices, duplicates summed.

    Raises:
        NonFiniteError, GraphrepError: a weight that is not finite, or below 0.
    """
    if csr.value is not None:
        csr = csr.with_value(csr.value.detach().double())
    matrix = csr.to("cpu").to_scipy().astype(np.float64)
    if matrix.nnz:
        if not np.isfinite(matrix.data).all():
            raise NonFiniteError("the matrix has NaN or infinite weights.", hint="leave those edges out")
        if matrix.data.min() < 0:
            raise GraphrepError(
                f"the matrix has a weight of {matrix.data.min():g}; communities need weights >= 0.",
                hint="drop the negative edges, or shift the weights",
            )
    matrix.sum_duplicates()
    return wide(matrix)


def wide(matrix: Any) -> Any:
    """The matrix with int64 indices, in place."""
    matrix.indptr, matrix.indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    return matrix


def communities(
    matrix: Any, strength: Floats, total: float, resolution: float, seed: int, max_passes: int = 10
) -> Ints:
    """(n,) communities, numbered by their first node and each connected.

    Args:
        matrix: (n, n) symmetric scipy CSR array, weights >= 0.
        strength: (n, 2) float64 and `total`: the null model, as in the kernel of the moves.
        total: see there.
        resolution: gamma.
        seed: of the orders.
        max_passes: passes at most.
    """
    labels = np.arange(matrix.shape[0])
    if matrix.nnz and matrix.data.max() > 0:
        search = _Search(float(resolution), total, check_seed(seed))
        for _ in range(max_passes):
            if not search.improve(matrix, strength, labels):
                break
        labels = _connected_parts(matrix, labels)
    return by_first_node(labels)


class _Search:
    """One run: what does not change from pass to pass, and a count of the random orders used so far."""

    def __init__(self, resolution: float, total: float, seed: int) -> None:
        self.resolution, self.total, self.seed, self.num_orders = resolution, total, seed, 0
        self.move_nodes = implementation("louvain_move", torch.device("cpu"))

    def improve(self, matrix: Any, strength: Floats, labels: Ints) -> bool:
        """One pass down to the coarsest level and back, in place; says whether anything moved."""
        moved = self.move(matrix, strength, labels) > 0
        labels[:] = by_first_node(labels)
        coarse = _merged(matrix, labels)
        if coarse.shape[0] == matrix.shape[0]:
            return moved
        upper = np.arange(coarse.shape[0])
        sides = [np.bincount(labels, weights=side, minlength=len(upper)) for side in strength.T]
        if self.improve(coarse, np.stack(sides, axis=1), upper):
            labels[:] = upper[labels]
            self.move(matrix, strength, labels)
            moved = True
        return moved

    def move(self, matrix: Any, strength: Floats, labels: Ints) -> int:
        arrays = (matrix.indptr, matrix.indices, matrix.data, strength, self.order(len(labels)), labels)
        return int(self.move_nodes(*arrays, self.resolution, self.total))

    def order(self, size: int) -> Ints:
        """A random order of the numbers below `size`, another one at each call."""
        words = torch_word(torch_start(self.seed, DOMAIN_ORDER, torch.arange(size)), self.num_orders)
        self.num_orders += 1
        return np.asarray(words.argsort(stable=True).numpy())


def _merged(matrix: Any, labels: Ints) -> Any:
    """The matrix of the communities; weights inside one add up on its diagonal."""
    import scipy.sparse as sp

    size = int(labels.max()) + 1
    row = np.repeat(labels, np.diff(matrix.indptr))
    return wide(sp.coo_array((matrix.data, (row, labels[matrix.indices])), shape=(size, size)).tocsr())


def _connected_parts(matrix: Any, labels: Ints) -> Ints:
    """Communities, those that fell apart in their connected parts."""
    import scipy.sparse as sp

    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    kept = (labels[row] == labels[matrix.indices]) & (matrix.data > 0)
    inside = sp.coo_array((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
    return np.asarray(sp.csgraph.connected_components(inside, directed=False)[1], dtype=np.int64)


def by_first_node(labels: Ints) -> Ints:
    """The same communities numbered in the order of their first nodes."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[first.argsort()] = np.arange(len(first))
    return rank[inverse]
