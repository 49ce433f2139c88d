"""What clusterers see of a graph: links once, without direction, loops and repeats, and words on what was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphrep.data.canonical import canonical_edges
from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import EmptyGraphError, GraphrepError
from graphrep.kernels import CSR
from graphrep.methods._views import rows_of

__all__ = ["SimpleGraph", "check_cluster_count", "check_integer", "induced", "isolated_note", "on_host", "prepared"]


@dataclass(frozen=True)
class SimpleGraph:
    """An undirected graph without loops and repeated links.

    Attributes:
        graph: both directions of every link.
        csr: (N, N), symmetric.
        notes: sentences on what was changed.
    """

    graph: Graph
    csr: CSR
    notes: tuple[str, ...]

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.graph.num_nodes

    def isolated(self) -> Tensor:
        """(N,) bool, True at nodes without a link of positive weight."""
        if self.csr.value is None:
            return self.csr.degree() == 0
        strength = torch.zeros(self.num_nodes, dtype=torch.float64)
        return strength.index_add_(0, self.csr.row().long(), self.csr.value.detach().double()) == 0


def on_host(graph: Any) -> Graph:
    """Anything that :meth:`Graph.coerce` takes, as a graph in the memory of the host."""
    found = Graph.coerce(graph)
    return found if found.device.type == "cpu" else found.to("cpu")


def prepared(graph: Any) -> SimpleGraph:
    """The graph as clusterers take it.

    Raises:
        EmptyGraphError: no node.
        GraphrepError: a negative weight.
    """
    graph = on_host(graph)
    if graph.num_nodes == 0:
        raise EmptyGraphError("The graph has no nodes.", hint="at least one node")
    if graph.edge_weight is not None and graph.num_edges and float(graph.edge_weight.min()) < 0:
        at = int((graph.edge_weight < 0).nonzero()[0])
        raise GraphrepError(
            f"edge_weight[{at}] is {float(graph.edge_weight[at]):g}; clusters need weights >= 0.",
            hint="drop the negative edges, or shift the weights",
        )
    facts = canonical_edges(graph.edge_index, graph.edge_weight, graph.num_nodes, directed=False)
    notes = []
    if facts.merged:
        how = "count once" if facts.edge_weight is None else "were merged, their weights added"
        notes.append(f"{grouped(facts.merged)} repeated edges {how}.")
    if facts.self_loops:
        notes.append(f"{grouped(facts.self_loops)} edges from a node to itself were left out.")
    if facts.one_way:
        notes.append(
            f"{grouped(facts.one_way)} of {grouped(facts.edges)} edges are stored in one direction only; "
            "direction is ignored."
        )
    simple = Graph._canonical(
        facts.edge_index, facts.edge_weight, graph.num_nodes, undirected=True,
        x=graph.x, y=graph.y, ids=graph.ids, name=graph.name,
    )  # fmt: skip
    return SimpleGraph(simple, simple.csr("in"), tuple(notes))


def isolated_note(count: int, num_nodes: int, fate: str) -> list[str]:
    """A sentence on nodes without neighbours and what becomes of them; none where there are none."""
    if not count:
        return []
    have = "has" if count == 1 else "have"
    return [f"{grouped(count)} of {grouped(num_nodes)} nodes {have} no neighbours: {fate}."]


def induced(simple: SimpleGraph, kept: Tensor) -> SimpleGraph:
    """The part of a graph on the nodes where `kept` (N,) is True, numbered anew in their order, with their features."""
    place = kept.long().cumsum(0) - 1
    source, target = simple.graph.edge_index
    inside = kept[source] & kept[target]
    weight, x = simple.graph.edge_weight, simple.graph.x
    part = Graph._canonical(
        place[simple.graph.edge_index[:, inside]], None if weight is None else weight[inside], int(kept.sum()),
        undirected=True, x=None if x is None else rows_of(x, kept.nonzero().squeeze(1)),
    )  # fmt: skip
    return SimpleGraph(part, part.csr("in"), ())


def check_integer(name: str, value: Any, least: int) -> int:
    """`value`, an integer of at least `least`.

    Raises:
        GraphrepError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise GraphrepError(f"{name} must be an integer of at least {least}; got {value!r}.", hint=f"{name}={least}")
    return value


def check_cluster_count(num_clusters: Any, num_nodes: int) -> int:
    """The number of clusters that was asked for.

    Raises:
        GraphrepError: none was, it is no positive integer, or there are fewer nodes.
    """
    if num_clusters is None:
        raise GraphrepError(
            "The number of clusters is needed.",
            hint="num_clusters=7; graphrep.methods.cluster_curve helps to choose, Louvain finds a number of its own",
        )
    if check_integer("num_clusters", num_clusters, 1) > num_nodes:
        raise GraphrepError(
            f"Asked for {grouped(num_clusters)} clusters but the graph has {grouped(num_nodes)} nodes.",
            hint=f"between 1 and {num_nodes}",
        )
    return int(num_clusters)
