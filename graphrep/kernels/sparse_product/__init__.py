"""Sparse times sparse, row by row, with rows cut to their best entries while they are made.

Source: Gustavson, "Two Fast Algorithms for Sparse Matrices: Multiplication and Permuted Transposition", ACM TOMS 4(3),
1978.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, NonFiniteError, OutOfMemoryError, ShapeError
from graphrep.kernels._budget import ranges_within
from graphrep.kernels._check import check_device
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._expand import BLOCK_PRODUCTS
from graphrep.kernels._memory import free_bytes, row_offsets
from graphrep.kernels._select import row_entries
from graphrep.kernels._sorted import first_above
from graphrep.kernels.csr import CSR, index_dtype
from graphrep.kernels.sparse_product import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.sparse_product._choice import Choice, Ties, choice_of

__all__ = [
    "Choice",
    "Ties",
    "best_rows",
    "check_count",
    "check_fit",
    "check_matrix",
    "choice_of",
    "product_cost",
    "product_diagonal",
    "product_lengths",
    "product_of",
    "sparse_product",
]


def sparse_product(
    a: CSR,
    b: CSR,
    *,
    counts: bool = True,
    dtype: torch.dtype | None = None,
    max_row: int | None = None,
    ties: Ties = "hash",
    seed: int = 0,
) -> CSR:
    """C = A B as a sparse matrix; neither C nor anything else is ever dense.

    Args:
        a: (N, K); entries without values count 1, duplicate entries add up.
        b: (K, M).
        counts: the sums of products of values. False: the pattern alone, without values: which columns each row
            reaches through stored entries, whatever their values.
        dtype: of the values; default torch's. Sums are kept in float64 and rounded once.
        max_row: keep only that many entries of each row, those of largest value (as float32
            numbers, or float64 where that is `dtype`); the rest of a row is
            dropped as soon as the row is known. Default all. With ``counts=False`` all are equal, so `ties` decides:
            ``"hash"`` then is a uniform sample.
        ties: of equal entries ``"hash"`` keeps those with the largest seeded hash of (row, column), ``"index"`` those
            of larger column, ``"low"`` those of smaller column.
        seed: of the hash.

    Returns:
        CSR (N, M), columns ascending and listed once in each row; no gradient. Costs one multiply-add per pair of an
        entry of A and one of the row of B that it meets, twice (rows are counted first), and 40 bytes per column and
        thread. Same entries for any number of threads, and on every backend.

    Raises:
        OutOfMemoryError: the result, which is estimated and then counted before it is computed, would not fit.
        ShapeError, DTypeError, DeviceError, NonFiniteError, UnknownNameError, GraphrepError: an argument is malformed.

    Example:
        >>> a = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), size=(2, 3))
        >>> c = sparse_product(a, a.t())
        >>> c.rowptr.tolist(), c.col.tolist(), c.value.tolist()
        ([0, 2, 4, 4], [0, 1, 0, 1], [2.0, 1.0, 1.0, 1.0])
    """
    check_matrix(a, "a")
    check_matrix(b, "b")
    check_fit(a, b)
    if max_row is not None:
        check_count(max_row, "max_row")
    if dtype is not None and not dtype.is_floating_point:
        raise DTypeError(f"dtype is {dtype}; values are floating point.", hint="dtype=torch.float32")
    choice = choice_of(ties, seed, a.device)
    kind = (dtype or torch.get_default_dtype()) if counts else None
    return product_of(a, b, kind, choice, max_row)


def product_of(a: CSR, b: CSR, dtype: torch.dtype | None, choice: Choice, max_row: int | None = None) -> CSR:
    """The product of matrices that are known to fit; `dtype` None: its pattern."""
    cost = product_cost(a, b)
    limit = b.num_cols if max_row is None else min(max_row, b.num_cols)
    entry = 2 * a.col.element_size() + (0 if dtype is None else dtype.itemsize)

    def check(nnz: float) -> None:
        wanted, free = nnz * entry, free_bytes(a.device)
        if wanted > free:
            raise OutOfMemoryError(
                f"the product of {a.shape} and {b.shape} would have about {nnz:.3g} entries "
                f"({wanted / 2**30:.1f} GiB); {free / 2**30:.1f} GiB are free.",
                hint=f"max_row={max(1, limit // 2 if max_row else 64)} (max_neighbors of a meta-path) keeps the best",
            )

    offsets = product_lengths(a, b, limit, cost, check)
    nnz = int(offsets[-1])
    kind = index_dtype(a.num_rows, b.num_cols, nnz)
    rows = implementation("product_rows", a.device)
    col, value = rows(_weighted(a, dtype), _weighted(b, dtype), cost, offsets, choice, dtype)
    perm = torch.arange(nnz, dtype=kind, device=a.device)
    return CSR._trusted(offsets.to(kind), col.to(kind), value, b.num_cols, perm)


def product_lengths(a: CSR, b: CSR, limit: int, cost: Tensor, check: Callable[[float], None]) -> Tensor:
    """(num_rows + 1,) int64 offsets of the rows of the product, of at most `limit` entries each.

    `cost` is that of :func:`product_cost`; `check` raises where so many entries are too many.
    """
    count = implementation("product_counts", a.device)
    return row_offsets(lambda rows: count(a, b, rows, cost[rows], limit), a.num_rows, a.device, check)


def product_cost(a: CSR, b: CSR) -> Tensor:
    """(num_rows,) int64 terms that each row of the product sums up, and one more for the row."""
    degree = b.degree().long()
    total = torch.cat([degree.new_zeros(1), degree[a.col.long()].cumsum(0)])
    return total[a.rowptr[1:].long()] - total[a.rowptr[:-1].long()] + 1


def product_diagonal(a: CSR, b: CSR) -> Tensor:
    """(N,) float64 diagonal of the product of A (N, K) and B (K, N), by one search per entry of A.

    The columns of each row of B must ascend and be listed once.
    """
    out = torch.zeros(a.num_rows, dtype=torch.float64, device=a.device)
    rows, value = torch.arange(a.num_rows, device=a.device), _weighted(b, torch.float64).value
    weight = _weighted(a, torch.float64).value
    assert value is not None  # they were just given
    assert weight is not None
    for first, last in ranges_within(a.degree().long(), BLOCK_PRODUCTS):
        pointer, place = row_entries(a.rowptr, rows[first:last])
        row = torch.repeat_interleave(rows[first:last], pointer.diff(), output_size=place.numel())
        middle = a.col[place].long()
        high = b.rowptr[middle + 1].long()
        found = first_above(b.col, b.rowptr[middle].long(), high, row - 1)
        inside = found.clamp(max=max(b.nnz - 1, 0))
        hit = (found < high) & (b.col[inside] == row) if b.nnz else found < high
        product = torch.where(hit, weight[place] * value[inside], 0) if b.nnz else weight[place] * 0
        out[first:last] = torch.segment_reduce(product, "sum", lengths=pointer.diff())
    return out


def best_rows(csr: CSR, value: Tensor, k: int, choice: Choice) -> Tensor:
    """(nnz',) int64 positions, ascending, of the `k` best entries of each row; shorter rows keep all."""
    offsets = torch.zeros(csr.num_rows + 1, dtype=torch.int64, device=csr.device)
    offsets[1:] = csr.degree().long().clamp(max=k).cumsum(0)
    best: Tensor = implementation("best_entries", csr.device)(csr, value.detach(), offsets, choice)
    return best


def check_count(number: int, name: str) -> None:
    """Raises unless `number` is an integer of at least 1."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise GraphrepError(f"{name} must be an integer of at least 1; got {number!r}.", hint=f"{name}=64")


def check_fit(a: CSR, b: CSR) -> None:
    """Raises unless the product of the two exists."""
    check_device(a.device, b=b.rowptr)
    if a.num_cols != b.num_rows:
        raise ShapeError(
            f"a has shape {a.shape} and b {b.shape}: {a.num_cols} columns meet {b.num_rows} rows.",
            hint="a.t() or b.t() turns one of them",
        )


def check_matrix(csr: CSR, name: str) -> None:
    """Raises unless this is a CSR with one finite value per entry, or none."""
    if not isinstance(csr, CSR):
        raise DTypeError(f"{name} must be a CSR; got {type(csr).__name__}.", hint="CSR.from_scipy(matrix)")
    if csr.value is not None and csr.value.dim() != 1:
        raise ShapeError(f"{name} has {csr.value.shape[1]} values per entry.", hint="one value per entry")
    if csr.value is not None and not bool(torch.isfinite(csr.value).all()):
        raise NonFiniteError(f"{name} has values that are NaN or infinite.", hint="remove these entries")


def _weighted(csr: CSR, dtype: torch.dtype | None) -> CSR:
    """With float64 values of its own where the product has values."""
    if dtype is None:
        return csr
    if csr.value is None:
        return csr.with_value(torch.ones(csr.nnz, dtype=torch.float64, device=csr.device))
    return csr.with_value(csr.value.detach().double().contiguous())
