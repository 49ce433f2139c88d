"""The leading singular triplets of a sparse matrix: the dense view of LightGCL, in any accuracy, always the same."""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from graphrep.data.check import GraphWarning
from graphrep.errors import EmptyGraphError, GraphrepError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._counter import check_seed
from graphrep.kernels.projection import random_gaussian
from graphrep.kernels.tall import one_thread
from graphrep.nn._components import connected_components
from graphrep.nn._krylov import leading_eigenpairs

__all__ = ["Component", "Triplets", "svd_view"]

Component: TypeAlias = Literal["all", "largest"]

_EXACT = 1 << 22  # numbers of a dense matrix that is decomposed exactly
_WIDTH = 8  # columns multiplied at a time
_DOUBLE_BYTES = 1 << 28  # a Krylov basis up to this size is kept in float64
_RESTARTS = 60
_POWERS = 6
_DEGENERATE = 1e-4
_SEED_STEP = 0x9E3779B97F4A7C15


class Triplets(NamedTuple):
    """Singular triplets, largest first: ``U diag(S) V'``."""

    U: Tensor
    S: Tensor
    V: Tensor


def svd_view(
    adj: CSR,
    rank: int,
    *,
    iters: int | Literal["auto"] = "auto",
    oversample: int = 10,
    tol: float = 1e-4,
    component: Component = "all",
    seed: int = 0,
) -> Triplets:
    """The `rank` leading singular triplets of a sparse matrix, by randomised block Krylov iteration.

    The sign of each pair is such that the entry of U with the largest absolute value is positive.

    Args:
        adj: (I, J) matrix with values; without values every entry is 1. Repeated entries add up.
        rank: q, at least 1; more than min(I, J) is cut to that, with a warning.
        iters: ``"auto"``: until every residual ``|A'u - s v|`` is at most `tol` of the largest singular value. An
            integer: randomised subspace iteration with that many rounds, which is not converged where the spectrum
            decays slowly; 2 with `oversample` 0 is what the authors of LightGCL do (``torch.svd_lowrank``).
        oversample: columns beyond q that are iterated along.
        tol: see `iters`; no effect with an integer.
        component: ``"all"``, or ``"largest"``: only the connected component with the most rows and columns, the others
            get zeros.
        seed: of the random start.

    Returns:
        U (I, q), S (q,), V (J, q) in the type of the values (float32 for half types). Columns beyond the rank of the
        matrix are zero. O(nnz (q + oversample)) per round and O((I + J) (q + oversample)) memory.

    Warns:
        GraphWarning: q was cut; the accuracy was not reached; or the spectrum is degenerate: with ``s_q > (1 - 1e-4)
            s_1`` the triplets are arbitrary within one large space. That happens where a normalised matrix has q or
            more connected components, each with singular value 1: ``component="largest"`` has a view of its own.

    Raises:
        EmptyGraphError: no entries.
        NonFiniteError, ShapeError, GraphrepError, UnknownNameError: an argument is malformed.

    Source: Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011; Musco & Musco,
    "Randomized block Krylov methods", NeurIPS 2015.

    Example:
        >>> adj = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), torch.tensor([3.0, 0.0, 2.0]))
        >>> view = svd_view(adj, 2)
        >>> view.S.tolist(), view.U.abs().round().tolist()
        ([3.0, 2.0], [[1.0, 0.0], [0.0, 1.0]])
    """
    value = _checked(adj, rank, iters, oversample, tol, component)
    kind = value.dtype if value.dtype.itemsize > 2 else torch.float32
    adj = _nonzero(adj.with_value(value.to(torch.float64)))
    if component == "largest":
        adj = _largest(adj)
    rows, cols = (adj.degree() > 0).nonzero().reshape(-1), torch.unique(adj.col.long())
    limit = min(len(rows), len(cols))
    if not limit:
        raise EmptyGraphError("the matrix has no entries, so it has no view.", hint="at least one interaction")
    wanted = min(rank, limit)
    if wanted < rank:
        where = f"the matrix has {limit} rows or columns with entries"
        _warn(f"rank {rank} was cut to {wanted}: {where}.")
    keep = wanted + oversample
    basis = max(3 * keep, keep + 4 * _WIDTH)
    if len(rows) * len(cols) <= _EXACT or len(rows) + len(cols) <= basis + _WIDTH:  # Krylov needs room around its basis
        found = _exact(adj, rows, cols, wanted)
    elif iters == "auto":
        found = _converged(adj, wanted, keep, basis, tol, seed)
    else:
        found = _iterated(adj, wanted, iters, min(keep, limit), seed)
    if wanted > 1 and float(found.S[-1]) > (1 - _DEGENERATE) * float(found.S[0]):
        _warn(
            f"degenerate spectrum: the singular values 1 to {wanted} are equal (to 1e-4), so the view is arbitrary "
            'among them. A normalised matrix has one of 1 per connected component; component="largest" avoids that.'
        )
    return Triplets(*(part.to(kind) for part in found))


def _checked(adj: CSR, rank: int, iters: object, oversample: int, tol: float, component: str) -> Tensor:
    for name, number, least in (("rank", rank, 1), ("oversample", oversample, 0), ("iters", iters, 0)):
        if name == "iters" and number == "auto":
            continue
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise GraphrepError(f"{name} must be an integer of {least} or more; got {number!r}.", hint=f"{name}={5}")
    if not (math.isfinite(tol) and tol > 0):
        raise GraphrepError(f"tol must be positive and finite; got {tol}.", hint="tol=1e-4")
    if component not in ("all", "largest"):
        raise UnknownNameError(f'component is "{component}".', hint='"all" or "largest"')
    value = torch.ones(adj.nnz, device=adj.device) if adj.value is None else adj.value.detach()
    if value.dim() != 1:
        raise ShapeError(f"the matrix has values of shape {tuple(value.shape)}.", hint="one number per entry")
    if not bool(torch.isfinite(value).all()):
        raise NonFiniteError("the matrix has NaN or infinity.", hint="leave those entries out")
    return value


def _warn(text: str) -> None:
    warnings.warn(text, GraphWarning, stacklevel=3)


def _picked(adj: CSR, keep: Tensor) -> CSR:
    """The same shape with some of the entries."""
    assert adj.value is not None
    edges = torch.stack([adj.col[keep], adj.row()[keep]])
    return CSR.from_edge_index(edges, adj.value[keep], size=(adj.num_cols, adj.num_rows))


def _nonzero(adj: CSR) -> CSR:
    assert adj.value is not None
    keep = adj.value != 0
    return adj if bool(keep.all()) else _picked(adj, keep)


def _symmetric(adj: CSR) -> CSR:
    """[[0, A], [A', 0]], whose positive eigenvalues are the singular values of A, with vectors (u, v) / sqrt 2."""
    row, col = adj.row(), adj.col + adj.num_rows
    edges = torch.stack([torch.cat([col, row]), torch.cat([row, col])])
    size = adj.num_rows + adj.num_cols
    assert adj.value is not None
    return CSR.from_edge_index(edges, torch.cat([adj.value, adj.value]), size=(size, size))


def _largest(adj: CSR) -> CSR:
    """The entries of the component with the most rows and columns; of equal ones, the one with the first row."""
    part = connected_components(_symmetric(adj)).to(adj.device)
    return _picked(adj, part[adj.row()] == part.bincount().argmax())


def _exact(adj: CSR, rows: Tensor, cols: Tensor, rank: int) -> Triplets:
    """By a dense matrix of the rows and columns that have entries."""
    assert adj.value is not None
    dense = adj.value.new_zeros(len(rows), len(cols))
    place = torch.searchsorted(rows, adj.row().long()), torch.searchsorted(cols, adj.col.long())
    dense.index_put_(place, adj.value, accumulate=True)
    left, values, right = _svd(dense)
    full = [
        part.new_zeros(size, part.shape[1]).index_copy_(0, index.cpu(), part)
        for part, size, index in ((left, adj.num_rows, rows), (right, adj.num_cols, cols))
    ]
    return _signed(full[0], values, full[1], rank, adj.device)


def _iterated(adj: CSR, rank: int, iters: int, width: int, seed: int) -> Triplets:
    """Randomised subspace iteration: Halko et al., algorithm 4.4."""
    start = random_gaussian(torch.arange(adj.num_cols), width, seed=seed, dtype=torch.float64).to(adj.device)
    basis, other = _orthonormal(spmm(adj, start)), adj.t()
    for _ in range(iters):
        basis = _orthonormal(spmm(adj, _orthonormal(spmm(other, basis))))
    right, values, left = _svd(spmm(other, basis))
    return _signed(basis @ left.to(basis), values, right, rank, adj.device)


def _converged(adj: CSR, rank: int, keep: int, basis: int, tol: float, seed: int) -> Triplets:
    matrix = _symmetric(adj)
    active = matrix.degree() > 0
    bound, size = _norm_bounds(adj)
    wide = matrix.num_rows * basis * 8 <= _DOUBLE_BYTES
    kind = torch.float64 if wide else torch.float32
    scale = torch.where(active, bound**-0.5, 0.0).double()[:, None]
    keys = torch.arange(matrix.num_rows, device=adj.device)

    def fresh(index: int) -> Tensor:
        block = random_gaussian(keys, _WIDTH, seed=check_seed(seed + index * _SEED_STEP), dtype=kind)
        return block.masked_fill_(~active[:, None], 0.0)

    wanted = tol * size / bound
    pairs = leading_eigenpairs(matrix, scale, fresh, rank, basis=basis, keep=keep, restarts=_RESTARTS, tol=wanted)
    reached = float(pairs.residuals.max()) / wanted
    if reached > 1:
        _warn(f"the view is accurate to {reached * tol:.1e}, not to tol={tol:g}.")
    right = _orthonormal(pairs.vectors[adj.num_rows :].double())
    left, values, mix = _svd(spmm(adj, right))
    return _signed(left, values, right @ mix.to(right), rank, adj.device)


def _norm_bounds(adj: CSR) -> tuple[float, float]:
    """An upper bound of the largest singular value, and a lower one of that of the absolute values.

    For any x > 0 the largest eigenvalue of a non-negative M = |A|'|A| is at most max_i (M x)_i / x_i (Collatz and
    Wielandt); with x the root of the degrees that is exact where A is a normalised adjacency.
    """
    assert adj.value is not None
    size = adj.with_value(adj.value.abs())
    other = size.t()
    x = other.degree().double().sqrt()[:, None]
    active = x > 0
    highest = lowest = 0.0
    for _ in range(_POWERS):
        image = spmm(other, spmm(size, x))
        ratio = float((image[active] / x[active]).max())
        highest = min(highest, ratio) if highest else ratio
        lowest = max(lowest, float((image * x).sum() / x.square().sum()))
        x = image / image.max()
        x[active] = x[active].clamp(min=1e-30)
    return math.sqrt(highest) * (1 + 1e-12), math.sqrt(lowest)


def _orthonormal(rows: Tensor) -> Tensor:
    with one_thread():
        basis: Tensor = torch.linalg.qr(rows.cpu())[0]
    return basis.to(rows.device)


def _svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, V of a matrix with few columns (or few entries), on the host and one thread."""
    with one_thread():
        left, values, right = torch.linalg.svd(matrix.cpu().double(), full_matrices=False)
    return left, values, right.t()


def _signed(left: Tensor, values: Tensor, right: Tensor, rank: int, device: torch.device) -> Triplets:
    """The first triplets with their signs settled; zeros where the singular value is one of rounding."""
    left, values, right = left[:, :rank].cpu(), values[:rank], right[:, :rank].cpu()
    sign = left.gather(0, left.abs().argmax(dim=0, keepdim=True))[0].sign()
    sign = torch.where(values > 1e-12 * values[0], sign, 0.0)
    return Triplets(*(part.to(device) for part in (left * sign, values * sign.abs(), right * sign)))
