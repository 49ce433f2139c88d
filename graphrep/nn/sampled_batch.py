"""The computation graph of a batch: its nodes by type, seeds first, and the sampled edges by relation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_edge_index, check_index, check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels.sampling.local import local_ids
from graphrep.nn._adjacency import remembered
from graphrep.nn._subgraph import sample_subgraph

__all__ = ["SampledBatch", "sample_batch"]

EdgeType: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class SampledBatch:
    """What a graph network needs to compute the vectors of a batch's seeds.

    Attributes:
        nodes: by type, (n_t,) int64 ids in the graph: the distinct seeds in the order given, then those found.
        edges: by edge type, (2, e) int64 positions in `nodes`, sources and destinations.
        edge_ids: by edge type, (e,) int64 positions in the edge list that the graph's matrix came from.
        seeds: by type, (S_t,) the position in `nodes` of each seed as given, repeated ones too.
        num_seeds: by type, how many distinct seeds lead `nodes`.
    """

    nodes: dict[str, Tensor]
    edges: dict[EdgeType, Tensor]
    edge_ids: dict[EdgeType, Tensor]
    seeds: dict[str, Tensor]
    num_seeds: dict[str, int]

    def to(self, device: torch.device | str) -> SampledBatch:
        """The same batch with its tensors on `device`."""
        moved = {
            part: {key: tensor.to(device) for key, tensor in getattr(self, part).items()}
            for part in ("nodes", "edges", "edge_ids", "seeds")
        }
        return replace(self, **moved)

    def gcn_matrix(self, graphs: Mapping[EdgeType, CSR], *, dtype: torch.dtype | None = None) -> CSR:
        """The rows of D^-1/2 (A + I) D^-1/2 of the whole graph, all edge types joined, estimated from the sample.

        With D of the whole graph, and an edge into v weighted by how many edges of its type v has over how many were
        drawn, the sum over the sample has that over all neighbours as its mean, and equals it where all were drawn;
        degrees of the sample alone would tell the layers that its outermost nodes have no neighbours.

        Args:
            graphs: by edge type its matrix, as given to :func:`sample_batch`, all over one node type; self-loops play
                no part, each node has one.
            dtype: of the weights; default torch's default.

        Returns:
            CSR (n, n) with weights, which :class:`~graphrep.nn.TextGraphEncoder` takes as normalised.

        Raises:
            GraphrepError, UnknownNameError: an edge type joins two node types, or is not there.
        """
        names = {end for source, _, destination in graphs for end in (source, destination)}
        strange = [kind for kind in graphs if kind not in self.edges]
        if strange or len(names) != 1:
            what = (
                f"{strange[0]} is no edge type of the batch" if strange else f"node types: {', '.join(sorted(names))}"
            )
            raise UnknownNameError(f"{what}; all must be within one node type.", hint="conv='sage' or 'rgcn'")
        nodes = self.nodes[names.pop()]
        count, dtype = nodes.numel(), dtype or torch.get_default_dtype()
        degrees = {kind: _loopless_degree(graph).to(nodes.device)[nodes].to(dtype) for kind, graph in graphs.items()}
        root = (sum(degrees.values()) + torch.ones(count, dtype=dtype, device=nodes.device)).rsqrt()
        loops = torch.arange(count, device=nodes.device).expand(2, -1)
        lists, weights = [loops], [root**2]
        for kind, degree in degrees.items():
            edges = self.edges[kind]
            edges = edges[:, nodes[edges[0]] != nodes[edges[1]]]
            drawn = torch.bincount(edges[1], minlength=count)
            lists.append(edges)
            weights.append((degree / drawn.clamp(min=1) * root)[edges[1]] * root[edges[0]])
        return CSR.from_edge_index(torch.cat(lists, 1), torch.cat(weights), size=(count, count))


def sample_batch(
    graphs: Mapping[EdgeType, CSR],
    seeds: Mapping[str, Tensor],
    num_neighbors: Sequence[int] | Mapping[EdgeType, Sequence[int]],
    *,
    seed: int,
    num_nodes: Mapping[str, int] | None = None,
    with_replacement: bool = False,
    exclude: Mapping[EdgeType, Tensor] | None = None,
    reverse: Mapping[EdgeType, EdgeType] | None = None,
) -> SampledBatch:
    """Draws in-neighbours of the seeds hop by hop; every node's edges are drawn once, at the hop that finds it.

    Args:
        graphs: by edge type (source, relation, destination) its matrix (N_dst, N_src), on the CPU; weights play no
            part.
        seeds: by type, (S_t,) int32 or int64 ids; repeated ones are kept once.
        num_neighbors: per hop, how many in-edges a node may have of each edge type, -1 for all; or that by edge type,
            lists of one length.
        seed: any integer; the sample is a function of it, the graph and the seeds.
        num_nodes: by type; needed for types without an edge type.
        with_replacement: draw with replacement.
        exclude: by edge type, (2, M) pairs (source id, destination id) that no edge of the batch may join, such as the
            links to be predicted; every copy of an edge and its reverse is left out.
        reverse: which edge type is the reverse of which. Default: ``rev_r`` of ``r``, as in PyG, and an edge type
            between nodes of one type that has no such partner is its own.

    Returns:
        A :class:`SampledBatch`. Left-out edges are drawn like others and then dropped, so that a node with left-out
        edges may have fewer than its share; the nodes they led to stay.

    Raises:
        UnknownNameError: a type or edge type that is not there.
        IndexRangeError, ShapeError, DTypeError, GraphrepError: ids, pairs or numbers do not fit.

    Source: Hamilton, Ying, Leskovec, "Inductive Representation Learning on Large Graphs", NeurIPS 2017
    (arXiv:1706.02216).

    Example:
        >>> kind = ("node", "to", "node")
        >>> csr = CSR.from_edge_index(torch.tensor([[1, 2, 3], [0, 1, 2]]), size=(4, 4))
        >>> batch = sample_batch({kind: csr}, {"node": torch.tensor([0, 0])}, [1, 1], seed=0)
        >>> batch.nodes["node"].tolist(), batch.edges[kind].tolist(), batch.seeds["node"].tolist()
        ([0, 1, 2], [[1, 2], [0, 1]], [0, 0])
    """
    sizes = _sizes(graphs, num_nodes or {})
    starts, places = {}, {}
    for name, ids in seeds.items():
        if name not in sizes:
            raise UnknownNameError(f'seeds name "{name}", which is no node type.', hint=", ".join(sizes))
        check_index(ids, f'seeds["{name}"]')
        check_range(ids, sizes[name], f'seeds["{name}"]')
        places[name], starts[name] = local_ids(torch.empty(0, dtype=torch.int64), ids.long().cpu())
    fanouts = _fanouts(graphs, num_neighbors)
    found = sample_subgraph(dict(graphs), sizes, fanouts, starts, check_seed(seed), with_replacement, False)
    edges = {kind: torch.stack([found.row[kind], found.col[kind]]) for kind in graphs}
    edge_ids = dict(found.edge)
    for kind, pairs in _banned(graphs, exclude or {}, reverse).items():
        ends = torch.stack([found.node[kind[0]][edges[kind][0]], found.node[kind[2]][edges[kind][1]]])
        check_range(pairs[0], sizes[kind[0]], f"exclude[{kind}][0]")
        check_range(pairs[1], sizes[kind[2]], f"exclude[{kind}][1]")
        width = max(1, sizes[kind[2]])
        stays = ~torch.isin(ends[0] * width + ends[1], pairs[0] * width + pairs[1])
        edges[kind], edge_ids[kind] = edges[kind][:, stays], edge_ids[kind][stays]
    return SampledBatch(
        nodes=found.node,
        edges=edges,
        edge_ids=edge_ids,
        seeds=places,
        num_seeds={name: starts[name].numel() if name in starts else 0 for name in sizes},
    )


def _sizes(graphs: Mapping[EdgeType, CSR], num_nodes: Mapping[str, int]) -> dict[str, int]:
    """Nodes by type, of which every matrix says the same."""
    sizes = {name: int(count) for name, count in num_nodes.items()}
    for kind, csr in graphs.items():
        for name, count in ((kind[0], csr.num_cols), (kind[2], csr.num_rows)):
            if sizes.setdefault(name, count) != count:
                raise ShapeError(
                    f'the matrix of {kind} has {count} nodes of type "{name}", others {sizes[name]}.',
                    hint="CSR.from_edge_index(edge_index, size=(num_src, num_dst))",
                )
    return sizes


def _loopless_degree(graph: CSR) -> Tensor:
    """(N,) entries of each row that are no self-loops."""
    return remembered(
        graph.col,
        ("loopless degree",),
        lambda: (
            graph.degree().long() - torch.bincount(graph.col[graph.col == graph.row()].long(), minlength=graph.num_rows)
        ),
    )


def _fanouts(
    graphs: Mapping[EdgeType, CSR], given: Sequence[int] | Mapping[EdgeType, Sequence[int]]
) -> dict[EdgeType, list[int]]:
    """The numbers of neighbours per hop of each edge type."""
    lists = {kind: list(given.get(kind, ()) if isinstance(given, Mapping) else given) for kind in graphs}
    if isinstance(given, Mapping):
        missing = [kind for kind in [*graphs, *given] if kind not in given or kind not in graphs]
        if missing:
            raise UnknownNameError(f"num_neighbors and graphs differ at {missing[0]}.", hint="a list per edge type")
    for kind, numbers in lists.items():
        if any(isinstance(n, bool) or not isinstance(n, int) or n < -1 for n in numbers):
            raise GraphrepError(f"num_neighbors of {kind} is {numbers}.", hint="integers, -1 for all neighbours")
    if len({len(numbers) for numbers in lists.values()}) > 1:
        raise GraphrepError("num_neighbors has lists of several lengths.", hint="one number per hop for each edge type")
    return lists


def _banned(
    graphs: Mapping[EdgeType, CSR],
    exclude: Mapping[EdgeType, Tensor],
    reverse: Mapping[EdgeType, EdgeType] | None,
) -> dict[EdgeType, Tensor]:
    """By edge type the (2, M) pairs that may not be joined, those of its reverse turned round among them."""
    banned: dict[EdgeType, list[Tensor]] = {}
    for kind, pairs in exclude.items():
        if kind not in graphs:
            raise UnknownNameError(f"exclude names {kind}, which is no edge type.", hint=", ".join(map(str, graphs)))
        check_edge_index(pairs)
        ids = pairs.long().cpu()
        banned.setdefault(kind, []).append(ids)
        other = _reverse_of(kind, graphs) if reverse is None else reverse.get(kind)
        if other is not None:
            if other not in graphs or other[::2] != kind[2::-2]:
                raise UnknownNameError(f"{other} is no edge type that turns {kind} round.", hint="reverse={...}")
            banned.setdefault(other, []).append(ids.flip(0))
    return {kind: torch.cat(parts, dim=1) for kind, parts in banned.items()}


def _reverse_of(kind: EdgeType, graphs: Mapping[EdgeType, CSR]) -> EdgeType | None:
    source, name, target = kind
    for other in (f"rev_{name}", name.removeprefix("rev_")):
        if other != name and (target, other, source) in graphs:
            return target, other, source
    return kind if source == target else None
