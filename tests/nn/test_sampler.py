"""The sampler in PyG's own loaders: right edges, features and counts, full fanout is the k-hop subgraph."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import NegativeSampling, NodeSamplerInput
from torch_geometric.utils import k_hop_subgraph

from graphrep.errors import DTypeError, GraphrepError
from graphrep.nn import NumbaSampler

NUM_NODES, NUM_EDGES = 60, 400


def graph() -> Data:
    """Directed, with duplicates, self-loops and nodes without in-edges; features name their own node and edge."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, NUM_NODES - 5, (2, NUM_EDGES), generator=generator)
    return Data(
        x=torch.arange(NUM_NODES).float()[:, None],
        y=torch.arange(NUM_NODES),
        edge_index=edges,
        edge_attr=torch.arange(NUM_EDGES).float()[:, None],
    )


def hetero() -> HeteroData:
    generator = torch.Generator().manual_seed(1)
    data = HeteroData()
    data["author"].x = torch.arange(20).float()[:, None]
    data["paper"].x = torch.arange(30).float()[:, None]
    for kind, sizes in {
        ("author", "writes", "paper"): (20, 30),
        ("paper", "written_by", "author"): (30, 20),
        ("paper", "cites", "paper"): (30, 30),
    }.items():
        edges = torch.stack([torch.randint(0, size, (80,), generator=generator) for size in sizes])
        data[kind].edge_index = edges
        data[kind].edge_attr = torch.arange(80).float()[:, None]
    return data


def check_edges(part: Any, whole: Any, source: Tensor, target: Tensor) -> None:
    """Every edge of a batch is the edge of the graph that its id names, with its features."""
    ends = torch.stack([source[part.edge_index[0]], target[part.edge_index[1]]])
    assert torch.equal(ends, whole.edge_index[:, part.e_id])
    assert torch.equal(part.edge_attr, whole.edge_attr[part.e_id])


def check_batch(batch: Data, whole: Data, fanouts: list[int], replace: bool) -> None:
    assert torch.equal(batch.x[:, 0].long(), batch.n_id)
    assert torch.equal(batch.y, batch.n_id)
    assert batch.n_id.unique().numel() == batch.num_nodes
    assert torch.equal(batch.n_id[: batch.batch_size], batch.input_id)
    check_edges(batch, whole, batch.n_id, batch.n_id)
    assert sum(batch.num_sampled_nodes) == batch.num_nodes
    assert sum(batch.num_sampled_edges) == batch.num_edges
    assert len(batch.num_sampled_nodes) == len(fanouts) + 1 == len(batch.num_sampled_edges) + 1
    degree = torch.bincount(whole.edge_index[1], minlength=NUM_NODES)
    first_node = first_edge = 0
    for hop, fanout in enumerate(fanouts):
        # Edges of a hop end at the nodes of the hop before and start at nodes known by then.
        frontier = torch.arange(first_node, first_node + batch.num_sampled_nodes[hop])
        edges = slice(first_edge, first_edge + batch.num_sampled_edges[hop])
        first_node, first_edge = first_node + len(frontier), edges.stop
        taken = torch.bincount(batch.edge_index[1, edges], minlength=batch.num_nodes)
        available = degree[batch.n_id[frontier]]
        wanted = available if fanout < 0 else (available > 0) * fanout if replace else available.clamp(max=fanout)
        assert torch.equal(taken[frontier], wanted)
        assert int(taken.sum()) == int(wanted.sum())
        if batch.num_sampled_edges[hop]:
            assert int(batch.edge_index[0, edges].max()) < first_node + batch.num_sampled_nodes[hop + 1]
    if not replace:
        assert batch.e_id.unique().numel() == batch.num_edges


@pytest.mark.parametrize("fanouts", [[3, 2], [-1], [2, -1, 0, 1]])
@pytest.mark.parametrize("replace", [False, True])
def test_node_loader(fanouts: list[int], replace: bool) -> None:
    data = graph()
    sampler = NumbaSampler(data, fanouts, replace=replace, seed=1)
    seen = []
    for batch in NodeLoader(data, sampler, batch_size=16):
        check_batch(batch, data, fanouts, replace)
        seen.append(batch.input_id)
    assert torch.equal(torch.cat(seen), torch.arange(NUM_NODES))


def test_full_fanout_is_the_k_hop_subgraph() -> None:
    data = graph()
    for start in (0, 7, 59):
        batch = next(iter(NodeLoader(data, NumbaSampler(data, [-1, -1]), input_nodes=torch.tensor([start]))))
        nodes, _, _, mask = k_hop_subgraph(start, 2, data.edge_index, num_nodes=NUM_NODES)
        assert torch.equal(batch.n_id.sort().values, nodes)
        # PyG's subgraph is the induced one; ours has every edge into a node less than two hops away.
        near = k_hop_subgraph(start, 1, data.edge_index, num_nodes=NUM_NODES)[0]
        wanted = torch.isin(data.edge_index[1], near).nonzero().squeeze(1)
        assert torch.equal(batch.e_id.sort().values, wanted)
        assert bool(mask[wanted].all())


def test_workers_give_the_same_batches_with_a_seed() -> None:
    """Two forked workers of a process that has used its thread pool, and none."""
    data = graph()
    torch.manual_seed(0)
    sampler = NumbaSampler(data, [3, 2], seed=5)
    found = [list(NodeLoader(data, sampler, batch_size=8, num_workers=workers)) for workers in (0, 2)]
    for one, two in zip(*found, strict=True):
        assert torch.equal(one.e_id, two.e_id)
        assert torch.equal(one.n_id, two.n_id)


def test_without_a_seed_torch_decides() -> None:
    data = graph()
    loader = NodeLoader(data, NumbaSampler(data, [2, 2]), batch_size=60)
    torch.manual_seed(3)
    one, two = next(iter(loader)).e_id, next(iter(loader)).e_id
    torch.manual_seed(3)
    assert torch.equal(next(iter(loader)).e_id, one)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("mode", [None, "binary", "triplet"])
@pytest.mark.parametrize("disjoint", [False, True])
def test_link_loader(mode: str | None, disjoint: bool) -> None:
    data = graph()
    negatives = None if mode is None else NegativeSampling(mode, amount=2)
    sampler = NumbaSampler(data, [3, 2], disjoint=disjoint, seed=0)
    links = data.edge_index[:, :50]
    for batch in LinkLoader(data, sampler, edge_label_index=links, neg_sampling=negatives, batch_size=10):
        check_edges(batch, data, batch.n_id, batch.n_id)
        wanted = links[:, batch.input_id]
        if mode == "triplet":
            assert torch.equal(batch.n_id[batch.src_index], wanted[0])
            assert torch.equal(batch.n_id[batch.dst_pos_index], wanted[1])
            assert batch.dst_neg_index.shape == (10, 2)
            ends = torch.cat([batch.src_index, batch.dst_pos_index])
        else:
            assert torch.equal(batch.n_id[batch.edge_label_index[:, :10]], wanted)
            ends = batch.edge_label_index[:, :10].reshape(-1)
        if mode == "binary":
            assert torch.equal(batch.edge_label, torch.tensor([1.0] * 10 + [0.0] * 20))
        if disjoint:
            assert torch.equal(batch.batch[ends], torch.arange(10).repeat(2))
            assert torch.equal(*batch.batch[batch.edge_index])
        else:
            assert batch.n_id.unique().numel() == batch.num_nodes


def test_disjoint_subgraphs_share_no_node() -> None:
    data = graph()
    sampler = NumbaSampler(data, [3, 3], disjoint=True, seed=0)
    batch = next(iter(NodeLoader(data, sampler, batch_size=12)))
    check_edges(batch, data, batch.n_id, batch.n_id)
    assert torch.equal(batch.batch[:12], torch.arange(12))
    assert torch.equal(*batch.batch[batch.edge_index])
    assert (batch.batch * NUM_NODES + batch.n_id).unique().numel() == batch.num_nodes


@pytest.mark.parametrize("disjoint", [False, True])
def test_heterogeneous_nodes(disjoint: bool) -> None:
    data = hetero()
    fanouts = {kind: [2, 3] for kind in data.edge_types}
    fanouts["paper", "cites", "paper"] = [-1, 1]
    sampler = NumbaSampler(data, fanouts, disjoint=disjoint, seed=0)
    for batch in NodeLoader(data, sampler, input_nodes="paper", batch_size=7):
        size = batch["paper"].batch_size
        assert torch.equal(batch["paper"].n_id[:size], batch["paper"].input_id)
        for name in data.node_types:
            assert torch.equal(batch[name].x[:, 0].long(), batch[name].n_id)
            assert sum(batch[name].num_sampled_nodes) == batch[name].num_nodes
        for kind in data.edge_types:
            check_edges(batch[kind], data[kind], batch[kind[0]].n_id, batch[kind[2]].n_id)
            assert sum(batch[kind].num_sampled_edges) == batch[kind].num_edges
            if disjoint:
                row, col = batch[kind].edge_index
                assert torch.equal(batch[kind[0]].batch[row], batch[kind[2]].batch[col])
        cited = torch.isin(data["paper", "cites", "paper"].edge_index[1], batch["paper"].input_id).sum()
        assert batch["paper", "cites", "paper"].num_sampled_edges[0] == int(cited)


def test_heterogeneous_full_fanout_is_the_whole_neighbourhood() -> None:
    data = hetero()
    whole = data.to_homogeneous()
    shift = {"author": 0, "paper": 20}
    batch = next(iter(NodeLoader(data, NumbaSampler(data, [-1, -1]), input_nodes=("paper", torch.tensor([4])))))
    found = torch.cat([batch[name].n_id + shift[name] for name in data.node_types]).sort().values
    assert torch.equal(found, k_hop_subgraph(24, 2, whole.edge_index, num_nodes=50)[0])


@pytest.mark.parametrize("mode", ["binary", "triplet"])
def test_heterogeneous_links(mode: str) -> None:
    data, kind = hetero(), ("author", "writes", "paper")
    links = data[kind].edge_index
    options = {"edge_label_index": (kind, links), "neg_sampling": NegativeSampling(mode, amount=1), "batch_size": 9}
    for batch in LinkLoader(data, NumbaSampler(data, [2, 2], seed=0), **options):
        wanted = links[:, batch[kind].input_id]
        authors, papers = batch["author"].n_id, batch["paper"].n_id
        if mode == "binary":
            ends = batch[kind].edge_label_index[:, : wanted.shape[1]]
            found = torch.stack([authors[ends[0]], papers[ends[1]]])
        else:
            found = torch.stack([authors[batch["author"].src_index], papers[batch["paper"].dst_pos_index]])
        assert torch.equal(found, wanted)
        for other in data.edge_types:
            check_edges(batch[other], data[other], batch[other[0]].n_id, batch[other[2]].n_id)


def test_repeated_input_nodes_keep_their_rows() -> None:
    data = graph()
    out = NumbaSampler(data, [2], seed=0).sample_from_nodes(NodeSamplerInput(None, torch.tensor([3, 3, 4])))
    assert out.node[:3].tolist() == [3, 3, 4]
    assert torch.equal(torch.bincount(out.col, minlength=3)[:2], torch.tensor([2, 2]))


def test_inputs_are_left_alone_and_the_sampler_travels() -> None:
    data = graph()
    before = copy.deepcopy(data)
    sampler = NumbaSampler(data, [2, 2], seed=3)
    copied = pickle.loads(pickle.dumps(sampler))
    one, two = (next(iter(NodeLoader(data, s, batch_size=20))) for s in (sampler, copied))
    assert torch.equal(one.e_id, two.e_id)
    assert torch.equal(data.edge_index, before.edge_index)
    assert repr(sampler) == "NumbaSampler([2, 2], replace=False, disjoint=False, seed=3)"


def test_errors() -> None:
    data = graph()
    with pytest.raises(DTypeError, match=r"GraphStore\); got list"):
        NumbaSampler([data], [2])  # type: ignore[arg-type]
    with pytest.raises(GraphrepError, match="no edge_index"):
        NumbaSampler(Data(x=torch.ones(3, 1)), [2])
    with pytest.raises(GraphrepError, match=r"is \[2, -3\]"):
        NumbaSampler(data, [2, -3])
    with pytest.raises(GraphrepError, match="one edge type"):
        NumbaSampler(data, {("a", "to", "b"): [2]})
    with pytest.raises(GraphrepError, match="num_neighbors"):
        NumbaSampler(hetero(), {("paper", "cites", "paper"): [2]})
    sampler = NumbaSampler(data, [2], disjoint=True)
    with pytest.raises(GraphrepError, match="does not sample by time"):
        sampler.sample_from_nodes(NodeSamplerInput(None, torch.tensor([0]), time=torch.tensor([0])))
    loader = LinkLoader(data, sampler, neg_sampling=NegativeSampling("binary", amount=0.5), batch_size=10)
    with pytest.raises(GraphrepError, match="whole number of negatives"):
        next(iter(loader))
