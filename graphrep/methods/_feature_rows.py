"""Node features as clusterers take them: unit rows, leading singular directions, smoothing over the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import CheckpointMismatchError, MissingFeaturesError
from graphrep.kernels import CSR, spmm
from graphrep.kernels.projection import random_gaussian
from graphrep.kernels.tall import combine_columns, cross_product, one_thread
from graphrep.nn._krylov import eigh
from graphrep.nn.encoder import feature_matrix

__all__ = ["Rows", "dense_rows", "features", "leading_directions", "means", "times", "unit"]

Rows = Tensor | CSR
_GRAM_COLUMNS = 1024  # up to so many features the exact F x F problem is solved
_EXTRA, _ITERATIONS = 10, 7


def features(graph: Graph, method: str, *, width: int | None = None) -> Rows:
    """(N, F) features in float64, dense or sparse.

    Args:
        graph: the graph.
        method: its name, for messages.
        width: features that a fitted model takes; None: any.

    Raises:
        MissingFeaturesError: the graph has none.
        CheckpointMismatchError: another number than `width`.
    """
    if graph.x is None or not graph.num_features:
        raise MissingFeaturesError(
            f"{method} needs node features and {graph.name or 'the graph'} has none.",
            hint="--features FILE, --features degree|onehot|fastrp, or Louvain, which needs none",
        )
    if width is not None and graph.num_features != width:
        raise CheckpointMismatchError(
            f"{method} was fitted on {grouped(width)} features; this graph has {grouped(graph.num_features)}.",
            hint="features of the graph it was fitted on",
        )
    rows = feature_matrix(graph.x)
    if isinstance(rows, CSR):
        value = torch.ones(rows.nnz) if rows.value is None else rows.value.detach()
        rows = rows.with_value(value.double())
    else:
        rows = rows.detach().double()
    if not bool((rows.value if isinstance(rows, CSR) else rows).count_nonzero()):  # type: ignore[union-attr]
        raise MissingFeaturesError(f"{method} needs node features and all of them are 0.", hint="other features")
    return rows


def unit(rows: Any) -> Any:
    """Rows of length 1; rows of zeros stay."""
    if isinstance(rows, CSR):
        assert rows.value is not None
        row = rows.row().long()
        square = torch.zeros(rows.num_rows, dtype=torch.float64).index_add_(0, row, rows.value.square())
        return rows.with_value(rows.value * torch.where(square > 0, square.rsqrt(), 0.0)[row])
    return torch.nn.functional.normalize(rows, eps=1e-300)


def times(rows: Rows, factors: Tensor) -> Tensor:
    """(N, k) product of rows (N, F) and (F, k), the same bytes for any number of threads."""
    if isinstance(rows, CSR):
        out: Tensor = spmm(rows, factors.contiguous())
        return out
    with one_thread():
        return rows @ factors


def dense_rows(rows: Rows) -> Tensor:
    """(N, F) dense."""
    if not isinstance(rows, CSR):
        return rows
    return torch.from_numpy(rows.to_scipy().toarray())


def means(rows: Rows, groups: Tensor, count: int) -> Tensor:
    """(count, F) dense mean row of each group; zeros for an empty one.

    Args:
        rows: (N, F).
        groups: (N,) group of each row, below `count`; -1 for none.
        count: number of groups.
    """
    kept = (groups >= 0).nonzero().squeeze(1)
    member = CSR.from_edge_index(torch.stack([kept, groups[kept]]), size=(groups.numel(), count))
    if not isinstance(rows, CSR):
        average: Tensor = spmm(member, rows.contiguous(), reduce="mean")
        return average
    product = (member.to_scipy().astype("float64") @ rows.to_scipy()).toarray()
    return torch.from_numpy(product) / member.degree().clamp(min=1)[:, None]


def leading_directions(rows: Rows, k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The k leading right singular vectors (F, k) and singular values (k,) of rows (N, F), not centred.

    Exact up to 1024 columns (from the F x F products), else by subspace iteration from a random start (Halko,
    Martinsson, Tropp 2011) with k + 10 columns and 7 iterations. Fewer than k are returned where N or F is smaller.
    In each vector the entry of largest magnitude is positive.
    """
    num_rows, width = rows.shape
    k = min(k, num_rows, width)
    if width <= _GRAM_COLUMNS:
        basis = torch.eye(width, dtype=torch.float64)
        small = dense_rows(rows).contiguous()
        product = cross_product(small, small)
    else:
        basis, product = _subspace(rows, min(k + _EXTRA, num_rows, width), seed)
    values, mix = eigh(product)
    with one_thread():
        vectors = basis @ mix[:, :k]
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0), values[:k].clamp(min=0).sqrt()


def _subspace(rows: Rows, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """An orthonormal basis (F, b) of the leading directions, and the products (b, b) of the rows in it."""
    transposed = rows.t()
    basis = random_gaussian(torch.arange(rows.shape[1]), size, seed=seed, dtype=torch.float64)
    for _ in range(_ITERATIONS):
        basis = _orthonormal(times(transposed, _orthonormal(times(rows, _orthonormal(basis)))))
    basis = _orthonormal(basis)
    scores = times(rows, basis).contiguous()
    return basis, cross_product(scores, scores)


def _orthonormal(matrix: Tensor) -> Tensor:
    """An orthonormal basis of the columns (n, b) from their products; directions lost to rounding are left out."""
    matrix = matrix.contiguous()
    for _ in range(2):  # the second round repairs what the first lost to squaring
        values, mix = eigh(cross_product(matrix, matrix))
        kept = values > 1e-13 * values[0].clamp(min=1e-300)
        matrix = combine_columns(matrix, mix[:, kept] / values[kept].sqrt()).contiguous()
    return matrix
