"""FastRP: node embeddings by very sparse random projection of neighbourhood averages.

Chen, Sultan, Tian, Chen, Skiena, "Fast and Accurate Network Embeddings via Very Sparse Random Projection", CIKM 2019,
doi 10.1145/3357384.3357879; with the extensions of Neo4j Graph Data Science (features, self influence, weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor

from graphrep.kernels.projection import standardize_
from graphrep.methods._fastrp_input import Problem, prepare, warn_isolated
from graphrep.methods._fastrp_merge import concatenated, merge_powers, standardized
from graphrep.methods._fastrp_passes import Progress, all_powers, run_passes, spare_signs
from graphrep.methods._fastrp_settings import Settings, resolve
from graphrep.methods._fastrp_start import (
    FeatureScale,
    Start,
    feature_signs,
    fit_feature_scale,
    given_start,
    make_start,
)
from graphrep.methods.base import Estimator

__all__ = ["FastRP"]


class FastRP(Estimator):
    """Training-free embedding: random vectors averaged over neighbours a few times, the averages added with weights.

    With R a random (N, dim) matrix, s_j the total weight of node j and M = D^-1 A the mean over neighbours::

        U_1 = M diag(s ** degree_exponent) R,   U_k = M U_{k-1},
        E_i = self_weight * n(R_i) + sum_k weights[k-1] * n(U_k,i),   n(v) = v / |v|  (zero stays zero)

    The row of R depends on (seed, node id, coordinate) alone: the result has the same bytes for any number of threads,
    any order of the edges, and, given ids, any numbering of the nodes. Parallel edges count as often as they occur.
    A bipartite graph needs an odd and an even power with weight, as the default has, for both sides to be seen.

    Args:
        dim: coordinates d.
        weights: w_1..w_q of the powers. The published BlogCatalog result has (0, 0, 1, 6.67).
        self_weight: w_0, weight of the node's own start vector.
        degree_exponent: usually in [-1, 0]; negative damps hubs. Nodes without neighbours have the factor 1.
        transition: divide by the total weight (M = D^-1 A); False: M = A.
        density: share of non-zero entries of R: a number in (0, 1], ``"auto"`` (1/sqrt(N)), or ``"gaussian"``.
        normalize: scale the rows of each power to unit length before adding them.
        standardize: end with columns of mean 0 and standard deviation 1 over all nodes (as the authors' code does).
        concat: put the powers side by side, (N, q dim), instead of adding them (weights and standardize are unused).
        feature_ratio: share of the coordinates (the last ones) that project the node features instead of being random.
        feature_scale: ``"raw"``, or ``"standard"`` to standardise the feature columns first.
        seed: any integer.
        rng: ``"counter"``, or ``"gds"`` for the random numbers and rules of Neo4j GDS (counts of edges as degrees).
        direction: what a row averages over: the ends of its edges ``"out"``, ``"in"``, or ``"both"``.
        dtype: of the result; float64 computes in float64, the others in float32.
        storage: how powers are kept between passes: None as `dtype`; ``torch.bfloat16`` halves memory traffic.
        abs_degree: allow negative weights, dividing by the sum of their absolute values.
        coalesce: count parallel edges once (weights summed).
        keep_powers: keep U_1..U_{q-1} after `fit` (more memory; `update` then touches only the rows that change).

    Attributes:
        embedding_: (N, dim), or (N, q dim) with `concat`.
        projection_: (N, dim) start vectors, scaled, features included; made anew at each access.
        feature_projection_: (F, p) with p = int(dim * feature_ratio).
        ids_: external ids of the rows, None for 0..N-1.

    Raises:
        GraphrepError: a parameter has no meaning (raised by `fit`), or the graph has negative or non-finite weights.

    Example:
        >>> edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> FastRP(dim=16, seed=1).fit_transform(edges).shape
        torch.Size([3, 16])
    """

    def __init__(
        self,
        dim: int = 256,
        weights: Sequence[float] = (0.0, 1.0, 1.0),
        *,
        self_weight: float = 0.0,
        degree_exponent: float = 0.0,
        transition: bool = True,
        density: float | Literal["auto", "gaussian"] = 1 / 3,
        normalize: bool = True,
        standardize: bool = False,
        concat: bool = False,
        feature_ratio: float = 0.0,
        feature_scale: Literal["raw", "standard"] = "raw",
        seed: int = 0,
        rng: Literal["counter", "gds"] = "counter",
        direction: Literal["out", "in", "both"] = "out",
        dtype: torch.dtype = torch.float32,
        storage: torch.dtype | None = None,
        abs_degree: bool = False,
        coalesce: bool = False,
        keep_powers: bool = False,
    ) -> None:
        self.dim = dim
        self.weights = weights
        self.self_weight = self_weight
        self.degree_exponent = degree_exponent
        self.transition = transition
        self.density = density
        self.normalize = normalize
        self.standardize = standardize
        self.concat = concat
        self.feature_ratio = feature_ratio
        self.feature_scale = feature_scale
        self.seed = seed
        self.rng = rng
        self.direction = direction
        self.dtype = dtype
        self.storage = storage
        self.abs_degree = abs_degree
        self.coalesce = coalesce
        self.keep_powers = keep_powers

    def fit(self, graph: Any, *, init: Any = None, progress: Progress | None = None) -> Self:
        """Computes the embedding of `graph`.

        Args:
            graph: Graph, CSR (row i averages over its columns), PyG ``Data``, (2, E) tensor, scipy or networkx.
            init: (N, dim) start vectors in place of random ones; scaled by degree, otherwise as they are.
            progress: called as progress(power, entries done, all entries) about ten times a second.
        """
        settings = resolve(self.get_params())
        problem = prepare(graph, settings)
        warn_isolated(problem)
        self._problem, self._init = problem, init
        self._density = 0.0 if settings.density == "gaussian" else settings.density_for(problem.num_nodes)
        self._feature_scale: FeatureScale | None = fit_feature_scale(problem, settings)
        self._powers: list[Tensor] | None = [] if self.keep_powers else None
        z = self._compute(problem, settings, init, progress, self._powers)
        z, self._moments = standardized(z, settings)
        self.ids_ = problem.ids
        self.embedding_ = z.to(settings.output)
        return self

    def fit_transform(self, graph: Any, **options: Any) -> Tensor:
        """`fit`, then the embedding (N, dim)."""
        return self.fit(graph, **options).embedding_

    def embed(self, graph: Any, *, init: Any = None, progress: Progress | None = None) -> Tensor:
        """The embedding of any graph with these settings (and, once fitted, the fitted statistics); keeps no state."""
        settings = resolve(self.get_params())
        problem = prepare(graph, settings)
        warn_isolated(problem)
        z = self._compute(problem, settings, init, progress, None)
        moments = self.__dict__.get("_moments")
        z = standardize_(z, *moments) if moments is not None else standardized(z, settings)[0]
        return z.to(settings.output)

    def powers(self, graph: Any, projection: Any = None) -> Tensor:
        """(q, N, dim) powers U_1..U_q, not normalised.

        Args:
            graph: as for `fit`.
            projection: (N, dim) unscaled start vectors; default the random ones.
        """
        settings = resolve(self.get_params())
        problem = prepare(graph, settings)
        start = self._start(problem, settings, projection)
        return all_powers(problem, start, settings, settings.num_powers)

    def merge(self, powers: Tensor) -> Tensor:
        """(N, dim) weighted sum of given powers (q, N, dim), or (N, q dim) with `concat`; without self influence."""
        return merge_powers(powers, resolve(self.get_params()))

    def _start(self, problem: Problem, settings: Settings, init: Any, spare: Tensor | None = None) -> Start:
        if init is not None:
            return given_start(problem, settings, init)
        fitted = self.__dict__
        density = fitted.get("_density") or settings.density_for(problem.num_nodes)
        scale = fitted["_feature_scale"] if "_feature_scale" in fitted else fit_feature_scale(problem, settings)
        return make_start(problem, settings, density, scale, spare)

    def _compute(
        self, problem: Problem, settings: Settings, init: Any, progress: Progress | None, keep: list[Tensor] | None
    ) -> Tensor:
        if settings.concat:
            return concatenated(problem, self._start(problem, settings, init), settings, progress)
        buffers: list[Tensor] = []
        spare = None if init is not None else spare_signs(settings, problem.num_nodes, buffers)
        start = self._start(problem, settings, init, spare)
        return run_passes(problem, start, settings, buffers=buffers, progress=progress, keep=keep)

    @property
    def projection_(self) -> Tensor:
        """(N, dim) start vectors of the fitted graph."""
        settings = resolve(self.get_params())
        start: Start = self._start(self._fitted("_problem"), settings, self._init)
        return start.dense(settings.work)

    @property
    def feature_projection_(self) -> Tensor:
        """(F, p) matrix that projects the features."""
        settings = resolve(self.get_params())
        problem: Problem = self._fitted("_problem")
        count = 0 if problem.x is None else problem.x.shape[1]
        constant = (1 / (self._density * settings.dim)) ** 0.5
        return feature_signs(settings, count, self._density).to(settings.work) * constant
