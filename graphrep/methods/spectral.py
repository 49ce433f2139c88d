"""Spectral embedding by randomised block Krylov iteration: the quality of exact eigenvectors for a few propagations.

Sources: Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011, doi 10.1137/090771806
(random start, Rayleigh-Ritz); Musco & Musco, NeurIPS 2015 (block Krylov instead of powers); Qin & Rohe, "Regularized
spectral clustering under the degree-corrected stochastic blockmodel", NeurIPS 2013 (degree regularisation).
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from typing import Any, Self

import torch
from torch import Tensor

from graphrep.data.check import GraphWarning, grouped
from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._numba import num_threads
from graphrep.kernels.projection import node_keys, random_gaussian
from graphrep.kernels.tall import one_thread
from graphrep.methods._fastrp_estimate import Estimate
from graphrep.methods._spectral_files import load_spectral, save_spectral
from graphrep.methods.base import Estimator
from graphrep.nn._krylov import EigenPairs, Progress, dense_eigenpairs, leading_eigenpairs

__all__ = ["RandomizedSpectral"]

_log = logging.getLogger("graphrep")
_SEED_STEP = 0x9E3779B97F4A7C15  # seeds of the random blocks of one fit lie this far apart (modulo 2^64)
_DENSE_ROWS = 64
_GATHER_RATE, _BLAS_RATE = 5e9, 30e9  # bytes and operations per second and thread, for the rough time
_EXTRA = 8  # pairs kept at a restart beyond those wanted: they carry on what is about to enter


class RandomizedSpectral(Estimator):
    """Leading eigenvectors of the regularised normalised adjacency, approximated by randomised block Krylov iteration.

    ``S = D^-1/2 A D^-1/2`` with A symmetric and ``D = diag(A 1) + tau I``. From a random block X the space spanned by
    X, SX, S^2 X, ... is built with full orthogonalisation up to ``basis * (dim + 1)`` columns, compressed to the best
    approximations and grown again `restarts` times; the result is the Rayleigh-Ritz approximation of the eigenvectors
    of the largest eigenvalues, without the first, which says little beyond the degrees. With the default settings this
    is *not* a converged eigensolver: leading vectors are accurate to many digits, the last ones are mixtures with their
    neighbours in the spectrum. `residuals_` says how good each is; more `restarts` with `tol` converge to any accuracy.

    Negative eigenvalues (a bipartite-like structure) are not used. A directed graph is embedded as A + A'. A node
    without neighbours gets a zero row. Parallel edges count as often as they occur.

    Args:
        dim: d, columns of the embedding.
        normalize: rows to unit length, for cosine similarity and clustering. False: columns are orthonormal
            eigenvectors times the power of their eigenvalue.
        eigenvalue_power: column k is multiplied by ``max(lambda_k, 0) ** eigenvalue_power`` first. 0 leaves the vectors
            alone; 1 equals one more propagation and damps what converged least.
        regularization: tau in units of the mean degree. Without it (0) a disconnected graph spends a column on every
            small component. On a connected graph, 0 with `eigenvalue_power` 0 approximates scikit-network's
            ``Spectral``. The defaults of these two were chosen once, on several public graphs with their labels.
        skip_first: leave out the leading eigenvector.
        standardize: columns to mean 0 and standard deviation 1 at the very end.
        restarts: largest number of restarts; each costs about ``(basis - 1) (dim + 1)`` more columns of propagation.
        tol: no further restart once all residuals are at most this.
        basis: size of the Krylov space in units of ``dim + 1``, at least 1.5.
        block_size: columns propagated at a time; None: 32, less for a small `dim`.
        seed: of the random start; a node's numbers depend on (seed, node id) alone.
        dtype: torch.float32 or torch.float64.

    Attributes:
        embedding_: (N, d).
        eigenvalues_: (r,) float64, descending, of the r = min(d, nodes with neighbours - 1) columns that can be filled;
            further columns are zero.
        residuals_: (r,) float64, |S v - lambda v|: an eigenvalue of S lies within this distance of lambda.
        num_passes_: propagations of d columns that the fit cost.
        num_restarts_: restarts used.
        ids_: external ids of the rows, None for 0..N-1.

    Determinism: sums run over fixed blocks of rows and BLAS runs on one thread within a block, so the number of threads
    and the order of the edges do not change a byte; another CPU model or torch version may change the last bits.
    In each eigenvector the entry of largest magnitude is positive. Vectors of (nearly) equal eigenvalues are defined up
    to a rotation only, whatever the method. A graph with few nodes is solved in float64 by a dense solver.

    Memory: about (basis + 1) N d numbers at the peak.

    Raises:
        GraphrepError, ShapeError, DTypeError: an argument out of range, or a negative edge weight (raised by `fit`).

    Example:
        >>> edges = torch.tensor([[0, 1, 0, 3, 4, 3, 2], [1, 2, 2, 4, 5, 5, 3]])  # two triangles and a bridge
        >>> model = RandomizedSpectral(dim=2).fit(edges)
        >>> model.embedding_.shape, bool((model.embedding_[:3, 0] * model.embedding_[3:, 0] < 0).all())
        (torch.Size([6, 2]), True)
    """

    def __init__(
        self,
        dim: int = 128,
        *,
        normalize: bool = True,
        eigenvalue_power: float = 1.0,
        regularization: float = 0.05,
        skip_first: bool = True,
        standardize: bool = False,
        restarts: int = 1,
        tol: float = 0.0,
        basis: float = 2.75,
        block_size: int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dim = dim
        self.normalize = normalize
        self.eigenvalue_power = eigenvalue_power
        self.regularization = regularization
        self.skip_first = skip_first
        self.standardize = standardize
        self.restarts = restarts
        self.tol = tol
        self.basis = basis
        self.block_size = block_size
        self.seed = seed
        self.dtype = dtype

    def fit(self, graph: Any, *, progress: Progress | None = None) -> Self:
        """Computes the embedding of `graph`.

        Args:
            graph: anything :meth:`Graph.coerce` takes.
            progress: called as progress(pass, entries done, all entries) after each propagation of a block.
        """
        self._check()
        graph = Graph.coerce(graph)
        csr, scale = self._operator(graph)
        pairs = self._solve(csr, scale, node_keys(graph.ids, graph.num_nodes), progress)
        first = 1 if self.skip_first else 0
        self.eigenvalues_, self.residuals_ = pairs.values[first:], pairs.residuals[first:]
        self.num_passes_ = pairs.num_columns / self.dim
        self.num_restarts_ = pairs.num_restarts
        self.ids_ = graph.ids
        with one_thread():  # which of equal maxima is found first must not depend on the threads
            self.embedding_ = self._output(pairs.vectors[:, first:])
        return self

    def fit_transform(self, graph: Any, *, progress: Progress | None = None) -> Tensor:
        """`fit`, then the embedding (N, d)."""
        return self.fit(graph, progress=progress).embedding_

    def embed(self, graph: Any) -> Tensor:
        """The embedding (N, d) of any graph with these settings; keeps no state."""
        return type(self)(**self.get_params()).fit(graph).embedding_

    def estimate(self, num_nodes: int, num_edges: int, *, weighted: bool = False, num_features: int = 0) -> Estimate:
        """Peak memory and rough time with all restarts for a graph of that size (`num_edges` stored entries).

        Example:
            >>> RandomizedSpectral(dim=128).estimate(1_000_000, 20_000_000).bytes < 2.5e9
            True
        """
        self._check()
        wanted, width, keep, basis = self._shape(num_nodes)
        item = self.dtype.itemsize
        matrix = (num_nodes + 1 + num_edges) * 4 + (num_edges * item if weighted else 0) + num_nodes * 40
        buffers = num_nodes * item * (basis + max(3 * width, wanted))
        columns = basis + self.restarts * (basis - keep)
        threads = num_threads()
        seconds = columns * num_edges * item / _GATHER_RATE + 6 * num_nodes * columns * basis / _BLAS_RATE
        return Estimate(int(matrix + buffers), seconds / threads, threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``model.toml`` and ``model.safetensors`` into folder `path`."""
        self._fitted("embedding_")
        save_spectral(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RandomizedSpectral:
        """The model saved in folder `path`.

        Raises:
            FileFormatError: the folder does not hold a saved model of this kind.
        """
        return load_spectral(cls, path)

    def _check(self) -> None:
        least = {"dim": 1, "eigenvalue_power": 0, "regularization": 0, "restarts": 0, "tol": 0, "basis": 1.5}
        for name, bound in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise DTypeError(f"{name} must be a number; got {value!r}.")
            if not bound <= value < math.inf:
                raise ShapeError(f"{name} must be at least {bound} and finite; got {value}.")
        for name in ("dim", "restarts", "seed", "block_size"):
            value = getattr(self, name)
            if not isinstance(value, int) and not (name == "block_size" and value is None):
                raise DTypeError(f"{name} must be an integer; got {value!r}.")
        if self.block_size is not None and self.block_size < 1:
            raise ShapeError(f"block_size must be at least 1; got {self.block_size}.", hint="block_size=None")
        if self.dtype not in (torch.float32, torch.float64):
            raise DTypeError(f"dtype must be float32 or float64; got {self.dtype}.", hint="torch.float32")

    def _shape(self, num_active: int) -> tuple[int, int, int, int]:
        """Pairs wanted, columns of a block, pairs kept at a restart, columns of the basis."""
        wanted = min(self.dim + self.skip_first, num_active)
        width = self.block_size or max(8, min(32, self.dim // 4))
        keep = wanted + _EXTRA
        return wanted, width, keep, max(math.ceil(self.basis * wanted), keep + 4 * width)

    def _operator(self, graph: Graph) -> tuple[CSR, Tensor]:
        """A and the diagonal of D^-1/2 as (N, 1) float64, 0 for nodes without neighbours."""
        csr = graph.csr("in") if graph.is_undirected() else graph.csr("both")
        if csr.value is not None:
            value = csr.value.detach()
            if value.numel() and float(value.min()) < 0:
                at = (value < 0).nonzero().reshape(-1)
                at = at[csr.perm[at].argmin()]
                raise GraphrepError(
                    f"edge_weight[{int(csr.perm[at])}] is {float(value[at]):g}; spectral embedding needs weights >= 0.",
                    hint="drop the negative edges, or shift the weights",
                )
            csr = csr.with_value(value)
        degree: Tensor = spmm(csr, torch.ones((csr.num_cols, 1), dtype=torch.float64, device=csr.device))
        empty = degree == 0
        if bool(empty.any()):
            warnings.warn(
                f"{grouped(int(empty.sum()))} of {grouped(graph.num_nodes)} nodes have no neighbours: "
                "their vectors are zero.",
                GraphWarning,
                stacklevel=3,
            )
        tau = self.regularization * float(degree.sum()) / max(int((~empty).sum()), 1)
        return csr, (degree + tau).rsqrt().masked_fill_(empty, 0.0)

    def _solve(self, csr: CSR, scale: Tensor, keys: Tensor, progress: Progress | None) -> EigenPairs:
        active = scale[:, 0].nonzero().reshape(-1)
        wanted, width, keep, basis = self._shape(active.numel())
        if active.numel() <= max(basis + width, _DENSE_ROWS):
            return dense_eigenpairs(csr, scale, active, wanted, self.dtype)
        keys = keys.to(csr.device)

        def fresh(index: int) -> Tensor:
            block = random_gaussian(keys, width, seed=self.seed + index * _SEED_STEP, dtype=self.dtype)
            return block.masked_fill_(scale == 0, 0.0)

        limits = {"basis": basis, "keep": keep, "restarts": self.restarts}
        return leading_eigenpairs(csr, scale, fresh, wanted, tol=self.tol, progress=progress, **limits)

    def _output(self, vectors: Tensor) -> Tensor:
        """Signs, eigenvalue weights, row or column scaling; zero columns up to d."""
        found = vectors.shape[1]
        if vectors.numel():
            factor = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))[0].sign()
            if self.eigenvalue_power:
                factor = factor * (self.eigenvalues_.clamp(min=0.0) ** self.eigenvalue_power).to(vectors)
            vectors = vectors.mul_(factor)
        if self.normalize:
            vectors = torch.nn.functional.normalize(vectors, eps=1e-30)
        if self.standardize:
            deviation = vectors.std(dim=0, correction=0)
            vectors = (vectors - vectors.mean(dim=0)) / torch.where(deviation > 0, deviation, 1.0)
        if found < self.dim:
            _log.info("%d of %d columns can be filled; the others are zero", found, self.dim)
            vectors = torch.nn.functional.pad(vectors, (0, self.dim - found))
        return vectors.contiguous()
