"""The sampler on PyG's stores: the same samples as of the data in memory, in every layout and in PyG's loaders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_sampler import graph, hetero
from torch import Tensor
from torch_geometric.data import Data, FeatureStore, GraphStore, HeteroData
from torch_geometric.data.feature_store import TensorAttr
from torch_geometric.data.graph_store import EdgeAttr
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import NegativeSampling, NodeSamplerInput

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError
from graphrep.nn import NumbaSampler


class Features(FeatureStore):
    """Rows by (type, name) in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[Any, Tensor] = {}

    def _put_tensor(self, tensor: Any, attr: TensorAttr) -> bool:
        self.rows[attr.group_name, attr.attr_name] = tensor
        return True

    def _get_tensor(self, attr: TensorAttr) -> Any:
        rows = self.rows[attr.group_name, attr.attr_name]
        return rows if attr.index is None else rows[attr.index]

    def _remove_tensor(self, attr: TensorAttr) -> bool:
        return self.rows.pop((attr.group_name, attr.attr_name), None) is not None

    def _get_tensor_size(self, attr: TensorAttr) -> Any:
        return tuple(self.rows[attr.group_name, attr.attr_name].shape)

    def get_all_tensor_attrs(self) -> list[TensorAttr]:
        return [TensorAttr(*key) for key in self.rows]


class Edges(GraphStore):
    """Edges by type and layout in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[EdgeAttr, Any]] = []

    def _put_edge_index(self, edge_index: Any, edge_attr: EdgeAttr) -> bool:
        self.held.append((edge_attr, edge_index))
        return True

    def _get_edge_index(self, edge_attr: EdgeAttr) -> Any:
        return next(edges for attr, edges in self.held if attr is edge_attr)

    def _remove_edge_index(self, edge_attr: EdgeAttr) -> bool:
        self.held = [(attr, edges) for attr, edges in self.held if attr is not edge_attr]
        return True

    def get_all_edge_attrs(self) -> list[EdgeAttr]:
        return [attr for attr, _ in self.held]


def laid_out(edge_index: Tensor, layout: str, size: tuple[int, int]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """The edges as a store holds them, and for each place there the edge of the list."""
    if layout == "coo":
        return (edge_index[0], edge_index[1]), torch.arange(edge_index.shape[1])
    key = 1 if layout == "csc" else 0
    order = edge_index[key].argsort(stable=True)
    pointer = torch.zeros(size[key] + 1, dtype=torch.int64)
    pointer[1:] = torch.bincount(edge_index[key], minlength=size[key]).cumsum(0)
    other = edge_index[1 - key, order]
    return ((other, pointer) if key else (pointer, other)), order


def stores(data: Data | HeteroData, layout: str, *, sizes: bool = True) -> tuple[Features, Edges, dict[Any, Tensor]]:
    features, edges, orders = Features(), Edges(), {}
    hetero_ = isinstance(data, HeteroData)
    for name in data.node_types if hetero_ else [None]:
        features.put_tensor(data[name].x if hetero_ else data.x, group_name=name, attr_name="x", index=None)
    for kind in data.edge_types if hetero_ else [None]:
        ends = (data[kind[0]].num_nodes, data[kind[2]].num_nodes) if hetero_ else (data.num_nodes,) * 2
        held, orders[kind] = laid_out(data[kind].edge_index if hetero_ else data.edge_index, layout, ends)
        edges.put_edge_index(held, edge_type=kind, layout=layout, size=ends if sizes else None)
    return features, edges, orders


layouts = pytest.mark.parametrize("layout", ["coo", "csc", "csr"])


@layouts
@pytest.mark.parametrize("sizes", [True, False])
def test_all_neighbours_are_those_of_the_data(layout: str, sizes: bool) -> None:
    data = graph()
    features, edges, orders = stores(data, layout, sizes=sizes)
    there, here = NumbaSampler((features, edges), [-1, -1], seed=0), NumbaSampler(data, [-1, -1], seed=0)
    assert there.num_nodes == here.num_nodes
    seeds = NodeSamplerInput(None, torch.tensor([3, 40]))
    one, two = there.sample_from_nodes(seeds), here.sample_from_nodes(seeds)
    assert torch.equal(orders[None][one.edge].sort().values, two.edge.sort().values)
    assert torch.equal(one.node.sort().values, two.node.sort().values)
    assert torch.equal(torch.stack([one.node[one.row], one.node[one.col]]), data.edge_index[:, orders[None][one.edge]])


@layouts
def test_typed_samples(layout: str) -> None:
    data = hetero()
    features, edges, orders = stores(data, layout)
    there, here = NumbaSampler((features, edges), [3, 2], seed=4), NumbaSampler(data, [3, 2], seed=4)
    assert there.num_nodes == here.num_nodes
    seeds = NodeSamplerInput(None, torch.tensor([3, 8]), input_type="paper")
    one, two = there.sample_from_nodes(seeds), here.sample_from_nodes(seeds)
    for kind in data.edge_types:
        ends = torch.stack([one.node[kind[0]][one.row[kind]], one.node[kind[2]][one.col[kind]]])
        assert torch.equal(ends, data[kind].edge_index[:, orders[kind][one.edge[kind]]])
        if layout != "csr":  # both keep the order of the list within a row, so the very same edges are drawn
            assert torch.equal(orders[kind][one.edge[kind]], two.edge[kind])


def test_data_itself_is_a_store() -> None:
    for data in (graph(), hetero()):
        kind = "paper" if isinstance(data, HeteroData) else None
        seeds = NodeSamplerInput(None, torch.tensor([3, 8]), input_type=kind)
        one, two = (NumbaSampler(d, [2, 2], seed=1).sample_from_nodes(seeds) for d in ((data, data), data))
        assert str(one.edge) == str(two.edge)
        assert str(one.node) == str(two.node)


def test_loaders_fetch_features_of_the_sample() -> None:
    data = hetero()
    features, edges, _ = stores(data, "coo")
    sampler = NumbaSampler((features, edges), [3, 2], seed=0)
    loader = NodeLoader((features, edges), sampler, input_nodes=("paper", torch.arange(30)), batch_size=7)
    seen = []
    for batch in loader:
        for name in data.node_types:
            assert torch.equal(batch[name].x[:, 0].long(), batch[name].n_id)
        for kind in data.edge_types:
            row, col = batch[kind].edge_index
            ends = torch.stack([batch[kind[0]].n_id[row], batch[kind[2]].n_id[col]])
            assert torch.equal(ends, data[kind].edge_index[:, batch[kind].e_id])
        seen.append(batch["paper"].n_id[: batch["paper"].batch_size])
    assert torch.equal(torch.cat(seen), torch.arange(30))


def test_links_of_stores() -> None:
    data, kind = hetero(), ("author", "writes", "paper")
    features, edges, _ = stores(data, "csc")
    loader = LinkLoader(
        (features, edges),
        NumbaSampler((features, edges), [2], seed=0),
        edge_label_index=(kind, data[kind].edge_index[:, :20]),
        neg_sampling=NegativeSampling("binary", amount=1),
        batch_size=10,
    )
    for number, batch in enumerate(loader):
        ends = batch[kind].edge_label_index[:, :10]
        found = torch.stack([batch["author"].n_id[ends[0]], batch["paper"].n_id[ends[1]]])
        assert torch.equal(found, data[kind].edge_index[:, 10 * number : 10 * number + 10])


def test_nodes_without_a_type_in_a_loader() -> None:
    data = graph()
    features, edges, _ = stores(data, "coo")
    sampler = NumbaSampler((features, edges), [2], seed=0)
    batch = next(iter(NodeLoader((features, edges), sampler, input_nodes=torch.tensor([3, 9]), batch_size=2)))
    assert torch.equal(batch.x[:, 0].long(), batch.n_id)


def test_several_layouts_of_one_edge_type_are_read_once() -> None:
    data = graph()
    features, edges, _ = stores(data, "coo")
    held, order = laid_out(data.edge_index, "csc", (60, 60))
    edges.put_edge_index(held, edge_type=None, layout="csc", size=(60, 60))
    out = NumbaSampler((features, edges), [-1], seed=0).sample_from_nodes(NodeSamplerInput(None, torch.arange(60)))
    assert torch.equal(order[out.edge].sort().values, torch.arange(400))


def test_errors() -> None:
    kind, pair = ("a", "to", "b"), (torch.tensor([0]), torch.tensor([4]))
    with pytest.raises(GraphrepError, match="no edges"):
        NumbaSampler((Features(), Edges()), [2])
    edges = Edges()
    edges.put_edge_index(pair, edge_type=kind, layout="coo", size=None)
    with pytest.raises(GraphrepError, match='nothing tells how many nodes of type "a"'):
        NumbaSampler((Features(), edges), [2])
    edges = Edges()
    edges.put_edge_index(pair, edge_type=kind, layout="coo", size=(1, 4))
    with pytest.raises(IndexRangeError, match="destination"):
        NumbaSampler((Features(), edges), [2])
    features = Features()
    features.put_tensor(torch.ones(3, 2), group_name="b", attr_name="x", index=None)
    with pytest.raises(ShapeError, match='"x" of the feature store says 3 nodes of type "b", others 4'):
        NumbaSampler((features, edges), [2])
    edges.put_edge_index(pair, edge_type=None, layout="coo", size=(5, 5))
    with pytest.raises(GraphrepError, match="with and without a name"):
        NumbaSampler((Features(), edges), [2])
