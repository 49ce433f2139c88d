"""Message passing between tables of several node types, one block of destinations at a time if need be.

Every layer takes the tables that messages come from, the tables of the nodes that receive them and one matrix per edge
type, (destinations, sources); the two sets of tables are the same for a whole graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.nn.module_dict import ModuleDict

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.nn._adjacency import Edges, normalized, pattern, remembered
from graphrep.nn.gcn_conv import GCNConv, SAGEConv
from graphrep.nn.hgt_conv import HGTConv
from graphrep.nn.rgcn_conv import RGCNConv

__all__ = ["CONVS", "EdgeType", "Rows", "make_layer", "prepared"]

EdgeType: TypeAlias = tuple[str, str, str]
Rows: TypeAlias = Mapping[str, Tensor]
CONVS = ("gcn", "sage", "rgcn", "hgt", "hetero_sage")
_PLAIN = ("gcn", "sage")  # layers of graphs with one node type


class GCNLayer(nn.Module):
    """A symmetric normalised sum, for one node type; the matrix holds weights and self-loops."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = GCNConv(in_channels, out_channels)

    def forward(self, source: Rows, target: Rows, matrices: Mapping[EdgeType, CSR]) -> dict[str, Tensor]:
        """See the module."""
        ((kind, matrix),) = matrices.items()
        conv: Any = self.conv
        return {kind[2]: spmm(matrix, conv.lin(source[kind[0]])) + conv.bias}


class SAGELayer(nn.Module):
    """The node itself and the mean of its neighbours, for one node type."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = SAGEConv(in_channels, out_channels)

    def forward(self, source: Rows, target: Rows, matrices: Mapping[EdgeType, CSR]) -> dict[str, Tensor]:
        """See the module."""
        ((kind, matrix),) = matrices.items()
        return {kind[2]: self.conv((source[kind[0]], target[kind[2]]), matrix)}


class HeteroSAGELayer(nn.Module):
    """The sum over edge types of one SAGE each; the part of the node itself is one per node type."""

    def __init__(self, in_channels: int, out_channels: int, types: Sequence[str], edge_types: Sequence[EdgeType]):
        super().__init__()
        self.own = ModuleDict({name: nn.Linear(in_channels, out_channels) for name in types})
        self.convs = ModuleDict(
            {
                kind: SAGEConv((in_channels, in_channels), out_channels, root_weight=False, bias=False)
                for kind in edge_types
            }
        )

    def forward(self, source: Rows, target: Rows, matrices: Mapping[EdgeType, CSR]) -> dict[str, Tensor]:
        """See the module."""
        out = {name: self.own[name](rows) for name, rows in target.items()}
        for kind, matrix in matrices.items():
            conv = self.convs[kind]
            out[kind[2]] = out[kind[2]] + conv((source[kind[0]], target[kind[2]]), matrix)
        return out


class RGCNLayer(nn.Module):
    """RGCN with one relation per edge type; the part of the node itself and the bias are shared by all node types."""

    def __init__(
        self, in_channels: int, out_channels: int, edge_types: Sequence[EdgeType], num_bases: int | None
    ) -> None:
        super().__init__()
        self.number = {kind: i for i, kind in enumerate(edge_types)}
        self.conv = RGCNConv(in_channels, out_channels, max(1, len(edge_types)), num_bases=num_bases)

    def forward(self, source: Rows, target: Rows, matrices: Mapping[EdgeType, CSR]) -> dict[str, Tensor]:
        """See the module."""
        conv: Any = self.conv
        weight = conv.relation_weights()
        out = {name: rows @ conv.root + conv.bias for name, rows in target.items()}
        for kind, matrix in matrices.items():
            mean = spmm(matrix, source[kind[0]], reduce="mean")
            out[kind[2]] = out[kind[2]] + mean @ weight[self.number[kind]]
        return out


class HGTLayer(nn.Module):
    """:class:`~graphrep.nn.HGTConv`; types that no edge type leads to keep their vectors.

    Types go by numbers inside, as PyG's parameters cannot be named after every type.
    """

    def __init__(self, channels: int, types: Sequence[str], edge_types: Sequence[EdgeType], heads: int) -> None:
        super().__init__()
        self.types = {name: f"type{i}" for i, name in enumerate(types)}
        kinds = [(self.types[a], f"relation{i}", self.types[b]) for i, (a, _, b) in enumerate(edge_types)]
        self.kinds = dict(zip(edge_types, kinds, strict=True))
        self.conv = HGTConv(channels, channels, (list(self.types.values()), kinds), heads=heads)

    def forward(self, source: Rows, target: Rows, matrices: Mapping[EdgeType, CSR]) -> dict[str, Tensor]:
        """See the module."""
        same = source is target
        source, target = self._numbered(source), self._numbered(target)
        found = self.conv.between(source, source if same else target, {self.kinds[k]: m for k, m in matrices.items()})
        return {name: found.get(key, target[key]) for name, key in self.types.items() if key in target}

    def _numbered(self, rows: Rows) -> dict[str, Tensor]:
        return {self.types[name]: part for name, part in rows.items()}


def make_layer(
    conv: str,
    in_channels: int,
    out_channels: int,
    types: Sequence[str],
    edge_types: Sequence[EdgeType],
    *,
    num_bases: int | None,
    heads: int,
) -> nn.Module:
    """One layer of the named kind.

    Raises:
        UnknownNameError: no such kind.
        GraphrepError: the kind does not go with the types.
    """
    if conv not in CONVS:
        raise UnknownNameError(f'conv is "{conv}".', hint="one of " + ", ".join(CONVS))
    if conv in _PLAIN:
        if len(types) != 1:
            raise GraphrepError(
                f'conv="{conv}" takes one node type; there are {len(types)}: {", ".join(types)}.',
                hint='conv="rgcn", "hgt" or "hetero_sage"',
            )
        plain = GCNLayer if conv == "gcn" else SAGELayer
        return plain(in_channels, out_channels)
    if conv == "hgt":
        return HGTLayer(in_channels, types, edge_types, heads)
    if conv == "rgcn":
        return RGCNLayer(in_channels, out_channels, edge_types, num_bases)
    return HeteroSAGELayer(in_channels, out_channels, types, edge_types)


def prepared(
    conv: str,
    edges: Mapping[EdgeType, Edges],
    edge_types: Sequence[EdgeType],
    sizes: Mapping[str, int],
    dtype: torch.dtype,
    device: torch.device | None = None,
) -> dict[EdgeType, CSR]:
    """The matrix of each edge type as the layers of a kind take it; a type that is left out has no edges.

    Without any edges the matrices lie on `device`.

    Raises:
        UnknownNameError: an edge type that the layers do not know.
        ShapeError, DTypeError, IndexRangeError, GraphrepError: edges do not fit the numbers of nodes.
    """
    unknown = [kind for kind in edges if kind not in edge_types]
    if unknown:
        raise UnknownNameError(f"edge type {unknown[0]} is not known.", hint=", ".join(map(str, edge_types)))
    if conv not in _PLAIN:
        return {kind: pattern(edges[kind], (sizes[kind[0]], sizes[kind[2]])) for kind in edge_types if kind in edges}
    (name,) = sizes
    count, joined = sizes[name], _joined([edges[kind] for kind in edge_types if kind in edges], device)
    kind = edge_types[0] if edge_types else (name, "to", name)
    if conv == "sage":
        return {kind: pattern(joined, (count, count))}
    if isinstance(joined, CSR) and joined.value is not None:
        return {kind: joined}
    return {kind: normalized(joined, None, count, add_self_loops=True, dtype=dtype)}


def _joined(lists: list[Edges], device: torch.device | None) -> Edges:
    """The edges of several types as one list, kept as long as the first of each two parts."""
    if not lists:
        return torch.empty(2, 0, dtype=torch.int64, device=device)
    if len(lists) == 1:
        return lists[0]
    whole = _edge_list(lists[0])
    for part in map(_edge_list, lists[1:]):
        whole = remembered(whole, ("joined",), _cat(whole, part), also=part)
    return whole


def _cat(a: Tensor, b: Tensor) -> Callable[[], Tensor]:
    return lambda: torch.cat([a, b], dim=1)


def _edge_list(edges: Edges) -> Tensor:
    if not isinstance(edges, CSR):
        return edges
    if edges.value is not None:
        raise GraphrepError("matrices with weights cannot be joined.", hint="one edge type, or edge_index tensors")
    return remembered(edges.col, ("edge list",), lambda: torch.stack([edges.col, edges.row()]))
