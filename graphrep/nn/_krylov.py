"""Leading eigenpairs of a symmetric operator by block Krylov iteration from a random start, in fixed memory.

The space of blocks X, SX, S^2 X, ... is built with full orthogonalisation and the best approximations in it are taken
(Rayleigh-Ritz); when the space is full it is compressed to the best ones and grown again (thick restart). Per column
that is multiplied this converges much faster than subspace iteration, which throws the smaller powers away.
Sources: Musco & Musco, "Randomized block Krylov methods for stronger and faster approximate singular value
decomposition", NeurIPS 2015; Wu & Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems",
SIAM J. Matrix Anal. Appl. 22(2), 2000; orthonormalisation from the Gram matrix: Stathopoulos & Wu, SIAM J. Sci. Comput.
23(6), 2002.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphrep.kernels import CSR, spmm
from graphrep.kernels._numba import empty_output
from graphrep.kernels.tall import combine_columns, cross_product, one_thread, subtract_product

__all__ = ["EigenPairs", "Progress", "dense_eigenpairs", "eigh", "leading_eigenpairs"]

Fresh = Callable[[int], Tensor]
Progress = Callable[[int, int, int], None]

_NULL = {torch.float32: 1e-5, torch.float64: 1e-12}  # a residual direction this short is rounding error (|S| <= 1)
_SQUARE = {torch.float32: 2e-6, torch.float64: 1e-13}  # accepted deviation of a Gram matrix from the identity
_SHORT = 0.05  # shorter residuals have lost digits to cancellation and are projected again
_MAX_ROUNDS = 8


@dataclass(frozen=True)
class EigenPairs:
    """Approximate eigenpairs, largest eigenvalue first.

    Attributes:
        values: (k,) float64.
        vectors: (N, k), orthonormal columns.
        residuals: (k,) float64, norms |S v - lambda v|; some eigenvalue of S lies within that distance of lambda.
        num_columns: vectors that were multiplied by S.
        num_restarts: times the space was compressed.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    num_columns: int
    num_restarts: int


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues in descending order and vectors of a small symmetric matrix, on one thread.

    LAPACK's vectors change in the last bits with the number of threads, and so would every later result.
    """
    with one_thread():
        values, vectors = torch.linalg.eigh(matrix.to("cpu", torch.float64))
    return values.flip(0), vectors.flip(1)


def dense_eigenpairs(csr: CSR, scale: Tensor, rows: Tensor, k: int, dtype: torch.dtype) -> EigenPairs:
    """Exact pairs when the operator acts on few rows: the basis would be the whole space.

    Args:
        csr: A, symmetric.
        scale: s, (N, 1); S = diag(s) A diag(s).
        rows: (n,) rows where S is not zero; one n x n matrix is built.
        k: pairs wanted, k <= n.
        dtype: of the vectors.
    """
    count = rows.numel()
    if count == 0:
        none = torch.zeros(0, dtype=torch.float64)
        return EigenPairs(none, torch.zeros((csr.num_rows, 0), dtype=dtype, device=rows.device), none, 0, 0)
    unit = torch.zeros((csr.num_rows, count), dtype=torch.float64, device=rows.device)
    unit[rows, torch.arange(count, device=rows.device)] = 1.0
    matrix: Tensor = (spmm(csr, unit * scale) * scale)[rows]
    values, vectors = eigh((matrix + matrix.t()) / 2)
    values, vectors = values[:k], vectors[:, :k].to(rows.device)
    residuals = (matrix @ vectors - vectors * values.to(rows.device)).norm(dim=0).cpu()
    full = torch.zeros((csr.num_rows, k), dtype=dtype, device=rows.device)
    full[rows] = vectors.to(dtype)
    return EigenPairs(values, full, residuals, count, 0)


def leading_eigenpairs(
    csr: CSR,
    scale: Tensor,
    fresh: Fresh,
    k: int,
    *,
    basis: int,
    keep: int,
    restarts: int,
    tol: float,
    progress: Progress | None = None,
) -> EigenPairs:
    """The k largest eigenvalues of S = diag(s) A diag(s), whose norm must not exceed 1, with their vectors.

    Args:
        csr: A, symmetric.
        scale: s, (N, 1).
        fresh: t -> (N, b), the t-th block of random vectors; t = 0 is the start, the others replace lost directions.
        k: number of pairs.
        basis: columns of the space at its largest, the memory in units of N numbers.
        keep: columns kept at a restart, k <= keep <= basis - b.
        restarts: largest number of restarts.
        tol: stop restarting when every residual is at most this.
        progress: called as progress(block, entries done, all entries) after each block.
    """
    start = fresh(0)
    space = _Space(csr, scale, fresh, start, basis)
    space.append(space.orthonormal(start))
    restart = 0
    while True:
        rest = space.grow(progress)
        values, mix, residuals = space.ritz(rest)
        if restart == restarts or float(residuals[:k].max()) <= tol:
            break
        space.compress(values[:keep], mix[:, :keep])
        space.append(space.orthonormal(rest), arrow=True)
        restart += 1
    del rest
    vectors = space.compress(values[:k], mix[:, :k]).clone()
    return EigenPairs(values[:k], vectors, residuals[:k], space.num_columns, restart)


class _Space:
    """Orthonormal basis B (N, basis) with the projected operator H = B' S B, grown block by block."""

    def __init__(self, csr: CSR, scale: Tensor, fresh: Fresh, start: Tensor, basis: int) -> None:
        rows, self.width = start.shape
        on_host = start.device.type == "cpu"
        self.basis = empty_output((rows, basis), start.dtype) if on_host else start.new_empty((rows, basis))
        self.projected = torch.zeros((basis, basis), dtype=torch.float64)
        self.size = 0
        self.num_columns = 0
        self._local = 0  # first column that the newest block's image can overlap with, beyond rounding
        self._csr = csr
        self._scale = scale.to(start.dtype)
        self._fresh = fresh
        self._drawn = 0

    def append(self, block: Tensor, *, arrow: bool = False) -> None:
        """Adds an orthonormal block; with `arrow` its image overlaps the whole space (first block after a restart)."""
        self.basis[:, self.size : self.size + self.width] = block
        self._local = 0 if arrow else max(0, self.size - self.width)
        self.size += self.width

    def grow(self, progress: Progress | None) -> Tensor:
        """Fills the space; returns the part of the last image that lies outside, (N, b)."""
        while True:
            image = self._image(self.basis[:, self.size - self.width : self.size])
            self.num_columns += self.width
            if progress is not None:
                progress(self.num_columns // self.width, self._csr.nnz, self._csr.nnz)
            self._project(image)
            if self.size + self.width > self.basis.shape[1]:
                return image
            self.append(self.orthonormal(image))

    def _image(self, block: Tensor) -> Tensor:
        """S times a block of columns."""
        image: Tensor = spmm(self._csr, block * self._scale)
        return image.mul_(self._scale)

    def _project(self, image: Tensor) -> None:
        """Removes the space from the newest block's image in place and records the coefficients in H.

        S B_j lies in the span of blocks j-1, j and j+1. These are removed first; one pass over all then restores the
        orthogonality that rounding loses.
        """
        new = slice(self.size - self.width, self.size)
        local = _remove(self.basis[:, self._local : self.size], image)
        total = _remove(self.basis[:, : self.size], image)
        total[self._local :] += local
        self.projected[: self.size, new] = total
        self.projected[new, : self.size] = total.t()
        corner = self.projected[new, new]
        self.projected[new, new] = (corner + corner.t()) / 2

    def orthonormal(self, block: Tensor) -> Tensor:
        """Makes `block`, which lies outside the space, orthonormal in place; lost directions are drawn again."""
        for _ in range(_MAX_ROUNDS):
            gram = cross_product(block, block, double=True)
            if float((gram - torch.eye(self.width, dtype=gram.dtype)).abs().max()) <= _SQUARE[block.dtype]:
                break
            squares, mix = eigh(gram)
            length = squares.clamp(min=0.0).sqrt()
            lost = length <= _NULL[block.dtype]
            if bool(lost.any()):
                combine_columns(block, mix * torch.where(lost, 0.0, 1 / length))
                block[:, lost.to(block.device)] = self._draw(int(lost.sum()))
            else:
                combine_columns(block, (mix / length) @ mix.t())
            if float(length.min()) < _SHORT:
                _remove(self.basis[:, : self.size], block)
        return block

    def _draw(self, count: int) -> Tensor:
        """`count` random unit vectors outside the space."""
        self._drawn += 1
        block = self._fresh(self._drawn)[:, :count]
        with one_thread():
            block /= block.norm(dim=0)
        _remove(self.basis[:, : self.size], block)
        return block

    def ritz(self, rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values (descending), their coefficients in the basis, and residual norms from the outside part."""
        values, mix = eigh(self.projected[: self.size, : self.size])
        last = mix[self.size - self.width : self.size]
        residuals = ((cross_product(rest, rest, double=True) @ last) * last).sum(0).clamp(min=0.0).sqrt()
        return values, mix, residuals

    def compress(self, values: Tensor, mix: Tensor) -> Tensor:
        """Replaces the basis by B @ mix, whose projected operator is diagonal; returns it."""
        vectors = combine_columns(self.basis[:, : self.size], mix)
        self.size = values.numel()
        self.projected.zero_()
        self.projected.diagonal()[: self.size] = values
        return vectors


def _remove(basis: Tensor, block: Tensor) -> Tensor:
    """Subtracts from `block`, in place, its projection on the columns of `basis`; returns the coefficients."""
    coefficients = cross_product(basis, block)
    subtract_product(block, basis, coefficients)
    return coefficients
