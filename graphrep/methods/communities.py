"""Communities of links: Louvain (compiled here) and Leiden (the leidenalg package), with a number of their own or K."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import EmptyGraphError, GraphrepError, MissingExtraError, UnknownNameError
from graphrep.kernels import CSR, louvain, modularity
from graphrep.methods._feature_rows import features
from graphrep.methods._leftover import assign_by_features
from graphrep.methods._partition_input import (
    SimpleGraph,
    check_cluster_count,
    check_integer,
    induced,
    isolated_note,
    prepared,
)
from graphrep.methods._resolution import Found, best_of, search_resolution
from graphrep.methods.clusterer import Clusterer
from graphrep.methods.trained import inherits_arguments
from graphrep.nn._components import connected_components

__all__ = ["Leiden", "Louvain"]

_SMALL = 10  # a component with fewer nodes than the N / K of an average cluster over this says little by itself


class _Communities(Clusterer):
    """What Louvain and Leiden share."""

    _numbers = ("modularity_", "resolution_")
    resolution_: float
    modularity_: float

    def __init__(
        self,
        num_clusters: int | None = None,
        *,
        resolution: float = 1.0,
        num_seeds: int = 5,
        isolated: str = "auto",
        seed: int = 0,
    ) -> None:
        self.num_clusters = num_clusters
        self.resolution = resolution
        self.num_seeds = num_seeds
        self.isolated = isolated
        self.seed = seed

    def fit(self, graph: Any) -> Self:
        """Partitions the nodes of `graph` by its links, without direction; weights count."""
        simple = prepared(graph)
        self._check(simple)
        if self.num_clusters is None:
            labels, notes = self._own_number(simple)
        else:
            labels, notes = self._wanted_number(simple, check_cluster_count(self.num_clusters, simple.num_nodes))
        self._keep(labels, notes=[*simple.notes, *notes])
        self.modularity_, self.ids_ = modularity(simple.csr, self.labels_), simple.graph.ids
        return self

    def _check(self, simple: SimpleGraph) -> None:
        if self.isolated not in ("auto", "features", "keep"):
            raise UnknownNameError(f'isolated is "{self.isolated}".', hint='"auto", "features" or "keep"')
        if self.isolated == "features":
            features(simple.graph, type(self).__name__)
        check_integer("num_seeds", self.num_seeds, 1)
        if not bool((~simple.isolated()).any()):
            raise EmptyGraphError("The graph has no link between two nodes.", hint="KMeans clusters by features")

    def _runner(self, graph: Graph, csr: CSR) -> Callable[[float, int], Tensor]:
        """Makes the communities (0..C-1) of a graph for a resolution and a seed."""
        raise NotImplementedError

    def _seeds(self) -> list[int]:
        return [self.seed + i for i in range(self.num_seeds)]

    def _uses_features(self, simple: SimpleGraph) -> bool:
        return self.isolated != "keep" and simple.graph.num_features > 0

    def _own_number(self, simple: SimpleGraph) -> tuple[Tensor, list[str]]:
        """As many communities as the resolution gives."""
        found = best_of(self._runner(simple.graph, simple.csr), simple.csr, self.resolution, self._seeds())
        self.resolution_ = self.resolution
        isolated = simple.isolated()
        count = int(isolated.sum())
        if not count or not self._uses_features(simple):
            return found.labels, isolated_note(count, simple.num_nodes, "each is a cluster of its own")
        labels = found.labels.masked_fill(isolated, -1)
        kept = torch.unique(labels[~isolated])
        labels[~isolated] = torch.searchsorted(kept, labels[~isolated])
        rows = features(simple.graph, type(self).__name__)
        labels = assign_by_features(rows, labels, torch.arange(simple.num_nodes), kept.numel())
        return labels, isolated_note(count, simple.num_nodes, _BY_FEATURES)

    def _wanted_number(self, simple: SimpleGraph, k: int) -> tuple[Tensor, list[str]]:
        """Exactly k communities."""
        component = connected_components(simple.csr)
        if not self._uses_features(simple):
            if int(component.max()) >= k:
                raise GraphrepError(
                    f"Asked for {grouped(k)} clusters but the graph has {grouped(int(component.max()) + 1)} connected "
                    "components, and no resolution joins two of them.",
                    hint="node features, by which small components can be assigned, or num_clusters=None",
                )
            found = self._searched(simple.graph, simple.csr, k)
            count = int(simple.isolated().sum())
            notes = isolated_note(count, simple.num_nodes, "each is a cluster of its own")
            return found.labels, notes + _merger_note(found)
        main = _main_part(component, simple.isolated(), k)
        nodes = main.nonzero().squeeze(1)
        if nodes.numel() < k:
            raise GraphrepError(
                f"Asked for {grouped(k)} clusters but the largest components have {grouped(nodes.numel())} nodes.",
                hint=f"num_clusters={nodes.numel()} or less",
            )
        part = simple if nodes.numel() == simple.num_nodes else induced(simple, main)
        found = self._searched(part.graph, part.csr, k)
        labels = torch.full((simple.num_nodes,), -1)
        labels[nodes] = found.labels
        if nodes.numel() < simple.num_nodes:
            rows = features(simple.graph, type(self).__name__)
            labels = assign_by_features(rows, labels, component, k)
        return labels, _rest_note(~main, simple.isolated()) + _merger_note(found)

    def _searched(self, graph: Graph, csr: CSR, k: int) -> Found:
        found = search_resolution(self._runner(graph, csr), csr, k, self._seeds())
        self.resolution_ = found.resolution
        return found


_BY_FEATURES = "assigned to the cluster with the nearest mean features"


def _main_part(component: Tensor, isolated: Tensor, k: int) -> Tensor:
    """(N,) bool, True in components large enough to be clusters, the k largest of them at most."""
    size = torch.bincount(component)
    size[component[isolated]] = 0
    order = size.argsort(descending=True, stable=True)
    large = size[order] * _SMALL * k >= component.numel()
    large[0] = True
    chosen = torch.zeros_like(size, dtype=torch.bool)
    chosen[order[:k][large[:k]]] = True
    return chosen[component]


def _rest_note(rest: Tensor, isolated: Tensor) -> list[str]:
    count, alone = int(rest.sum()), int(isolated.sum())
    if not count:
        return []
    if count == alone:
        return isolated_note(count, rest.numel(), _BY_FEATURES)
    return [
        f"{grouped(count)} of {grouped(rest.numel())} nodes lie outside the large components ({grouped(alone)} of them "
        f"without neighbours): {_BY_FEATURES}, component by component."
    ]


def _merger_note(found: Found) -> list[str]:
    if not found.merged:
        return []
    return [f"{grouped(found.merged)} small communities were merged into others at resolution {found.resolution:.3g}."]


class Louvain(_Communities):
    """Communities of large modularity by the compiled Louvain method of this package.

    The objective is ``sum over communities of [ W_in / W - gamma (vol / 2 W)^2 ]``: modularity for gamma = 1, for any
    gamma the RB configuration objective of leidenalg and igraph over twice the weight. Every community is connected.
    Each of `num_seeds` runs is O(E) a pass; the best is kept.

    Args:
        num_clusters: K, reached by a search over the resolution; None: as many as `resolution` gives.
        resolution: gamma, used without `num_clusters`.
        num_seeds: runs, of which the one with the largest objective is kept.
        isolated: nodes without neighbours: "keep" (each a cluster of its own), "features" (to the cluster with the
            nearest mean features), or "auto": by features where the graph has some. With `num_clusters` and features
            the same is done with components smaller than a tenth of N / K, each as a whole.
        seed: of the first run; the others count on from it.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`~graphrep.methods.clusterer.Clustering`.
        resolution_: gamma at which the partition was chosen.
        modularity_: of ``labels_``, at gamma = 1.

    Raises:
        EmptyGraphError: no link.
        GraphrepError: more components than clusters and no features, or an argument out of range (raised by `fit`).

    Source: Blondel, Guillaume, Lambiotte, Lefebvre, "Fast unfolding of communities in large networks", J. Stat. Mech.
    P10008, 2008; see :func:`graphrep.kernels.louvain` for what was added.

    Example:
        >>> import graphrep as gr
        >>> model = Louvain(4).fit(gr.load("karate"))
        >>> model.num_clusters_, round(model.modularity_, 2)
        (4, 0.44)
    """

    def _runner(self, graph: Graph, csr: CSR) -> Callable[[float, int], Tensor]:
        return lambda resolution, seed: louvain(csr, resolution=resolution, seed=seed)


class Leiden(_Communities):
    """Communities of large modularity by the Leiden method of the package leidenalg (extra ``[leiden]``).

    Arguments, attributes and rules are those of :class:`Louvain`; the objective is leidenalg's
    ``RBConfigurationVertexPartition``.

    Args:
        iterations: of the method; -1: until one changes nothing.

    Raises:
        MissingExtraError: leidenalg is not installed (raised by `fit`).
        EmptyGraphError, GraphrepError: as for :class:`Louvain`.

    Source: Traag, Waltman, van Eck, "From Louvain to Leiden: guaranteeing well-connected communities", Scientific
    Reports 9, 5233, 2019.
    """

    def __init__(self, num_clusters: int | None = None, *, iterations: int = 5, **options: Any) -> None:
        super().__init__(num_clusters, **options)
        self.iterations = iterations

    def _check(self, simple: SimpleGraph) -> None:
        _leidenalg()
        if self.iterations != -1:
            check_integer("iterations", self.iterations, 1)
        super()._check(simple)

    def _runner(self, graph: Graph, csr: CSR) -> Callable[[float, int], Tensor]:
        leidenalg = _leidenalg()
        import igraph

        source, target = graph.edge_index
        once = source < target
        links = torch.stack([source[once], target[once]], dim=1).numpy()
        net = igraph.Graph(n=graph.num_nodes, edges=links)
        weights = None if graph.edge_weight is None else graph.edge_weight[once].double().tolist()

        def run(resolution: float, seed: int) -> Tensor:
            found = leidenalg.find_partition(
                net, leidenalg.RBConfigurationVertexPartition, weights=weights, n_iterations=self.iterations,
                resolution_parameter=resolution, seed=seed % 2**31,
            )  # fmt: skip
            return torch.tensor(found.membership)

        return run


inherits_arguments(Leiden)


def _leidenalg() -> Any:
    try:
        import leidenalg
    except ImportError as error:
        raise MissingExtraError(
            "Leiden needs leidenalg, which is not installed.",
            hint='pip install "graphrep[leiden]", or Louvain, which needs nothing',
        ) from error
    return leidenalg
