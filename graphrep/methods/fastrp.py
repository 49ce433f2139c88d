"""FastRP: node embeddings by very sparse random projection of neighbourhood averages.

Chen, Sultan, Tian, Chen, Skiena, "Fast and Accurate Network Embeddings via Very Sparse Random Projection", CIKM 2019,
doi 10.1145/3357384.3357879; with the extensions of Neo4j Graph Data Science (features, self influence, weights).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels._check import check_index, check_range
from graphrep.kernels.projection import standardize_
from graphrep.methods._fastrp_checkpoint import Checkpoint
from graphrep.methods._fastrp_delta import EdgeDelta, changed_graph
from graphrep.methods._fastrp_estimate import Estimate, estimate_run
from graphrep.methods._fastrp_files import load_fitted, save_fitted
from graphrep.methods._fastrp_input import Problem, as_source, prepare, warn_isolated
from graphrep.methods._fastrp_local import embed_rows
from graphrep.methods._fastrp_merge import concatenated, merge_powers, standardized
from graphrep.methods._fastrp_passes import Progress, State, all_powers, run_passes, spare_signs
from graphrep.methods._fastrp_settings import Settings, resolve
from graphrep.methods._fastrp_start import (
    FeatureScale,
    Start,
    feature_signs,
    fit_feature_scale,
    given_start,
    make_start,
)
from graphrep.methods._fastrp_update import Repair, positions, repair
from graphrep.methods.base import Estimator

if TYPE_CHECKING:
    from graphrep.methods.fastrp_module import FastRPModule

__all__ = ["EdgeDelta", "FastRP"]


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

    def fit(
        self,
        graph: Any,
        *,
        init: Any = None,
        progress: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> Self:
        """Computes the embedding of `graph`.

        Args:
            graph: Graph, CSR (row i averages over its columns), PyG ``Data``, (2, E) tensor, scipy or networkx.
            init: (N, dim) start vectors in place of random ones; scaled by degree, otherwise as they are.
            progress: called as progress(power, entries done, all entries) about ten times a second.
            checkpoint: a file that holds the state after each power; it stays when the run is done.
            resume: continue from `checkpoint` if it exists.

        Raises:
            CheckpointMismatchError: `checkpoint` was written for another graph or other settings.
        """
        settings = resolve(self.get_params())
        source = as_source(graph)
        problem = prepare(source, settings)
        warn_isolated(problem)
        self._settings, self._source = settings, source
        self._cached_problem: Problem | None = problem
        self._init = init
        self._density = settings.density_for(problem.num_nodes)
        self._feature_scale: FeatureScale | None = fit_feature_scale(problem, settings)
        self._powers: list[Tensor] | None = [] if self.keep_powers and not self.concat else None
        if checkpoint is not None and (self.keep_powers or self.concat):
            name = "keep_powers" if self.keep_powers else "concat"
            raise GraphrepError(f"{name}=True has no checkpoints: they hold one power.", hint=f"{name}=False")
        states = None if checkpoint is None else Checkpoint(checkpoint, problem, settings, init)
        state = states.load() if states is not None and resume else None
        z = self._compute(problem, settings, init, progress, self._powers, states, state)
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
        problem = prepare(as_source(graph), settings)
        warn_isolated(problem)
        z = self._compute(problem, settings, init, progress)
        return self._finished(z, settings)

    def transform(self, graph: Any, nodes: Any = None) -> Tensor:
        """Rows of nodes of a grown graph, exactly as a run on the whole of it gives them.

        Only the ball around the nodes is computed. With `standardize` the fitted mean and deviation are used.

        Args:
            graph: the fitted graph with new nodes and edges (any graph, in fact).
            nodes: (M,) node numbers; default those whose id was not in the fitted graph.

        Returns:
            (M, dim).
        """
        settings = resolve(self.get_params())
        problem = prepare(as_source(graph), settings)
        if nodes is None:
            nodes = (positions(self._fitted_problem(settings), problem) < 0).nonzero().reshape(-1)
        nodes = torch.as_tensor(nodes)
        check_index(nodes, "nodes")
        check_range(nodes, problem.num_nodes, "nodes")
        if settings.concat:
            raise GraphrepError("transform has no concat=True form.", hint="embed(graph)[nodes]")
        rows, back = torch.unique(nodes.long(), return_inverse=True)
        z = embed_rows(problem, settings, lambda part: self._start(part, settings, None), rows)
        return self._finished(z, settings)[back]

    def update(self, change: Any, *, init: Any = None) -> Self:
        """Brings the fitted model to a changed graph; the same bytes as fitting it anew (raw features, fixed density).

        Rows that the change cannot reach are kept. Without `keep_powers` the ball around the others is computed; with
        it only their own rows are, power by power. With `standardize` or `concat`, given start vectors or parameters
        set since, everything is computed.

        Args:
            change: :class:`EdgeDelta`, or the whole changed graph (nodes are matched by id).
            init: start vectors of the changed graph, if the model was fitted with some.

        Raises:
            GraphrepError: a removed edge is not there, or the model was fitted on a CSR and `change` is an EdgeDelta.
        """
        settings = resolve(self.get_params())
        old = self._fitted_problem(settings)
        if isinstance(change, EdgeDelta):
            if not hasattr(self._source, "edge_index"):
                raise GraphrepError("EdgeDelta needs a model fitted on a Graph.", hint="model.update(changed_graph)")
            source = changed_graph(self._source, change)
        else:
            source = as_source(change)
        if settings.standardize or settings.concat or self._init is not None or settings != self._settings:
            return self.fit(source, init=init)
        new = prepare(source, settings)
        before = Repair(self.embedding_, self._powers)
        after, _ = repair(old, new, settings, lambda part: self._start(part, settings, None), before)
        self.embedding_, self._powers = after.embedding, after.powers
        self._source, self._cached_problem, self.ids_ = source, new, new.ids
        return self

    def powers(self, graph: Any, projection: Any = None) -> Tensor:
        """(q, N, dim) powers U_1..U_q, not normalised.

        Args:
            graph: as for `fit`.
            projection: (N, dim) unscaled start vectors; default the random ones.
        """
        settings = resolve(self.get_params())
        problem = prepare(as_source(graph), settings)
        return all_powers(problem, self._start(problem, settings, projection), settings, settings.num_powers)

    def merge(self, powers: Tensor) -> Tensor:
        """(N, dim) weighted sum of given powers (q, N, dim), or (N, q dim) with `concat`; without self influence."""
        return merge_powers(powers, resolve(self.get_params()))

    def estimate(self, num_nodes: int, num_edges: int, *, weighted: bool = False, num_features: int = 0) -> Estimate:
        """Peak memory of the embedding step and rough time for a graph of that size (`num_edges` stored entries).

        Example:
            >>> FastRP(dim=256, weights=(0, 0, 1, 6.67)).estimate(1_000_000, 20_000_000).bytes < 2.2e9
            True
        """
        settings = resolve(self.get_params())
        return estimate_run(settings, num_nodes, num_edges, weighted=weighted, num_features=num_features)

    def save(self, path: str | os.PathLike[str], *, graph: bool = True) -> None:
        """Writes ``model.toml`` and ``model.safetensors`` into folder `path`; without `graph`, `update` is lost."""
        self._fitted("_density")
        save_fitted(self, path, graph=graph)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FastRP:
        """The model saved in folder `path`.

        Raises:
            FileFormatError: the folder does not hold a saved FastRP model.
        """
        return load_fitted(cls, path)

    def _start(self, problem: Problem, settings: Settings, init: Any, spare: Tensor | None = None) -> Start:
        if init is not None:
            return given_start(problem, settings, init)
        fitted = self.__dict__
        # Of a fitted model, what depends on the graph stays what it was; parameters count as they are now.
        auto = settings.density == "auto" and "_density" in fitted
        density = fitted["_density"] if auto else settings.density_for(problem.num_nodes)
        scale = fitted.get("_feature_scale") if settings.feature_scale == "standard" else None
        if scale is None:
            scale = fit_feature_scale(problem, settings)
        return make_start(problem, settings, density, scale, spare)

    def _compute(
        self,
        problem: Problem,
        settings: Settings,
        init: Any,
        progress: Progress | None,
        keep: list[Tensor] | None = None,
        states: Checkpoint | None = None,
        state: State | None = None,
    ) -> Tensor:
        if settings.concat:
            return concatenated(problem, self._start(problem, settings, init), settings, progress)
        buffers: list[Tensor] = []
        spare = None if init is not None else spare_signs(settings, problem.num_nodes, buffers)
        start = self._start(problem, settings, init, spare)
        save = None if states is None else states.save
        return run_passes(
            problem, start, settings, buffers=buffers, state=state, progress=progress, save=save, keep=keep
        )

    def _finished(self, z: Tensor, settings: Settings) -> Tensor:
        """Standardised with the fitted statistics (its own if there are none), in the output type."""
        moments = self.__dict__.get("_moments") if settings.standardize else None
        z = standardize_(z, *moments) if moments is not None else standardized(z, settings)[0]
        return z.to(settings.output)

    def _fitted_problem(self, settings: Settings) -> Problem:
        self._fitted("_density")
        if self._cached_problem is None:
            if self._source is None:
                raise GraphrepError("The model was saved without its graph.", hint="save(path, graph=True)")
            self._cached_problem = prepare(self._source, settings)
        return self._cached_problem

    @property
    def projection_(self) -> Tensor:
        """(N, dim) start vectors of the fitted graph."""
        settings = resolve(self.get_params())
        return self._start(self._fitted_problem(settings), settings, self._init).dense(settings.work)

    @property
    def feature_projection_(self) -> Tensor:
        """(F, p) matrix that projects the features."""
        settings = resolve(self.get_params())
        x = self._fitted_problem(settings).x
        constant = math.sqrt(1 / (self._density * settings.dim))
        signs = feature_signs(settings, 0 if x is None else x.shape[1], self._density)
        return signs.to(settings.work) * constant

    @property
    def module_(self) -> FastRPModule:
        """The same computation as an nn.Module, differentiable in features, start vectors, edge and power weights."""
        from graphrep.methods.fastrp_module import FastRPModule

        return FastRPModule(**self.get_params())
