"""Meta-paths as sparse matrices: path counts, path similarity, the best partners of each node, and their normalisation.

Sources: Sun, Han, Yan, Yu, Wu, "PathSim: Meta Path-Based Top-K Similarity Search in Heterogeneous Information
Networks", VLDB 2011; Yu, Li, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative
Samples" (MEOW), SDM 2023, arXiv:2212.13847.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from graphrep.data import HeteroGraph
from graphrep.errors import GraphrepError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, sparse_product
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.norm import scaled
from graphrep.kernels.sparse_product import (
    best_rows,
    check_count,
    choice_of,
    product_diagonal,
    product_of,
)
from graphrep.nn._metapath_steps import factors, path_names, rows_of, single_step, steps_of

__all__ = ["metapath_adjacency", "metapath_norm", "path_similarity", "top_metapath_neighbors", "top_neighbors"]

PathTies: TypeAlias = Literal["hash", "index"]
PathScore: TypeAlias = Literal["similarity", "count"]


def metapath_adjacency(
    relations: Mapping[str, CSR] | HeteroGraph,
    path: Sequence[str],
    *,
    counts: bool = True,
    dtype: torch.dtype | None = None,
    max_neighbors: int | None = None,
    ties: PathTies = "hash",
    seed: int = 0,
) -> CSR:
    """The number of paths from every object of the first type to every object of the last one, or which there are.

    Steps are multiplied in the order that is estimated to take the fewest products; a path that goes back the way it
    came (``R R'``, such as author-paper-venue-paper-author) forms its first half once. Paths of a node to itself, the
    diagonal, are counted like all others.

    Args:
        relations: {name: CSR}, rows the type that the relation starts at, or a graph (its ``relations()``). Entries
            without values count 1, with values their product counts; copies of an entry are separate edges.
        path: names of relations, in order; ``"~name"`` is the relation turned round.
        counts: False: the pattern alone, without values: an entry wherever there is a path.
        dtype: of the counts; default torch's. They are added in float64 and rounded once (float32 is exact to 2^24).
        max_neighbors: keep only that many entries of each row while it is made: those of the largest counts, or with
            ``counts=False`` a uniform sample. For the best by path similarity: :func:`top_metapath_neighbors`.
        ties: of equal counts ``"hash"`` keeps those with the largest seeded hash of the pair, ``"index"`` those of
            higher id.
        seed: of the hash.

    Returns:
        CSR (N_first, N_last), columns ascending and listed once; no gradient. Nothing is ever dense. Time: one
        multiply-add per pair of meeting entries, twice.

    Raises:
        UnknownNameError: a name that is no relation; the message has the closest one.
        ShapeError: two steps do not fit each other; the message says which.
        EmptyGraphError: a relation without entries.
        OutOfMemoryError: the result would not fit; ``max_neighbors`` makes it smaller.
        DTypeError, NonFiniteError, GraphrepError: another argument is malformed.

    Example:
        >>> written = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), size=(2, 3))  # 3 papers, 2 authors
        >>> pap = metapath_adjacency({"PA": written}, ["PA", "~PA"])
        >>> pap.rowptr.tolist(), pap.col.tolist(), pap.value.tolist()
        ([0, 2, 4, 4], [0, 1, 0, 1], [2.0, 1.0, 1.0, 1.0])
    """
    steps = steps_of(relations, path)
    kind = (dtype or torch.get_default_dtype()) if counts else None
    if len(steps) == 1:
        return single_step(steps[0], kind, max_neighbors, ties, seed)
    left, right = factors(steps, counts=counts)
    return sparse_product(left, right, counts=counts, dtype=dtype, max_row=max_neighbors, ties=ties, seed=seed)


def path_similarity(counts: CSR) -> CSR:
    """How much more paths two nodes have to each other than to themselves: ``s_ij = 2 M_ij / (M_ii + M_jj)``.

    Args:
        counts: (N, N) path counts M of a path that goes back the way it came, such as :func:`metapath_adjacency` gives;
            without values every entry is 1. Columns of a row are listed once.

    Returns:
        CSR with the same pattern; values in the dtype of the counts, between 0 and 1 for counts of such a path.

    Raises:
        ShapeError: M is not square, or a row lists a column twice.
        NonFiniteError, GraphrepError: a count is NaN, infinite or negative, or the nodes of an entry both have no path
            to themselves.

    Source: Sun et al., VLDB 2011, definition 4.

    Example:
        >>> pap = metapath_adjacency({"PA": CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]))}, ["PA", "~PA"])
        >>> path_similarity(pap).value.tolist()
        [1.0, 0.6666666865348816, 0.6666666865348816, 1.0]
    """
    value = _checked_counts(counts)
    row, col = counts.row().long(), counts.col.long()
    diagonal = _diagonal(counts, value, row, col)
    both = diagonal[row] + diagonal[col]
    wide = value.double()
    _check_paths(wide, both, row, col)
    score = torch.where(wide == 0, 0, 2 * wide / both)
    return counts.with_value(score.to(value.dtype))


def top_neighbors(
    counts: CSR,
    k: int,
    *,
    ties: PathTies = "hash",
    seed: int = 0,
    score: PathScore = "similarity",
    self_pairs: bool = True,
) -> CSR:
    """The k best partners of every node by path similarity; the values stay counts.

    Args:
        counts: as for :func:`path_similarity`.
        k: entries of each row, the pair of a node with itself included; shorter rows keep all.
        ties: of equal scores ``"hash"`` takes those with the largest seeded hash of (row, column), so that no node is
            everybody's partner because of its number; ``"index"`` those of higher id, as the official code does.
        seed: of the hash.
        score: ``"similarity"``, or ``"count"`` for the largest counts (for paths that do not go back the way they
            came, which have no similarity).
        self_pairs: a node's pair with itself, where it has one, always stays. False: only if it is among the k best;
            with ``ties="index"`` this is the official rule.

    Returns:
        CSR (N, N), in general not symmetric; columns keep their order.

    Raises:
        GraphrepError: `k` is below 1.
        UnknownNameError: no such rule or score.
        ShapeError, NonFiniteError, GraphrepError: see :func:`path_similarity`.

    Example:
        >>> pap = metapath_adjacency({"PA": CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]))}, ["PA", "~PA"])
        >>> top_neighbors(pap, 1).col.tolist()
        [0, 1]
    """
    check_count(k, "k")
    _check_rule(ties, score)
    value = _checked_counts(counts)
    diagonal = None
    if score == "similarity":
        row, col = counts.row().long(), counts.col.long()
        diagonal = _diagonal(counts, value, row, col)
        _check_paths(value, diagonal[row] + diagonal[col], row, col)
    choice = choice_of(ties, seed, counts.device, diagonal=diagonal, keep_self=self_pairs)
    return rows_of(counts.with_value(value), best_rows(counts, value, k, choice))


def top_metapath_neighbors(
    relations: Mapping[str, CSR] | HeteroGraph,
    path: Sequence[str],
    k: int,
    *,
    ties: PathTies = "hash",
    seed: int = 0,
    score: PathScore = "similarity",
    self_pairs: bool = True,
    dtype: torch.dtype | None = None,
) -> CSR:
    """:func:`top_neighbors` of :func:`metapath_adjacency` in one pass, without the matrix of counts.

    Each row of the counts is made, scored and cut to its best k by itself; the paths of the nodes to themselves are
    found beforehand. Memory: the result, O(N k), the two halves of the path, and 40 bytes per node and thread.

    Args:
        relations: as for :func:`metapath_adjacency`.
        path: as there; it ends at the type it starts at.
        k: as for :func:`top_neighbors`, like `ties`, `seed`, `score` and `self_pairs`.
        ties: of equal scores.
        seed: of the hash.
        score: what is best.
        self_pairs: whether a node's pair with itself always stays.
        dtype: of the counts; default torch's.

    Returns:
        CSR (N, N), columns ascending.

    Raises:
        ShapeError: the path ends at another type than it starts at, as far as sizes tell.
        UnknownNameError, EmptyGraphError, GraphrepError: see :func:`metapath_adjacency` and :func:`top_neighbors`.

    Example:
        >>> written = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]))
        >>> top_metapath_neighbors({"PA": written}, ["PA", "~PA"], 1).col.tolist()
        [0, 1]
    """
    check_count(k, "k")
    _check_rule(ties, score)
    steps, kind = steps_of(relations, path), dtype or torch.get_default_dtype()
    if len(steps) == 1:
        counts = metapath_adjacency(relations, path, dtype=dtype)
        return top_neighbors(counts, k, ties=ties, seed=seed, score=score, self_pairs=self_pairs)
    left, right = factors(steps, counts=True)
    if left.num_rows != right.num_cols:
        raise ShapeError(
            f"the meta-path {path_names(path)} leads from {left.num_rows} to {right.num_cols} nodes.",
            hint="neighbours need a path that returns to the type it starts at",
        )
    diagonal = None
    if score == "similarity":
        for step in steps:
            if step.value is not None and bool((step.value < 0).any()):
                raise GraphrepError("a relation has negative weights.", hint='score="count"')
        # Rounded as the counts will be, so that scores are those of the stored matrix.
        diagonal = product_diagonal(left, right).to(torch.float64 if kind == torch.float64 else torch.float32)
    choice = choice_of(ties, seed, left.device, diagonal=diagonal, keep_self=self_pairs)
    best = product_of(left, right, kind, choice, k)
    if diagonal is not None and best.value is not None:
        row, col, wide = best.row().long(), best.col.long(), diagonal.double()
        _check_paths(best.value, wide[row] + wide[col], row, col)
    return best


def metapath_norm(csr: CSR) -> CSR:
    """The matrix of a view, ``D^-1/2 T' D^-1/2`` with D the row sums of T and T' its transpose.

    Args:
        csr: (N, N) T, not negative; without values every entry is 1. Gradients flow to the values.

    Returns:
        CSR (N, N) with the pattern of the transpose; entries of nodes whose row of T sums to 0 are 0.

    Raises:
        ShapeError: T is not square.
        NonFiniteError, GraphrepError: a value is NaN, infinite or negative.

    Source: the official code of MEOW (arXiv:2212.13847), which transposes; for a symmetric T it makes no difference.

    Example:
        >>> pap = metapath_adjacency({"PA": CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]))}, ["PA", "~PA"])
        >>> metapath_norm(pap).value.sum()
        tensor(1.9832)
    """
    value = _checked_values(csr)
    return csr.with_value(scaled(csr, value, "sym")).t()


def _checked_values(csr: CSR) -> Tensor:
    """(nnz,) values of a square matrix; 1 where it has none."""
    if csr.num_rows != csr.num_cols:
        raise ShapeError(
            f"the matrix has shape {csr.shape}; it must be square.", hint="a path that returns to its type"
        )
    if csr.value is None:
        return torch.ones(csr.nnz, device=csr.device)
    if csr.value.dim() != 1:
        raise ShapeError(f"the matrix has {csr.value.shape[1]} values per entry.", hint="one value per entry")
    if not bool(torch.isfinite(csr.value).all()):
        raise NonFiniteError("the matrix has values that are NaN or infinite.", hint="remove these entries")
    if bool((csr.value < 0).any()):
        raise GraphrepError("the matrix has negative values, which are no counts of paths.", hint="csr.value.clamp(0)")
    return csr.value


def _checked_counts(counts: CSR) -> Tensor:
    value = _checked_values(counts).detach()
    once = sorted_pattern(counts)
    if once.nnz != counts.nnz:
        where = int((once.degree() != counts.degree()).nonzero()[0])
        raise ShapeError(f"row {where} lists a column more than once.", hint="metapath_adjacency adds copies up")
    return value


def _diagonal(counts: CSR, value: Tensor, row: Tensor, col: Tensor) -> Tensor:
    """(N,) float64 paths of each node to itself."""
    loop = row == col
    diagonal = torch.zeros(counts.num_rows, dtype=torch.float64, device=counts.device)
    diagonal[row[loop]] = value[loop].double()
    return diagonal


def _check_paths(value: Tensor, both: Tensor, row: Tensor, col: Tensor) -> None:
    """Raises where two nodes have paths to each other and none to themselves."""
    bad = (both == 0) & (value != 0)
    if bool(bad.any()):
        where = int(bad.nonzero()[0])
        raise GraphrepError(
            f"nodes {int(row[where])} and {int(col[where])} have paths to each other but none to themselves, so they "
            "have no path similarity.",
            hint='a path that goes back the way it came, ["PA", "~PA"]; or score="count" in top_neighbors',
        )


def _check_rule(ties: str, score: str) -> None:
    if ties not in ("hash", "index"):
        raise UnknownNameError(f"ties is {ties!r}.", hint='"hash" or "index"')
    if score not in ("similarity", "count"):
        raise UnknownNameError(f"score is {score!r}.", hint='"similarity" or "count"')
