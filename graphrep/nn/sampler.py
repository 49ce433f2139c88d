"""Neighbour sampling for PyG's loaders without pyg-lib: numba draws the edges and numbers the nodes.

Source: Hamilton, Ying, Leskovec, "Inductive Representation Learning on Large Graphs", NeurIPS 2017 (arXiv:1706.02216).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data, FeatureStore, GraphStore, HeteroData
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.sampler.base import NumNeighbors
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample

from graphrep.errors import DTypeError, GraphrepError
from graphrep.kernels import CSR
from graphrep.kernels._counter import check_seed
from graphrep.nn._stores import is_store_pair, read_stores
from graphrep.nn._subgraph import Subgraph, batch_seed, sample_subgraph

__all__ = ["NumbaSampler"]

EdgeType: TypeAlias = tuple[str, str, str]
NODES = "nodes"  # the one node type of a homogeneous graph
EDGES: EdgeType = (NODES, "to", NODES)


class NumbaSampler(BaseSampler):
    """Samples in-neighbours hop by hop, for :class:`~torch_geometric.loader.NodeLoader` and ``LinkLoader``.

    The result has the form of PyG's ``NeighborSampler``: input nodes first, then those of each hop; edges of each hop
    from a node found in it to one of the hop before; ``num_sampled_nodes`` and ``num_sampled_edges`` per hop; edge ids
    of the given graph. Works in forked and spawned workers (``num_workers``).

    Args:
        data: ``Data`` or ``HeteroData`` in memory, with ``edge_index``; or a pair (``FeatureStore``, ``GraphStore``),
            whose edges are read once into memory here, while features stay where they are.
        num_neighbors: neighbours per node in each hop, -1 for all; for several edge types also {edge type: list}.
        replace: draw with replacement.
        disjoint: every input node gets a subgraph of its own, told apart by ``batch``.
        seed: makes the sample of a batch a function of this number and the batch's input nodes, whatever the workers
            and whatever came before; so without shuffling every epoch sees the same samples. None draws fresh numbers
            from torch's default generator, which loaders seed per worker and epoch and ``torch.manual_seed`` fixes.

    Edge weights are not used, neighbours are drawn uniformly; times are refused.

    Raises:
        DTypeError: `data` is something else.
        GraphrepError: an edge type has no ``edge_index``, nothing tells a number of nodes, or a list of neighbours
            holds numbers below -1.
        ShapeError: stores that disagree on a number of nodes.

    Example:
        >>> from torch_geometric.loader import NodeLoader
        >>> data = Data(x=torch.eye(4), edge_index=torch.tensor([[1, 2, 3], [0, 1, 2]]))
        >>> loader = NodeLoader(data, NumbaSampler(data, [1, 1]), input_nodes=torch.tensor([0]))
        >>> batch = next(iter(loader))
        >>> batch.n_id.tolist(), batch.edge_index.tolist(), batch.num_sampled_nodes
        ([0, 1, 2], [[1, 2], [0, 1]], [1, 1, 1])
    """

    def __init__(
        self,
        data: Data | HeteroData | tuple[FeatureStore, GraphStore],
        num_neighbors: list[int] | dict[EdgeType, list[int]],
        *,
        replace: bool = False,
        disjoint: bool = False,
        seed: int | None = None,
    ) -> None:
        self.replace, self.disjoint = replace, disjoint
        self.seed = None if seed is None else check_seed(seed)
        self._sizes, self._graphs, self._hetero = self._read(data)
        self.num_nodes: Any = self._sizes if self._hetero else self._sizes[NODES]
        self.num_neighbors = num_neighbors
        self._fanouts = self._checked(num_neighbors)

    def _read(self, data: Any) -> tuple[dict[str, int], dict[EdgeType, CSR], bool]:
        """Nodes by type, matrices, and whether there are several types."""
        if is_store_pair(data):
            return read_stores(data[0], data[1], EDGES)
        if isinstance(data, HeteroData):
            sizes = {name: int(data[name].num_nodes or 0) for name in data.node_types}
            return sizes, {kind: self._graph(kind, data[kind], sizes) for kind in data.edge_types}, True
        if isinstance(data, Data):
            sizes = {NODES: int(data.num_nodes or 0)}
            return sizes, {EDGES: self._graph(EDGES, data, sizes)}, False
        raise DTypeError(
            f"NumbaSampler takes Data, HeteroData or (FeatureStore, GraphStore); got {type(data).__name__}.",
            hint="graphrep.interop.to_pyg(graph)",
        )

    def _graph(self, kind: EdgeType, store: Any, sizes: dict[str, int]) -> CSR:
        edge_index = store.get("edge_index")
        if edge_index is None:
            where = "data" if kind == EDGES else f"edge type {kind}"
            raise GraphrepError(
                f"{where} has no edge_index.", hint="adj_t is not read; undo the ToSparseTensor transform"
            )
        plain: Tensor = edge_index.as_subclass(Tensor).cpu()
        return CSR.from_edge_index(plain, size=(sizes[kind[0]], sizes[kind[2]]))

    def _checked(self, num_neighbors: Any) -> dict[EdgeType, list[int]]:
        """The list of each edge type."""
        if isinstance(num_neighbors, dict) and not self._hetero:
            raise GraphrepError("num_neighbors is a dictionary, but the graph has one edge type.", hint="a list")
        try:
            values = NumNeighbors(num_neighbors).get_values(list(self._graphs))
        except ValueError as error:
            raise GraphrepError(f"num_neighbors: {error}.", hint="one list of the same length per edge type") from error
        for kind, fanouts in values.items():
            if any(isinstance(n, bool) or not isinstance(n, int) or n < -1 for n in fanouts):
                raise GraphrepError(f"num_neighbors of {kind} is {fanouts}.", hint="integers, -1 for all neighbours")
        return {kind: list(fanouts) for kind, fanouts in values.items()}

    def sample_from_nodes(self, inputs: NodeSamplerInput, **kwargs: Any) -> SamplerOutput | HeteroSamplerOutput:
        """The subgraph around ``inputs.node``; ``metadata`` is (input_id, None)."""
        self._refuse_time(inputs.time)
        return node_sample(inputs, self._sample)

    def sample_from_edges(
        self, inputs: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> SamplerOutput | HeteroSamplerOutput:
        """The subgraph around both ends of the links and of negative ones; ``metadata`` as ``LinkLoader`` reads it."""
        self._refuse_time(inputs.time)
        links = inputs.row.numel()
        if neg_sampling is not None and self.disjoint and math.ceil(links * neg_sampling.amount) % max(links, 1):
            raise GraphrepError(
                f"disjoint samples need a whole number of negatives per link; got {neg_sampling.amount}.",
                hint="NegativeSampling(mode, amount=1)",
            )
        with torch.random.fork_rng(devices=[], enabled=self.seed is not None):
            if self.seed is not None:  # negatives come from torch's default generator
                torch.manual_seed(batch_seed(self.seed, [inputs.row, inputs.col]))
            return edge_sample(inputs, self._sample, self.num_nodes, self.disjoint, None, neg_sampling)

    @property
    def edge_permutation(self) -> None:
        """None: the edge ids of a sample are those of the given graph."""
        return

    def _refuse_time(self, time: Tensor | None) -> None:
        if time is not None:
            raise GraphrepError(
                "NumbaSampler does not sample by time.", hint="leave out input_time and edge_label_time"
            )

    def _sample(self, seed: Any, seed_time: Any = None) -> SamplerOutput | HeteroSamplerOutput:
        """What PyG's helpers call: a tensor of nodes, or one per node type."""
        seeds: dict[str, Tensor] = {k: v.long() for k, v in seed.items()} if self._hetero else {NODES: seed.long()}
        number = int(torch.randint(1 << 62, ())) if self.seed is None else batch_seed(self.seed, list(seeds.values()))
        found = sample_subgraph(self._graphs, self._sizes, self._fanouts, seeds, number, self.replace, self.disjoint)
        return self._hetero_output(found) if self._hetero else self._output(found)

    def _output(self, found: Subgraph) -> SamplerOutput:
        return SamplerOutput(
            node=found.node[NODES],
            row=found.row[EDGES],
            col=found.col[EDGES],
            edge=found.edge[EDGES],
            batch=found.batch[NODES] if self.disjoint else None,
            num_sampled_nodes=found.num_nodes[NODES],
            num_sampled_edges=found.num_edges[EDGES],
        )

    def _hetero_output(self, found: Subgraph) -> HeteroSamplerOutput:
        return HeteroSamplerOutput(
            node=found.node,
            row=found.row,
            col=found.col,
            edge=found.edge,
            batch=found.batch if self.disjoint else None,
            num_sampled_nodes=found.num_nodes,
            num_sampled_edges=found.num_edges,
        )

    def __getstate__(self) -> dict[str, Any]:
        """For spawned workers: a CSR is immutable, so its arrays travel."""
        graphs = {kind: (g.rowptr, g.col, g.num_cols, g.perm) for kind, g in self._graphs.items()}
        return {**self.__dict__, "_graphs": graphs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        graphs = {kind: CSR(r, c, num_cols=n, perm=p) for kind, (r, c, n, p) in state["_graphs"].items()}
        self.__dict__.update(state, _graphs=graphs)

    def __repr__(self) -> str:
        return f"NumbaSampler({self.num_neighbors}, replace={self.replace}, disjoint={self.disjoint}, seed={self.seed})"
